# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often intervals hold the truth where frames have a gain and series an error of their doses.

    python benchmarks/kinetics/joint_gain.py [--repeats 40] [--first 0] [--gain 0.03]

Two series with three windows each, nine frames, p = 1.3, noise of 1 % of the amplitude, doses that
are wrong by 10 % as a whole; truths by NumPy.
"""

import argparse
import time

import numpy as np

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.joint.fit import fit_jointly
from hyperspy_dosekin.kinetics.joint.rates import DOSE_ERROR, RateModel
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.posterior.quantities import Quantity

DOSE, ORDER, RATES, NAMES = np.arange(1, 10) / 9, 0.3, np.array([1.0, 2.0, 4.0]), ("A", "B", "C")
NOISE, DOSE_SD = 0.01, 0.1
HALF = Quantity("half_integrity_dose")


def series(random, factor, gain):
    dose = factor * DOSE
    level = (1 + ORDER * RATES[:, None] * dose) ** (-1 / ORDER) + 1
    values = level * (1 + gain * random.normal(size=9)) + NOISE * random.normal(size=level.shape)
    return DoseProblem(DOSE, values[None], NAMES, None, 1.0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--gain", type=float, default=0.03)
    options = parser.parse_args()
    model = RateModel(DOSE_ERROR, (NAMES, NAMES), (1.0, 1.0), (DOSE_SD, DOSE_SD))
    half, errors, refused, widths, start = [], [], [], [], time.process_time()
    for seed in range(options.first, options.first + options.repeats):
        random = np.random.default_rng(seed)
        factors = np.exp(DOSE_SD * random.normal(size=2))
        given = [series(random, factor, options.gain) for factor in factors]
        fit = fit_jointly(given, [ExactConfig()] * 2, ("exponent",), model=model)
        for each, factor in zip(fit.series, factors, strict=True):
            truth = np.log((2**ORDER - 1) / ORDER / RATES / factor)
            low, high = np.log(np.stack(each.posterior.summarise([HALF]).intervals[HALF, 0.95]))[
                :, 0
            ]
            half.append((low <= truth) & (truth <= high))
            widths.append(high - low)
        errors += [
            low <= factor <= high
            for (low, _, high), factor in zip(fit.rates.factors, factors, strict=True)
        ]
        refused.append(fit.rates.p_value < 0.05)
    print(
        f"{options.repeats} experiments: D½ {np.mean(half):.3f} by window "
        f"{np.mean(half, axis=0).round(3)}, dose scale {np.mean(errors):.3f}, "
        f"same specimen refused {np.mean(refused):.3f}, width of ln D½ {np.median(widths):.3f}, "
        f"{(time.process_time() - start) / options.repeats:.1f} s each"
    )


if __name__ == "__main__":
    main()
