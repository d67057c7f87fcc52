# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a trained `DualVAE` to live use: the same numbers, the same axis, signals in streams."""

from importlib.util import find_spec

import numpy as np
import pytest

import hyperspy_dosekin
from hyperspy_dosekin.classification import fitting, network_training
from hyperspy_dosekin.data import annealing_series

SHAPE = (3, 11, 7)
SHARES = {"fluoride": 0.4, "oxyfluoride": 0.3, "hydroxide": 0.2, "oxide": 0.1}


@pytest.fixture(scope="module")
def series():
    return annealing_series(3, shape=SHAPE)


@pytest.fixture(scope="module")
def vae(series):
    vae = hyperspy_dosekin.DualVAE(classifier="head", steps=40, evaluate_every=20, batch_size=48)
    return vae.fit(
        series, hyperspy_dosekin.data.reference_spectra(unknown=False), show_progressbar=False
    )


@pytest.fixture(scope="module")
def live(vae):
    return vae.compile(runtime="torch", batch_sizes=(7,))


def pixels(result, name="probability"):
    data = getattr(result, name).data
    return np.moveaxis(data, -3, -1).reshape(-1, 4) if name == "probability" else data.ravel()


@pytest.mark.parametrize("runtime", ["torch", "onnxruntime", "openvino"])
@pytest.mark.parametrize("prior", ["uniform", SHARES, [1, 2, 3, 4]])
def test_same_numbers_as_the_signal_method(vae, series, runtime, prior):
    for name in ("onnx", runtime):
        if runtime != "torch" and find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    offline = vae.classify(series, prior=prior)
    live = vae.compile(runtime, prior=prior, novelty=True)
    found = live.predict(series.data.reshape(-1, 160))
    # float32 throughout, against float64 in the last step
    assert found.probabilities == pytest.approx(pixels(offline), abs=1e-5)
    assert (found.labels == pixels(offline, "class_map")).all()
    # a difference of sums of some hundred, in single precision
    assert found.novelty == pytest.approx(pixels(offline, "novelty"), abs=1e-3)


def test_prior_is_that_of_the_training_unless_given(vae, series):
    share = dict(vae.report.class_share)
    offline = vae.classify(series, prior=share)
    _, probability = vae.compile("torch").classify(series.data.reshape(-1, 160))
    assert probability == pytest.approx(pixels(offline), abs=1e-5)
    with pytest.raises(ValueError, match="needs spectra"):
        vae.compile("torch", prior="estimated")
    with pytest.raises(ValueError, match=r"prior names \['bogus'\]"):
        vae.compile("torch", prior={"bogus": 1.0})


def test_a_saved_model_compiles_to_the_same(vae, series, tmp_path):
    vae.save(tmp_path / "model")
    again = hyperspy_dosekin.DualVAE.load(tmp_path / "model.safetensors")
    rows = series.data.reshape(-1, 160)[:30]
    found = again.compile("torch", prior=SHARES).classify(rows)[1]
    assert (found == vae.compile("torch", prior=SHARES).classify(rows)[1]).all()


def test_untrained_or_with_another_classifier_is_refused(series, monkeypatch):
    for part in (fitting, network_training):
        monkeypatch.setattr(part, "_CALIBRATION", 600)
    with pytest.raises(RuntimeError, match="has not been trained"):
        hyperspy_dosekin.DualVAE().compile()
    vae = hyperspy_dosekin.DualVAE(classifier="knn", steps=4, evaluate_every=2, batch_size=32)
    vae.fit(series, hyperspy_dosekin.data.reference_spectra(), show_progressbar=False)
    with pytest.raises(ValueError, match=r'"knn".*classifier="head"'):
        vae.compile()


def test_options_are_keywords_and_checked(vae):
    with pytest.raises(TypeError, match="positional"):
        vae.compile("torch", "float32")
    with pytest.raises(ValueError, match="'tensorrt'"):
        vae.compile("tensorrt")
    with pytest.raises(ValueError, match="threads=0"):
        vae.compile("torch", threads=0)


def test_what_it_is(live, series):
    assert isinstance(live, hyperspy_dosekin.LiveClassifier)
    assert repr(live) == "<LiveClassifier, 4 classes, 160 channels, torch, float32, cpu>"
    assert live.names == ("fluoride", "oxyfluoride", "hydroxide", "oxide")
    assert live.energy_ev == pytest.approx(series.axes_manager[-1].axis)
    live.energy_ev[0] = 0
    assert live.energy_ev[0] == pytest.approx(series.axes_manager[-1].axis[0])


# Streams


def rows_of(series):
    return [series.data[0, i] for i in range(SHAPE[1])]


def test_arrays_on_the_axis(live, series):
    axis = series.axes_manager[-1]
    expected = [live.classify(row)[0].tolist() for row in rows_of(series)]
    for given in (axis, axis.axis, list(axis.axis), None):
        stream = live.classify_stream(rows_of(series), energy_axis=given, policy="block")
        assert [frame.labels.tolist() for frame in stream] == expected


def test_descending_channels_are_turned(live, series):
    turned = [row[:, ::-1] for row in rows_of(series)]
    energy = series.axes_manager[-1].axis[::-1]
    stream = live.classify_stream(turned, energy_axis=energy, policy="block")
    expected = [live.classify(row)[1] for row in rows_of(series)]
    for frame, probability in zip(stream, expected, strict=True):
        assert frame.probabilities == pytest.approx(probability, abs=1e-6)


@pytest.mark.parametrize("change", ["offset", "scale", "size"])
def test_another_axis_is_refused_at_once_and_both_are_named(live, series, change):
    energy = series.axes_manager[-1].axis.copy()
    energy = {"offset": energy + 0.2, "scale": 1.01 * energy, "size": energy[:-3]}[change]
    with pytest.raises(ValueError, match=r"160 channels from 670 to 749\.5 eV, the stream has"):
        live.classify_stream(rows_of(series), energy_axis=energy)
    with pytest.raises(ValueError, match="one dimension"):
        live.classify_stream(rows_of(series), energy_axis=np.zeros((2, 160)))


def test_signals_in_a_stream(live, series):
    """Each brings its own axis, in any unit and direction."""
    frames = [series.inav[:, :, i] for i in range(3)]
    other = frames[1].deepcopy()
    axis = other.axes_manager[-1]
    axis.offset, axis.scale, axis.units = axis.offset / 1000, axis.scale / 1000, "keV"
    found = list(live.classify_stream([frames[0], other, frames[2]], policy="block"))
    for frame, signal in zip(found, frames, strict=True):
        assert frame.labels.shape == SHAPE[1:]
        expected = live.classify(signal.data.reshape(-1, 160))[0]
        assert (frame.labels.ravel() == expected).all()
    wrong = frames[2].deepcopy()
    wrong.axes_manager[-1].offset += 1
    stream = live.classify_stream([frames[0], wrong], policy="block", queue_size=1)
    with pytest.raises(ValueError, match="from 671 to"):
        list(stream)
    with pytest.raises(ValueError, match="holds no spectra"):
        live.classify_stream([series.T]).run()


def test_latency_of_a_stream_can_be_drawn(live, series):
    stream = live.classify_stream(rows_of(series), policy="block")
    report = stream.run()
    assert report.classified == SHAPE[1]
    figure = stream.plot(figsize=(5, 3))
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts[0] == "11 frames"
    assert [text[:3] for text in texts[1:]] == ["p50", "p95", "p99"]
    assert str(report).startswith("11 of 11 frames classified, 0 dropped; 77 spectra")
