# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Spectra that were divided by something and are no longer counts, though the file says so.

    python benchmarks/processing/divided.py

Spectra, kinetics and what is done to them are NumPy's. *Claimed*: variance of the areas that comes
out over that of repeats, frame by frame, least and largest, and whether anything was said; then the
95 % intervals of D½ with the truth, by the error of noise alone and as by default.
"""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import hyperspy.api as hs
import numpy as np

import hyperspy_dosekin  # noqa: F401

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _cases.sample import QUIET, listening
from _table import Rows, add_json_option

WINDOWS = {"C–C": (4, 7), "C–O": (10, 15), "M–O": (20, 25)}
DOSE = 152.0 * np.arange(1, 10)
SCALE, FIRST, CHANNELS, ELECTRONS = 0.1, -10.0, 600, 3e6
ENERGY = FIRST + SCALE * np.arange(CHANNELS)
#: Lines of the windows: energy, standard deviation in eV, events, and k per largest dose.
LINES = np.array([[5.5, 1.0, 0.04, 1.2], [12.5, 1.8, 0.08, 2.5], [22.5, 2.0, 0.12, 2.0]])
HALF = np.log(2) / LINES[:, 3] * DOSE[-1]
#: Exposures that are no whole numbers, and some that are 30 × apart.
OWN = np.array([0.37, 0.41, 0.33, 1.07, 0.92, 0.61, 2.13, 0.77, 1.41])[:, None]
APART = 1.013 * np.geomspace(0.1, 3, 9)[:, None]


def expected() -> np.ndarray:
    """Mean counts ``(frame, channel)``, with plural scattering."""
    loss = SCALE * np.arange(4 * CHANNELS)
    lines = np.exp(-0.5 * ((loss - LINES[:, :1]) / LINES[:, 1:2]) ** 2)
    amount = LINES[:, 2] * (0.35 + 0.65 * np.exp(-DOSE[:, None] / DOSE[-1] * LINES[:, 3]))
    rest = np.exp(-0.5 * ((loss - 32) / 9) ** 2) * (loss > 2)
    single = amount @ (lines / lines.sum(axis=1, keepdims=True)) + 0.15 * rest / rest.sum()
    peak = np.exp(-0.5 * (ENERGY / 0.3) ** 2)
    plural = np.exp(np.fft.rfft(single) - single.sum(axis=1, keepdims=True))
    mean = np.fft.irfft(np.fft.rfft(peak / peak.sum(), n=loss.size) * plural)
    return ELECTRONS * mean[:, :CHANNELS].clip(0)


MEAN = expected()


def gains(spread: float) -> np.ndarray:
    """The same gains of the channels in every repeat."""
    return 1 + spread * np.random.default_rng(99).standard_normal(CHANNELS)


def joined(values: np.ndarray, number: int) -> np.ndarray:
    return values.reshape(len(values), -1, number).sum(axis=-1)


def moved(values: np.ndarray, random: np.random.Generator) -> np.ndarray:
    places = [ENERGY + SCALE * each for each in random.uniform(-0.5, 0.5, len(values))]
    return np.array([np.interp(x, ENERGY, y) for x, y in zip(places, values, strict=True)])


#: What was done, from a generator, and how many channels were joined.
KINDS: dict[str, tuple[Callable, int]] = {
    "own exposures, then pairs of channels": (
        lambda r: joined(r.poisson(MEAN * OWN) / OWN, 2), 2),
    "a map of gains, 5 %": (lambda r: r.poisson(MEAN * gains(0.05)) / gains(0.05), 1),
    "7.3 counts an electron, a map of gains": (
        lambda r: 7.3 * gains(0.05) * r.poisson(MEAN / gains(0.05)), 1),
    "a noisy dark reference, then a map of gains": (
        lambda r: (r.poisson(MEAN * gains(0.03)) + r.normal(0, 12, MEAN.shape)
                   - r.normal(0, 3, CHANNELS)) / gains(0.03), 1),
    "own exposures, moved by interpolation": (
        lambda r: moved(r.poisson(MEAN * OWN) / OWN, r), 1),
    "exposures 30 × apart, a map of gains": (
        lambda r: r.poisson(MEAN * APART * gains(0.05)) / gains(0.05) / APART, 1),
    "the same, then three channels joined": (
        lambda r: joined(r.poisson(MEAN * APART * gains(0.02)) / gains(0.02) / APART, 3), 3),
    "exposures 30 × apart, moved by interpolation": (
        lambda r: moved(r.poisson(MEAN * APART) / APART, r), 1),
}  # fmt: skip


def signal(values: np.ndarray, number: int):
    """A signal that is called counts."""
    s = hs.signals.Signal1D(values.astype(np.float32))
    s.set_signal_type("EELS")
    axis = s.axes_manager[-1]
    axis.name, axis.units, axis.scale = "Energy loss", "eV", SCALE * number
    axis.offset = FIRST + 0.5 * (number - 1) * SCALE
    s.metadata.Signal.quantity = "Intensity (Counts)"
    s.set_dose_axis(DOSE)
    return s


def measure(rows: Rows, name: str, repeats: int) -> None:
    make, number = KINDS[name]
    areas, claimed, inside, alone = [], [], [], []
    with listening() as heard:
        for seed in range(repeats):
            s = signal(make(np.random.default_rng(seed)), number)
            found = s.process_low_loss(**QUIET).integrate_windows(WINDOWS)
            areas.append(found.data)
            claimed.append(found.get_noise_variance().data)
            for kept, options in ((inside, {}), (alone, {"processing_error": False})):
                fit = found.fit_dose_pinn(estimator="exact", hierarchy=(), **options, **QUIET)
                low, high = (end.data for end in fit.interval("half_integrity_dose"))
                kept.append((low <= HALF) & (np.nan_to_num(high, nan=np.inf) >= HALF))
    ratio = np.mean(claimed, axis=0).mean(axis=0) / np.var(areas, axis=0, ddof=1).mean(axis=0)
    said = "spectrum by spectrum" in str(heard.texts)
    warned = "no single spectrum tells its own" in str(heard.texts)
    note = f"claimed {ratio.min():.2g} to {ratio.max():.2g} times that of repeats"
    note += "; taken from each spectrum" if said else "; said to be unknown" if warned else ""
    rows.add(f"{name}: intervals by noise alone", asked="≥ 0.9", measured=np.mean(alone), unit="",
             note=f"{note}; with the error of processing {np.mean(inside):.2f}")  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=24)
    add_json_option(parser)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("hyperspy_dosekin").setLevel(logging.WARNING)
    for name in KINDS:
        measure(Rows(options.json), name, options.repeats)
    return 0


if __name__ == "__main__":
    sys.exit(main())
