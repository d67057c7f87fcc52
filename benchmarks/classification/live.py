# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Latency and throughput of live classification: `DualVAE.compile`, all runtimes and precisions.

    python benchmarks/classification/live.py [--repeats 60] [--json PATH]

Spectra of 240 channels, four classes; one thread for each runtime. Times are those of `classify` on
uint16 counts in an array, to labels and probabilities in arrays, so that conversion, normalisation,
encoder, head, temperature, prior and the look for spectra without data are in. All variants are
timed in turns, so that a busy machine slows all of them down, and each time is the least of the
turns: processor time of the process, which on an idle machine is the time on the clock, or with
`--clock` the latter. On a GPU it always is the latter. Accuracy is that on simulated spectra with
known nuisances that the training has not seen.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _table import Rows, add_json_option, machine

from hyperspy_dosekin.classification.config import VAEConfig
from hyperspy_dosekin.classification.fitting import fit_model
from hyperspy_dosekin.classification.live.compiled import CompiledClassifier
from hyperspy_dosekin.classification.live.runtimes import RUNTIMES
from hyperspy_dosekin.classification.live.runtimes.runtime import LiveSettings
from hyperspy_dosekin.classification.noise import NoiseModel
from hyperspy_dosekin.classification.nuisances import Nuisances, background_basis
from hyperspy_dosekin.classification.references import ReferenceSet
from hyperspy_dosekin.classification.settings import FitSettings
from hyperspy_dosekin.classification.simulation import Simulator
from hyperspy_dosekin.data.annealing import PHASES, phase_spectrum

ENERGY = 677 + 0.25 * np.arange(240)
COUNTS = 400.0
BULK = 4096
BATCHES = (1, 32, BULK)
#: Spectra in bulk for a graphics processor, which 4 096 leave idle.
BULK_ON_GPU = 262_144
#: Upper limits in ms for a batch, and least spectra/s in bulk, by runtime.
LIMITS = {
    ("openvino", 32): 0.16,
    ("onnxruntime", 32): 0.35,
    ("torch", 32): 0.40,
    ("openvino", 1): 0.06,
    ("onnxruntime", 1): 0.06,
    ("torch", 1): 0.06,
    ("cuda_graphs", 32): 0.05,
}
LEAST = {"openvino": 150_000, "cuda_graphs": 20_000_000}


def make_problem():
    """Trained model, and spectra it has not seen, in counts, with their classes."""
    table = COUNTS * np.stack([phase_spectrum(name, ENERGY) for name in PHASES])
    references = ReferenceSet(ENERGY, table, np.arange(4), PHASES)
    nuisances = Nuisances(
        noise=NoiseModel(np.full(240, (0.1 * COUNTS) ** 2), 1.0),
        scale_mean=1.0,
        scale_sd=0.15,
        shift_mean_ev=0.0,
        shift_sd_ev=0.25,
        background_basis=background_basis(ENERGY),
        background_mean=np.array([0.1 * COUNTS, 0.0]),
        background_covariance=np.diag([0.03 * COUNTS, 0.005 * COUNTS]) ** 2,
        class_share=np.full(4, 0.25),
    )
    draw = Simulator(references, nuisances, torch.Generator().manual_seed(0)).draw
    measured = draw(4000).raw.double().numpy()
    network = VAEConfig(steps=400)
    settings = FitSettings(prior="uniform", network=network, with_network=True)
    model = fit_model(measured, references, settings, nuisances=nuisances)
    batch = draw(8192)
    spectra = batch.raw.numpy().round().clip(0, 65535).astype(np.uint16)
    return model, spectra, batch.label.numpy()


def floating_point_peak():
    """Products and sums a second of one thread, float32, in a large matrix product."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    a, b = torch.ones(768, 768), torch.ones(768, 768)
    best = min(timed(lambda: torch.mm(a, b), 1) for _ in range(40))
    torch.set_num_threads(before)
    return 2 * 768**3 / best


def operations(model):
    """Products and sums for one spectrum."""
    total = 0
    for name, weight in model.weights.items():
        if name.startswith("reader.dense") and name.endswith("weight"):
            total += 2 * weight.size
        elif name == "reader.directions":
            # Scores for the head, and for what they leave of the spectrum.
            total += 3 * 2 * weight.size
    return total


def timed(function, runs, clock=time.process_time):
    start = clock()
    for _ in range(runs):
        function()
    return (clock() - start) / runs


def compiled(model):
    """Classifiers by (runtime, precision), and why the others are not there."""
    found, absent = {}, {}
    for name, runtime in RUNTIMES.items():
        # Bayes' rule, which is computed in float32 alone, beside the network.
        for precision in (*runtime.precisions, "likelihood"):
            rule = precision == "likelihood"
            settings = LiveSettings(
                runtime=name,
                precision="float32" if rule else precision,
                batch_sizes=(32, 1, BULK),
                max_accuracy_loss=1.0,
            )
            try:
                found[name, precision] = CompiledClassifier(
                    model, settings, classifier="likelihood" if rule else "head"
                )
            except (ModuleNotFoundError, ValueError) as error:
                absent[name, precision] = str(error)
    return found, absent


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=60)
    parser.add_argument("--clock", action="store_true", help="time on the clock")
    add_json_option(parser)
    options = parser.parse_args()
    rows = Rows(options.json)
    model, spectra, label = make_problem()
    found, absent = compiled(model)
    network = model.network

    def offline(batch):
        return model.probability(model.read(batch.astype(np.float32)))

    def plain(batch):
        with torch.inference_mode():
            normalised = torch.from_numpy(model.units.apply(batch.astype(np.float32)))
            return torch.softmax(network.judge(network.read(normalised)), 1).numpy()

    functions = {
        ("plain Torch", "float32"): plain,
        ("DualVAE.classify", "float32"): offline,
        **{key: live.classify for key, live in found.items()},
    }
    best = {(key, batch): np.inf for key in functions for batch in BATCHES}
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    for _ in range(options.repeats):
        for batch in BATCHES:
            runs = {1: 100, 32: 60, BULK: 1}[batch]
            for key, function in functions.items():
                on_gpu = key[0] == "cuda_graphs"
                data = np.resize(spectra, (BULK_ON_GPU, 240)) if on_gpu else spectra
                data = data if on_gpu and batch == BULK else data[:batch]
                seconds = timed(
                    lambda f=function, d=data: f(d),
                    runs,
                    time.perf_counter if options.clock or on_gpu else time.process_time,
                )
                # In bulk: for as many as there are in the table.
                seconds *= batch / len(data)
                best[key, batch] = min(best[key, batch], seconds)
    torch.set_num_threads(before)
    peak, work = floating_point_peak(), operations(model)
    print("\n".join(machine()))
    print(
        f"\n{work / 1e6:.2f} million operations a spectrum; {peak / 1e9:.0f} Gflop/s in a float32 "
        f"matrix product: batch 32 takes at least {1e3 * 32 * work / peak:.3f} ms in float32\n"
    )
    print(
        f"{'':34s} {'batch 1':>10s} {'batch 32':>10s} {'bulk':>12s} {'32, plain':>10s} "
        f"{'accuracy':>9s} {'largest':>9s}"
    )
    print(
        f"{'':34s} {'ms':>10s} {'ms':>10s} {'spectra/s':>12s} {'Torch = 1':>10s} "
        f"{'':>9s} {'change':>9s}"
    )
    exact = offline(spectra)
    reference = best[("plain Torch", "float32"), 32]
    for key, function in functions.items():
        result = function(spectra)
        same = key[0] != "plain Torch"  # it has neither temperature nor prior
        probability = result[1] if isinstance(result, tuple) else result
        one, typical, bulk = (best[key, batch] for batch in BATCHES)
        print(
            f"{key[0]:22s} {key[1]:11s} {1e3 * one:10.4f} {1e3 * typical:10.4f} "
            f"{BULK / bulk:12.0f} {typical / reference:10.2f} "
            f"{(probability.argmax(1) == label).mean():9.4f} "
            f"{np.abs(probability - exact).max() if same else np.nan:9.1e}"
        )
    print()
    kind = "clock" if options.clock else "processor time"
    note = f"one thread, {kind}, least of {options.repeats}"
    for (name, precision), live in found.items():
        for batch in (32, 1):
            limit = None if precision == "likelihood" else LIMITS.get((name, batch))
            rows.add(
                f"live, batch {batch}, {name}, {precision}",
                asked=None if limit is None else f"≤ {limit}",
                measured=1e3 * best[(name, precision), batch],
                unit="ms",
                note=note,
            )
        rows.add(
            f"live, bulk, {name}, {precision}",
            asked=f"≥ {LEAST[name]}" if name in LEAST else None,
            measured=BULK / best[(name, precision), BULK],
            unit="spectra/s",
            note=note,
        )
        if live.report.precision_loss is not None:
            print(f"    {live.report.precision_loss}")
    for (name, precision), why in absent.items():
        limit = LIMITS.get((name, 32))
        rows.skip(
            f"live, batch 32, {name}, {precision}",
            asked=None if limit is None else f"≤ {limit}",
            unit="ms",
            why=why,
        )


if __name__ == "__main__":
    main()
