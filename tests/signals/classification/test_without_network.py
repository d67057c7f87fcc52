# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bayes' rule on signals: noise variances, composition, and what needs the network."""

import exspy
import numpy as np
import pytest

from hyperspy_dosekin import DualVAE
from hyperspy_dosekin.data import annealing_series, reference_spectra
from hyperspy_dosekin.data.annealing import phase_spectrum
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
        result.model.compile("torch", precision="bfloat16")
    assert "cosine" in str(result.report)
    assert result.report.cosine["fluoride"] > 0.99
    assert result.report.data_calibration.error < 0.2
    assert result.plot_denoised().axes
    assert result.report.plot().axes


def test_live_use_needs_no_network(result):
    """A detector gives no variance: as offline without one."""
    plain = annealing_series(2, shape=SHAPE, thick_background=True)
    share = dict(result.class_share)
    offline = result.model.classify(plain, prior=share)
    live = result.model.compile("torch", prior=share, novelty=True)
    found = live.predict(plain.data.reshape(-1, plain.data.shape[-1]))
    there = np.moveaxis(offline.probability.data, -3, -1).reshape(-1, 4)
    assert found.probabilities == pytest.approx(there, abs=1e-4)
    assert found.novelty == pytest.approx(offline.novelty.data.ravel(), abs=2e-3)
    with pytest.raises(ValueError, match=r'classifier=.knn. must be "likelihood" or "head"'):
        result.model.compile("torch", classifier="knn")


def test_peaks_over_shoulders_beside_the_classes(series, result):
    figure = result.plot_peak_ratio((689, 693), (697, 701), frames=[0, 2], title="both")
    upper, lower = figure.axes[:2], figure.axes[2:4]
    assert (upper[1].images[0].get_array() == result.class_map.data[2]).all()
    ratio = lower[0].images[0].get_array()
    assert ratio.shape == series.data.shape[1:3]
    # Without noise it is the ratio of two means of the phase itself.
    label = result.class_map.data[0]
    energy = series.axes_manager[-1].axis
    pure = phase_spectrum("fluoride", energy)
    expected = pure[(energy >= 689) & (energy <= 693)].mean()
    expected /= pure[(energy >= 697) & (energy <= 701)].mean()
    assert np.ma.median(ratio[label == 0]) == pytest.approx(expected, rel=0.1)
    assert result.plot_peak_ratio().axes
    with pytest.raises(ValueError, match=r"peak=\(1, 2\) holds no channel"):
        result.plot_peak_ratio(peak=(1, 2))
    with pytest.raises(ValueError, match=r"frames=\[99\]"):
        result.plot_peak_ratio(frames=[99])


def test_figures_take_axes_title_and_resolution(result):
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
    assert result.plot(ax=panels[0], title="classes") is figure
    assert result.class_map.plot_fractions(ax=panels[1], dpi=80) is figure
    assert figure.dpi == 80
    assert result.report.plot_cosine(dpi=120).dpi == 120
    texts = [text.get_text() for text in result.report.plot_cosine().axes[0].texts]
    assert texts[0] == f"{result.report.cosines[0, 0]:.4f}"
    assert result.report.cosines[0, 0] > result.report.cosines[0, 1]


def test_what_is_no_input_is_refused_before_anything_is_computed(series, result):
    for option, text in (
        ({"clean": 5}, "clean=5 must be a signal"),
        ({"nuisances": 5}, "nuisances=5 must be Nuisances"),
    ):
        with pytest.raises(TypeError, match=text):
            series.classify_vae(reference_spectra(), **option)
    with pytest.raises(TypeError, match="5 is not the path of a model"):
        series.classify_vae(model=5)
    with pytest.raises(TypeError, match="did you mean 'title'"):
        result.plot(titel="classes")
    with pytest.raises(TypeError, match="peak='x' must be"):
        result.plot_peak_ratio("x")


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
