# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a common shape and a common gain give, beside the Cramér–Rao bound.

    python benchmarks/kinetics/joint.py [--repeats 200] [--rst docs/benchmarks/joint.inc] [--rows 3]

`--rows` runs some rows only, counted from 1; the others stay as they are in the file.
The truths are made here: decays of the power law, noise of 1 % of the amplitude, offsets as large
as the amplitudes. The bound is that of these truths, by numerical derivatives, with the priors.
"""

import argparse
from pathlib import Path

import numpy as np

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.joint.fit import fit_jointly
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.posterior.quantities import Quantity

HALF = Quantity("half_integrity_dose")
NOISE = 0.01
PRIOR = (1.75, 0.7)
HEAD = (
    "truth",
    "fit",
    "sd of ln D½, bound",
    "posterior sd",
    "errors",
    "covered",
    "common shape refused (at 0.05)",
)
#: Rates of the windows of two series, of nine frames and of six.
RATES = ((2.0, 1.0, 4.0), (3.0, 1.5))
FRAMES = (9, 6)


def decay(dose, rate, exponent):
    if abs(exponent - 1) < 1e-9:
        return np.exp(-rate * dose)
    return np.maximum(1 + (exponent - 1) * rate * dose, 0) ** (-1 / (exponent - 1))


def log_half(rate, exponent):
    order = exponent - 1
    return np.log((2**order - 1) / order if abs(order) > 1e-9 else np.log(2)) - np.log(rate)


def derivatives(function, point, step=1e-5):
    columns = []
    for place in range(len(point)):
        up, down = np.array(point, dtype=float), np.array(point, dtype=float)
        up[place] += step
        down[place] -= step
        columns.append((function(up) - function(down)) / (2 * step))
    return np.stack(columns, axis=-1)


def bound(exponent, shared, gain):
    """Standard deviation of ln D½ of each window."""
    whole, first = [], 1 if shared else 0
    size = sum(3 if shared else 4 for rates in RATES for _ in rates) + first
    information, slopes, place = np.zeros((size, size)), [], first
    for rates, frames in zip(RATES, FRAMES, strict=True):
        dose, start, point = np.arange(1, frames + 1) / frames, place, []
        for rate in rates:
            point += [np.log(rate), *([] if shared else [exponent]), 1.0, 1.0]
            place += 3 if shared else 4

        def windows(numbers, dose=dose, rates=rates):
            own = np.reshape(numbers[first:], (len(rates), -1))
            return np.concatenate(
                [
                    row[-2] * decay(dose, np.exp(row[0]), numbers[0] if shared else row[1])
                    + row[-1]
                    for row in own
                ]
            )

        numbers = [exponent] * first + point
        jacobian = derivatives(windows, numbers)
        level = windows(np.array(numbers)).reshape(len(rates), frames)
        covariance = NOISE**2 * np.eye(level.size)
        for frame in range(frames):
            same = np.zeros_like(level)
            same[:, frame] = gain * level[:, frame]
            covariance += np.outer(same, same)
        index = [*range(first), *range(start, place)]
        information[np.ix_(index, index)] += jacobian.T @ np.linalg.solve(covariance, jacobian)
    place = first
    for rates in RATES:
        for rate in rates:
            slope = np.zeros(size)
            by = derivatives(lambda x: log_half(np.exp(x[0]), x[1]), [np.log(rate), exponent])
            slope[place], slope[0 if shared else place + 1] = by
            information[place, place] += PRIOR[0] ** -2
            if not shared:
                information[place + 1, place + 1] += PRIOR[1] ** -2
            slopes.append(slope)
            place += 3 if shared else 4
    if shared:
        information[0, 0] += PRIOR[1] ** -2
    inverse = np.linalg.inv(information)
    whole = [np.sqrt(slope @ inverse @ slope) for slope in slopes]
    return np.array(whole)


def experiment(random, exponents, gain):
    problems = []
    places = iter(exponents)
    for rates, frames in zip(RATES, FRAMES, strict=True):
        dose = np.arange(1, frames + 1) / frames
        level = np.stack([decay(dose, rate, next(places)) + 1 for rate in rates])
        level = level * (1 + gain * random.normal(size=frames))
        values = level + NOISE * random.normal(size=level.shape)
        names = tuple(f"window {place}" for place in range(len(rates)))
        problems.append(DoseProblem(dose, values[None], names))
    return problems


def study(repeats, exponents, shared, gain, common_mode):
    errors, deviations, inside, alarms = [], [], [], []
    truth = [
        log_half(rate, exponent)
        for rate, exponent in zip([r for rates in RATES for r in rates], exponents, strict=True)
    ]
    for seed in range(repeats):
        problems = experiment(np.random.default_rng(seed), exponents, gain)
        fit = fit_jointly(
            problems,
            [ExactConfig()] * len(problems),
            ("exponent",) if shared else (),
            common_mode=common_mode,
        )
        found, spread, ends = [], [], []
        for series in fit.series:
            summary = series.posterior.summarise([HALF])
            found.append(np.log(series.fit.dose_at(0.5)[0]))
            spread.append(summary.sd_log_half_dose[0])
            ends.append(np.stack(summary.intervals[HALF, 0.95])[:, 0])
        errors.append(np.concatenate(found) - truth)
        deviations.append(np.concatenate(spread))
        low, high = np.log(np.concatenate(ends, axis=1))
        inside.append((low <= truth) & (truth <= high))
        alarms.append(fit.agreement is not None and not fit.agreement.agrees)
    rms = 1.4826 * np.median(np.abs(errors), axis=0)
    return rms, np.median(deviations, axis=0), np.mean(inside), np.mean(alarms)


def table_of(rows):
    """A list-table of rows of text."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in (HEAD, *rows):
        lines += [f"   {' ' if place else '*'} - {cell}" for place, cell in enumerate(row)]
    return "\n".join([*lines, ""])


def rows_of(path):
    """The rows of `table_of` in a file, by truth and fit."""
    if path is None or not path.exists():
        return {}
    cells = [line[7:] for line in path.read_text(encoding="utf-8").splitlines()[3:] if line]
    rows = [tuple(cells[at : at + len(HEAD)]) for at in range(0, len(cells), len(HEAD))]
    return {row[:2]: row for row in rows[1:]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--rst", type=Path)
    parser.add_argument("--rows", type=int, nargs="*")
    options = parser.parse_args()
    same, other = [1.3] * 5, [1.3, 1.3, 0.6, 1.3, 1.3]
    cases = [
        ("p = 1.3", "alone", same, False, 0.0, False),
        ("p = 1.3", "common p", same, True, 0.0, False),
        ("p = 1.3", "common p, common mode looked for", same, True, 0.0, True),
        ("p = 1.3, gain 2 %", "common p", same, True, 0.02, False),
        ("p = 1.3, gain 2 %", "common p, common mode taken off", same, True, 0.02, True),
        ("p = 1.3, but 0.6 in one", "common p", other, True, 0.0, False),
    ]
    rows = rows_of(options.rst)
    for place, (truth, fit, exponents, shared, gain, common_mode) in enumerate(cases, 1):
        if options.rows and place not in options.rows:
            continue
        limit = bound(1.3, shared, gain)
        rms, spread, covered, refused = study(options.repeats, exponents, shared, gain, common_mode)

        def text(values):
            return " / ".join(f"{value:.3f}" for value in values)

        limit = text(limit) if exponents is same else "–"
        refused = f"{refused:.3f}" if shared else "–"
        row = (truth, fit, limit, text(spread), text(rms), f"{covered:.3f}", refused)
        print(*row, sep="  ", flush=True)
        rows[truth, fit] = row
    if options.rst:
        order = [rows[case[:2]] for case in cases if case[:2] in rows]
        options.rst.write_text(table_of(order), encoding="utf-8")


if __name__ == "__main__":
    main()
