# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinetics of whole spectra as a user calls them: inputs, texts, figures, file, errors."""

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest

import hyperspy_dosekin
from tests.kinetics.spectra.truth import DOSE, ENERGY, peak, series
from tests.tables import check_tables

A = peak(12)


def signal(values, *, lazy=False, variance=None, dose=DOSE, title=""):
    s = hs.signals.Signal1D(np.array(values))
    s.set_signal_type("EELS")
    axis = s.axes_manager[-1]
    axis.offset, axis.scale, axis.units, axis.name = 0.0, ENERGY[1], "eV", "Energy loss"
    s.metadata.General.title = title
    s.metadata.Signal.quantity = "Single scattering (1/eV)"
    s.set_dose_axis(dose)
    if variance is not None:
        s.set_noise_variance(hs.signals.Signal1D(np.full(np.shape(values), variance)))
    return s.as_lazy() if lazy else s


@pytest.fixture(scope="module")
def spectra():
    return signal(series(0, [(3.0, 1.0, A)], 0.02), variance=0.02**2)


@pytest.fixture(scope="module")
def found(spectra):
    return spectra.fit_dose_spectra()


def test_result_has_what_it_says(found):
    assert found.n_components == 1
    assert found.component_names == ("component 1",)
    assert found.spectra.data.shape == (1, 400)
    assert found.spectra.metadata.Signal.signal_type == "EELS"
    assert found.residue.data.shape == (400,)
    assert found.integrity.data.shape == (1, 201)
    dose = found.integrity.axes_manager[-1].axis
    np.testing.assert_allclose(found.integrity.data[0], np.exp(-3 * dose / 1368), atol=0.03)
    assert found.half_integrity_dose.data.shape == (1,)
    assert found.residual.data.shape == found.fitted.data.shape == (9, 400)
    assert found.residual.axes_manager[0].name == "dose"
    assert found.spectra.axes_manager[-1].scale == pytest.approx(ENERGY[1])
    assert bool(found.identifiable.data[0])
    assert bool(found.reached.data[0])
    assert found.adequate is True
    assert found.rank_test.seen.tolist() == [True, False]
    assert found.rate_per_dose.data[0] == pytest.approx(found.rate.data[0] / 1368)
    truth = np.log(2) / 3 * 1368
    lower, upper = found.interval("half_integrity_dose")
    assert lower.data[0] < truth < upper.data[0]
    assert found.critical_dose.data[0] > found.half_integrity_dose.data[0]


def test_parts_add_up(spectra, found):
    np.testing.assert_allclose(found.fitted.data + found.residual.data, spectra.data, atol=1e-12)
    # A residue and a component are fitted to nine frames.
    assert np.std(found.residual.data) == pytest.approx(0.02 * np.sqrt(7 / 9), rel=0.05)


def test_agrees_with_the_best_window_and_is_more_certain(spectra, found):
    window = spectra.fit_dose_pinn({"feature": (9.0, 15.0)}, estimator="exact", hierarchy=())
    lower, upper = (end.data[0] for end in window.interval("half_integrity_dose"))
    low, high = (end.data[0] for end in found.interval("half_integrity_dose"))
    assert lower < found.half_integrity_dose.data[0] < upper
    assert np.log(high / low) < np.log(upper / lower)


@pytest.mark.parametrize(
    "name",
    ["rate", "exponent", "rate_per_dose", "half_integrity_dose", "critical_dose", "integrity"],
)
def test_intervals_hold_the_estimate(found, name):
    lower, upper = found.interval(name)
    value = getattr(found, name).data
    assert np.all(lower.data <= value + 1e-9)
    assert np.all(value <= upper.data + 1e-9)
    wider = found.interval(name, 0.99)
    assert np.all(wider[0].data <= lower.data + 1e-9)


def test_intervals_of_spectra(found):
    for name in ("spectra", "residue"):
        lower, upper = found.interval(name)
        value = getattr(found, name).data
        assert lower.data.shape == value.shape
        assert ((lower.data < value) & (value < upper.data)).mean() > 0.95
    lower, _ = found.interval("dose_at", dose_level=0.5)
    assert lower.data == pytest.approx(found.interval("half_integrity_dose")[0].data)


def test_unknown_names_are_told(found):
    with pytest.raises(ValueError, match="did you mean 'exponent'"):
        found.interval("exponant")
    with pytest.raises(ValueError, match="level"):
        found.interval("rate", 1.5)
    with pytest.raises(ValueError, match="level"):
        found.interval("spectra", 0.0)


def test_law_without_exponent_says_so(spectra):
    found = spectra.fit_dose_spectra(law="first order")
    with pytest.raises(AttributeError, match="has no 'exponent'"):
        _ = found.exponent
    assert "first order" in str(found)


def test_texts(found, tmp_path):
    text = str(found)
    assert "<DoseSpectra, 1 component, 9 doses, 400 channels, power law>" in text
    assert "neither species nor bonds" in text
    assert "yes" in text
    assert "Kinetic law of every component" in found._repr_html_()
    frame = found.to_dataframe()
    assert frame.attrs["units"]["half_integrity_dose"] == "e⁻/Å²"
    check_tables(found, tmp_path, 1)
    assert "9 frames up to 1368 e⁻/Å²" in found.methods_text()
    assert repr(found) in text


def test_warnings_in_the_table():
    slow = signal(series(0, [(0.5, 1.0, A)], 0.02)).fit_dose_spectra()
    text = str(slow)
    assert "do NOT determine D½" in text
    assert "a known residue" in text.lower()
    shoulder = np.exp(-3 * np.maximum(DOSE / DOSE[-1] - 0.4, 0))
    noise = 0.01 * np.random.default_rng(0).normal(size=(9, 400))
    other = signal(np.outer(shoulder, A) + 1 + noise).fit_dose_spectra(1)
    assert not other.adequate
    assert "The law does not describe the spectra" in str(other)


def test_figures(found):
    assert len(found.plot().axes) == 2
    assert len(found.plot_spectra(title="series 7").axes) == 2
    figure, axes = plt.subplots(1, 2)
    assert found.plot(ax=axes[1]) is figure
    plt.close("all")


def test_hostile_names_are_escaped():
    s = signal(series(0, [(3.0, 1.0, A)], 0.02), title="<script>x</script>")
    s.axes_manager[0].units = "<b>$x$"
    found = s.fit_dose_spectra(dose_axis=0)
    assert "<script>" not in found._repr_html_()
    assert "<b>$x$" not in found._repr_html_()
    found.plot().canvas.draw()
    found.plot_spectra().canvas.draw()
    plt.close("all")


@pytest.mark.parametrize("extension", ["hspy", "zspy"])
def test_saved_and_loaded(tmp_path, found, extension):
    path = tmp_path / f"spectra.{extension}"
    found.save(path)
    same = hyperspy_dosekin.load(path)
    assert str(same) == str(found)
    for name in ("rate", "half_integrity_dose"):
        np.testing.assert_array_equal(getattr(same, name).data, getattr(found, name).data)
        for one, other in zip(same.interval(name), found.interval(name), strict=True):
            np.testing.assert_array_equal(one.data, other.data)
    np.testing.assert_array_equal(same.spectra.data, found.spectra.data)
    np.testing.assert_array_equal(
        same.interval("spectra")[0].data, found.interval("spectra")[0].data
    )
    np.testing.assert_array_equal(hs.load(path).data, found.fitted.data)


def test_changed_files_are_refused(tmp_path, found):
    path = tmp_path / "spectra.hspy"
    found.save(path)
    s = hs.load(path)
    s.metadata.Dosekin.spectra.arrays.search = s.metadata.Dosekin.spectra.arrays.search + 1
    s.save(path, overwrite=True)
    with pytest.raises(ValueError, match="damaged"):
        hyperspy_dosekin.load(path)


@pytest.mark.parametrize("lazy", [False, True])
def test_mean_of_a_region(lazy):
    """All-different sizes; the dose axis is not the first."""
    clean = series(0, [(3.0, 1.0, A)], 0.0)
    random = np.random.default_rng(0)
    values = np.moveaxis(np.broadcast_to(clean, (3, 5, *clean.shape)), 2, 1)
    values = values + 0.05 * random.normal(size=values.shape)
    s = hs.signals.Signal1D(values)
    s.set_signal_type("EELS")
    s.axes_manager[-1].scale, s.axes_manager[-1].units = ENERGY[1], "eV"
    s.set_dose_axis(DOSE, axis=1)
    s.set_noise_variance(0.05**2)
    s = s.as_lazy() if lazy else s
    before = np.array(s.data)
    found = s.fit_dose_spectra(show_progressbar=False)
    assert "mean of 15 pixels" in str(found)
    mean = signal(values.mean(axis=(0, 2))).fit_dose_spectra()
    assert found.half_integrity_dose.data == pytest.approx(mean.half_integrity_dose.data, rel=0.02)
    assert np.std(found.residual.data) == pytest.approx(0.05 * np.sqrt(7 / 9 / 15), rel=0.05)
    assert found.fit.spectra.scale == pytest.approx(1, rel=0.15)
    np.testing.assert_array_equal(np.array(s.data), before)


def test_range_of_energies(spectra):
    found = spectra.fit_dose_spectra(energy_range=(5.0, 20.0))
    energy = found.spectra.axes_manager[-1].axis
    assert energy[0] >= 5
    assert energy[-1] <= 20
    roi = hs.roi.SpanROI(5.0, 20.0)
    other = spectra.fit_dose_spectra(energy_range=roi)
    np.testing.assert_array_equal(other.rate.data, found.rate.data)


def test_zero_loss_peak_is_left_out():
    s = hyperspy_dosekin.data.dose_series(processed=True)
    found = s.fit_dose_spectra(1)
    assert found.spectra.axes_manager[-1].axis[0] >= 1.0


def test_gaps_are_left_out_and_said():
    values = series(0, [(3.0, 1.0, A)], 0.02)
    values[:, 17] = np.nan
    values[4, 200] = np.nan
    values[2] = np.nan
    found = signal(values).fit_dose_spectra()
    text = str(found)
    assert "1 frames without values" in text
    assert "2 channels with gaps" in text
    assert np.isnan(found.spectra.data[0, [17, 200]]).all()
    assert np.isfinite(found.spectra.data).sum() == 398
    assert found.residual.data.shape == (8, 400)


def test_known_residue():
    residue = 1 + peak(25)
    s = signal(series(0, [(0.8, 1.0, A)], 0.02, residue))
    known = s.fit_dose_spectra(residue=residue)
    assert known.identifiable.data[0]
    np.testing.assert_allclose(known.residue.data, residue, atol=1e-12)
    np.testing.assert_allclose(known.fitted.data + known.residual.data, s.data, atol=1e-9)
    same = s.fit_dose_spectra(residue=hs.signals.Signal1D(residue))
    np.testing.assert_array_equal(same.rate.data, known.rate.data)
    with pytest.raises(ValueError, match="does not fit the 400 channels"):
        s.fit_dose_spectra(residue=residue[:7])


def test_uncertain_doses_widen_intervals(spectra, found):
    wide = spectra.fit_dose_spectra(dose_uncertainty=0.2)
    lower, upper = (end.data[0] for end in wide.interval("half_integrity_dose"))
    low, high = (end.data[0] for end in found.interval("half_integrity_dose"))
    assert np.log(upper / lower) > 0.7
    assert np.log(upper / lower) > np.log(high / low)
    assert "uncertainty of the dose scale, 20 %" in str(wide)
    with pytest.raises(ValueError, match="scale only"):
        spectra.fit_dose_spectra(dose_uncertainty={"frame": 0.01})


def test_processed_series_carry_their_drift():
    s = hyperspy_dosekin.data.dose_series(seed=1).process_low_loss()
    with_drift = s.fit_dose_spectra(1, energy_range=(3.0, 30.0))
    assert "drift of the normalisation" in str(with_drift)
    without = s.fit_dose_spectra(1, energy_range=(3.0, 30.0), processing_error=False)
    assert "drift of the normalisation" not in str(without)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"spatial": "population"}, ValueError, "need space axes"),
        ({"groups": np.zeros((2, 2), int)}, ValueError, "need space axes"),
        ({"spatial": "pixels"}, ValueError, "is not one of"),
        ({"n_components": 7}, ValueError, "from 1 to 4"),
        ({"n_components": 8}, ValueError, "from 1 to 4"),
        ({"law": "frist order"}, ValueError, "frist order"),
        ({"energy_range": (60.0, 80.0)}, ValueError, "outside the energy axis"),
        ({"energy_range": (20.0, 5.0)}, ValueError, "reversed"),
        ({"energy_range": 5.0}, TypeError, "energy_range"),
        ({"energy_range": (12.0, 12.2)}, ValueError, "too few|no channel"),
        ({"frame_error": -1.0}, ValueError, "frame_error"),
        ({"dose_scale": 0.0}, ValueError, "dose_scale"),
        ({"dose_scale": 1e-200}, ValueError, "no scale of doses up to"),
        ({"noise": "floor"}, ValueError, "noise"),
        ({"residue": 0.0, "nonnegative": True}, ValueError, "leave one of them out"),
        ({"prior": {"rate": (0, 1)}}, ValueError, "prior"),
    ],
)
def test_wrong_options_are_told(spectra, options, error, message):
    with pytest.raises(error, match=message):
        spectra.fit_dose_spectra(**options)


def test_signals_that_cannot_be_fitted():
    s = hs.signals.Signal1D(np.ones((9, 400)))
    s.set_signal_type("EELS")
    with pytest.raises(ValueError, match="no dose axis"):
        s.fit_dose_spectra()
    values = series(0, [(3.0, 1.0, A)], 0.02)
    with pytest.raises(ValueError, match="too few for kinetics"):
        signal(values[:3], dose=DOSE[:3]).fit_dose_spectra()
    with pytest.raises(ValueError, match="no channel has a value"):
        signal(np.full((9, 400), np.nan)).fit_dose_spectra()
    words = signal(values)
    words.data = words.data.astype(str)
    with pytest.raises(TypeError, match="real numbers"):
        words.fit_dose_spectra()


def test_semi_real_series(shared_data):
    """A real spectrum with imposed kinetics: the range of the window that goes with k = 2.6."""
    s = hs.load(shared_data("semi_real/dose_series.hspy"))
    s.set_dose_axis(dose_rate=152 / 44.0, frame_time=44.0)
    found = s.process_low_loss().fit_dose_spectra(1, energy_range=(10.0, 15.0))
    lower, upper = (end.data[0] for end in found.interval("half_integrity_dose"))
    assert lower < 352.35 < upper
    assert upper / lower < 1.5


def test_values_that_cannot_be_squared_are_left_out_and_odd_questions_are_told():
    s = hyperspy_dosekin.data.dose_series(processed=True)
    s.data[2, 250] = -1.7e308
    found = s.fit_dose_spectra(1, energy_range=(8.0, 20.0), show_progressbar=False)
    assert np.isfinite(found.half_integrity_dose.data).all()
    for name in (np.array(3), ["rate"], None):
        with pytest.raises(ValueError, match="there is no such quantity"):
            found.interval(name)
    with pytest.raises(TypeError, match="level"):
        found.interval("rate", np.array([0.1, 0.2]))
    with pytest.raises(TypeError, match="dose_level"):
        found.interval("dose_at", dose_level="x")
    s.data[2, 250] = 1.0
    s.data *= 1e200
    with pytest.raises(ValueError, match="take another unit"):
        s.fit_dose_spectra(1, energy_range=(8.0, 20.0), show_progressbar=False)
