# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bayes' rule on signals: noise variances, composition, and what needs the network."""

import exspy
import numpy as np
import pytest

from hyperspy_dosekin import DualVAE
from hyperspy_dosekin.data import annealing_series, reference_spectra
from hyperspy_dosekin.signals.axes.variance import attach_variance

SHAPE = (3, 11, 9)


@pytest.fixture(scope="module")
def series():
    return with_variance(annealing_series(2, shape=SHAPE, thick_background=True))


@pytest.fixture(scope="module")
def result(series):
    return series.classify_vae(reference_spectra(), network=False, show_progressbar=False)


def with_variance(s):
    known = s.metadata.Simulation
    energy = s.axes_manager[-1].axis
    below = 2.0 * known.scale[..., None] * (energy / energy[0]) ** -3.0
    attach_variance(s, (np.maximum(s.data, 0) + below) / known.counts)
    return s


def test_the_variance_of_the_data_is_read(series, result):
    label = series.metadata.Simulation.label
    assert (result.class_map.data == label).mean() > 0.9
    noise = result.model.trained.likelihood.noise
    assert noise.usual_given == 1.0
    assert (result.novelty.data > 2).mean() < 0.04


def test_lazy_in_lazy_out_and_the_same_numbers(series, result):
    lazy = with_variance(annealing_series(2, shape=SHAPE, thick_background=True)).as_lazy()
    found = lazy.classify_vae(model=result.model)
    for name in ("probability", "novelty", "composition", "mixed", "denoised"):
        own, other = getattr(found, name), getattr(result, name)
        assert own._lazy, name
        assert np.asarray(own.data) == pytest.approx(other.data, abs=1e-4), name
    total = found.uncertainty["total"]
    assert total._lazy
    assert np.asarray(total.data) == pytest.approx(result.uncertainty["total"].data, abs=1e-4)


def test_composition_and_its_interval(series, result):
    share = result.composition
    assert share.data.shape == (3, 4, 11, 9)
    assert share.data.sum(axis=1) == pytest.approx(1, abs=1e-5)
    lower, upper = result.interval("composition", 0.8)
    wide = result.interval()
    assert (lower.data <= upper.data).all()
    assert (wide[1].data - wide[0].data).mean() > (upper.data - lower.data).mean()
    assert "80 %" in lower.metadata.General.title
    assert result.mixed.data.dtype == bool
    assert result.mixed.data.shape == (3, 11, 9)
    with pytest.raises(ValueError, match="name='rate'"):
        result.interval("rate")
    with pytest.raises(ValueError, match="level=95"):
        result.interval(level=95)


def test_what_needs_the_network_says_so(result):
    for ask in (lambda: result.latent, result.plot_latent, result.silhouette):
        with pytest.raises(RuntimeError, match="network=False"):
            ask()
    with pytest.raises(ValueError, match="network=False"):
        result.model.compile("torch")
    assert "cosine" in str(result.report)
    assert result.report.cosine["fluoride"] > 0.99
    assert result.report.data_calibration.error < 0.2
    assert result.plot_denoised().axes
    assert result.report.plot().axes


def test_a_saved_model_classifies_as_before(series, result, tmp_path):
    result.model.save(tmp_path / "m")
    again = DualVAE.load(tmp_path / "m.safetensors").classify(series)
    assert again.probability.data == pytest.approx(result.probability.data, abs=1e-5)
    assert again.composition.data == pytest.approx(result.composition.data, abs=1e-5)


def test_spectra_with_another_zero_are_classified_there_and_it_is_said(series, result, caplog):
    moved = series.deepcopy()
    # As much as three channels: the axis is the same, the spectra are not.
    moved.data = np.roll(series.data, 3, axis=-1)
    del moved.metadata.Signal.Noise_properties
    found = moved.classify_vae(model=result.model)
    assert any("zero of the energy" in problem for problem in found.report.problems)
    assert "+1.5" in caplog.text
    label = series.metadata.Simulation.label
    assert (found.class_map.data == label).mean() > 0.85
    assert not any("those of the training" in p for p in result.report.problems)


def test_single_spectra_of_any_axis_order(series, result):
    single = series.inav[4, 2, 1]
    found = single.classify_vae(model=result.model, prior=dict(result.class_share))
    assert found.class_map.data[0, 0] == result.class_map.data[1, 2, 4]
    backwards = exspy.signals.EELSSpectrum(np.asarray(series.data[1])[..., ::-1])
    axis = backwards.axes_manager[-1]
    axis.scale, axis.offset, axis.units = -0.5, series.axes_manager[-1].high_value, "eV"
    again = backwards.classify_vae(model=result.model, prior=dict(result.class_share))
    same = (again.class_map.data == result.class_map.data[1]).mean()
    assert same > 0.95
