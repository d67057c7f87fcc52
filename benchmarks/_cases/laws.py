# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""F: the law fails and nobody says so. G: cost."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from _cases.sample import QUIET, listening, sample, series, yes


def _doubted(rows, what: str, dose, values, half, **options) -> None:
    """Not called determined without a note, unless D½ is right."""
    with listening():
        found = series(dose, values).fit_dose_pinn(estimator="exact", **options, **QUIET)
    text = str(found)
    inside = False
    if half is not None:
        lower, upper = found.interval("half_integrity_dose")
        inside = bool(lower.data[0] <= half <= upper.data[0])
    flag = bool(found.identifiable.data[0])
    doubted = any(words in text for words in ("NOT describe", "doubtful", "a wrong law looks"))
    note = f"D½ {found.half_integrity_dose.data[0]:.4g}, flag {flag}, inside {inside}"
    yes(rows, f"{what}: no 'yes' for a wrong D½", inside or not flag or doubted, note)
    yes(rows, f"{what}: it is said that the law fails", doubted, note)


def _follow(rng, size, sd, rho=0.5):
    """Errors that follow each other."""
    e = np.zeros(size)
    for i in range(1, size):
        e[i] = rho * e[i - 1] + sd * rng.normal()
    return e


@sample("F1 a shoulder with errors that follow each other")
def shoulder(rows, folder: Path) -> None:
    d = np.arange(1.0, 112.0)
    phi = d / d[-1]
    y = np.where(phi < 0.35, 1, np.exp(-2.2 * (phi - 0.35))) + _follow(
        np.random.default_rng(1), 111, 0.1
    )
    _doubted(rows, "F1", d, y, 73.8, offset=0.0)
    with listening():
        found = series(d, y).fit_dose_pinn(estimator="exact", offset=0.0, **QUIET)
    lower, upper = found.interval("exponent")
    p = float(found.exponent.data[0])
    text = str(found)
    at_end = "end of" in text or "bound" in text or "box" in text
    yes(
        rows,
        "F1: p inside its interval, or at its end and said",
        lower.data[0] <= p <= upper.data[0] or at_end,
        f"p {p:.3f} [{lower.data[0]:.3f}, {upper.data[0]:.3f}]",
    )


@sample("F1b shoulders of other sizes, frames and errors")
def shoulders(rows, folder: Path) -> None:
    for number, (n, start, rate, sd, rho) in enumerate(
        [(40, 0.3, 3.0, 0.02, 0.0), (200, 0.5, 4.0, 0.1, 0.3), (15, 0.4, 3.0, 0.01, 0.0)]
    ):
        rng = np.random.default_rng(number)
        d = np.linspace(1, 500, n)
        phi = d / d[-1]
        y = 8e3 * (
            np.where(phi < start, 1, np.exp(-rate * (phi - start))) + _follow(rng, n, sd, rho)
        )
        half = 500 * (start + np.log(2) / rate)
        _doubted(rows, f"F1b {n} frames, from {start}", d, y, half, offset=0.0)


@sample("F2 the same with a free offset: no intensity below 0")
def free_offset(rows, folder: Path) -> None:
    d = np.arange(1.0, 112.0)
    phi = d / d[-1]
    y = np.where(phi < 0.35, 1, np.exp(-2.2 * (phi - 0.35))) + _follow(
        np.random.default_rng(1), 111, 0.1
    )
    with listening():
        found = series(d, y).fit_dose_pinn(estimator="exact", **QUIET)
    b = float(found.offset.data[0])
    said = "NOT describe" in str(found) or "doubtful" in str(found) or "negative" in str(found)
    yes(rows, "F2: b is not below 0 without a word", b > -1e-6 or said, f"b {b:.3f}")
    line = 1.0 - 0.5 * phi + np.random.default_rng(2).normal(0, 0.01, 111)
    with listening():
        found = series(d, 1e4 * line).fit_dose_pinn(estimator="exact", **QUIET)
    b = float(found.offset.data[0])
    said = "negative" in str(found) or "below" in str(found) or not found.identifiable.data[0]
    yes(rows, "F2b a straight line: b is not below 0 without a word", b > -1 or said, f"b {b:.4g}")


@sample("F3 other ways in which the law fails")
def other_laws(rows, folder: Path) -> None:
    d = np.linspace(2, 300, 60)
    phi = d / 300
    rng = np.random.default_rng(3)
    shapes = {
        "a step of the current": (np.exp(-2 * phi) * np.where(phi < 0.5, 1, 0.8), None),
        "rise, then decay": (np.exp(-3 * phi) * (1 + 4 * phi * np.exp(-4 * phi)), None),
        "oscillation": (np.exp(-2 * phi) * (1 + 0.1 * np.sin(25 * phi)), None),
        "sigmoid": (1 / (1 + np.exp(14 * (phi - 0.55))), 300 * 0.55),
        "recovery at the end": (np.exp(-3 * phi) + 0.3 * np.maximum(phi - 0.7, 0), 69.3),
    }
    for name, (shape, half) in shapes.items():
        _doubted(rows, f"F3 {name}", d, 1e4 * (shape + rng.normal(0, 0.01, 60)), half, offset=0.0)


@sample("F4 right laws are not doubted")
def right_laws(rows, folder: Path) -> None:
    from scipy.integrate import solve_ivp

    d = np.linspace(2, 300, 40)
    doubted, rng = 0, np.random.default_rng(4)
    for k, p in ((1, 1), (2, 1), (3, 1.5), (1, 0.5), (2, 2.2), (4, 1), (1.5, 1.3), (0.7, 1)) * 5:
        # In dC/dφ = −k C^p, no closed form.
        made = solve_ivp(lambda _, c, k=k, p=p: -k * np.maximum(c, 0) ** p, (0, 1), [1.0],
                         t_eval=d / 300, rtol=1e-9, atol=1e-12)  # fmt: skip
        y = 1e4 * (made.y[0] + 0.2 + rng.normal(0, 0.01, 40))
        with listening():
            found = series(d, y).fit_dose_pinn(estimator="exact", **QUIET)
        doubted += "NOT describe" in str(found) or "doubtful" in str(found)
    rows.add("F4: right laws that are doubted, of 40", asked="≤ 4", measured=doubted, unit="")


@sample("G cost of many frames")
def cost(rows, folder: Path) -> None:
    rng = np.random.default_rng(0)
    used = []
    for frames in (100, 300, 1000):
        d = np.arange(1.0, frames + 1)
        y = np.exp(-np.outer([1, 2], d / d[-1])) + rng.normal(0, 0.02, (2, frames))
        started = time.process_time()
        with listening():
            series(d, y).fit_dose_pinn(**QUIET)
        used.append(time.process_time() - started)
    note = ", ".join(f"{seconds:.1f} s" for seconds in used) + " for 100, 300, 1 000 frames"
    rows.add(
        "G: 1 000 frames × 2 windows, default call",
        asked="≤ 10",
        measured=used[-1],
        unit="s",
        note=note,
    )
    d = np.arange(1.0, 1001.0)
    y = np.exp(-np.outer(np.linspace(0.5, 3, 30), d / d[-1])) + rng.normal(0, 0.02, (30, 1000))
    # One network of all windows grows faster than their number, and says so from eleven on.
    for what, windows, options in (("default", 8, {}), ("exact", 30, {"estimator": "exact"})):
        started = time.process_time()
        with listening():
            series(d, y[:windows]).fit_dose_pinn(**options, **QUIET)
        rows.add(f"G: 1 000 frames × {windows} windows, {what} call", asked="≤ 15",
                 measured=time.process_time() - started, unit="s")  # fmt: skip
