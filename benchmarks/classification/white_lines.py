# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""classify_vae on white lines of four valences, judged by Bayes' rule with the true nuisances.

    python benchmarks/classification/white_lines.py                    # all studies, three seeds
    python benchmarks/classification/white_lines.py novelty --seeds 0
    python benchmarks/classification/white_lines.py accuracy --network # train the network, too

The spectra are those of `valences.py`, which shares no code with the package.
"""

import argparse
import logging
import time
from itertools import product

import exspy
import numpy as np
import valences
from sklearn.metrics import roc_auc_score

SHAPE = (45, 80)


def as_signal(spectra, variance=None):
    signal = exspy.signals.EELSSpectrum(spectra.reshape(*SHAPE, -1))
    axis = signal.axes_manager[-1]
    axis.offset, axis.scale, axis.units = valences.ENERGY[0], 0.25, "eV"
    if variance is not None:
        noise = exspy.signals.EELSSpectrum(variance.reshape(*SHAPE, -1))
        noise.axes_manager = signal.axes_manager
        signal.set_noise_variance(noise)
    return signal


def classified(made, names=valences.NAMES, variance=False, factor=0.01, **options):
    """Result, probabilities and novelty of every spectrum, and seconds of processor."""
    signal = as_signal(made.spectra, made.variance if variance else None)
    options = {"network": False, "show_progressbar": False, **options}
    table = factor * made.counts * valences.references(names)
    cpu = time.process_time()
    found = signal.classify_vae(table, labels=list(names), **options)
    probability = np.moveaxis(found.probability.data, -3, -1).reshape(-1, len(names))
    novelty = found.novelty.data.ravel()
    return found, probability, novelty, time.process_time() - cpu


def calibration_error(probability, label, bins=15):
    confidence, right = probability.max(1), probability.argmax(1) == label
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    return sum(abs((confidence - right)[place == b].sum()) for b in range(bins)) / len(label)


def accuracy(seeds, options):
    """Errors, log-likelihood and calibration beside those that are possible."""
    for counts in (60, 250):
        total = np.zeros(2, int)
        for seed in seeds:
            made = valences.make(seed, SHAPE[0] * SHAPE[1], counts)
            found, probability, _, cpu = classified(made, seed=seed, **options)
            share = np.array(list(found.class_share.values()))
            exact, _ = valences.exact(made, share)
            row = np.arange(len(made.label))
            wrong = [(p.argmax(1) != made.label).sum() for p in (probability, exact)]
            log = [
                -np.log(np.maximum(p[row, made.label], 1e-12)).mean() for p in (probability, exact)
            ]
            total += wrong
            print(
                f"accuracy  counts {counts}, seed {seed}: errors {wrong[0]} against {wrong[1]}, "
                f"NLL {log[0]:.4f} ({log[0] - log[1]:+.4f}), "
                f"ECE {calibration_error(probability, made.label):.4f}, {cpu:.1f} s of processor",
                flush=True,
            )
        print(f"accuracy  counts {counts}: {total[0] / total[1]:.3f} × the errors possible")


def novelty(seeds, options):
    """False alarms at novelty 2: of all, and of the worst quarter by thickness."""
    for counts in (60, 250):
        for background in (0.0, 0.5, 2.0, 5.0):
            for normalised in (False, True):
                for variance in (False, True):
                    rates = []
                    for seed in seeds:
                        made = valences.make(
                            seed, SHAPE[0] * SHAPE[1], counts, background, normalised=normalised
                        )
                        _, _, found, _ = classified(made, variance=variance, seed=seed, **options)
                        alarm = found > 2
                        quarter = np.argsort(np.argsort(made.thickness)) * 4 // len(alarm)
                        rates.append(
                            [alarm.mean(), *(alarm[quarter == q].mean() for q in range(4))]
                        )
                    mean = 100 * np.mean(rates, axis=0)
                    print(
                        f"novelty   counts {counts:3d}, background {background}, "
                        f"{'normalised' if normalised else 'raw':10s}, "
                        f"{'variance given' if variance else 'no variance':14s}: "
                        f"{mean[0]:.2f} % false, thin to thick "
                        + " ".join(f"{value:.2f}" for value in mean[1:]),
                        flush=True,
                    )


def unknown(seeds, options):
    """How well an unknown phase is told, and what it does to the nuisances."""
    for names in (valences.NAMES, valences.NAMES[1:3]):
        for part in (0.02, 0.1, 0.3):
            for seed in seeds:
                share = [float(name in names) for name in valences.NAMES]
                made = valences.make(seed, SHAPE[0] * SHAPE[1], 250, unknown=part, share=share)
                found, _, score, _ = classified(made, names, seed=seed, **options)
                _, ideal = valences.exact(made, np.maximum(share, 1e-9))
                if len(names) < 4:
                    ideal = valences.exact(made, np.ones(4), names)[1]
                strange = made.label == 4
                known = found.report.nuisances
                print(
                    f"unknown   {100 * part:.0f} %, {len(names)} valences, seed {seed}: AUC "
                    f"{roc_auc_score(strange, score):.3f}, ideal "
                    f"{roc_auc_score(strange, ideal):.3f}; beyond novelty 2: "
                    f"{100 * (score[strange] > 2).mean():.0f} % of it, "
                    f"{100 * (score[~strange] > 2).mean():.2f} % of the others; shift "
                    f"± {known['shift_sd_ev']:.2f} eV, background ± {known['background_sd']:.2f}",
                    flush=True,
                )


def plural(seeds, options):
    """Calibration where electrons are scattered more than once, without and with the low loss."""
    for thickness, known, seed in product((0.3, 1.0), (False, True), seeds):
        made = valences.make(seed, SHAPE[0] * SHAPE[1], 250, plural=thickness)
        low_loss = None
        if known:
            energy, counts = valences.low_loss(thickness)
            low_loss = exspy.signals.EELSSpectrum(counts)
            axis = low_loss.axes_manager[0]
            axis.offset, axis.scale, axis.units = energy[0], 0.25, "eV"
        found, probability, score, _ = classified(made, seed=seed, low_loss=low_loss, **options)
        print(
            f"plural    t/λ {thickness}{', low loss given' if known else ''}, seed {seed}: "
            f"{(probability.argmax(1) == made.label).mean():.4f}, ECE "
            f"{calibration_error(probability, made.label):.4f}, beyond novelty 2 "
            f"{100 * (score > 2).mean():.1f} %; {len(found.report.problems)} problems",
            flush=True,
        )


def mixed(seeds, options):
    """Composition of half-and-half mixtures, and how many are marked."""
    for counts in (60, 250):
        for seed in seeds:
            made = valences.make(seed, SHAPE[0] * SHAPE[1], counts, mixed=0.3)
            pure = valences.make(seed + 50, SHAPE[0] * SHAPE[1], counts)
            found, _, _, _ = classified(pure, seed=seed, **options)
            false = found.mixed.data.mean()
            other = found.model.classify(as_signal(made.spectra))
            share = np.moveaxis(other.composition.data, -3, -1).reshape(-1, 4)
            low, high = (np.moveaxis(part.data, -3, -1).reshape(-1, 4) for part in other.interval())
            true = made.share[:, :4]
            two = (true > 0).sum(1) == 2
            inside = ((low <= true + 1e-6) & (true <= high + 1e-6))[two]
            print(
                f"mixed     counts {counts}, seed {seed}: error of the composition of mixtures "
                f"{np.sqrt(((share - true)[two] ** 2).mean()):.3f}, marked "
                f"{100 * other.mixed.data.ravel()[two].mean():.0f} %, of single ones "
                f"{100 * false:.1f} %; in the 95 % intervals {inside.mean():.3f}",
                flush=True,
            )


def references(seeds, options):
    """What is said of references that fit, and of those that do not."""
    n, table = SHAPE[0] * SHAPE[1], valences.references()
    blurred = np.stack([np.convolve(r, np.hanning(14)[1:-1], "same") / 6.5 for r in table])
    cases = {
        "fit, 60 counts": ({"counts": 60}, table),
        "fit, 250 counts": ({"counts": 250}, table),
        "fit, normalised": ({"background": 2.0, "normalised": True}, table),
        "fit, no background": ({"background": 0.0}, table),
        "fit, another unit": ({}, 1e-3 * table),
        "fit, unequal shares": ({"share": [0.6, 0.3, 0.05, 0.05]}, table),
        "zero 1 eV away": ({"zero_ev": 1.0}, table),
        "unit of one": ({}, table * np.array([1, 1, 3, 1])[:, None]),
        "broadened": ({}, blurred),
        "one missing": ({"unknown": 0.2}, table),
        "plural scattering": ({"plural": 1.0}, table),
        "one wrong": ({}, np.concatenate([table[:3], valences.phase("unknown")[None]])),
    }
    for name, (made, own) in cases.items():
        for seed in seeds:
            spectra = valences.make(seed, n, **{"counts": 150, **made}).spectra
            found = as_signal(spectra).classify_vae(
                100 * own, labels=list(valences.NAMES), network=False, show_progressbar=False
            )
            cosine = min(found.report.cosine.values())
            said = [problem[:60] for problem in found.report.problems]
            print(f"references {name}, seed {seed}: least cosine {cosine:.4f}; {said}", flush=True)


STUDIES = {
    "mixed": mixed,
    "references": references,
    "accuracy": accuracy,
    "novelty": novelty,
    "unknown": unknown,
    "plural": plural,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies", nargs="*", metavar="study", help=", ".join(STUDIES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--network", action="store_true", help="train the network, too")
    options = parser.parse_args()
    logging.getLogger("hyperspy_dosekin").setLevel(logging.ERROR)
    for name in options.studies or STUDIES:
        STUDIES[name](options.seeds, {"network": True} if options.network else {})


if __name__ == "__main__":
    main()
