# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether errors of ln D½ reach the Cramér–Rao bound, alone and with what series have in common.

    python benchmarks/kinetics/joint_bound.py [--repeats 60] [--known] [--rows 4] [--rates 0.5 2]

Nine frames, first-order decays fitted with the power law, b = a. The bound is that for noise of 1 %
of the amplitude and no priors, by numerical derivatives. Where it is 13, no error is that of a
bound: it holds where errors are small. It is proportional to the noise, so the fits have less
noise, such that the bound is `REACH`, and the errors are given for 1 %. The noise is found from the
data, unless it is said to be known. The last number is the error of the likeliest values of the
same data with a known noise, by SciPy: what is possible on so few repeats.
"""

import argparse

import numpy as np
from scipy.optimize import least_squares

from hyperspy_dosekin.kinetics.conditions.effects import Condition, Design
from hyperspy_dosekin.kinetics.conditions.fit import fit_window
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.fit import fit_exact
from hyperspy_dosekin.kinetics.joint.fit import fit_jointly
from hyperspy_dosekin.kinetics.joint.ratio_agreement import with_offset
from hyperspy_dosekin.kinetics.model.config import ExactConfig

DOSE = np.arange(1, 10) / 9
NOISE, REACH = 0.01, 0.015
#: Rates of the windows beside the one that is looked at, and dose rates of the series.
OTHERS, DOSE_RATES, BETA = (0.5, 2.0, 3.0), (1.0, 3.0, 10.0), 0.3


def decay(rate, exponent):
    order = exponent - 1
    if abs(order) < 1e-7:
        return np.exp(-rate * DOSE) * (1 + order * (rate * DOSE) ** 2 / 2)
    return np.maximum(1 + order * rate * DOSE, 1e-300) ** (-1 / order)


def log_half(log_rate, exponent):
    x = (exponent - 1) * np.log(2)
    return (
        np.log(
            np.log(2) * np.where(np.abs(x) < 1e-6, 1 + x / 2, np.expm1(x) / np.where(x == 0, 1, x))
        )
        - log_rate
    )


def bound(model, point):
    """Standard deviation of ln D½ of the first rate; the point begins with ln k and p."""

    def slope(function):
        columns = []
        for place in range(len(point)):
            up, down = np.array(point, dtype=float), np.array(point, dtype=float)
            up[place], down[place] = up[place] + 1e-5, down[place] - 1e-5
            columns.append((function(up) - function(down)) / 2e-5)
        return np.stack(columns, -1)

    jacobian = slope(model) / NOISE
    size = np.linalg.norm(jacobian, axis=0)
    root = np.linalg.qr(jacobian / size, mode="r")
    return np.linalg.norm(np.linalg.solve(root.T, slope(lambda x: log_half(x[0], x[1])) / size))


def alone(x):
    return x[2] * decay(np.exp(x[0]), x[1]) + x[3]


def common_exponent(x):
    return np.concatenate(
        [alone(x[:4])]
        + [x[5 + 3 * i] * decay(np.exp(x[4 + 3 * i]), x[1]) + x[6 + 3 * i] for i in range(3)]
    )


def dose_rates(x):
    rates = np.exp(x[0] + x[2] * np.log(DOSE_RATES))
    return np.concatenate(
        [x[3 + 2 * i] * decay(rate, x[1]) + x[4 + 2 * i] for i, rate in enumerate(rates)]
    )


def common_ratio(x):
    rates = np.exp(x[0] + x[2] * np.log(DOSE_RATES))
    return np.concatenate([x[3 + i] * (decay(rate, x[1]) + x[6]) for i, rate in enumerate(rates)])


def problem(values, noise):
    values = np.atleast_2d(values)
    variance = None if noise is None else np.full((1, *values.shape), noise**2)
    return DoseProblem(DOSE, values[None], tuple("abcd"[: len(values)]), variance, 1.0)


def options_of(noise, **others):
    return ExactConfig(noise="relative" if noise is None else "absolute", **others)


def error_alone(values, noise):
    found = fit_exact(problem(values, noise), options_of(noise, prior=None))
    return float(np.log(found.dose_at(0.5)[0, 0]))


def error_common_exponent(values, noise):
    found = fit_jointly(
        [problem(values.reshape(4, 9), noise)],
        [options_of(noise)],
        ("exponent",),
        common_mode=False,
    )
    return float(np.log(found.series[0].fit.dose_at(0.5)[0, 0]))


def by_dose_rate(values, noise, ratio):
    # The last number says that there is no spread between specimens, which the bound has not.
    design = Design((Condition.of("dose_rate", DOSE_RATES, DOSE_RATES[0]),), 3, 1)
    config = options_of(noise)
    config = with_offset(config) if ratio else config
    problems = [problem(row, noise) for row in values.reshape(3, 9)]
    draws, shapes = fit_window(problems, [config] * 3, design, number=1000)
    return float(np.median(log_half(draws.log_rate[:, 0], shapes[0][draws.shape])))


def likeliest(model, point, values):
    found = least_squares(
        lambda x: (model(x) - values) / np.abs(values - model(point)).max(),
        point,
        x_scale="jac",
        **dict.fromkeys(("xtol", "ftol", "gtol"), 1e-14),
    )
    return log_half(*found.x[:2])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=60)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--rows", type=int, nargs="*", help="rows, counted from 1")
    parser.add_argument("--rates", type=float, nargs="*", default=[0.5, 1.0, 2.0])
    parser.add_argument("--known", action="store_true", help="the size of the noise is known")
    options = parser.parse_args()
    cases = {
        "alone": (alone, lambda k: [np.log(k), 1.0, 1.0, 1.0], error_alone, 4),
        "common p, other windows at k/2, 2k, 3k": (
            common_exponent,
            lambda k: [np.log(k), 1, 1, 1, *(v for f in OTHERS for v in (np.log(f * k), 1, 1))],
            error_common_exponent,
            1,
        ),
        "three series, dose rates 1 : 3 : 10, beta free": (
            dose_rates,
            lambda k: [np.log(k), 1.0, BETA, 1, 1, 1, 1, 1, 1],
            lambda values, noise: by_dose_rate(values, noise, False),
            1,
        ),
        "the same with a common b/a": (
            common_ratio,
            lambda k: [np.log(k), 1.0, BETA, 1, 1, 1, 1.0],
            lambda values, noise: by_dose_rate(values, noise, True),
            1,
        ),
    }
    print("sd of ln D½ at 1 % noise", "k", "bound", "error", "error / bound", "possible", sep="  ")
    for place, (name, (model, at, error, more)) in enumerate(cases.items(), 1):
        for rate in options.rates if place in (options.rows or [place]) else ():
            point = np.array(at(rate), dtype=float)
            limit, whole = bound(model, point), model(point)
            noise = NOISE * min(REACH / limit, 1.0)
            truth, found, possible = log_half(point[0], point[1]), [], []
            for seed in range(options.first, options.first + more * options.repeats):
                random = np.random.default_rng(seed)
                values = whole + noise * random.normal(size=whole.size)
                known = noise if options.known else None
                found.append(error(values, known) - truth)
                possible.append(likeliest(model, point, values) - truth)
            size, least = (
                np.sqrt(np.mean(np.square(each))) * NOISE / noise for each in (found, possible)
            )
            row = (f"{limit:.3g}", f"{size:.3g}", f"{size / limit:.2f}", f"{least / limit:.2f}")
            print(name, f"{rate:g}", *row, sep="  ", flush=True)


if __name__ == "__main__":
    main()
