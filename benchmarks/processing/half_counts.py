# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A semi-real image of which a part of the counts is drawn anew, so that they are Poisson again.

    python benchmarks/processing/half_counts.py FOLDER            # FOLDER holds semi_real/
    python benchmarks/processing/half_counts.py FOLDER --draws 4 --shares 0.5

Windows of counts, neither deconvolved nor divided by the zero-loss peak: intervals of D½ that hold
the truth behind the file, of the window C–O and of the others, and of those called determined; with
each kind of noise that can be asked for.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import warnings
from pathlib import Path

import hyperspy.api as hs
import numpy as np

import hyperspy_dosekin  # noqa: F401

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _real_fits import COUNTS
from _table import Rows, add_json_option

NAME, NOISY = "dose_series_image", "C–O"


def areas(folder: Path, dose: list[float], share: float, seed: int):
    """Windows of a part of the counts."""
    s = hs.load(folder / f"{NAME}.hspy")
    if share < 1:
        s.data = np.random.default_rng(seed).binomial(np.asarray(s.data, dtype=np.int64), share)
    s.set_dose_axis(dose)
    return s.process_low_loss(show_progressbar=False, **COUNTS).integrate_windows()


def report(rows: Rows, name: str, drawn, half: np.ndarray, noise: str) -> None:
    """Fit and judge some draws."""
    inside, determined, right = [], [], []
    for series in drawn:
        result = series.fit_dose_pinn(noise=noise, show_progressbar=False)
        lower, upper = (each.data for each in result.interval("half_integrity_dose"))
        inside.append((np.nan_to_num(lower) <= half) & (half <= np.nan_to_num(upper, nan=np.inf)))
        determined.append(result.identifiable.data & result.adequate.data)
        right.append(np.abs(np.log(result.half_integrity_dose.data / half)) < 0.2)
        place = result.window_names.index(NOISY)
    held, flag, near = np.array(inside), np.array(determined), np.array(right)
    some = flag.any()
    for what, share in (
        (f"{NOISY}: intervals with the truth", held[:, place].mean()),
        ("other windows: intervals with the truth", np.delete(held, place, axis=1).mean()),
        ("determined: intervals with the truth", held[flag].mean() if some else None),
        ("determined: right within 0.2 of ln D½", near[flag].mean() if some else None),
    ):
        rows.add(f"{name}, {what}", asked="≥ 90", unit="%",
                 measured=None if share is None else 100 * float(share),
                 note=f"{flag.sum()} of {flag.size} are determined")  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="holds semi_real/")
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--shares", type=float, nargs="+", default=[1.0, 0.5, 0.25])
    add_json_option(parser)
    options = parser.parse_args()
    rows = Rows(options.json)
    warnings.simplefilter("ignore")
    logging.getLogger("hyperspy_dosekin").setLevel(logging.ERROR)
    folder = options.folder / "semi_real"
    entries = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    (dose,) = (each["dose"] for each in entries if each["file"].endswith(f"/{NAME}.hspy"))
    with np.load(folder / f"{NAME}_truth.npz") as known:
        half = known[next(name for name in known.files if "half" in name)]
    half = np.moveaxis(half, -1, 0) if half.shape[-1] == 4 else half
    for share in options.shares:
        # All of the counts are there once.
        seeds = range(options.draws if share < 1 else 1)
        drawn = [areas(folder, dose, share, seed) for seed in seeds]
        for noise in ("floor", "relative"):
            report(rows, f"{share:g} of the counts, {noise}", drawn, half, noise)
    return 0


if __name__ == "__main__":
    sys.exit(main())
