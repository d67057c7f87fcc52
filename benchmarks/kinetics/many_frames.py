# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time of the default fit of a series with many frames, two windows, five members.

Run ``python benchmarks/kinetics/many_frames.py``.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _table import Rows, add_json_option


def series(frames: int, noise: float = 0.02):
    import hyperspy.api as hs

    dose = 1400.0 * np.arange(1, frames + 1) / frames
    phi = dose / dose[-1]
    clean = [np.exp(-1.5 * phi) + 0.3, 2 * (1 + phi) ** -2.5 + 0.1]
    values = clean + noise * np.random.default_rng(0).standard_normal((2, frames))
    axes = [{"size": 2, "name": "window"}, {"axis": dose, "name": "dose", "units": "e⁻/Å²"}]
    s = hs.signals.Signal1D(values, axes=axes)
    s.set_signal_type("DoseSeries")
    return s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_json_option(parser)
    rows = Rows(parser.parse_args().json)
    series(9).fit_dose_pinn(show_progressbar=False)
    for estimator, asked in (
        ("pinn", {9: None, 300: "≤ 4", 1000: "≤ 10", 3000: None}),
        ("exact", {1000: None}),
    ):
        for frames, bound in asked.items():
            s = series(frames)
            started, cpu = time.perf_counter(), time.process_time()
            result = s.fit_dose_pinn(estimator=estimator, show_progressbar=False)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - started
            note = f"{wall:.1f} s on the clock, beside other work"
            if estimator == "pinn":
                c = result.certificate
                note += (
                    f"; loss {c.loss_ratio.max():.4f} × exact, C off by {c.max_deviation.max():.1e}"
                )
            rows.add(
                f"fit of {frames} frames × 2 windows, {estimator}",
                asked=bound, measured=cpu, unit="s of processor", note=note,
            )  # fmt: skip


if __name__ == "__main__":
    main()
