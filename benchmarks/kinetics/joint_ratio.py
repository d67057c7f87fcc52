# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often intervals hold the truth where series share b/a of windows of the same name.

    python benchmarks/kinetics/joint_ratio.py [--repeats 40] [--first 0] [--noise 0.01] [--test]

Three series with two windows each, nine frames, p = 1.3, b/a of 1 and 0.4; truths by NumPy. With
`--test` it is only the test of a common b/a, p given: how often it doubts a right one, and ones of
which the first series has 0.1, 0.2 or 0.3 more.
"""

import argparse

import numpy as np

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.joint.fit import fit_jointly
from hyperspy_dosekin.kinetics.joint.ratio_agreement import ratio_p_value
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.posterior.quantities import Quantity

DOSE, ORDER, RATIOS = np.arange(1, 10) / 9, 0.3, {"A": 1.0, "B": 0.4}
RATES = ((1.0, 2.0), (1.6, 1.2), (2.5, 3.0))
AMPLITUDES = ((1.0, 1.0), (1.5, 0.7), (0.8, 2.0))
HALF = Quantity("half_integrity_dose")


def series(random, rates, amplitudes, noise, more=0.0):
    rows = [
        a * ((1 + ORDER * k * DOSE) ** (-1 / ORDER) + ratio + more + noise * random.normal(size=9))
        for k, a, ratio in zip(rates, amplitudes, RATIOS.values(), strict=True)
    ]
    return DoseProblem(DOSE, np.array(rows)[None], tuple(RATIOS), None, 1.0)


def certainty(rate, ratio, noise):
    """Cramér–Rao bound of the sd of b/a of one curve, p given."""
    up, down = ((1 + ORDER * rate * f * DOSE) ** (-1 / ORDER) for f in (1.00001, 0.99999))
    columns = np.stack([(up - down) / 2e-5, 0.5 * (up + down), np.ones(9)], axis=1)
    by = np.array([0.0, -ratio, 1.0])
    return noise * np.sqrt(by @ np.linalg.solve(columns.T @ columns, by))


def of_test(seeds, noise):
    for place, (name, ratio) in enumerate(RATIOS.items()):
        sd = [certainty(rates[place], ratio, noise) for rates in RATES]
        print(f"{name}: sd of b/a of each series, p given:", *(f"{value:.3f}" for value in sd))
    for more in (0.0, 0.1, 0.2, 0.3):
        found = []
        for seed in seeds:
            random = np.random.default_rng(seed)
            given = [
                series(random, *pair, noise, more if place == 0 else 0.0)
                for place, pair in enumerate(zip(RATES, AMPLITUDES, strict=True))
            ]
            found.append(
                [
                    ratio_p_value(
                        [each.windows([window]) for each in given],
                        [ExactConfig()] * 3,
                        [("exponent", 1 + ORDER)],
                    )
                    for window in range(2)
                ]
            )
        by_level = (np.mean(np.array(found) < level, axis=0).round(3) for level in (0.01, 0.05))
        print(f"b/a of the first + {more:g}: p < 0.01, 0.05 of A and B", *by_level, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--noise", type=float, default=0.01)
    parser.add_argument("--test", action="store_true")
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.repeats)
    if options.test:
        of_test(seeds, options.noise)
        return
    truth = np.log((2**ORDER - 1) / ORDER / np.array(RATES))
    doses, ratios, refused = [], [], []
    for seed in seeds:
        random = np.random.default_rng(seed)
        given = [
            series(random, *pair, options.noise) for pair in zip(RATES, AMPLITUDES, strict=True)
        ]
        fit = fit_jointly(
            given, [ExactConfig()] * 3, ("exponent",), common_mode=False, ratios=[tuple(RATIOS)] * 3
        )
        for place, each in enumerate(fit.series):
            found = each.posterior.summarise([HALF]).intervals[HALF, 0.95]
            low, high = np.log(np.stack(found)).reshape(2, -1)
            doses.append((low <= truth[place]) & (truth[place] <= high))
        found = fit.ratios.ratios
        ratios.append([found[name][0] <= value <= found[name][2] for name, value in RATIOS.items()])
        refused.append(min(fit.ratios.p_values.values()) < 0.05)
    print(
        f"{len(seeds)} experiments: D½ {np.mean(doses):.3f}, b/a {np.mean(ratios):.3f}, "
        f"refused {np.mean(refused):.3f}"
    )


if __name__ == "__main__":
    main()
