# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Areas and D½ under every admissible processing, and the covariance that they make."""

from __future__ import annotations

import json
from pathlib import Path

import hyperspy.api as hs
import numpy as np
import pytest

import hyperspy_dosekin
from hyperspy_dosekin.data import dose_series, dose_series_image
from tests.tables import check_tables

SEMI_REAL = Path(__file__).parents[5] / "shared" / "data" / "semi_real"


@pytest.fixture(scope="module")
def series():
    return dose_series(t_over_lambda=0.4, seed=4)


@pytest.fixture(scope="module")
def result(series):
    return series.process_low_loss().fit_dose_pinn(estimator="exact", show_progressbar=False)


@pytest.fixture(scope="module")
def spread(result):
    return result.processing_spread()


def test_areas_are_those_of_processing_anew(series, spread):
    for name, options in (
        ("as fitted", {}),
        ("zero_loss=fitted", {"zero_loss": "fitted"}),
        ("zero_loss=fitted, normalise=total", {"zero_loss": "fitted", "normalise": "total"}),
    ):
        expected = series.process_low_loss(**options).integrate_windows()
        np.testing.assert_allclose(spread.areas[name].data, expected.data, rtol=1e-12)
        again = expected.fit_dose_pinn(
            estimator="exact", processing_error=False, show_progressbar=False
        )
        np.testing.assert_allclose(
            spread.half_integrity_dose[name].data, again.half_integrity_dose.data, rtol=1e-3
        )


def test_what_changes_nothing_is_no_choice(spread):
    """By default the peak is reflected here, so that this is no alternative."""
    assert spread.choices[0] == "as fitted"
    assert not [name for name in spread.choices if "reflected" in name]
    assert len(spread.choices) == 7


def test_the_covariance_holds_what_the_choices_make(spread):
    """One standard deviation of the drift is as large as the deviations of the areas."""
    assert spread.covariance.shape == (4, 9, 9)
    reference = spread.areas["as fitted"].data
    dose = spread.areas["as fitted"].dose
    slope = {}
    for name in ("normalise=total", "normalise=False", "zero_loss=fitted", "align=linear"):
        values = spread.areas[name].data
        factor = (values * reference).sum(-1) / (values**2).sum(-1)
        slope[name] = np.polyfit(dose, (factor[:, np.newaxis] * values - reference).T, 1)[0]
    pair = (slope["normalise=total"] ** 2 + slope["normalise=False"] ** 2) / 2
    expected = np.sqrt(pair + slope["zero_loss=fitted"] ** 2 + slope["align=linear"] ** 2)
    drift = spread.data.shared_errors["drift of processing"]
    np.testing.assert_allclose(np.abs(np.polyfit(dose, drift.T, 1)[0]), expected, rtol=1e-6)


def test_its_fit_has_the_error_in_its_intervals_and_keeps_it(spread, result, tmp_path):
    fit = spread.fit(show_progressbar=False)
    assert fit.options.estimator == "exact"
    assert "drift of processing" in str(fit)
    fit.save(tmp_path / "fit.hspy")
    stored = hyperspy_dosekin.load(tmp_path / "fit.hspy")
    first, second = (each.interval("rate", 0.7)[0].data for each in (fit, stored))
    np.testing.assert_allclose(second, first, rtol=1e-6)


def test_one_window_of_a_result(result):
    spread = result["C–O"].processing_spread({"normalise": ("total",)})
    assert spread.areas["normalise=total"].window_names == ("C–O",)


def test_the_dose_may_be_set_after_processing(series):
    plain = dose_series(t_over_lambda=0.4, seed=4)
    plain.axes_manager[0].units, plain.axes_manager[0].name = "", "frame"
    processed = plain.process_low_loss()
    processed.set_dose_axis(series.axes_manager[0].axis)
    found = processed.fit_dose_pinn(estimator="exact", show_progressbar=False)
    spread = found.processing_spread({"normalise": ("total",)})
    np.testing.assert_allclose(spread.areas["normalise=total"].dose, found.dose)


def test_maps_and_their_mean():
    image = dose_series_image(shape=(2, 3), t_over_lambda=0.3)
    areas = image.process_low_loss(show_progressbar=False).integrate_windows()
    maps = areas.fit_dose_pinn(show_progressbar=False)
    spread = maps.processing_spread({"normalise": ("total",)})
    assert spread.covariance.shape == (2, 3, 4, 9, 9)
    assert spread.half_integrity_dose["normalise=total"].data.shape == (4, 2, 3)
    assert "median" in str(spread)
    assert spread.fit(show_progressbar=False).identifiable.data.shape == (4, 2, 3)
    mean = areas.fit_dose_pinn(spatial="mean", estimator="exact", show_progressbar=False)
    assert mean.processing_spread({"normalise": ("total",)}).covariance.shape == (4, 9, 9)


def test_lazy_spectra_give_the_same(series, result):
    lazy = series.as_lazy().process_low_loss()
    found = lazy.fit_dose_pinn(estimator="exact", show_progressbar=False)
    choices = {"normalise": ("total",)}
    np.testing.assert_allclose(
        found.processing_spread(choices).covariance,
        result.processing_spread(choices).covariance,
        rtol=1e-6,
        atol=1e-20,
    )


def test_table_frame_and_figure(spread, tmp_path):
    text = str(spread)
    assert "normalise=total" in text
    assert repr(spread) == "<ProcessingSpread, 7 choices, 4 windows>"
    assert len(spread.rows) == 28
    check_tables(spread, tmp_path, 28)
    row = spread.rows[2]
    assert (row["choice"], row["window"], row["unit"]) == ("as fitted", "C–O", "e⁻/Å²")
    assert row["lower"] < row["half_integrity_dose"] < row["upper"]
    figure = spread.plot(figsize=(6, 4))
    above, below = figure.axes
    assert [each.get_text() for each in above.get_legend().get_texts()] == [
        "π–π*", "C–C", "C–O", "M–O",
    ]  # fmt: skip
    assert "normalise: total" in [label.get_text() for label in below.get_yticklabels()]


def test_a_choice_that_the_spectra_do_not_allow_is_named(result):
    spread = result.processing_spread({"background": ((900.0, 950.0),), "normalise": ("total",)})
    assert spread.choices == ("as fitted", "normalise=total")
    assert "left out, background=(900, 950)" in str(spread)


def test_a_background_window_is_moved():
    s = dose_series(t_over_lambda=0.4, seed=4)
    areas = s.process_low_loss(background=(2.0, 3.0), deconvolve=False).integrate_windows()
    found = areas.fit_dose_pinn(estimator="exact", show_progressbar=False)
    names = found.processing_spread().choices
    assert sum("background" in name for name in names) == 3


def test_what_is_not_known_is_refused_with_a_remedy(series, result, tmp_path):
    areas = series.process_low_loss().integrate_windows()
    sliced = areas.inav[1:3].fit_dose_pinn(estimator="exact", show_progressbar=False)
    with pytest.raises(ValueError, match="does not know the spectra"):
        sliced.processing_spread()
    given = sliced.processing_spread({"normalise": ("total",)}, spectra=series)
    assert given.choices == ("as fitted", "normalise=total")
    with pytest.raises(ValueError, match="process_low_loss has no option"):
        result.processing_spread({"zero_los": ("fitted",)})
    other = dose_series(t_over_lambda=0.4, seed=4)
    found = other.process_low_loss().fit_dose_pinn(estimator="exact", show_progressbar=False)
    other.data = other.data * 2
    with pytest.raises(ValueError, match="have been replaced"):
        found.processing_spread()
    spots = hs.signals.Signal1D(areas.data, axes=[{"size": 4}, {"axis": areas.dose}])
    spots.set_signal_type("DoseSeries")
    with pytest.raises(ValueError, match="no ranges of a spectrum"):
        spots.fit_dose_pinn(estimator="exact", show_progressbar=False).processing_spread()


@pytest.mark.skipif(not SEMI_REAL.exists(), reason="needs the semi-real data")
def test_intervals_hold_the_truth_of_semi_real_data():
    """A real spectrum with imposed kinetics, which our own simulation has not made."""
    truth = json.loads((SEMI_REAL / "truth.json").read_text())
    s = hs.load(SEMI_REAL / "dose_series.hspy")
    s.set_dose_axis(truth[0]["dose"])
    found = s.process_low_loss().fit_dose_pinn(estimator="exact", show_progressbar=False)
    for each in (found, found.processing_spread().fit(show_progressbar=False)):
        lower, upper = (end.data for end in each.interval("half_integrity_dose"))
        half = np.array(truth[0]["half_dose"])
        assert ((lower <= half) & (half <= upper)).all()
    image = hs.load(SEMI_REAL / "dose_series_image.hspy")
    image.set_dose_axis(truth[1]["dose"])
    half = np.load(SEMI_REAL / "dose_series_image_truth.npz")["half_dose"][:6]
    part = image.inav[:, :6] if image.axes_manager[1].size == 18 else image.inav[:, :, :6]
    areas = part.process_low_loss(show_progressbar=False).integrate_windows()
    maps = areas.fit_dose_pinn(show_progressbar=False)
    lower, upper = (np.moveaxis(end.data, 0, -1) for end in maps.interval("half_integrity_dose"))
    assert lower.shape == half.shape
    assert ((lower <= half) & (half <= upper)).mean() >= 0.9
