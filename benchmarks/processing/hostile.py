# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instruments that do something to whole frames: how wrong areas are, and whether it is said.

    python benchmarks/processing/hostile.py
    python benchmarks/processing/hostile.py --seeds 4 --electrons 2e6

Series of nine frames of NumPy: five losses that decay, a Gaussian zero-loss peak that drifts by up
to 0.4 eV, plural scattering, counting noise. *Worst*: median over the series of the largest error
of an area, relative to the single scattering at the resolution of the peak. *Wrong*: series of
which an area is wrong by more than 3 %, and by more than 1.96 times what is claimed of it.
*Silent*: those of them of which nothing is said that is not said of the same series without the
fault. *Beside*: series whose areas are right and of which something is said.
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
from scipy.stats import norm

import hyperspy_dosekin  # noqa: F401

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _table import Rows, add_json_option

WINDOWS = {"π–π*": (1, 3), "C–C": (4, 7), "C–O": (10, 15), "M–O": (20, 25)}
#: Losses: energy, standard deviation, mean number of events, and decay over the series.
LOSSES = np.array([[2, 0.7, 0.01, 0.6], [5.5, 1.2, 0.03, 1.0], [12.5, 2.2, 0.08, 1.8],
                   [22.5, 2.5, 0.12, 1.2], [33, 9, 0.12, 0.0]])  # fmt: skip
SCALE, FIRST, NUMBER, FRAMES, WIDTH, DRIFT = 0.15, -9.0, 480, 9, 0.25, 0.4
ENERGY = FIRST + SCALE * np.arange(NUMBER)
#: Error of an area that matters.
MATTERS = 0.03


def means(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Mean spectra of area 1, shape ``(frame, energy)``, and areas, shape ``(frame, window)``."""
    fine, size, zero = SCALE / 4, 8192, 20.0
    grid = fine * np.arange(size)
    peak = np.fft.rfft(norm.pdf(grid - zero, 0, WIDTH) * fine)
    edges = np.append(grid - fine / 2, grid[-1] + fine / 2) - zero
    spectra, areas = [], []
    for frame in range(FRAMES):
        left = 0.3 + 0.7 * np.exp(-LOSSES[:, 3] * (frame + 1) / FRAMES)
        single = (
            (LOSSES[:, 2] * left)[:, np.newaxis]
            * norm.pdf(grid, LOSSES[:, :1], LOSSES[:, 1:2])
            * (grid > 0.3) * fine
        ).sum(axis=0)  # fmt: skip
        loss = np.fft.rfft(single)
        mean = np.fft.irfft(peak * np.exp(loss - single.sum()), size)
        blurred = np.fft.irfft(peak * loss, size)
        move = random.uniform(-DRIFT, DRIFT)
        ends = np.append(ENERGY - SCALE / 2, ENERGY[-1] + SCALE / 2) - move
        spectra.append(np.diff(np.interp(ends, edges, np.append(0, np.cumsum(mean)))))
        total = np.append(0, np.cumsum(blurred))
        areas.append([np.diff(np.interp(each, edges, total))[0] for each in WINDOWS.values()])
    return np.array(spectra), np.array(areas)


def stretched(mean: np.ndarray, spread: float, random: np.random.Generator) -> np.ndarray:
    """Another dispersion in each frame; the peak stays where it is on the axis within drift."""
    factors = 1 + spread * random.standard_normal(len(mean))
    return np.array(
        [np.interp(ENERGY, ENERGY * f, row) / f for row, f in zip(mean, factors, strict=True)]
    )


def with_frame(counts: np.ndarray, place: int, frame: np.ndarray) -> np.ndarray:
    """Another frame in one place."""
    changed = counts.astype(float)
    changed[place] = frame
    return changed


def glowing(counts: np.ndarray, *shares: float) -> np.ndarray:
    """What is left of the frames before."""
    changed = counts.astype(float)
    for back, share in enumerate(shares, start=1):
        changed[back:] += share * counts[:-back]
    return changed


def spread_out(counts: np.ndarray, share: float) -> np.ndarray:
    """A Lorentzian point spread of the detector, three channels wide."""
    place = np.arange(-200, 201)
    kernel = 1 / (1 + (place / 3) ** 2)
    kernel = share * kernel / kernel.sum() + (1 - share) * (place == 0)
    return np.array([np.convolve(row, kernel, "same") for row in counts.astype(float)])


def dead_time(counts: np.ndarray, loss: float) -> np.ndarray:
    """Coincidence loss of a share at the top of the highest peak."""
    return counts / (1 + loss * counts / counts.max())


CHANNEL = np.arange(NUMBER)
#: What is done to the means, and to the counts.
BEFORE: dict[str, Callable] = {
    "dispersion jitters by 0.3 %": lambda m, r: stretched(m, 0.003, r),
    "dispersion jitters by 1 %": lambda m, r: stretched(m, 0.01, r),
    "dispersion jitters by 3 %": lambda m, r: stretched(m, 0.03, r),
}
AFTER: dict[str, Callable] = {
    "nothing": lambda c, r: c,
    "a frame repeated": lambda c, r: with_frame(c, 4, c[3]),
    "a frame repeated, twice as bright": lambda c, r: with_frame(c, 4, 2 * c[3]),
    "a frame made of its neighbours": lambda c, r: with_frame(c, 4, 0.5 * (c[3] + c[5])),
    "a frame made of the first and third": lambda c, r: with_frame(c, 5, 0.5 * (c[0] + c[2])),
    "afterglow of 0.1 %": lambda c, r: glowing(c, 0.001),
    "afterglow of 0.5 %": lambda c, r: glowing(c, 0.005),
    "afterglow of 1 and 0.5 %": lambda c, r: glowing(c, 0.01, 0.005),
    "gain wave of 3 %, 11 eV": lambda c, r: c * (1 + 0.03 * np.sin(CHANNEL / 12 + r.uniform(0, 6))),
    "gain wave of 5 %, 30 eV": lambda c, r: c * (1 + 0.05 * np.sin(CHANNEL / 32 + r.uniform(0, 6))),
    "gain of channels, 3 %": lambda c, r: c * (1 + 0.03 * r.standard_normal(NUMBER)),
    "half of the detector 10 % more": lambda c, r: c * np.where(CHANNEL > 180, 1.1, 1.0),
    "coincidence loss of 10 %, all": lambda c, r: dead_time(c, 0.1),
    "point spread, a tenth Lorentzian": lambda c, r: spread_out(c, 0.1),
}  # fmt: skip


class Heard(logging.Handler):
    """What is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.texts.append(record.getMessage())


def processed(counts: np.ndarray, heard: Heard) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Areas and their claim, ``(frame, window)``, and the beginnings of what is said."""
    s = hs.signals.Signal1D(counts)
    s.set_signal_type("EELS")
    s.axes_manager[-1].trait_set(offset=FIRST, scale=SCALE, units="eV", name="Energy loss")
    heard.texts.clear()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = s.process_low_loss(show_progressbar=False).integrate_windows(WINDOWS)
    variance = found.get_noise_variance()
    noise = 0.0 if variance is None or np.isscalar(variance) else variance.data
    left = np.asarray(found.metadata.get_item("Dosekin.zero_loss_residue", np.zeros(len(WINDOWS))))
    values, noise = (np.asarray(each) for each in (found.data, noise))
    if values.shape[0] != FRAMES:
        values, noise = values.T, noise.T
    texts = heard.texts + [str(each.message) for each in said if each.category is UserWarning]
    return values, np.sqrt(noise + left**2), [text[:24] for text in texts]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--electrons", type=float, default=2e7)
    add_json_option(parser)
    options = parser.parse_args()
    rows, heard = Rows(options.json), Heard()
    logger = logging.getLogger("hyperspy_dosekin")
    logger.addHandler(heard)
    logger.propagate = False
    silent_of_all = 0
    for name in [*AFTER, *BEFORE]:
        worst, wrong, silent, beside = [], 0, 0, 0
        for seed in range(options.seeds):
            mean, truth = means(np.random.default_rng([seed, 1]))
            random = np.random.default_rng([seed, 2])
            clean = random.poisson(options.electrons * mean)
            if name in BEFORE:
                mean = BEFORE[name](mean, random)
                counts = random.poisson(options.electrons * mean.clip(0))
            else:
                counts = AFTER[name](clean, random)
            values, claim, texts = processed(counts, heard)
            *_, usual = processed(clean, heard)
            away = np.abs(values - truth)
            worst.append((away / truth).max())
            bad = bool(((away > MATTERS * truth) & (away > 1.96 * claim)).any())
            said = bool(set(texts) - set(usual))
            wrong, silent = wrong + bad, silent + (bad and not said)
            beside += said and not bad
        silent_of_all += silent
        rows.add(f"{name}: silent", asked=None, measured=silent, unit="series",
                 note=f"worst {100 * np.median(worst):.1f} %, wrong {wrong} of {options.seeds}, "
                      f"said beside {beside}")  # fmt: skip
    rows.add("wrong without a word", asked=None, measured=silent_of_all, unit="series", note="all")
    return 0


if __name__ == "__main__":
    sys.exit(main())
