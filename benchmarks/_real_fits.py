# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fits of `real_data.py`: NIST's certified values, photobleaching, and semi-real series."""

from __future__ import annotations

import csv
import json
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
from scipy.optimize import curve_fit

#: Windows of counts: neither deconvolved nor divided by the zero-loss peak.
COUNTS = {"deconvolve": False, "normalise": False}


def series_of(dose, values, variance=None):
    """A `DoseSeries` of some curves, ``(n_window, n_dose)``."""
    import hyperspy.api as hs

    values = np.atleast_2d(np.asarray(values, float))
    axes = [
        {"size": len(values), "name": "window"},
        {"axis": np.asarray(dose, float), "name": "dose", "units": "e⁻/Å²"},
    ]
    s = hs.signals.Signal1D(values, axes=axes)
    if variance is not None:
        s.set_noise_variance(hs.signals.Signal1D(np.atleast_2d(variance), axes=axes))
    s.set_signal_type("DoseSeries")
    return s


def read_nist(path: Path):
    """Certified parameters, and data in the order of x."""
    text = path.read_text(encoding="ascii", errors="replace")
    certified = [
        float(line.split()[4]) for line in text.splitlines() if re.match(r"\s*b\d\s*=", line)
    ]
    lines = text.splitlines()
    start = max(i for i, line in enumerate(lines) if line.startswith("Data:")) + 1
    table = np.array([[float(x) for x in line.split()] for line in lines[start:] if line.strip()])
    order = np.argsort(table[:, 1], kind="stable")
    return certified, table[order, 1], table[order, 0]


def nist(rows, folder, attempt) -> None:
    def rising(name: str) -> None:
        """y = b₁ (1 − exp(−b₂ x)): a C + b with a + b = 0, which a frame at dose 0 pins down."""
        (height, rate), x, y = read_nist(folder / "real" / "nist_strd" / f"{name}.dat")
        dose = np.concatenate([[0.0], x])
        # Repeats of a dose are frames of their own; the axis must ascend.
        dose = dose + 1e-9 * dose[-1] * np.arange(dose.size)
        spread = np.full(dose.size, np.var(y) / 100)
        spread[0] *= 1e-10
        s = series_of(dose, np.concatenate([[0.0], y]), spread)
        result = s.fit_dose_pinn(
            estimator="exact", exponent=1.0, prior=None, noise="absolute", show_progressbar=False
        )
        k, a = float(result.rate_per_dose.data[0]), float(result.amplitude.data[0])
        error = 100 * max(abs(k / rate - 1), abs(-a / height - 1))
        rows.add(
            f"NIST {name}: certified values", asked="≤ 0.1", measured=error, unit="%",
            note=f"b1 {-a:.6g} (certified {height:.6g}), b2 {k:.6g} ({rate:.6g})",
        )  # fmt: skip

    def chwirut() -> None:
        """y = exp(−b₁ x)/(b₂ + b₃ x), a law of the user's with an explicit dose."""
        from hyperspy_dosekin.kinetics import UserLaw

        (b1, b2, b3), x, y = read_nist(folder / "real" / "nist_strd" / "Chwirut2.dat")
        top = x.max()
        # Repeats of a dose are averaged, their number is their weight: the same least squares.
        dose, index, number = np.unique(x, return_inverse=True, return_counts=True)
        mean = np.bincount(index, y) / number
        law = UserLaw(
            lambda c, p, phi: c * (p["decay"] + p["bend"] / (1 + p["bend"] * phi)),
            parameters={"decay": (1e-3, 30.0, 1.0), "bend": (1e-2, 100.0, 1.0)},
            name="Chwirut",
        )
        s = series_of(dose, mean, np.var(y) / 100 / number)
        result = s.fit_dose_pinn(
            law=law, estimator="exact", offset=0.0, prior=None, noise="absolute",
            show_progressbar=False,
        )  # fmt: skip
        decay, bend = (float(np.ravel(result.parameters[n].data)[0]) for n in ("decay", "bend"))
        a = float(result.amplitude.data[0])
        found = np.array([decay / top, 1 / a, bend / top / a])
        error = 100 * np.abs(found / [b1, b2, b3] - 1).max()
        rows.add(
            "NIST Chwirut2: certified values", asked="≤ 1", measured=error, unit="%",
            note="as a law of the user's: " + ", ".join(f"{value:.5g}" for value in found)
            + f" (certified {b1:.5g}, {b2:.5g}, {b3:.5g})",
        )  # fmt: skip

    for name in ("Misra1a", "BoxBOD"):
        attempt(rows, f"NIST {name}", lambda n=name: rising(n))
    attempt(rows, "NIST Chwirut2", chwirut)


def read_bleaching(path: Path):
    """Decays: exposure and intensity of every cell and channel, without ligand."""
    found = defaultdict(list)
    with open(path, encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["cumulative_exposure"] in ("", "NA") or float(row["concentration"]) != 0.0:
                continue
            key = row["unique_experiment_id"], row["dye"]
            found[key].append((float(row["cumulative_exposure"]), float(row["raw_intensity"])))
    decays = [np.array(sorted(set(points))).T for points in found.values()]
    return [each for each in decays if np.unique(each[0]).size >= 6]


def bleaching(rows, folder, attempt) -> None:
    def fit() -> None:
        decays = read_bleaching(folder / "real" / "KATP" / "pcf_data.csv")
        ratios, inside, flagged, total = [], [], 0, 0
        for dose, values in decays:
            s = series_of(dose, values)
            result = s.fit_dose_pinn(
                estimator="exact", law="first order", prior=None, show_progressbar=False
            )

            def model(x, k, a, b):
                return a * np.exp(-k * x) + b

            start = (1 / np.median(dose[dose > 0]), np.ptp(values), values.min())
            try:
                best, _ = curve_fit(model, dose, values, start, maxfev=20_000)
            except RuntimeError:
                continue
            # Beyond these SciPy runs along the ridge of a straight line or of a step.
            if not 0.2 < best[0] * dose.max() < 20:
                continue
            total += 1
            ratios.append(float(result.rate_per_dose.data.ravel()[0]) / best[0])
            lower, upper = result.interval("half_integrity_dose")
            half = np.log(2) / best[0]
            inside.append(lower.data.ravel()[0] <= half <= upper.data.ravel()[0])
            flagged += bool(result.identifiable.data.ravel()[0])
        rows.add(
            f"photobleaching, {total} real decays: k beside SciPy's", asked="≤ 1",
            measured=100 * float(np.median(np.abs(np.array(ratios) - 1))), unit="%",
            note=f"median; 90 % within {100 * np.quantile(np.abs(np.array(ratios) - 1), 0.9):.2g} %"
            f"; {len(decays) - total} decays without an optimum of SciPy's; D½ of SciPy inside the "
            f"95 % interval in {np.mean(inside):.0%}; determined {flagged / total:.0%}",
        )  # fmt: skip

    attempt(rows, "photobleaching: k beside SciPy's", fit)


def semi_real(rows, folder, attempt) -> None:
    here = folder / "semi_real"

    def truth(name: str):
        entry = next(
            e
            for e in json.loads((here / "truth.json").read_text(encoding="utf-8"))
            if e["file"].endswith(name)
        )
        return entry

    def processed(name: str, **options):
        import hyperspy.api as hs

        s = hs.load(here / name)
        s.set_dose_axis(truth(name)["dose"])
        return s.process_low_loss(show_progressbar=False, **options)

    def series() -> None:
        entry = truth("/dose_series.hspy")
        for estimator in ("pinn", "exact"):
            result = processed("dose_series.hspy").fit_dose_pinn(
                estimator=estimator, show_progressbar=False
            )
            report("semi-real series, " + estimator, result, np.array(entry["half_dose"]))
        spread = result.processing_spread().fit(show_progressbar=False)
        report("semi-real series, error of all choices", spread, np.array(entry["half_dose"]))
        counts = processed("dose_series.hspy", **COUNTS)
        result = counts.fit_dose_pinn(estimator="exact", show_progressbar=False)
        report("semi-real series, counts alone", result, np.array(entry["half_dose"]))

    def image() -> None:
        with np.load(here / "dose_series_image_truth.npz") as known:
            name = next(n for n in known.files if "half" in n)
            half = np.moveaxis(known[name], -1, 0) if known[name].shape[-1] == 4 else known[name]
        areas = processed("dose_series_image.hspy").integrate_windows()
        result = areas.fit_dose_pinn(show_progressbar=False)
        report("semi-real image", result, half)
        noise = areas.fit_dose_pinn(processing_error=False, show_progressbar=False)
        report("semi-real image, error of noise alone", noise, half)
        spread = result.processing_spread().fit(show_progressbar=False)
        report("semi-real image, error of all choices", spread, half)
        counts = processed("dose_series_image.hspy", **COUNTS)
        report("semi-real image, counts alone", counts.fit_dose_pinn(show_progressbar=False), half)

    def report(what: str, result, half: np.ndarray) -> None:
        lower, upper = (each.data for each in result.interval("half_integrity_dose"))
        # An interval without an end has NaN or inf there.
        lower, upper = np.nan_to_num(lower, nan=0.0), np.nan_to_num(upper, nan=np.inf)
        inside = (lower <= half) & (half <= upper)
        flag = result.identifiable.data.astype(bool)
        ratio = result.half_integrity_dose.data / half
        names = result.window_names
        by_window = ", ".join(
            f"{n} {np.nanmedian(r):.2f} ({i.mean():.0%})"
            for n, r, i in zip(names, ratio, inside, strict=True)
        )
        rows.add(f"{what}: 95 % intervals of D½ with the truth", asked="≥ 90",
                 measured=100 * inside.mean(), unit="%",
                 note=f"D½ over the truth and coverage by window: {by_window}")  # fmt: skip
        if flag.any():
            rows.add(f"{what}: the same where called determined", asked="≥ 90",
                     measured=100 * inside[flag].mean(), unit="%",
                     note=f"{flag.sum()} of {flag.size} are determined; D½ over the truth "
                     f"{np.nanmedian(ratio[flag]):.3f}")  # fmt: skip
        else:
            rows.skip(f"{what}: the same where called determined", asked="≥ 90", unit="%",
                      why="none is called determined")  # fmt: skip

    attempt(rows, "semi-real series", series)
    attempt(rows, "semi-real image", image)


#: Parts of the table, each called with the rows, the folder, and what turns a failure into a row.
FITS = {"nist": nist, "photobleaching": bleaching, "semi-real": semi_real}
