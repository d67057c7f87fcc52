# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors that frames share stay with their series, and reach the fit and the file."""

from __future__ import annotations

import numpy as np
import pytest

import hyperspy_dosekin
from hyperspy_dosekin.data import dose_series_image
from hyperspy_dosekin.signals.axes.shared_error import attach_shared_errors, shared_errors_of
from hyperspy_dosekin.signals.kinetics.data.series_data import SeriesData


@pytest.fixture(scope="module")
def image():
    return dose_series_image(shape=(3, 5), t_over_lambda=0.4, seed=2)


@pytest.fixture(scope="module")
def areas(image):
    return image.process_low_loss(show_progressbar=False).integrate_windows()


def test_areas_over_the_zero_loss_peak_carry_a_share_of_its_drift(image, areas):
    processed = image.process_low_loss(show_progressbar=False)
    thickness = processed.processing_diagnostics()["t_over_lambda"].data
    found = shared_errors_of(areas)["normalisation"] / areas.data
    assert found.shape == areas.data.shape
    dose = areas.dose - areas.dose.mean()
    slope = np.tensordot(dose, thickness, axes=(0, 0)) / (dose @ dose)
    # All shares between none and the whole drift are as likely: their rms.
    expected = slope[..., np.newaxis] * dose * 3**-0.5
    # The integral of single scattering is t/λ, but for what lies beyond the end of the axis.
    assert np.abs(found - expected[:, :, np.newaxis]).max() < 0.1 * np.abs(expected).max()


@pytest.mark.parametrize("options", [{"normalise": False}, {}])
def test_no_other_areas_carry_any(image, options):
    spectra = image.process_low_loss(**options, show_progressbar=False) if options else image
    assert shared_errors_of(spectra.integrate_windows()) == {}


def test_slices_carry_their_part(areas):
    for part in (areas.inav[:, 1:4, 2], areas.inav[1:3], areas.isig[2:7], areas.inav[2, 0, 1]):
        found = shared_errors_of(part)["normalisation"]
        assert found.shape == part.data.shape
    whole = shared_errors_of(areas)["normalisation"]
    np.testing.assert_array_equal(
        shared_errors_of(areas.inav[:, 1:4, 2])["normalisation"], whole[2, 1:4]
    )
    np.testing.assert_array_equal(
        shared_errors_of(areas.isig[2:7])["normalisation"], whole[..., 2:7]
    )


def test_a_factor_acts_on_both(areas):
    twice = areas * 2.0
    np.testing.assert_allclose(
        shared_errors_of(twice)["normalisation"], 2 * shared_errors_of(areas)["normalisation"]
    )


def test_other_axes_lose_them(areas):
    assert shared_errors_of(areas.mean("x")) == {}
    assert shared_errors_of(areas.transpose(signal_axes=["x"])) == {}


def test_lazy_areas_carry_lazy_ones(image, areas):
    lazy = image.as_lazy().process_low_loss().integrate_windows()
    found = shared_errors_of(lazy)["normalisation"]
    assert hasattr(found, "compute")
    np.testing.assert_allclose(
        found.compute(), shared_errors_of(areas)["normalisation"], rtol=1e-9, atol=1e-15
    )


def test_the_mean_over_space_has_the_mean_error(areas):
    data = SeriesData.of(areas).averaged()
    expected = shared_errors_of(areas)["normalisation"].mean(axis=(0, 1))
    np.testing.assert_allclose(data.shared_errors["normalisation"], expected, rtol=1e-9)


def test_the_fit_takes_them_says_so_and_keeps_them(areas, tmp_path):
    series = areas.inav[:, 1, 1].deepcopy()
    attach_shared_errors(series, {"gain": np.linspace(-0.2, 0.2, 9)})
    wide = series.fit_dose_pinn(estimator="exact", show_progressbar=False)
    narrow = series.fit_dose_pinn(estimator="exact", processing_error=False, show_progressbar=False)

    def width(result):
        lower, upper = result.interval("half_integrity_dose")
        return np.log(upper.data / lower.data)

    # The prior alone decides on the last window.
    assert (width(wide) > width(narrow))[:3].all()
    assert "beside noise, what may be wrong with all frames: gain" in str(wide)
    assert "beside noise" not in str(narrow)
    wide.save(tmp_path / "wide.hspy")
    same = hyperspy_dosekin.load(tmp_path / "wide.hspy")
    for end, stored in zip(wide.interval("rate", 0.8), same.interval("rate", 0.8), strict=True):
        np.testing.assert_allclose(stored.data, end.data, rtol=1e-6)


def test_an_edited_error_breaks_the_seal(areas, tmp_path):
    import h5py

    result = areas.inav[:, 1, 1].fit_dose_pinn(estimator="exact", show_progressbar=False)
    path = tmp_path / "a.hspy"
    result.save(path)

    def edit(name, item):
        if "shared_errors" in name and name.endswith("data") and hasattr(item, "shape"):
            item[...] = item[...] * 3

    with h5py.File(path, "r+") as file:
        file.visititems(edit)
    with pytest.raises(ValueError, match="changed"):
        hyperspy_dosekin.load(path)
