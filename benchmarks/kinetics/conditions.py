# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often the interval of the dose-rate exponent holds the truth, and finds an effect.

    python benchmarks/kinetics/conditions.py [--repeats 300] [--rst docs/benchmarks/conditions.inc]
        [--only reversible temperature dose_rate]

The truths are made here: first order, nine frames, 1 % noise, three dose rates 1 : 3 : 10 with two
specimens each, ln k of which differ by a normal number of standard deviation ω; or 100, 200 and
300 K.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from hyperspy_dosekin.kinetics.conditions.effects import Condition, Design
from hyperspy_dosekin.kinetics.conditions.fit import fit_window
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.laws.registry import kinetic_law
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.model.parameters import is_determined

RATES, KELVIN = np.repeat([1.0, 3.0, 10.0], 2), np.repeat([100.0, 200.0, 300.0], 2)
DOSE = np.arange(1, 10) / 9


def series(random, rate, noise):
    values = 3 * (np.exp(-rate * DOSE) + noise * random.normal(size=DOSE.size)) + 5
    return DoseProblem(DOSE, values[None, None], ("window",), None, 1.0)


def study(repeats, spread, slope, law, noise=0.01, level=2.0, first=0, **condition):
    known = [Condition.of(*each) for each in (condition or {"dose_rate": RATES}).items()]
    design = Design(tuple(known), RATES.size)
    columns = design.matrix
    inside, rejected, widths, omega = [], [], [], []
    start = time.process_time()
    for seed in range(first, first + repeats):
        random = np.random.default_rng(seed)
        log_rate = columns @ [np.log(level), slope] + spread * random.normal(size=RATES.size)
        problems = [series(random, np.exp(each), noise) for each in log_rate]
        configs = [ExactConfig(law=law)] * RATES.size
        draws, _ = fit_window(problems, configs, design, number=1500, seed=seed)
        low, high = np.quantile(draws.effects[:, 1], [0.025, 0.975])
        inside.append(low <= slope <= high)
        rejected.append(not low <= 0 <= high)
        widths.append(draws.effects[:, 1].std())
        low, high = np.quantile(draws.spread, [0.025, 0.975])
        omega.append(low <= spread <= high)
    seconds = (time.process_time() - start) / repeats
    return np.mean(inside), np.mean(rejected), np.median(widths), np.mean(omega), seconds


def reversible(repeats, dose_rates, noise=0.01):
    """How often the interval of r/k holds the truth; r/k and k are other ones each time."""
    inside, widths, determined = [], [], []
    law = kinetic_law("reversible")
    reference = float(np.exp(np.log(dose_rates).mean()))
    design = Design((), len(dose_rates), 1)
    for seed in range(repeats):
        random = np.random.default_rng(seed)
        rate, recovery = np.exp(random.normal(0.7, 0.3)), np.exp(random.uniform(0, 2)) * 0.5
        problems, configs = [], []
        for dose_rate in dose_rates:
            share = recovery / dose_rate
            decay = (share + np.exp(-rate * (1 + share) * DOSE)) / (1 + share)
            values = 3 * (decay + noise * random.normal(size=DOSE.size)) + 5
            problems.append(DoseProblem(DOSE, values[None, None], ("window",), None, 1.0))
            own = law.at({"dose_rate": dose_rate}, {"dose_rate": reference}, 1.0)
            configs.append(ExactConfig(law=own))
        draws, shapes = fit_window(problems, configs, design, number=2000, seed=seed)
        nodes = np.unique(np.log(shapes[0]))
        jitter = (nodes[1] - nodes[0]) * random.uniform(-0.5, 0.5, draws.shape.size)
        found = np.log(shapes[0][draws.shape] * reference) + jitter
        low, high = np.quantile(found, [0.025, 0.975])
        inside.append(low <= np.log(recovery) <= high)
        widths.append(found.std())
        own = configs[0].parameters.free[1]
        ends = np.exp([[low], [high]]) / reference
        determined.append(is_determined(own, configs[0].prior, *ends)[0])
    return np.mean(inside), np.median(widths), np.mean(determined)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=300)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--rst", type=Path)
    parser.add_argument("--only", nargs="*", default=["reversible", "temperature", "dose_rate"])
    options = parser.parse_args()
    for dose_rates in ((2.0, 10.0), (1.0, 3.0, 10.0), (3.0, 3.0)):
        if "reversible" not in options.only:
            break
        covered, width, determined = reversible(options.repeats // 2, dose_rates)
        print(
            f"r/k at {dose_rates}: covered {covered:.3f}, sd of ln r/k {width:.2f}, "
            f"determined {determined:.3f}",
            flush=True,
        )
    for slope, spread in ((0.0, 0.1), (0.0, 0.3), (0.005, 0.1)):
        if "temperature" not in options.only:
            break
        covered, rejected, width, omega, _ = study(
            options.repeats, spread, slope, "first order", first=options.first, temperature=KELVIN
        )
        print(
            f"E_a of {slope:g} eV, ω {spread:g}: covered {covered:.3f}, 0 rejected {rejected:.3f}, "
            f"sd {width:.4f} eV, ω covered {omega:.3f}",
            flush=True,
        )
    if "dose_rate" not in options.only:
        return
    head = ("fitted law", "true β", "true ω", "β covered", "β = 0 rejected", "sd of β", "ω covered")
    lines = [".. list-table::", "   :header-rows: 1", ""]
    lines += [f"   {'*' if not place else ' '} - {name}" for place, name in enumerate(head)]
    print(*head, "s a fit", sep="  ")
    for law in ("first order", "power law"):
        for slope, spread in ((0.0, 0.0), (0.0, 0.1), (0.0, 0.3), (0.3, 0.1)):
            repeats = options.repeats if law == "first order" else options.repeats // 4
            covered, rejected, width, omega, seconds = study(
                repeats, spread, slope, law, first=options.first
            )
            row = (
                law,
                f"{slope:g}",
                f"{spread:g}",
                f"{covered:.3f}",
                f"{rejected:.3f}",
                f"{width:.3f}",
                f"{omega:.3f}",
            )
            print(*row, f"{seconds:.2f}", sep="  ", flush=True)
            lines += [f"   {'*' if not place else ' '} - {cell}" for place, cell in enumerate(row)]
    if options.rst:
        options.rst.write_text("\n".join([*lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
