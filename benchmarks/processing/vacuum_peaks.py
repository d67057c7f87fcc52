# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is determined in images with recorded zero-loss peaks of vacuum, and how much is right.

    python benchmarks/processing/vacuum_peaks.py FOLDER       # FOLDER holds real/
    python benchmarks/processing/vacuum_peaks.py FOLDER --laws "power law" delayed --seeds 1 2
    python benchmarks/processing/vacuum_peaks.py FOLDER --laws "power law" --truths "per electron"

Peaks of a monochromated instrument (0.43 eV wide, recorded with 0.025 eV a channel), three of them
mixed anew in every pixel and frame, are moved by up to half a channel and summed to channels of
0.2 eV. Losses, plural scattering, smooth fields of k, thickness and counting noise are NumPy's. The
lines have wings, so that C–O holds a part of C–C, which decays otherwise; the beam current of every
pixel and frame may vary. *Determined* is identifiable and adequate; *held*: the 95 % interval has
the truth; *right*: within 0.25 of ln D½.

``--truths`` are other instruments and specimens. ``per electron``: the lines of the counts decay,
and their electrons come back into the zero-loss peak, so that areas per electron are right and
those per zero-loss electron drift. ``averaged``: a file of means of four exposures, which says
nothing of it. ``tail 1 %``, ``tail 4 %``: so much of the zero-loss peak moves along the series into
a tail of 1.2 eV on the loss side. ``thinner``: 5 % of the thickness is lost along the series.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import re
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import hyperspy.api as hs
import numpy as np

import hyperspy_dosekin

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _table import Rows, add_json_option

DOSE = 130.0 * np.arange(1, 11)
PHI = DOSE / DOSE[-1]
#: Fine channels, their number, and how many make one of the detector.
FINE, SIZE, JOINED = 0.025, 4096, 8
#: Lines: energy, width, events, median k, p, share that stays.
LINES = np.array([[2.0, 0.6, 0.004, 0.9, 1.0, 0.3], [5.5, 1.0, 0.03, 1.4, 0.8, 0.3],
                  [12.5, 1.6, 0.05, 2.2, 1.5, 0.3], [22.5, 2.2, 0.09, 1.1, 1.2, 0.5]])  # fmt: skip
#: Share of the peak that ends in a tail of so many eV, share of the thickness that is lost, and
#: exposures of which a file has the mean.
TAIL, THINNER, EXPOSURES = 1.2, 0.05, 4
TRUTHS = ("poisson", "per electron", "averaged", "tail 1 %", "tail 4 %", "thinner")
CHAINS = {
    "default": {},
    "not normalised": {"normalise": False},
    "counts": {"normalise": False, "deconvolve": False},
}


def power(phi, k, p):
    """Integrity of a power law."""
    if p == 1:
        return np.exp(-k * phi)
    return np.maximum(1 + (p - 1) * k * phi, 0) ** (-1 / (p - 1))


LAWS = {
    "power law": power,
    "delayed": lambda phi, k, p: power(np.maximum(phi - 0.2, 0), k, p),
    "two populations": lambda phi, k, p: 0.6 * np.exp(-4 * k * phi) + 0.4 * np.exp(-0.2 * k * phi),
    "late recovery": lambda phi, k, p: (
        power(phi, k, p)
        + 0.5 * np.clip((phi - 0.6) / 0.4, 0, 1) * (1 - power(np.minimum(phi, 0.6), k, p))
    ),
}


def peaks(folder: Path) -> tuple[np.ndarray, float]:
    """Recorded peaks ``(n, SIZE)`` of area 1, and the energy of their first channel."""
    found = []
    for path in sorted((folder / "real" / "EELSfitter" / "Specimen_4").glob("*Vacuum*")):
        numbers = re.split(r"[\s,;]+", path.read_text().strip())
        row = np.array([float(each) for each in numbers]).clip(0)
        found.append(np.pad(row, (0, SIZE - row.size)) / row.sum())
    return np.array(found), -4.054


@dataclass(frozen=True)
class Kind:
    """What is in an image."""

    law: str = "power law"
    shape: tuple[int, int] = (16, 16)
    electrons: float = 4e6
    current: float = 0.0
    spread: float = 0.15
    truth: str = "poisson"

    def draw(self, folder: Path, seed: int):
        """Return an image, and the true D½ ``(4, y, x)``; infinite where C never halves."""
        random = np.random.default_rng(seed)
        y, x = (np.arange(n) / n for n in self.shape)
        waves = random.standard_normal((len(LINES), 3))
        smooth = np.array([
            a * np.sin(2.5 * x[None] + a) + b * np.cos(2 * y[:, None]) + c * np.outer(y, x)
            for a, b, c in waves
        ])  # fmt: skip
        smooth -= smooth.mean((1, 2), keepdims=True)
        smooth /= smooth.std((1, 2), keepdims=True)
        k = LINES[:, 3, None, None] * np.exp(self.spread * smooth)
        law = LAWS[self.law]
        decay = np.stack([law(PHI[:, None, None], k[i], LINES[i, 4]) for i in range(4)], -1)
        amount = LINES[:, 2] * (LINES[:, 5] + (1 - LINES[:, 5]) * decay)
        thickness = np.exp(0.15 * random.standard_normal(self.shape))
        grid = FINE * np.arange(SIZE)
        wings = 1 / (1 + ((grid - LINES[:, :1]) / LINES[:, 1:2]) ** 2) ** 1.5 * (grid > 0.3)
        wings = np.fft.rfft(wings / wings.sum(axis=1, keepdims=True))
        broad = grid**2 / ((grid**2 - 24**2) ** 2 + (grid * 14) ** 2)
        broad = 0.25 * broad / broad.sum()
        recorded, first = peaks(folder)
        recorded = np.fft.rfft(recorded)
        phase = -2j * np.pi * np.fft.rfftfreq(SIZE)
        number = SIZE // JOINED
        counts = np.zeros((len(DOSE), *self.shape, number), dtype=np.int32)
        tail = np.fft.rfft(np.exp(-grid / TAIL) / np.exp(-grid / TAIL).sum())
        moved = float(self.truth.split()[1]) / 100 if self.truth.startswith("tail") else 0.0
        loss = THINNER if self.truth == "thinner" else 0.0
        exposures = EXPOSURES if self.truth == "averaged" else 1
        for frame, part in enumerate(amount):
            thick = thickness * (1 - loss * PHI[frame])
            share = random.dirichlet(np.ones(len(recorded)), self.shape) @ recorded
            share = share * (1 + moved * PHI[frame] * (tail - 1))
            move = np.exp(phase * random.uniform(-4, 4, (*self.shape, 1)))
            # Where counts decay, electrons of the fresh specimen come back.
            there = LINES[:, 2] if self.truth == "per electron" else part
            events = thick[..., None] * (there @ wings + np.fft.rfft(broad))
            total = thick * (there.sum(-1) + broad.sum())
            losses = np.exp(events - total[..., None])
            if self.truth == "per electron":
                once = (thick * np.exp(-total))[..., None] * (there - part)
                losses = losses - once @ wings + once.sum(-1, keepdims=True)
            mean = np.fft.irfft(share * move * losses, n=SIZE)
            mean = mean.reshape(*self.shape, number, JOINED).sum(-1).clip(0)
            gain = 1 + self.current * random.standard_normal((*self.shape, 1))
            counts[frame] = random.poisson(self.electrons * exposures * gain * mean)
        if exposures > 1:
            counts = counts / exposures
        s = hs.signals.Signal1D(counts[..., : int(48 / (FINE * JOINED))])
        s.set_signal_type("EELS")
        for axis, name in zip(s.axes_manager.navigation_axes, ("x", "y", "frame"), strict=True):
            axis.name = name
        axis = s.axes_manager[-1]
        axis.units, axis.scale = "eV", FINE * JOINED
        axis.offset = first + 0.5 * (JOINED - 1) * FINE
        s.set_dose_axis(DOSE)
        dense = np.linspace(0, 8, 8001)[:, None, None]
        curves = [law(dense, k[i], LINES[i, 4]) < 0.5 for i in range(4)]
        half = [np.where(c.any(0), c.argmax(0) * 1e-3 * DOSE[-1], np.inf) for c in curves]
        return s, np.array(half)


def judged(fit, half: np.ndarray, window: int) -> tuple[np.ndarray, ...]:
    """Determined, adequate, intervals with the truth, and right, of the pixels of a window."""
    low, high = (end.data[window] for end in fit.interval("half_integrity_dose"))
    inside = (np.nan_to_num(low) <= half[window]) & (
        half[window] <= np.nan_to_num(high, nan=np.inf)
    )
    with np.errstate(invalid="ignore"):
        right = np.abs(np.log(fit.half_integrity_dose.data[window] / half[window])) < 0.25
    adequate = fit.adequate.data[window]
    return fit.identifiable.data[window] & adequate, adequate, inside, right


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="holds real/")
    parser.add_argument("--laws", nargs="*", choices=list(LAWS), default=list(LAWS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--current", nargs="*", type=float, default=[0.0])
    parser.add_argument("--truths", nargs="*", choices=TRUTHS, default=["poisson"])
    parser.add_argument("--electrons", type=float, default=4e6)
    parser.add_argument("--chains", nargs="*", choices=list(CHAINS), default=list(CHAINS))
    parser.add_argument("--spatial", nargs="*", default=["pixel", "population", "field"])
    add_json_option(parser)
    options = parser.parse_args()
    rows = Rows(options.json)
    warnings.simplefilter("ignore")
    logging.getLogger("hyperspy_dosekin").setLevel(logging.ERROR)
    for law, current, truth in itertools.product(options.laws, options.current, options.truths):
        kind = Kind(law, current=current, electrons=options.electrons, truth=truth)
        images = [kind.draw(options.folder, seed) for seed in options.seeds]
        for chain in options.chains:
            areas = [
                (s.process_low_loss(show_progressbar=False, **CHAINS[chain]).integrate_windows(), h)
                for s, h in images
            ]
            for spatial in options.spatial:
                settings = {"spatial": spatial, "estimator": "exact", "show_progressbar": False}
                found = [(each.fit_dose_pinn(**settings), half) for each, half in areas]
                for window, name in enumerate(hyperspy_dosekin.LOW_LOSS_WINDOWS):
                    each = [judged(fit, half, window) for fit, half in found]
                    sure, adequate, inside, right = np.concatenate(each, axis=-1)
                    note = f"adequate {adequate.mean():.3f}, held {inside.mean():.3f}"
                    if sure.any():
                        note += f"; of determined held {inside[sure].mean():.3f}"
                        note += f", right {right[sure].mean():.3f}"
                    what = f"{law}, current {current:g}, {truth}, {chain}, {spatial}, {name}: "
                    rows.add(
                        f"{what}determined", asked=None, measured=sure.mean(), unit="", note=note
                    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
