# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest

from hyperspy_dosekin.processing.low_loss.gain_side import share_without_features, tail_of

DISTANCE = np.arange(200.0)


def side(fwhm=10.0, level=0.0, exponent=2.0):
    """Gain side of a Gaussian with a tail, from the peak outward."""
    core = np.exp(-0.5 * (DISTANCE / (fwhm / 2.3548)) ** 2)
    return 1e6 * (core + level * (1 + (DISTANCE / fwhm) ** 2) ** (-exponent / 2))


def test_gains_are_told_from_the_peak():
    peak = side(level=1e-3)
    gain = 2e4 * np.exp(-0.5 * ((DISTANCE - 60) / 4) ** 2)
    share = share_without_features(peak + gain, 10.0)
    np.testing.assert_allclose(share * (peak + gain), peak, atol=0.05 * gain.max())
    assert share_without_features(peak, 10.0) is None


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_no_gain(seed):
    rng = np.random.default_rng(seed)
    assert share_without_features(rng.poisson(side(level=1e-5)).astype(float), 10.0) is None


@pytest.mark.parametrize("exponent", [1.5, 2.0, 3.0])
def test_a_tail_is_continued(exponent):
    whole = side(level=1e-2, exponent=exponent)
    tail = tail_of(whole[:80], 10.0)
    assert tail.exponent == pytest.approx(exponent, abs=0.1)
    area = 2 * whole[:80].sum() - whole[0]
    np.testing.assert_allclose(tail.at(DISTANCE)[90:] * area, whole[90:], rtol=0.1)
    assert tail.at(DISTANCE)[79] == 0


def test_a_peak_that_has_ended_has_no_tail():
    assert tail_of(side()[:80], 10.0) is None
    assert tail_of(side()[:12], 10.0) is None


def test_a_narrow_ghost_of_the_peak_is_no_part_of_it():
    """A second peak before the first, as narrow: it bends as much as it is high."""
    distance = np.arange(60.0)
    peak = 1e6 * np.exp(-0.5 * (distance / 1.6) ** 2) + 5e3 / (1 + distance**2 / 4)
    ghost = 1e4 * np.exp(-0.5 * ((distance - 25) / 1.6) ** 2)
    noisy = np.random.default_rng(0).poisson(peak + ghost).astype(float)
    share = share_without_features(noisy, 3.8)
    assert share is not None
    assert share[25] < 0.05
    plain = np.random.default_rng(0).poisson(peak).astype(float)
    assert share_without_features(plain, 3.8) is None


def test_a_gain_is_seen_where_nothing_is_beside_it():
    """A detector that counts, and no count between the peak and the gain."""
    gain = 100 * np.exp(-4 * np.log(2) * ((DISTANCE - 10) / 3) ** 2)
    counts = np.random.default_rng(0).poisson(side(fwhm=3.0) + gain).astype(float)
    share = share_without_features(counts, 3.0, counts)
    assert share is not None
    assert (share * counts)[9:12].sum() < 0.1 * counts[9:12].sum()
    plain = np.random.default_rng(0).poisson(side(fwhm=3.0)).astype(float)
    assert share_without_features(plain, 3.0, plain) is None
