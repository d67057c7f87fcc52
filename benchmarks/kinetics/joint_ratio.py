# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often intervals hold the truth where series share b/a of windows of the same name.

    python benchmarks/kinetics/joint_ratio.py [--repeats 40] [--noise 0.01]

Three series with two windows each, nine frames, p = 1.3, b/a of 1 and 0.4; truths by NumPy.
"""

import argparse

import numpy as np

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.joint.fit import fit_jointly
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.posterior.quantities import Quantity

DOSE, ORDER, RATIOS = np.arange(1, 10) / 9, 0.3, {"A": 1.0, "B": 0.4}
RATES = ((1.0, 2.0), (1.6, 1.2), (2.5, 3.0))
AMPLITUDES = ((1.0, 1.0), (1.5, 0.7), (0.8, 2.0))
HALF = Quantity("half_integrity_dose")


def series(random, rates, amplitudes, noise):
    rows = [
        a * ((1 + ORDER * k * DOSE) ** (-1 / ORDER) + ratio + noise * random.normal(size=9))
        for k, a, ratio in zip(rates, amplitudes, RATIOS.values(), strict=True)
    ]
    return DoseProblem(DOSE, np.array(rows)[None], tuple(RATIOS), None, 1.0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--noise", type=float, default=0.01)
    options = parser.parse_args()
    truth = np.log((2**ORDER - 1) / ORDER / np.array(RATES))
    doses, ratios, refused = [], [], []
    for seed in range(options.repeats):
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
    print(f"D½ {np.mean(doses):.3f}, b/a {np.mean(ratios):.3f}, refused {np.mean(refused):.3f}")


if __name__ == "__main__":
    main()
