# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pixels that have received other doses than the axis says."""

import exspy
import hyperspy.api as hs
import numpy as np
import pytest

import hyperspy_dosekin

#: One material everywhere, under a beam that is three times as strong in the middle.
HALF_DOSE = 400.0
RELATIVE = np.array([[0.5, 1.0, 1.5], [0.7, 2.0, 0.9]])
DOSE = np.linspace(150.0, 1500.0, 10)


@pytest.fixture(scope="module")
def series():
    received = RELATIVE[..., np.newaxis] * DOSE
    rng = np.random.default_rng(3)
    intensity = 5 * np.exp(-np.log(2) * received / HALF_DOSE) + 1
    spectra = (intensity + rng.normal(0, 1e-3, intensity.shape))[..., np.newaxis] * np.ones(8)
    s = exspy.signals.EELSSpectrum(np.moveaxis(spectra, 2, 0))
    for axis, name in zip(s.axes_manager._axes, ("frame", "y", "x", "E"), strict=True):
        axis.name = name
    s.axes_manager[-1].units = "eV"
    s.set_dose_axis(DOSE, dose_map=RELATIVE)
    return s.integrate_windows({"all": (0.0, 7.0)})


@pytest.mark.parametrize("lazy", [False, True])
def test_every_pixel_has_the_same_half_integrity_dose(series, lazy, tmp_path):
    s = series.as_lazy() if lazy else series
    result = s.fit_dose_pinn(estimator="exact", law="first order", offset=1.0 * 7)
    for found, truth in (
        (result.half_integrity_dose, HALF_DOSE),
        (result.critical_dose, HALF_DOSE / np.log(2)),
        (result.rate_per_dose, np.log(2) / HALF_DOSE),
        (result.dose_at(0.25), 2 * HALF_DOSE),
    ):
        np.testing.assert_allclose(np.asarray(found.data), truth, rtol=0.02)
    lower, upper = result.interval("half_integrity_dose")
    half = np.asarray(result.half_integrity_dose.data)
    assert (np.asarray(lower.data) < half).all()
    assert (np.asarray(upper.data) > half).all()
    assert np.ptp(np.asarray(upper.data)) < 0.05 * HALF_DOSE
    if not lazy:
        result.save(tmp_path / "mapped.hspy")
        again = hyperspy_dosekin.load(tmp_path / "mapped.hspy")
        np.testing.assert_array_equal(again.half_integrity_dose.data, half)


def test_the_map_of_other_pixels_is_refused(series):
    with pytest.raises(ValueError, match=r"shape \(2, 3\), but the series has \(2, 2\)"):
        series.inav[:, :2].fit_dose_pinn(estimator="exact", law="first order")


def test_a_mean_has_the_dose_of_the_axis(series):
    result = series.fit_dose_pinn(estimator="exact", spatial="mean", law="first order", offset=7.0)
    assert isinstance(result.half_integrity_dose, hs.signals.BaseSignal)
    assert result.half_integrity_dose.data.shape == (1,)
