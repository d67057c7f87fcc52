# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a planned dose series is worth, and whether it keeps its promise.

    python benchmarks/kinetics/planning.py

Draws of the default prior, k per dose 1, 1 % noise a frame, free offset, nine frames. The full
search is SciPy's differential evolution.
"""

import argparse
import time

import numpy as np
from scipy.optimize import differential_evolution

from hyperspy_dosekin.kinetics.laws.registry import kinetic_law
from hyperspy_dosekin.kinetics.planning.design import (
    DesignProblem,
    FrameNoise,
    best_doses,
    criterion,
    even,
    geometric,
)
from hyperspy_dosekin.kinetics.planning.expectation import Expectation, expected_curves
from hyperspy_dosekin.kinetics.planning.trial import tried

FRAMES, NOISE = 9, 0.01


def prior_draws(number):
    random = np.random.default_rng(0)
    exponent = random.normal(1, 0.7, number).clip(0.15, 4)
    values = np.stack([np.exp(random.normal(0, 1, number)), exponent])
    return Expectation(kinetic_law("power law"), values, np.ones(number))


def line(name, sd):
    print(f"{name:44s} sd {np.exp(criterion(sd)):.3f}   sd < 0.2: {np.mean(sd < 0.2):.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=120)
    parser.add_argument("--repeats", type=int, default=600)
    parser.add_argument("--noise", type=float, default=NOISE, help="share of the amplitude")
    options = parser.parse_args()
    problem = DesignProblem(prior_draws(options.draws), FrameNoise(options.noise))
    for largest in (1.0, 4.0, 8.0):
        print(f"largest dose {largest:g}")
        line("  even", problem.sd(even(FRAMES, largest)))
        line("  equal ratios, one frame at zero", problem.sd(geometric(FRAMES, largest, 0.0)))
        start = time.process_time()
        plan = best_doses(problem, FRAMES, largest)
        seconds = time.process_time() - start
        line(f"  plan ({seconds:.1f} s of processor)", problem.sd(plan))
    largest = 4.0
    full = differential_evolution(
        lambda doses: criterion(problem.sd(np.sort(doses))),
        [(0.0, largest)] * FRAMES,
        maxiter=80,
        popsize=8,
        seed=0,
        init="sobol",
    )
    ratio = np.exp(criterion(problem.sd(best_doses(problem, FRAMES, largest))) - full.fun)
    print(f"plan over full search, largest dose 4: {ratio:.3f}")
    recorded = DesignProblem(problem.expectation, FrameNoise(options.noise, 1 / FRAMES))
    for frames in (9, 30):
        steps = even(frames, largest)
        line(f"every electron recorded, even, {frames} frames", recorded.sd(steps))
    for frames in (9, 30, 60):
        line(
            f"every electron recorded, {frames} frames",
            recorded.sd(best_doses(recorded, frames, largest)),
        )
    print("promise (error of real fits over bound) and share determined")
    for name in ("power law", "first order", "delayed"):
        expected = expected_curves(kinetic_law(name), (400.0, 0.3))
        for budget in (1500.0, 3000.0):
            one = DesignProblem(expected, FrameNoise(NOISE))
            trial = tried(one, best_doses(one, FRAMES, budget, smallest=10), options.repeats, 3)
            print(
                f"  {name}, D½ 400, budget {budget:g}: {trial.error_ratio:.2f}, "
                f"{trial.chance_determined:.2f}"
            )


if __name__ == "__main__":
    main()
