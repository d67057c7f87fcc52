# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest

from hyperspy_dosekin.numerics.scaling import StandardScore


def test_scores_have_mean_zero_and_spread_one_without_missing_values():
    values = np.random.default_rng(0).normal(3, 2, (4, 7))
    values[1, 2] = np.nan
    score = StandardScore.of(values)
    scores = score.apply(values)
    np.testing.assert_allclose(np.nanmean(scores, axis=1), 0, atol=1e-14)
    np.testing.assert_allclose(np.nanstd(scores, axis=1), 1, rtol=1e-14)
    assert np.isnan(scores[1, 2])
    assert np.isfinite(scores).sum() == 27


def test_a_small_signal_on_a_large_offset_keeps_its_digits():
    wave = np.sin(np.arange(9.0))
    score = StandardScore.of(1e9 + wave)
    # float64 carries 1e9 + wave to 1e-7; float32 would lose the wave altogether.
    np.testing.assert_allclose(score.apply(1e9 + wave) * wave.std() + wave.mean(), wave, atol=1e-6)


@pytest.mark.parametrize("level", [0.0, 1.0, -3e9, 1e-30])
def test_a_constant_channel_is_flagged_and_does_not_divide_by_zero(level):
    score = StandardScore.of(np.full((1, 5), level))
    assert score.constant.tolist() == [True]
    np.testing.assert_allclose(score.apply(np.full((1, 5), level)), 0, atol=1e-6)


def test_a_channel_without_values_is_constant():
    assert StandardScore.of(np.full((1, 5), np.nan)).constant.tolist() == [True]


def test_integers_are_taken_to_float64():
    score = StandardScore.of(np.array([[1, 2, 3]], dtype=">i2"))
    assert score.mean.dtype == np.float64
    assert score.mean[0] == 2
