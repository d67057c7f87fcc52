# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accuracy, calibration and denoising of classify_vae against simpler ways, on data with truth.

    python benchmarks/classification/annealing.py --snr 3 8 --seeds 0 1
    python benchmarks/classification/annealing.py --own

The first needs ../shared/bench/annealing_benchmark.py and is skipped without it; `--own` runs on
`hyperspy_dosekin.data.annealing_series`. `--table` only trains, on the one or else the other, for
the table of benchmarks.
"""

import argparse
import sys
import time
from pathlib import Path

import exspy
import numpy as np
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF, ConstantKernel
from sklearn.metrics import roc_auc_score

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _table import Rows, add_json_option

import hyperspy_dosekin
from hyperspy_dosekin.classification.calibration import calibration_curve
from hyperspy_dosekin.classification.explanations import Explainer, class_templates
from hyperspy_dosekin.classification.noise import NoiseModel, PrincipalComponents
from hyperspy_dosekin.classification.nuisances import Nuisances, background_basis
from hyperspy_dosekin.classification.references import ReferenceSet
from hyperspy_dosekin.data.annealing import expected

SHARED = Path(__file__).resolve().parents[3] / "shared" / "bench"


def as_signal(data, energy):
    signal = exspy.signals.EELSSpectrum(data)
    axis = signal.axes_manager[-1]
    axis.offset, axis.scale, axis.units = energy[0], energy[1] - energy[0], "eV"
    return signal


def nearest(spectra, references, label, metric):
    if metric == "cosine":
        size = np.linalg.norm(references, axis=1, keepdims=True)
        kept = size[:, 0] > 1e-6
        references, label = references[kept] / size[kept], label[kept]
        spectra = spectra / np.linalg.norm(spectra, axis=1, keepdims=True)
    distance = (spectra**2).sum(1)[:, None] - 2 * spectra @ references.T + (references**2).sum(1)
    return label[distance.argmin(1)]


def baselines(spectra, clean, references, label, energy, rng):
    """Predicted classes by name of the method."""
    found = {
        "nearest, Euclid, raw": nearest(spectra, references, label, "euclid"),
        "nearest, Euclid, PCA": nearest(clean, references, label, "euclid"),
        "nearest, cosine, PCA": nearest(clean, references, label, "cosine"),
    }
    peak = np.abs(references).sum(0).argmax()
    part = slice(max(peak - 8, 0), peak + 9)
    after = slice(-40, None)

    def ratio(rows):
        return rows[:, part].mean(1) - 0.5 * rows[:, after].mean(1)

    found["peak against tail"] = label[
        np.abs(ratio(clean)[:, None] - ratio(references)[None]).argmin(1)
    ]
    means = np.stack([references[label == k].mean(0) for k in range(label.max() + 1)])
    design = np.concatenate([means, background_basis(energy)])
    coefficients = np.linalg.lstsq(design.T, spectra.T, rcond=1e-6)[0][: len(means)]
    # The coefficients share a spectrum among the references; a class without signal has none.
    height = np.abs(means).max(1)
    weights = coefficients * height[:, None]
    total = weights.clip(0).sum(0)
    chosen = weights.argmax(0)
    if (height < 1e-6).any():
        chosen[total < 0.1 * height.max()] = int(height.argmin())
    found["linear least squares"] = chosen
    components = PrincipalComponents.of(spectra.astype(float), 10)
    sigma = (spectra - clean).std(0) / np.sqrt(1 - 10 / spectra.shape[1])
    repeats = 480 // len(references)
    noisy = np.repeat(references, repeats, 0)
    noisy = noisy + sigma * rng.standard_normal(noisy.shape)
    scores = components.scores(noisy)
    spread = scores.std(0)
    process = GaussianProcessClassifier(ConstantKernel(10.0) * RBF(2.0), optimizer=None)
    process.fit(scores / spread, np.repeat(label, repeats))
    found["PCA + Gaussian process"] = process.predict(components.scores(spectra) / spread)
    return found


def bayes(spectra, clean, references, label, energy, truth):
    """Classes by the likelihood with the true nuisances and noise: what single pixels allow."""
    chosen = ReferenceSet(energy, references, label, tuple(map(str, range(label.max() + 1))))
    templates, class_of = class_templates(chosen, np.random.default_rng(0))
    rule = Explainer(templates, class_of, energy)
    known = Nuisances(shift_mean_ev=0.0, background_basis=background_basis(energy), **truth)
    found = []
    for part in np.array_split(np.arange(len(spectra)), 20):
        variance = truth["noise"].variance(clean[part].astype(float))
        explained = rule.explain(spectra[part].astype(float), variance, known, 21)
        found.append(explained.by_class(class_of, label.max() + 1))
    return np.concatenate(found).argmax(1)


def report(name, predicted, label, extra=""):
    print(f"  {name:32s} {np.mean(predicted == label):.4f} {extra}", flush=True)


def study(
    signal, references, labels, label, clean, energy, snr, seed, options, unknown=None, truth=None
):
    spectra = signal.data.reshape(-1, energy.size)
    table = np.asarray(references, dtype=float)
    components = PrincipalComponents.of(spectra.astype(float), 10)
    pca = components.clean(spectra)
    cpu, wall = time.process_time(), time.perf_counter()
    found = signal.classify_vae(
        table, labels=labels, show_progressbar=False, seed=seed, network=not options.no_network
    )
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall

    def ece(result):
        probability = np.moveaxis(result.probability.data, -3, -1).reshape(-1, len(result.names))
        return calibration_curve(probability, label).error

    def rmse(rows):
        return np.sqrt(np.mean((rows - clean) ** 2))

    ratio = rmse(found.denoised.data.reshape(-1, energy.size)) / rmse(pca)
    smooth = found.model.classify(signal, spatial="potts")
    compact = ""
    if not options.no_network:
        silhouette = found.silhouette()
        compact = (
            f"active latents {found.report.active_latents}  silhouette "
            f"{np.nanmean(silhouette['latents']):.2f} "
            f"(PCA {np.nanmean(silhouette['components']):.2f})  "
        )
    print(f"SNR {snr:g}, seed {seed}")
    report(
        "classify_vae",
        found.class_map.data.ravel(),
        label,
        f"ECE {ece(found):.4f}  denoising {ratio:.3f} × PCA-10  false alarms at 1 %: "
        f"{100 * np.mean(found.novelty.data > 2):.2f} %  {compact}"
        f"{cpu:.0f} s CPU, {wall:.0f} s",
    )
    report(
        "classify_vae, potts",
        smooth.class_map.data.ravel(),
        label,
        f"ECE {ece(smooth):.4f}  strength {smooth.spatial_strength:.2f}",
    )
    if unknown is not None:
        # In one image: a whole image of one unknown phase could as well have another zero.
        both = np.concatenate([spectra, unknown])
        score = found.model.classify(as_signal(both, energy)).novelty.data.ravel()
        truth_unknown = np.arange(score.size) >= len(spectra)
        print(f"  novelty of an unknown class: AUC {roc_auc_score(truth_unknown, score):.4f}")
    if truth is not None:
        possible = bayes(spectra, clean, table, labels, energy, truth)
        report("likelihood, true nuisances", possible, label)
    if options.brief:
        return
    rng = np.random.default_rng(seed)
    for name, predicted in baselines(spectra, pca, table, labels, energy, rng).items():
        report(name, predicted, label)


def shared_benchmark(snr, seed, options):
    sys.path.insert(0, str(SHARED))
    import annealing_benchmark

    made = annealing_benchmark.make_benchmark(seed, snr)
    energy, counts = made["axis"], made["N0"]
    law = (energy / energy[0])[None] ** -made["r1"][:, None]
    background = made["eps"][:, None] * law
    # An edge that is shifted and doubled.
    rng = np.random.default_rng(seed + 7)
    first = made["dft"][0]
    double = 0.7 * (np.interp(energy - 4, energy, first) + np.interp(energy - 12, energy, first))
    rate = counts * (double * rng.uniform(0.7, 1.3, (1000, 1)) + made["background"])
    unknown = (rng.poisson(rate) / counts - made["background"]).astype(np.float32)
    basis = background_basis(energy)
    coefficients = background @ basis.T / energy.size
    truth = {
        "noise": NoiseModel(made["background"] / counts, 1 / counts),
        "scale_mean": 1.0,
        "scale_sd": 0.6 / np.sqrt(12),
        "scale_shape": "uniform",
        "shift_sd_ev": made["shift_sigma"],
        "background_mean": coefficients.mean(0),
        "background_covariance": np.cov(coefficients.T),
        "class_share": np.bincount(made["label"]) / made["label"].size,
    }
    study(
        as_signal(made["X"].reshape(*made["image_shape"], -1), energy),
        made["dft"],
        made["dft_label"],
        made["label"],
        made["clean"] + background,
        energy,
        snr,
        seed,
        options,
        unknown,
        truth,
    )


def own_simulation(snr, seed, options):
    signal = hyperspy_dosekin.data.annealing_series(seed, peak_snr=snr, shape=(12, 30, 25))
    references = hyperspy_dosekin.data.reference_spectra()
    energy = signal.axes_manager[-1].axis
    label = signal.metadata.Simulation.label.ravel()
    clean = expected(signal).reshape(-1, energy.size)
    table = np.stack(
        [np.interp(energy, references.axes_manager[-1].axis, r.data) for r in references]
    )
    study(signal, table, np.arange(len(table)), label, clean, energy, snr, seed, options)


def trained(rows, device):
    """Time and accuracy of one training."""
    name = "two cores" if device == "cpu" else "GPU"
    what = f"VAE training, {name}"
    asked = "≤ 30" if device == "cpu" else "≤ 5"
    import torch

    if device != "cpu" and not torch.cuda.is_available():
        rows.skip(what, asked=asked, unit="s", why="no CUDA device here")
        return
    if (SHARED / "annealing_benchmark.py").exists():
        sys.path.insert(0, str(SHARED))
        import annealing_benchmark

        made = annealing_benchmark.make_benchmark(0, 3)
        energy, label, source = made["axis"], made["label"], "shared benchmark"
        signal = as_signal(made["X"].reshape(*made["image_shape"], -1), energy)
        table, labels = np.asarray(made["dft"], dtype=float), made["dft_label"]
    else:
        signal = hyperspy_dosekin.data.annealing_series(0, peak_snr=3, shape=(24, 30, 19))
        references = hyperspy_dosekin.data.reference_spectra()
        energy, source = signal.axes_manager[-1].axis, "own simulation"
        label = signal.metadata.Simulation.label.ravel()
        axis = references.axes_manager[-1].axis
        table, labels = np.stack([np.interp(energy, axis, r.data) for r in references]), None
    wall, cpu = time.perf_counter(), time.process_time()
    found = signal.classify_vae(
        table, labels=labels, show_progressbar=False, seed=0, device=device, network=True
    )
    accuracy = np.mean(found.class_map.data.ravel() == label)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    note = (
        f"{label.size} spectra, {source}, SNR 3, accuracy {accuracy:.3f}, {cpu:.0f} s of processor"
    )
    rows.add(what, asked=asked, measured=wall, unit="s", note=note)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--snr", type=float, nargs="+", default=[1.2, 3, 8, 20])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--own", action="store_true", help="on our own simulation")
    parser.add_argument("--no-network", action="store_true", help="Bayes' rule alone")
    parser.add_argument("--brief", action="store_true", help="without the simpler ways")
    parser.add_argument("--table", action="store_true", help="only the rows of the table")
    add_json_option(parser)
    options = parser.parse_args()
    if options.table:
        rows = Rows(options.json)
        for device in ("cpu", "cuda"):
            trained(rows, device)
        return
    if not options.own and not (SHARED / "annealing_benchmark.py").exists():
        print(f"skipped: {SHARED / 'annealing_benchmark.py'} is not here; try --own")
        return
    for seed in options.seeds:
        for snr in options.snr:
            (own_simulation if options.own else shared_benchmark)(snr, seed, options)


if __name__ == "__main__":
    main()
