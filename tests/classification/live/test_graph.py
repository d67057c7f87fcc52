# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live graph computes what the model computes, in every runtime and layout."""

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from hyperspy_dosekin.classification.live.compiled import CompiledClassifier
from hyperspy_dosekin.classification.live.graph import Affine, live_graph
from hyperspy_dosekin.classification.live.network import LiveNetwork
from hyperspy_dosekin.classification.live.onnx_graph import Layout, onnx_model
from hyperspy_dosekin.classification.live.precision import activation_ranges, simulate
from hyperspy_dosekin.classification.live.runtimes import RUNTIMES, runtime_of
from hyperspy_dosekin.classification.live.runtimes.cuda_graphs import static_program
from hyperspy_dosekin.classification.live.runtimes.runtime import LiveSettings
from hyperspy_dosekin.classification.prediction import predict

ON_CPU = ("torch", "onnxruntime", "openvino")
#: float32 through a dozen layers, against float64 in the last of them
TOLERANCE = 1e-5


def needs(runtime):
    packages = [] if runtime == "torch" else ["onnx", runtime]
    for name in packages:
        if find_spec(name) is None:
            pytest.skip(f"{name} is not installed")


def expected(model, spectra):
    rows = np.asarray(spectra, dtype=np.float32).astype(np.float64)
    found = predict(rows, model=model)
    return found[:, : len(model.names)], found[:, len(model.names)]


def of_latents(model):
    """With the head of the latents, as in models as published and of early files."""
    kept = {n: value for n, value in model.weights.items() if not n.startswith("reader.")}
    return replace(model, weights=kept)


@pytest.mark.parametrize(("n_channels", "reads"), [(47, False), (48, False), (48, True)])
@pytest.mark.parametrize("runtime", ON_CPU)
def test_every_runtime_gives_the_numbers_of_the_model(
    make_live_problem, runtime, n_channels, reads
):
    needs(runtime)
    model, spectra, _ = make_live_problem(n_channels)
    model = model if reads else of_latents(model)
    live = CompiledClassifier(model, LiveSettings(runtime=runtime), novelty=True)
    probability, novelty = expected(model, spectra)
    found = live.predict(spectra)
    assert found.probabilities == pytest.approx(probability, abs=TOLERANCE)
    assert (found.labels == probability.argmax(1)).all()
    # a difference of two sums of some hundred, in standard scores
    assert found.novelty == pytest.approx(novelty, abs=1e-3)
    assert novelty.std() > 0.3


def test_novelty_goes_on_beyond_the_known_scores(make_live_problem):
    model, spectra, _ = make_live_problem(48)
    strange = np.concatenate([spectra[:5] + 3, spectra[:5] * 20, model.novelty.mean])
    _, novelty = expected(model, strange)
    found = CompiledClassifier(model, LiveSettings(runtime="torch"), novelty=True).predict(strange)
    # ever larger sums: relative
    assert found.novelty == pytest.approx(novelty, rel=1e-4, abs=1e-3)
    assert novelty[:10].min() > 20
    assert novelty[10:].max() < 0.1


@pytest.mark.parametrize(
    ("shape", "level_sd"), [("normal", 0.3), ("uniform", 0.0), ("lognormal", 0.0)]
)
@pytest.mark.parametrize("runtime", ON_CPU)
def test_bayes_rule_is_that_of_the_model(make_rule_problem, runtime, shape, level_sd):
    """No network was trained: probabilities and novelty are those of single pixels and noise."""
    needs(runtime)
    model, spectra, _ = make_rule_problem(shape, level_sd)
    live = CompiledClassifier(model, LiveSettings(runtime=runtime), novelty=True)
    strange = np.concatenate([spectra, spectra[:9] + 3, 20 * spectra[:9]])
    probability, novelty = expected(model, strange)
    found = live.predict(strange)
    assert found.probabilities == pytest.approx(probability, abs=1e-4)
    assert found.novelty == pytest.approx(novelty, rel=1e-4, abs=2e-3)
    # neither is trivial
    assert ((probability > 0.05) & (probability < 0.95)).any(axis=1).mean() > 0.2
    assert novelty[:400].std() > 0.3
    assert novelty[400:].min() > 2


def test_who_classifies_can_be_chosen(make_live_problem, make_rule_problem):
    model, spectra, _ = make_live_problem(48)
    rule = CompiledClassifier(model, LiveSettings(runtime="torch"), classifier="likelihood")
    found = rule.predict(spectra).probabilities
    own = predict(spectra, model=replace(model, classifier="likelihood"))[:, :3]
    assert found == pytest.approx(own, abs=1e-4)
    without, spectra, _ = make_rule_problem("normal", 0.0)
    with pytest.raises(ValueError, match=r'network=False.*precision="float32"'):
        CompiledClassifier(without, LiveSettings(runtime="torch", precision="bfloat16"))
    settings = LiveSettings(runtime="torch", precision="bfloat16")
    with pytest.raises(ValueError, match=r'classifier="likelihood".*not \'bfloat16\''):
        CompiledClassifier(model, settings, classifier="likelihood")
    with pytest.raises(ValueError, match=r'classifier=.knn. must be "likelihood" or "head"'):
        CompiledClassifier(model, classifier="knn")


def test_a_model_without_the_head_is_refused(make_live_problem):
    model, _, _ = make_live_problem(47)
    with pytest.raises(ValueError, match=r'"knn".*classifier="head"'):
        CompiledClassifier(replace(model, classifier="knn"))


def test_high_temperature_shows_the_cut_of_small_probabilities(make_live_problem):
    """At an inverse temperature of 0.1 a probability of 1e-12 becomes one of 0.06."""
    model, spectra, _ = make_live_problem(47)
    # certain of something else: the logits of this head are far apart
    weights = {
        name: 40 * value if name.startswith("reader.dense.4.") else value
        for name, value in model.weights.items()
    }
    hot = replace(model, power=0.1, weights=weights)
    graph = live_graph(hot)
    assert graph.power == 0.1
    assert live_graph(model).power is None
    probability, _ = expected(hot, spectra)
    for runtime in ON_CPU:
        needs(runtime)
        labels, found = CompiledClassifier(hot, LiveSettings(runtime=runtime)).classify(spectra)
        # logits of some hundred, rounded to 1e-5 of themselves
        assert found == pytest.approx(probability, abs=1e-4)
    # of two classes that share the rest, the smallest share times 0.06
    assert 0.015 < probability.min() < 0.07
    assert (labels == probability.argmax(1)).all()


def test_a_class_of_no_share_is_never_found(make_live_problem):
    model, spectra, _ = make_live_problem(47)
    without = model.with_share(np.array([0.7, 0.0, 0.3]))
    probability, _ = expected(without, spectra)
    labels, found = CompiledClassifier(without, LiveSettings(runtime="torch")).classify(spectra)
    assert found == pytest.approx(probability, abs=TOLERANCE)
    assert found[:, 1].max() < 1e-15
    assert 1 not in labels


@pytest.mark.parametrize("layout", [Layout(), Layout(paired=True), Layout(image=True, paired=True)])
@pytest.mark.parametrize("taps", [3, 5, 7, 9])
def test_layouts_are_the_same_arithmetic(make_live_problem, layout, taps):
    """Pairs of channels, and sequences or images, for kernels of any odd size."""
    needs("onnxruntime")
    import onnxruntime

    model, spectra, _ = make_live_problem(48)
    graph = live_graph(of_latents(model))
    rng = np.random.default_rng(taps)
    first = graph.convolutions[0]
    wide = Affine(rng.normal(0, 0.3, (16, 1, taps)).astype(np.float32), first.bias)
    graph = replace(graph, convolutions=(wide, *graph.convolutions[1:]))
    rows = spectra[:9].astype(np.float32)
    expected = LiveNetwork(graph)(torch.from_numpy(rows))[0].detach().numpy()
    for position_first in (False, True):
        model = onnx_model(graph, replace(layout, position_first=position_first))
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        (found,) = session.run(None, {"spectra": rows})
        assert found == pytest.approx(expected, abs=TOLERANCE)


def test_simulated_spectra_are_like_those_trained_on(make_live_problem):
    """The loss of precision is measured on them: class by class they have mean and spread."""
    model, spectra, label = make_live_problem(47)
    drawn, drawn_label = simulate(model, 6000)
    assert np.bincount(drawn_label) / 6000 == pytest.approx(model.share, abs=0.02)
    for k in range(3):
        own, known = drawn[drawn_label == k], spectra[label == k]
        # some hundred spectra whose heights vary by 15 %
        assert own.mean(0) == pytest.approx(known.mean(0), abs=0.08)
        assert own.std(0).mean() == pytest.approx(known.std(0).mean(), rel=0.1)
    found = predict(drawn, model=model)[:, :3].argmax(1)
    assert (found == drawn_label).mean() > 0.8


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_eight_bits_lose_little_and_say_how_much(make_live_problem, runtime):
    needs(runtime)
    model, spectra, _ = make_live_problem(48)
    live = CompiledClassifier(model, LiveSettings(runtime=runtime, precision="int8"), novelty=True)
    loss = live.report.precision_loss
    assert loss.precision == "int8"
    assert "int8: accuracy" in str(live.report)
    assert abs(loss.loss) <= 0.005
    assert 0.98 < loss.agreement <= 1
    probability, novelty = expected(model, spectra)
    found = live.predict(spectra)
    change = np.abs(found.probabilities - probability).max()
    # not the float32 numbers under another name
    assert 1e-4 < change < 0.3
    assert found.novelty == pytest.approx(novelty, abs=1e-3)


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_bfloat16_loses_little_and_says_how_much(make_live_problem, runtime):
    needs(runtime)
    model, spectra, _ = make_live_problem(48)
    settings = LiveSettings(runtime=runtime, precision="bfloat16")
    try:
        runtime_of(runtime).check(settings)
    except ValueError as error:
        pytest.skip(str(error))
    live = CompiledClassifier(model, settings, novelty=True)
    loss = live.report.precision_loss
    assert loss.agreement > 0.99
    # of 4096: classes of this head end sharply, as those of Bayes' rule
    assert loss.largest_change < 0.15
    probability, novelty = expected(model, spectra)
    found = live.predict(spectra)
    assert 1e-5 < np.abs(found.probabilities - probability).max() < 0.1
    assert found.novelty == pytest.approx(novelty, abs=1e-3)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8"])
def test_a_high_background_is_subtracted_in_float32(make_live_problem, precision):
    """Of 1000 ± 1 bfloat16 leaves nothing: normalisation has to come first."""
    needs("openvino")
    model, spectra, _ = make_live_problem(48)
    settings = LiveSettings(runtime="openvino", precision=precision)
    try:
        runtime_of("openvino").check(settings)
    except ValueError as error:
        pytest.skip(str(error))
    high = replace(
        model,
        units=replace(model.units, centre=model.units.centre + np.float32(1000)),
        novelty=replace(model.novelty, mean=model.novelty.mean + 1000),
    )
    _, low_result = CompiledClassifier(model, settings).classify(spectra)
    _, high_result = CompiledClassifier(high, settings).classify(spectra + 1000)
    # The spectra themselves are rounded to 6e-5; in bfloat16 they would be to 4, eight times their
    # spread, and mean changes of a probability 0.4.
    assert np.abs(high_result - low_result).mean() < {"float32": 1e-5}.get(precision, 0.01)


def test_loss_beyond_what_is_allowed_is_refused(make_live_problem, monkeypatch):
    """Activations cut off far below what they are."""
    from hyperspy_dosekin.classification.live import selection

    needs("openvino")
    model = of_latents(make_live_problem(48)[0])
    monkeypatch.setattr(
        selection,
        "activation_ranges",
        lambda *given: [(low / 40, high / 40) for low, high in activation_ranges(*given)],
    )
    settings = LiveSettings(runtime="openvino", precision="int8")
    with pytest.raises(ValueError, match=r"max_accuracy_loss=0\.005.*float32"):
        CompiledClassifier(model, settings)
    allowed = CompiledClassifier(model, replace(settings, max_accuracy_loss=1.0))
    assert allowed.report.precision_loss.loss > 0.005


@pytest.mark.parametrize("novelty", [False, True])
def test_static_program_as_on_a_graphics_processor(make_live_problem, novelty):
    """What CUDA graphs record, run as it is on the processor."""
    model, spectra, _ = make_live_problem(47)
    recorded = []

    def recorder(step, device):
        recorded.append(device)
        return step

    graph = live_graph(model, novelty=novelty)
    program = static_program(graph, 24, torch.device("cpu"), torch.float32, recorder)
    assert recorded == [torch.device("cpu")]
    for start in (0, 24):
        block = spectra[start : start + 24]
        program.spectra[:] = block
        with torch.inference_mode():
            program.run()
        probability, expected_novelty = expected(model, block)
        assert program.probability == pytest.approx(probability, abs=TOLERANCE)
        if novelty:
            assert program.novelty == pytest.approx(expected_novelty, abs=1e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_cuda_graphs_give_the_numbers_of_the_model(make_live_problem, precision):
    model, spectra, _ = make_live_problem(48)
    settings = LiveSettings(runtime="cuda_graphs", precision=precision)
    live = CompiledClassifier(model, settings, novelty=True)
    probability, novelty = expected(model, spectra)
    found = live.predict(spectra)
    tolerance = TOLERANCE if precision == "float32" else 0.1
    assert found.probabilities == pytest.approx(probability, abs=tolerance)
    assert found.novelty == pytest.approx(novelty, abs=1e-3)


def test_registry_has_what_is_documented():
    assert list(RUNTIMES) == ["torch", "onnxruntime", "openvino", "cuda_graphs"]
    assert all(name == runtime.name for name, runtime in RUNTIMES.items())
    with pytest.raises(ValueError, match=r"'tensorrt'.*openvino"):
        runtime_of("tensorrt")
