# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any batch in, results that stay what they are, no memory taken in a loop, clear refusals."""

import builtins
import importlib
import json
import sys
import threading
import tracemalloc
from importlib.util import find_spec

import numpy as np
import pytest

from hyperspy_dosekin.classification.live import results, selection
from hyperspy_dosekin.classification.live.compiled import CompiledClassifier
from hyperspy_dosekin.classification.live.runtimes.runtime import LiveSettings
from hyperspy_dosekin.classification.live.slots import make_probe
from hyperspy_dosekin.classification.prediction import predict
from hyperspy_dosekin.classification.rescaling import in_data_units

CHANNELS = 48
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def problem(make_live_problem):
    return make_live_problem(CHANNELS)


@pytest.fixture(scope="module")
def live(problem):
    return CompiledClassifier(problem[0], LiveSettings(runtime="torch"))


@pytest.fixture(scope="module")
def counting(problem):
    """The same for spectra in twentieths."""
    model = in_data_units(problem[0], 20.0)
    return CompiledClassifier(model, LiveSettings(runtime="torch")), model


def probability_of(problem, spectra):
    return predict(np.asarray(spectra), model=problem[0])[:, :3]


# What may come in


@pytest.mark.parametrize("number", [1, 2, 3, 5, 31, 33, 64, 65, 100, 150])
def test_any_batch_size(live, problem, number):
    spectra = np.resize(problem[1], (number, CHANNELS))
    labels, probability = live.classify(spectra)
    assert labels.shape == (number,)
    assert probability.shape == (number, 3)
    assert probability.dtype == np.float32
    assert probability == pytest.approx(probability_of(problem, spectra), abs=TOLERANCE)
    assert (labels == probability.argmax(1)).all()


def test_empty_batch(live):
    labels, probability = live.classify(np.empty((0, CHANNELS), np.uint16))
    assert labels.shape == (0,)
    assert probability.shape == (0, 3)


@pytest.mark.parametrize("dtype", ["<u2", ">u2", ">i4", "<i8", ">f4", "<f8", "f2", "i1"])
def test_any_real_type_and_byte_order(counting, problem, dtype):
    """Values that all these types hold exactly; some of them negative where there is a sign."""
    live, model = counting
    counts = np.round(problem[1][:40] * 20)
    if np.dtype(dtype).kind == "u":
        counts = np.abs(counts)
    typed = counts.astype(dtype)
    assert (typed == counts).all()
    before = typed.copy()
    labels, probability = live.classify(typed)
    expected = predict(counts, model=model)[:, :3]
    assert probability == pytest.approx(expected, abs=TOLERANCE)
    assert (typed == before).all()
    assert (labels >= 0).all()


def test_strides_do_not_matter(live, problem):
    spectra = problem[1][:40]
    wide = np.zeros((80, 2 * CHANNELS))
    wide[::2, 1::2] = spectra
    readonly = spectra.copy()
    readonly.flags.writeable = False
    _, expected = live.classify(spectra)
    for batch in (wide[::2, 1::2], np.asfortranarray(spectra), readonly, spectra.tolist()):
        assert live.classify(batch)[1] == pytest.approx(expected, abs=1e-7)
    backwards = live.classify(spectra[::-1])[1]
    assert backwards[::-1] == pytest.approx(expected, abs=1e-6)


def test_spectra_without_data_have_no_class(live, problem):
    spectra = problem[1][:9].copy()
    spectra[1, 5] = np.nan
    spectra[3] = 0
    spectra[4] = 17.5
    spectra[6, 7] = np.inf
    spectra[7, 0] = -np.inf
    spectra[8, 9] = 1e300  # beyond float32
    labels, probability = live.classify(spectra)
    assert (labels[[1, 3, 4, 6, 7, 8]] == -1).all()
    assert np.isnan(probability[[1, 3, 4, 6, 7, 8]]).all()
    good = [0, 2, 5]
    assert (labels[good] >= 0).all()
    assert probability[good] == pytest.approx(probability_of(problem, spectra[good]), abs=TOLERANCE)
    # the buffers are not spoilt for the next batch
    _, after = live.classify(problem[1][:9])
    assert after == pytest.approx(probability_of(problem, problem[1][:9]), abs=TOLERANCE)


@pytest.mark.parametrize("n_channels", [47, 48, 2048])
def test_what_the_probe_calls_clear_has_data(n_channels):
    """Constants of any size, and anything that is not finite in any channel, are never clear."""
    rng = np.random.default_rng(1)
    constants = np.repeat(10 ** rng.uniform(-30, 30, (200, 1)), n_channels, 1)
    constants[::2] *= -1
    broken = rng.normal(5, 1, (3 * n_channels, n_channels))
    for k, value in enumerate((np.nan, np.inf, -np.inf)):
        broken[k * n_channels : (k + 1) * n_channels][np.diag_indices(n_channels)] = value
    spectra = rng.normal(5, 1, (300, n_channels))
    with np.errstate(invalid="ignore"):
        clear = [
            np.greater(*np.abs(rows.astype(np.float32) @ make_probe(n_channels)).T)
            for rows in (constants, broken, spectra)
        ]
    assert not clear[0].any()
    assert not clear[1].any()
    # or the slow look would be the rule
    assert clear[2].mean() > 0.9


@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        (np.zeros((4, CHANNELS + 1)), ValueError, r"\(4, 49\).*48 channels"),
        (np.zeros(CHANNELS), ValueError, r"spectrum\[None\]"),
        (np.zeros((2, 3, CHANNELS)), ValueError, r"\(2, 3, 48\)"),
        (np.zeros((4, CHANNELS), complex), TypeError, "complex128 holds no real numbers"),
        (np.zeros((4, CHANNELS), bool), TypeError, "bool"),
        (np.zeros((4, CHANNELS), object), TypeError, "object"),
    ],
)
def test_what_is_no_batch_is_refused(live, batch, error, message):
    with pytest.raises(error, match=message):
        live.classify(batch)


# What comes out


def test_results_that_are_kept_stay_what_they_are(live, problem):
    batches = [problem[1][i : i + 20] for i in range(0, 200, 20)]
    kept = [live.classify(batch) for batch in batches]
    for batch, (labels, probability) in zip(batches, kept, strict=True):
        expected = probability_of(problem, batch)
        assert probability == pytest.approx(expected, abs=TOLERANCE)
        assert (labels == expected.argmax(1)).all()
    # also where only a view is kept
    view = live.classify(batches[0])[1][3:5, ::2]
    for batch in batches:
        live.classify(batch)
    assert view == pytest.approx(probability_of(problem, batches[0])[3:5, ::2], abs=TOLERANCE)


@pytest.mark.parametrize("number", [500, 2000])
def test_a_loop_takes_no_memory(counting, problem, number):
    live, _ = counting
    batch = np.resize(np.abs(problem[1] * 20), (number, CHANNELS)).astype(np.uint16)
    for _ in range(4):
        labels, probability = live.classify(batch)
    tracemalloc.start()
    try:
        for _ in range(3):
            labels, probability = live.classify(batch)
        tracemalloc.reset_peak()
        start = tracemalloc.get_traced_memory()[0]
        for _ in range(20):
            labels, probability = live.classify(batch)
        end, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert labels.nbytes + probability.nbytes == number * 20
    # Views and tuples, 5 kB for any number; a result is 10 or 40 kB, 64 spectra in float32 12 kB.
    assert peak - start < 8000
    assert end - start < 2000


def test_memory_is_used_again_only_when_it_is_free():
    memory = results.ResultMemory((3,), np.float32)
    first = memory.take(5)
    second = memory.take(5)
    assert first is not second
    assert memory.take(5) is not first
    address = first.ctypes.data
    view = first[1:]
    del first
    assert all(memory.take(5).ctypes.data != address for _ in range(5))
    del view
    del second
    taken = {memory.take(5).ctypes.data for _ in range(9)}
    assert len(taken) == 1
    assert memory.take(7).shape == (7, 3)
    for size in range(30):
        memory.take(size)
    assert len(memory._arrays) <= 8


def test_nothing_is_used_again_where_references_are_not_counted(monkeypatch):
    monkeypatch.delattr(sys, "getrefcount")
    try:
        importlib.reload(results)
        memory = results.ResultMemory((), np.intp)
        kept = [memory.take(4) for _ in range(9)]
        assert len({array.ctypes.data for array in kept}) == 9
    finally:
        monkeypatch.undo()
        importlib.reload(results)


def test_results_go_where_they_are_asked_to(live, problem):
    spectra = problem[1][:70]
    out = np.empty(70, np.intp), np.empty((70, 3), np.float32)
    labels, probability = live.classify(spectra, out=out)
    assert labels is out[0]
    assert probability is out[1]
    assert probability == pytest.approx(probability_of(problem, spectra), abs=TOLERANCE)
    with pytest.raises(ValueError, match=r"labels of shape \(70,\).*\(69,\)"):
        live.classify(spectra[:69], out=out)
    with pytest.raises(TypeError, match=r"probabilities.*float32"):
        live.classify(spectra, out=(out[0], np.empty((70, 3))))


def test_from_several_threads_at_once(live, problem):
    expected = probability_of(problem, problem[1])
    wrong = []

    def work(offset):
        for i in range(offset, 300, 17):
            _, found = live.classify(problem[1][i : i + 40])
            if np.abs(found - expected[i : i + 40]).max() > TOLERANCE:
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_buffers_of_the_sizes_asked_for(problem, monkeypatch):
    compiled = []
    original = selection.Chosen.compile

    def compile_(self, graph, batch):
        compiled.append(batch)
        return original(self, graph, batch)

    monkeypatch.setattr(selection.Chosen, "compile", compile_)
    live = CompiledClassifier(problem[0], LiveSettings(runtime="torch", batch_sizes=(25, 1)))
    assert compiled == [25, 1]
    assert live.report.batch == 25
    live.classify(problem[1][:25])
    assert compiled == [25, 1]
    # 40 = 32 + 8; 60 are most of 64
    live.classify(problem[1][:40])
    assert compiled == [25, 1, 32, 8]
    live.classify(problem[1][:60])
    live.warm_up(60, 40)
    assert compiled == [25, 1, 32, 8, 64]


# How it is chosen


def test_the_fastest_is_chosen_and_the_report_says_why(problem, monkeypatch):
    times = {"torch": 3e-4, "onnxruntime": 1e-4, "openvino": 2e-4}

    def timed(name, *_):
        reason = "" if name in times else "absent"
        return selection.RuntimeTiming(name, times.get(name), reason), None

    monkeypatch.setattr(selection, "_timed", timed)
    if find_spec("onnxruntime") is None:
        pytest.skip("onnxruntime is not installed")
    live = CompiledClassifier(problem[0])
    assert live.report.runtime == "onnxruntime"
    assert [timing.runtime for timing in live.report.timings] == [
        "torch",
        "onnxruntime",
        "openvino",
        "cuda_graphs",
    ]
    assert "onnxruntime  100 µs" in str(live.report)
    assert "cuda_graphs  absent" in str(live.report)
    assert repr(live) == "<CompiledClassifier, 3 classes, 48 channels, onnxruntime, float32, cpu>"


def test_auto_measures_what_is_here(problem):
    report = CompiledClassifier(problem[0]).report
    able = {timing.runtime: timing.seconds for timing in report.timings if timing.seconds}
    assert "torch" in able
    assert report.runtime == min(able, key=able.get)
    assert all(seconds > 0 for seconds in able.values())
    reasons = {timing.runtime: timing.reason for timing in report.timings if not timing.seconds}
    assert all(reasons.values())


def test_without_the_packages_auto_takes_torch_and_names_the_extra(problem, monkeypatch):
    real = builtins.__import__
    gone = {"onnx", "onnxruntime", "openvino"}
    for name in [name for name in sys.modules if name.split(".")[0] in gone]:
        monkeypatch.delitem(sys.modules, name)

    class Absent:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in gone:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(sys, "meta_path", [Absent(), *sys.meta_path])
    assert builtins.__import__ is real
    report = CompiledClassifier(problem[0]).report
    assert report.runtime == "torch"
    for runtime, extra in (("onnxruntime", "onnx"), ("openvino", "openvino")):
        assert str(report).count(f"hyperspy_dosekin[{extra}]") == 1
        remedy = rf"pip install .*hyperspy_dosekin\[{extra}\]"
        with pytest.raises(ModuleNotFoundError, match=remedy):
            CompiledClassifier(problem[0], LiveSettings(runtime=runtime))
    live = CompiledClassifier(problem[0], LiveSettings(runtime="torch"))
    with pytest.raises(ModuleNotFoundError, match=r"hyperspy_dosekin\[onnx\]"):
        live.export_onnx("never.onnx")


@pytest.mark.parametrize("failure", [OSError("libx.so: not found"), RuntimeError("bad build")])
def test_packages_that_do_not_load_are_passed_over(problem, monkeypatch, failure):
    broken = {"onnx", "onnxruntime", "openvino"}
    for name in [name for name in sys.modules if name.split(".")[0] in broken]:
        monkeypatch.delitem(sys.modules, name)

    class Broken:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in broken:
                raise failure

    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    report = CompiledClassifier(problem[0]).report
    assert report.runtime == "torch"
    assert str(report).count("installed but does not load") == 2
    for runtime in ("onnxruntime", "openvino"):
        with pytest.raises(ImportError, match="install it again"):
            CompiledClassifier(problem[0], LiveSettings(runtime=runtime))


def test_a_runtime_that_fails_to_compile_is_passed_over(problem, monkeypatch):
    from hyperspy_dosekin.classification.live.runtimes import RUNTIMES

    pytest.importorskip("onnxruntime")

    def fail(*arguments):
        raise AttributeError("half a package")

    monkeypatch.setattr(RUNTIMES["onnxruntime"], "compile", fail)
    report = CompiledClassifier(problem[0]).report
    assert report.runtime != "onnxruntime"
    assert "half a package" in str(report)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"runtime": "torch", "device": "cuda:7"}, "cuda:7"),
        ({"runtime": "torch", "device": "abacus"}, "abacus"),
        ({"runtime": "cuda_graphs", "device": "cpu"}, "cuda_graphs"),
        ({"runtime": "cuda_graphs", "device": "cuda:99"}, "not present"),
        ({"runtime": "onnxruntime", "device": "tpu"}, "'tpu' is not present.*cpu"),
        ({"runtime": "openvino", "device": "npu"}, "'npu' is not present.*cpu"),
        ({"runtime": "auto", "device": "abacus"}, "no runtime.*abacus"),
        ({"runtime": "torch", "precision": "int8"}, "int8.*torch.*bfloat16"),
        ({"runtime": "fpga"}, "fpga"),
    ],
)
def test_what_is_not_there_is_said(problem, settings, message):
    if find_spec(settings["runtime"]) is None and "runtime" in settings["runtime"]:
        pytest.skip(f"{settings['runtime']} is not installed")
    with pytest.raises(ValueError, match=message):
        CompiledClassifier(problem[0], LiveSettings(**settings))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"precision": "float8"}, ValueError, "'float8' must be one of"),
        ({"threads": 0}, ValueError, "threads=0"),
        ({"threads": 1.5}, TypeError, "threads=1.5"),
        ({"threads": True}, TypeError, "threads=True"),
        ({"batch_sizes": (4, 0)}, ValueError, "batch_sizes=0"),
        ({"max_accuracy_loss": -0.1}, ValueError, "max_accuracy_loss=-0.1"),
        ({"max_accuracy_loss": np.nan}, ValueError, "max_accuracy_loss=nan"),
    ],
)
def test_settings_are_checked(options, error, message):
    with pytest.raises(error, match=message):
        LiveSettings(**options)


# The file


def test_exported_file_runs_without_us(problem, tmp_path):
    if find_spec("onnxruntime") is None or find_spec("onnx") is None:
        pytest.skip("onnxruntime is not installed")
    import onnxruntime

    model, spectra, _ = problem
    live = CompiledClassifier(model, LiveSettings(runtime="torch"), novelty=True)
    path = live.export_onnx(tmp_path / "model")
    assert path == tmp_path / "model.onnx"
    with pytest.raises(FileExistsError, match="overwrite=True"):
        live.export_onnx(path)
    live.export_onnx(path, overwrite=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    properties = session.get_modelmeta().custom_metadata_map
    assert json.loads(properties["class_names"]) == ["narrow", "wide", "flat"]
    assert json.loads(properties["energy_axis"]) == pytest.approx(500 + 0.5 * np.arange(CHANNELS))
    assert properties["energy_units"] == "eV"
    batch = spectra[:21].astype(np.float32)
    batch[4, 3], batch[9], batch[11, 0] = np.nan, 2.5, np.inf
    labels, probability, novelty = session.run(
        ["label", "probability", "novelty"], {"spectra": batch}
    )
    found = live.predict(batch)
    assert (labels == found.labels).all()
    assert (labels[[4, 9, 11]] == -1).all()
    assert probability == pytest.approx(found.probabilities, abs=TOLERANCE, nan_ok=True)
    assert novelty == pytest.approx(found.novelty, abs=1e-3, nan_ok=True)
    assert np.isnan(novelty[[4, 9, 11]]).all()
    # any other number of spectra
    assert session.run(["label"], {"spectra": batch[:1]})[0].shape == (1,)
