# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The unit of the dose lives to the end, and nothing is taken for e⁻/Å²."""

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest

import hyperspy_dosekin
from tests.signals.kinetics.kinetics_series import DOSE, NAMES, make_series, values

UNITS = ["MGy", "C/m²", "s", "frames"]


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def series_in(unit, factor=1.0, **options):
    series = make_series(dose=DOSE * factor, noise=0.01, **options)
    series.axes_manager.signal_axes[0].units = unit
    return series


def fit(series, **options):
    options = {"estimator": "exact", "show_progressbar": False, **options}
    return series.fit_dose_pinn(**options)


def words(figure):
    texts = [text for axes in figure.axes for text in (axes.xaxis.label, axes.yaxis.label)]
    texts += [text for axes in figure.axes for text in (axes.title, *axes.texts)]
    for legend in figure.legends:
        texts += [legend.get_title(), *legend.get_texts()]
    if figure._supxlabel is not None:
        texts.append(figure._supxlabel)
    return " ".join(text.get_text() for text in texts).replace("\n", " ")


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_is_in_text_maps_axes_and_figures(unit):
    result = fit(series_in(unit, data=values(noise=0.01)[2:3], names=NAMES[2:3]))
    inverse = {"C/m²": "m²/C"}.get(unit, f"1/{unit}")
    assert result.dose_unit == unit
    text = str(result)
    assert f"D½ ({unit})" in text
    assert f"Φ_max = 1368 {unit}." in text
    assert result.half_integrity_dose.metadata.Signal.quantity == f"Half-integrity dose ({unit})"
    assert result.critical_dose.metadata.Signal.quantity == f"Critical dose ({unit})"
    assert result.dose_at(0.8).metadata.Signal.quantity == f"Dose at integrity 0.8 ({unit})"
    assert result.rate_per_dose.metadata.Signal.quantity == f"Rate constant ({inverse})"
    for series in (result.integrity, result.fitted, result.data, result.interval("integrity")[0]):
        assert series.axes_manager.signal_axes[0].units == unit
    written = [words(draw()) for draw in (result.plot, result.plot_fit, result.plot_parameters)]
    assert all(unit in text for text in written)
    assert "Å" not in text + " ".join(written)


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_is_in_files(unit, tmp_path):
    result = fit(series_in(unit))
    result.save(tmp_path / "result.hspy")
    again = hyperspy_dosekin.load(tmp_path / "result.hspy")
    assert again.dose_unit == unit
    assert str(again) == str(result)


def test_a_unit_is_in_maps_and_their_figure():
    result = fit(series_in("MGy", space=(2, 3)), estimator=None)
    assert "D½ (MGy)" in str(result)
    figure = result.plot_maps(["C–O"])
    assert "e⁻" not in words(figure)
    assert result.half_integrity_dose.metadata.Signal.quantity == "Half-integrity dose (MGy)"


@pytest.mark.parametrize(("unit", "factor"), [("e⁻/nm²", 100.0), ("e/nm^2", 100.0), ("e-/A^2", 1)])
def test_what_can_be_converted_is_converted_once(unit, factor):
    result = fit(series_in(unit, factor))
    assert result.dose_unit == "e⁻/Å²"
    np.testing.assert_allclose(result.dose, DOSE)
    np.testing.assert_allclose(
        result.half_integrity_dose.data, fit(series_in("e⁻/Å²")).half_integrity_dose.data, rtol=1e-6
    )
    assert result.rate_per_dose.metadata.Signal.quantity == "Rate constant (Å²/e⁻)"


def test_without_a_unit_none_is_made_up():
    series = series_in("")
    result = fit(series)
    assert result.dose_unit == ""
    assert "Å" not in str(result)
    assert "(" not in result.half_integrity_dose.metadata.Signal.quantity


@pytest.mark.parametrize("unit", UNITS)
def test_spectra_hand_their_unit_on(unit):
    s = hyperspy_dosekin.data.dose_series(processed=True)
    s.axes_manager["dose"].units = unit
    areas = s.integrate_windows()
    assert areas.axes_manager.signal_axes[0].units == unit
    assert fit(areas).dose_unit == unit
    assert f"Cumulative dose ({unit})" in words(s.plot_windows())


def test_a_model_follows_the_unit():
    model = fit(series_in("MGy")).as_model()
    assert model.axis.units == "MGy"


def test_frames_of_a_missing_frame_are_named_in_the_unit():
    series = series_in("MGy")
    series.data[:, 3] = np.nan
    with pytest.warns(UserWarning, match="608 MGy hold NaN"):
        fit(series)


# Windows live as long


def test_windows_keep_their_limits_and_unit():
    s = hyperspy_dosekin.data.dose_series(processed=True)
    areas = s.integrate_windows({"a": (4, 7), "b": (10, 15)})
    (a, b) = areas.windows
    assert (a.name, a.left, a.right, a.unit) == ("a", 4.0, 7.0, "eV")
    assert fit(areas).windows == (a, b)
    assert fit(areas.inav[1:]).windows == (b,)
    assert fit(areas)["b"].windows == (b,)
    assert fit(areas)["b"].data.windows == (b,)


def test_windows_in_other_units_are_kept_in_ev():
    s = hyperspy_dosekin.data.dose_series(processed=True)
    axis = s.axes_manager.signal_axes[0]
    axis.scale, axis.offset, axis.units = axis.scale / 1000, axis.offset / 1000, "keV"
    (window,) = s.integrate_windows({"a": (0.004, 0.007)}).windows
    assert (window.left, window.right, window.unit) == (pytest.approx(4), pytest.approx(7), "eV")


def test_spots_that_are_called_like_windows_are_no_ranges():
    series = hs.signals.Signal1D(
        make_series(noise=0.01).data,
        axes=[{"size": 4, "name": "window"}, {"axis": DOSE, "name": "dose", "units": "e⁻/Å²"}],
        metadata={"Dose": {"window_names": ["C–O", "C–C", "a", "b"]}},
    )
    series.set_signal_type("DoseSeries")
    assert series.windows is None
    assert "bonds" not in str(fit(series))
