# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""classify_vae on white lines as cameras show them, and where references are of another session.

    python benchmarks/classification/cameras.py                  # all cases, seed 0
    python benchmarks/classification/cameras.py tails --seeds 0 1 2

Spectra are those of `valences.py`, which shares no code with the package; what a camera does to
them is done here with NumPy and SciPy. A tenth of the pixels is of a phase without reference.
"""

import argparse
import logging
import time

import exspy
import numpy as np
import valences
from scipy.ndimage import convolve1d, gaussian_filter1d
from sklearn.metrics import roc_auc_score
from white_lines import calibration_error

SHAPE = (40, 50)


def spread(data, core, tail=0.0, part=0.0):
    """A point spread of Gaussian core (channels), with a part of it in exponential tails."""
    found = (1 - part) * (gaussian_filter1d(data, core, axis=-1) if core else data)
    if part:
        kernel = np.exp(-np.abs(np.arange(-40, 41)) / tail)
        found = found + part * convolve1d(data, kernel / kernel.sum(), axis=-1)
    return found


def correlated(rng, shape, width):
    """Noise of unit variance that is alike over so many channels."""
    noise = gaussian_filter1d(rng.standard_normal(shape), width, axis=-1, mode="wrap")
    return noise / noise.std()


def interpolated(data, moved):
    """Spectra aligned by linear interpolation, each by its own part of a channel."""
    return (1 - moved) * data + moved * np.roll(data, -1, axis=-1)


def camera(name, rng, made, table):
    """What the analyst has of spectra ``(n, channel)``, and references in the same units."""
    below = made.background * made.counts * made.thickness[:, None] * (valences.ENERGY / 700) ** -3
    counts = made.spectra + below
    noise = np.sqrt(made.counts * (1 + made.background))
    shape = counts.shape
    if name.startswith("read"):
        part, width = {"read": (0.5, 0), "read 1": (0.4, 1.0), "read 1.5": (0.4, 1.5),
                       "read 2.5": (0.4, 2.5), "read 5": (0.4, 5.0)}[name]  # fmt: skip
        own = correlated(rng, shape, width) if width else rng.standard_normal(shape)
        counts = counts + part * noise * own
    elif name == "scintillator":
        counts, below, table = (spread(each, 0.8) for each in (counts, below, table))
    elif name == "tails":
        counts, below, table = (spread(each, 0.6, 4.0, 0.4) for each in (counts, below, table))
        counts = counts + 0.3 * noise * rng.standard_normal(shape)
    elif name == "tails, read 2":
        counts, below, table = (spread(each, 0.6, 4.0, 0.4) for each in (counts, below, table))
        counts = counts + 0.3 * noise * correlated(rng, shape, 2.0)
    elif name == "tails, theory":
        counts, below = (spread(each, 0.6, 4.0, 0.15) for each in (counts, below))
    elif name == "gain 3":
        counts, below, table = 3 * counts, 3 * below, 3 * table
    elif name == "aligned":
        moved = rng.random((len(counts), 1))
        counts, below = interpolated(counts, moved), interpolated(below, moved)
    elif name == "gain of channels":
        counts = counts * (1 + 0.01 * rng.standard_normal(shape[1]))
    elif name == "session":
        # The zero of the references is .3 eV away, and their lines are narrower.
        energy = valences.ENERGY
        wide = np.sqrt(1.3**2 - 1) * 1.0 / 2.355 / 0.25
        counts, below = spread(counts, 0), below
        table = np.stack([np.interp(energy + 0.3, energy, each) for each in table])
        counts = rng.poisson(np.maximum(spread(made.clean, wide) + below, 0)).astype(float)
    elif name.startswith("drift"):
        # The zero drifts over the map, by more than the shifts that the estimation expects.
        drift = 0.8 * np.sin(np.linspace(0, 3 * np.pi, len(counts)))

        def moved(rows):
            places = valences.ENERGY - drift[:, None]
            return np.array(
                [np.interp(places[n], valences.ENERGY, row) for n, row in enumerate(rows)]
            )

        counts, below = rng.poisson(np.maximum(moved(made.clean + below), 0.0)), moved(below)
        if name == "drift, read 2.5":
            counts = counts + 0.4 * noise * correlated(rng, shape, 2.5)
    elif name == "shape of background":
        # What was subtracted is a power law of an exponent that is not the right one.
        below = below * (valences.ENERGY / 700) ** 0.15
    elif name != "plain":
        raise ValueError(name)
    return counts - below, table


CASES = ("plain", "read", "read 1", "read 1.5", "read 2.5", "read 5", "scintillator", "tails",
         "tails, read 2", "tails, theory", "gain 3", "aligned", "gain of channels", "session",
         "shape of background", "drift", "drift, read 2.5")  # fmt: skip


def judged(name, seed, counts, unknown, names=valences.NAMES):
    rng = np.random.default_rng(seed + 100)
    n = SHAPE[0] * SHAPE[1]
    share = [float(each in names) for each in valences.NAMES]
    made = valences.make(seed, n, counts, unknown=unknown, share=share)
    spectra, table = camera(name, rng, made, counts * valences.references(names))
    signal = exspy.signals.EELSSpectrum(spectra.reshape(*SHAPE, -1))
    axis = signal.axes_manager[-1]
    axis.offset, axis.scale, axis.units = valences.ENERGY[0], 0.25, "eV"
    cpu = time.process_time()
    found = signal.classify_vae(table, labels=list(names), network=False, show_progressbar=False)
    probability = np.moveaxis(found.probability.data, -3, -1).reshape(-1, len(names))
    novelty = found.novelty.data.ravel()
    cpu = time.process_time() - cpu
    known = made.label < 4
    number = np.array([names.index(each) if each in names else -1 for each in valences.NAMES])
    label = number[made.label[known]]
    auc = roc_auc_score(~known, novelty) if unknown else np.nan
    print(
        f"{name:20s} {counts:3d} counts, {len(names)} classes, {100 * unknown:.0f} % unknown, "
        f"seed {seed}: accuracy {(probability[known].argmax(1) == label).mean():.4f}, ECE "
        f"{calibration_error(probability[known], label):.4f}, false alarms "
        f"{100 * (novelty[known] > 2).mean():.2f} %, AUC {auc:.3f}, {cpu:.0f} s",
        flush=True,
    )
    for line in (*found.report.problems, *found.report.notes):
        print("      ", line[:110])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="case", help=", ".join(CASES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--counts", type=int, nargs="+", default=[250])
    parser.add_argument("--unknown", type=float, nargs="+", default=[0.0, 0.1])
    options = parser.parse_args()
    logging.getLogger("hyperspy_dosekin").setLevel(logging.ERROR)
    for name in options.cases or CASES:
        for seed in options.seeds:
            for counts in options.counts:
                for unknown in options.unknown:
                    names = valences.NAMES if not unknown else valences.NAMES[1:3]
                    judged(name, seed, counts, unknown, names)


if __name__ == "__main__":
    main()
