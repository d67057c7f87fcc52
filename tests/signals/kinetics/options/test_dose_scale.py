# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dose that counts as 1 is a number of its own: it changes units and priors, nothing else."""

import numpy as np
import pytest

import hyperspy_dosekin
from tests.signals.kinetics.kinetics_series import DOSE, SHORT, make_series

QUIET = {"show_progressbar": False}
SHARE = 4.0
MAX, SCALED = {"log_rate": (0.3, 1.0)}, {"log_rate": (0.3 - np.log(SHARE), 1.0)}


@pytest.fixture(scope="module")
def pair():
    series = make_series(noise=0.01)
    whole = series.fit_dose_pinn(estimator="exact", prior=MAX, **QUIET)
    scaled = series.fit_dose_pinn(
        estimator="exact", prior=SCALED, dose_scale=DOSE[-1] / SHARE, **QUIET
    )
    return whole, scaled


def test_rates_change_their_unit_and_doses_do_not(pair):
    whole, scaled = pair
    assert (whole.dose_scale, scaled.dose_scale) == (DOSE[-1], DOSE[-1] / SHARE)
    assert scaled.dose_max == DOSE[-1]
    np.testing.assert_allclose(scaled.rate.data, whole.rate.data / SHARE, rtol=1e-4)
    grid = [0, 500, 3000]
    for name in ("rate_per_dose", "exponent", "half_integrity_dose", "critical_dose", "offset"):
        np.testing.assert_allclose(getattr(scaled, name).data, getattr(whole, name).data, rtol=1e-4)
    np.testing.assert_array_equal(scaled.reached.data, whole.reached.data)
    np.testing.assert_array_equal(scaled.identifiable.data, whole.identifiable.data)
    np.testing.assert_allclose(scaled.integrity.data, whole.integrity.data, atol=1e-5)
    np.testing.assert_allclose(scaled.predict(grid).data, whole.predict(grid).data, rtol=1e-5)
    np.testing.assert_allclose(scaled.dose_at(0.8).data, whole.dose_at(0.8).data, rtol=1e-4)


@pytest.mark.parametrize("name", ["rate_per_dose", "half_integrity_dose", "dose_at", "integrity"])
@pytest.mark.parametrize("method", ["posterior", "profile"])
def test_intervals_are_in_the_unit_of_the_series(pair, name, method):
    ends = [result.interval(name, method=method) for result in pair]
    for first, second in zip(*ends, strict=True):
        # Rows of nodes lie elsewhere; of windows that are not determined ends move by 3 %.
        np.testing.assert_allclose(first.data, second.data, rtol=0.03, atol=0.02)


def test_the_interval_of_the_intensity_does_not_change(pair):
    first, second = (result.intensity_interval([100.0, 900.0]) for result in pair)
    np.testing.assert_allclose(first, second, rtol=1e-3)


def test_texts_files_and_models_carry_it(pair, tmp_path):
    _, scaled = pair
    assert "k (per Φ_s)" in str(scaled)
    assert "φ = Φ/Φ_s, Φ_s = 342 e⁻/Å²" in str(scaled)
    scaled.save(tmp_path / "scaled.hspy")
    loaded = hyperspy_dosekin.load(tmp_path / "scaled.hspy")
    assert loaded.dose_scale == scaled.dose_scale
    np.testing.assert_array_equal(loaded.half_integrity_dose.data, scaled.half_integrity_dose.data)
    ends = (result.interval("rate", 0.8) for result in (loaded, scaled))
    for first, second in zip(*ends, strict=True):
        np.testing.assert_array_equal(first.data, second.data)
    np.testing.assert_allclose(scaled.as_model().as_signal().data, scaled.fitted.data, rtol=1e-6)


def test_a_lazy_image_gives_the_same():
    series = make_series(noise=0.01, space=(3, 2))
    options = {"intervals": False, "dose_scale": 300, **QUIET}
    eager = series.fit_dose_pinn(**options)
    lazy = series.as_lazy().fit_dose_pinn(**options).compute(show_progressbar=False)
    for name in ("rate", "half_integrity_dose"):
        np.testing.assert_array_equal(getattr(eager, name).data, getattr(lazy, name).data)
    np.testing.assert_allclose(eager.rate_per_dose.data, eager.rate.data / 300)


def test_the_network_is_the_same_in_another_unit():
    series = make_series(noise=0.01)
    whole = series.fit_dose_pinn(estimator="pinn", prior=MAX, intervals=False, **SHORT)
    scaled = series.fit_dose_pinn(
        estimator="pinn", prior=SCALED, intervals=False, dose_scale=DOSE[-1] / SHARE, **SHORT
    )
    np.testing.assert_allclose(scaled.rate.data, whole.rate.data / SHARE, rtol=1e-5)
    for name in ("rate_per_dose", "half_integrity_dose", "fitted"):
        np.testing.assert_allclose(getattr(scaled, name).data, getattr(whole, name).data, rtol=1e-5)
    first, second = whole.certificate, scaled.certificate
    np.testing.assert_allclose(first.loss_ratio, second.loss_ratio, rtol=1e-3)
    np.testing.assert_allclose(first.max_deviation, second.max_deviation, atol=1e-4)


@pytest.mark.parametrize("scale", [0, -300.0, np.inf, np.nan, "300", True])
def test_a_scale_that_is_no_dose_is_refused(scale):
    with pytest.raises((TypeError, ValueError), match="dose_scale="):
        make_series().fit_dose_pinn(dose_scale=scale)
