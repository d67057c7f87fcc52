# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Maps whose zero-loss peaks are real, and whose kinetics are known.

    python benchmarks/processing/real_peaks.py FOLDER         # FOLDER holds real/
    python benchmarks/processing/real_peaks.py FOLDER --maps 9

Every spectrum has the zero-loss peak of one of 40 positions of a recorded line scan (2.2 channels
wide, each at a place of its own within its channel), drawn anew for every pixel and frame. Losses,
plural scattering, kinetics and counting noise are NumPy's: 4·10⁷ electrons a spectrum, nine frames,
ln k of the windows N(ln (1, 1.8, 2.6, 1.8), 0.35²). *Right*: within 0.2 of ln D½, of the windows
that are called determined.
"""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from pathlib import Path

import hyperspy.api as hs
import numpy as np

import hyperspy_dosekin  # noqa: F401

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _table import Rows, add_json_option

DOSE = 152.0 * np.arange(1, 10)
PHI = DOSE / DOSE[-1]
SHAPE, ELECTRONS = (6, 10), 4e7
#: Lines of the four windows: energy, standard deviation in eV, mean number of events, median k.
LINES = np.array([[2, 0.7, 0.004, 1], [5.5, 1.2, 0.03, 1.8], [12.5, 2.2, 0.08, 2.6],
                  [22.5, 2.5, 0.12, 1.8]])  # fmt: skip
#: Share of a line that does not decay, and spread of ln k.
LEFT, SPREAD = 0.3, 0.35


def peaks(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Energies, and the peaks of a line scan, of area 1; beyond 2.5 eV their own fall goes on."""
    s = hs.load(path)
    axis = s.axes_manager[-1]
    rows = s.data - np.median(s.data[:, :60], axis=1, keepdims=True)
    for row, top in zip(rows, rows.argmax(axis=1), strict=True):
        fall = np.log(max(row[top + 3] / row[top + 5], 1.05)) / 2
        row[top + 5 :] = row[top + 5] * np.exp(-fall * np.arange(row.size - top - 5))
        row[: top - 40] = 0
    rows = rows.clip(0)
    return axis.axis, rows / rows.sum(axis=1, keepdims=True)


def drawn(energy: np.ndarray, shapes: np.ndarray, seed: int):
    """A map, and the true D½ ``(4, y, x)``."""
    random = np.random.default_rng(seed)
    rate = LINES[:, 3] * np.exp(SPREAD * random.standard_normal((*SHAPE, len(LINES))))
    amount = LINES[:, 2] * (LEFT + (1 - LEFT) * np.exp(-PHI[:, None, None, None] * rate))
    loss = (energy[1] - energy[0]) * np.arange(4 * energy.size)
    middle, width = LINES[:, :1], LINES[:, 1:2]
    lines = np.exp(-0.5 * ((loss - middle) / width) ** 2) * (loss > 0)
    lines /= lines.sum(axis=1, keepdims=True)
    rest = np.exp(-0.5 * ((loss - 33) / 9) ** 2)
    rest *= 0.12 / rest.sum()
    lines, rest_of = np.fft.rfft(lines), np.fft.rfft(rest)
    of_peak = np.fft.rfft(shapes, n=loss.size)
    chosen = random.integers(0, len(shapes), amount.shape[:-1])
    counts = np.zeros((*amount.shape[:-1], energy.size), dtype=np.int32)
    for frame, part in enumerate(amount):
        events = part.sum(axis=-1)[..., None] + rest.sum()
        plural = np.exp(np.tensordot(part, lines, axes=1) + rest_of - events)
        mean = np.fft.irfft(of_peak[chosen[frame]] * plural)[..., : energy.size]
        counts[frame] = random.poisson(ELECTRONS * mean.clip(0))
    s = hs.signals.Signal1D(counts)
    s.set_signal_type("EELS")
    for axis, name in zip(s.axes_manager.navigation_axes, ("x", "y", "frame"), strict=True):
        axis.name = name
    axis = s.axes_manager[-1]
    axis.units, axis.scale, axis.offset = "eV", energy[1] - energy[0], energy[0]
    s.set_dose_axis(DOSE)
    return s, np.moveaxis(np.log(2) / rate * DOSE[-1], -1, 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="holds real/")
    parser.add_argument("--maps", type=int, default=9)
    add_json_option(parser)
    options = parser.parse_args()
    rows = Rows(options.json)
    warnings.simplefilter("ignore")
    logging.getLogger("hyperspy_dosekin").setLevel(logging.ERROR)
    energy, shapes = peaks(options.folder / "real" / "LSMO_linescan_low_loss.hspy")
    kinds = {"default": {}, "hierarchy=()": {"hierarchy": ()},
             "error of noise alone": {"hierarchy": (), "processing_error": False}}  # fmt: skip
    found: dict[str, list[np.ndarray]] = {name: [] for name in kinds}
    for seed in range(options.maps):
        s, truth = drawn(energy, shapes, seed)
        areas = s.process_low_loss(show_progressbar=False).integrate_windows()
        for name, settings in kinds.items():
            fit = areas.fit_dose_pinn(estimator="exact", show_progressbar=False, **settings)
            low, high = (end.data for end in fit.interval("half_integrity_dose"))
            inside = (np.nan_to_num(low) <= truth) & (truth <= np.nan_to_num(high, nan=np.inf))
            right = np.abs(np.log(fit.half_integrity_dose.data / truth)) < 0.2
            found[name].append(np.array([fit.identifiable.data & fit.adequate.data, inside, right]))
    for name, each in found.items():
        sure, inside, right = np.concatenate(each, axis=-1)
        note = f"{sure.sum()} of {sure.size} are determined"
        rows.add(f"{name}: intervals with the truth", asked="≥ 90", measured=100 * inside.mean(),
                 unit="%")  # fmt: skip
        if sure.any():
            rows.add(f"{name}: the same where called determined", asked="≥ 90",
                     measured=100 * inside[sure].mean(), unit="%", note=note)  # fmt: skip
            rows.add(f"{name}: of these right", asked="≥ 90", measured=100 * right[sure].mean(),
                     unit="%")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
