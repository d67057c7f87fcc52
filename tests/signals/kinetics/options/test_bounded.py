# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Intensities are not negative: by default where the values may be intensities."""

import numpy as np
import pytest

import hyperspy_dosekin
from tests.signals.kinetics.kinetics_series import DOSE, make_series

QUIET = {"show_progressbar": False}
NOTE = "b ≥ 0 was assumed, and a + b ≥ 0 where a window grows"
PHI = DOSE / DOSE[-1]
#: An intensity, a difference, a window that grows and a standard score.
CURVES = np.stack(
    [np.exp(-PHI), np.exp(-PHI) - 0.5, 1 - np.exp(-2 * PHI), np.exp(-2 * PHI) / 0.3 - 1.3]
)


def make(space=()):
    noise = 0.01 * np.random.default_rng(0).standard_normal((*space, *CURVES.shape))
    return make_series(CURVES + noise)


@pytest.fixture(scope="module")
def results():
    series = make()
    return {
        choice: series.fit_dose_pinn(estimator="exact", nonnegative=choice, **QUIET)
        for choice in (None, True, False)
    }


def test_the_default_bounds_what_may_be_an_intensity(results):
    default, asked, free = (results[choice] for choice in (None, True, False))
    assert default.numbers.bounded().tolist() == [True, False, True, False]
    assert asked.numbers.bounded().all()
    assert not free.numbers.bounded().any()
    spread = {choice: r.maps.field("sd_log_half_dose") for choice, r in results.items()}
    assert spread[None][0] < 0.6 * spread[False][0]
    np.testing.assert_allclose(spread[None][[1, 3]], spread[False][[1, 3]], rtol=1e-3)
    assert default.offset.data[1] < 0
    assert np.all(asked.offset.data[:2] >= 0)


def test_the_text_says_so(results):
    assert f"* π–π*, C–O: {NOTE}" in str(results[None])
    assert f"* {NOTE}" in str(results[True])
    assert NOTE not in str(results[False])


def test_the_evidence_of_a_result_is_a_map(results):
    evidence = results[False].log_evidence.data
    assert evidence.shape == (4,)
    # Without a bound nothing but the noise decides.
    np.testing.assert_allclose(evidence[[1, 3]], results[None].log_evidence.data[[1, 3]], atol=1e-3)
    without = make().fit_dose_pinn(estimator="exact", intervals=False, **QUIET)
    with pytest.raises(ValueError, match="the evidence of the law was not examined"):
        _ = without.log_evidence


def test_pixels_are_bounded_one_by_one_whatever_the_blocks():
    series = make(space=(3, 2))
    eager = series.fit_dose_pinn(**QUIET)
    lazy = series.as_lazy().fit_dose_pinn(**QUIET).compute(show_progressbar=False)
    for first, second in zip(
        eager.interval("half_integrity_dose"), lazy.interval("half_integrity_dose"), strict=True
    ):
        np.testing.assert_array_equal(first.data, second.data)
    assert NOTE in str(eager)


def test_an_error_of_the_zero_may_be_that_of_each_window(tmp_path):
    error = (0.01, 0.05, 0.01, 0.02)
    result = make().fit_dose_pinn(estimator="exact", zero_error=list(error), **QUIET)
    result.save(tmp_path / "bounded.hspy")
    loaded = hyperspy_dosekin.load(tmp_path / "bounded.hspy")
    assert loaded.options.zero_error == error
    ends = (each.interval("rate", 0.8) for each in (result, loaded))
    for first, second in zip(*ends, strict=True):
        np.testing.assert_array_equal(first.data, second.data)
