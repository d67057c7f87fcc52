# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often the intervals hold the truth, and how often the flag is right.

Run ``python benchmarks/kinetics/coverage.py``. Posterior: truths drawn from the prior. Profile:
fixed truths. Flag: windows that are kept, and how many of them are within 0.2 in ln D½.
"""

import argparse

import numpy as np

from hyperspy_dosekin.kinetics.estimate.fit import fit_exact
from hyperspy_dosekin.kinetics.identifiability import identifiability
from hyperspy_dosekin.kinetics.laws.power_law import half_dose, power_law_integrity
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.posterior.marginal import SIGNAL_TO_NOISE
from hyperspy_dosekin.kinetics.posterior.posterior import kinetic_posterior
from hyperspy_dosekin.kinetics.posterior.profile import kinetic_profile
from hyperspy_dosekin.kinetics.posterior.quantities import Quantity
from hyperspy_dosekin.kinetics.simulation import draw_prior, simulate_curves
from hyperspy_dosekin.numerics.threads import torch_threads

HALF, RATE, EXPONENT = (Quantity(name) for name in ("half_integrity_dose", "rate", "exponent"))
INTEGRITY = Quantity("integrity", normalised_dose=(0.5, 1.0))
QUANTITIES = (HALF, RATE, EXPONENT, INTEGRITY)


def truths(rate, exponent):
    doses = np.array(INTEGRITY.normalised_dose)
    return {
        HALF: half_dose(rate, exponent),
        RATE: rate,
        EXPONENT: exponent,
        INTEGRITY: power_law_integrity(doses, rate[..., None], exponent[..., None]),
    }


def share(truth, ends):
    # A bound such as C = 0 after extinction is met to rounding only.
    return np.mean((truth >= ends[0] - 1e-9) & (truth <= ends[1] + 1e-9))


def posterior(repeats: int) -> None:
    print("posterior, truths from the prior: share covered by 68 % and 95 % intervals")
    print("noise  variance  " + "".join(f"{q.name:>22s}" for q in QUANTITIES))
    for claim in (0.002, 0.01, 0.05, "drawn"):
        for given in (False, True):
            random = np.random.default_rng(1)
            rate, exponent = draw_prior(random, (repeats, 1))
            mean, width = SIGNAL_TO_NOISE
            drawn = np.exp(-random.normal(mean, width, (repeats, 1)))
            noise = drawn if claim == "drawn" else claim
            curves = simulate_curves(random, rate, exponent, noise=noise, with_variance=given)
            found = kinetic_posterior(curves.problem).summarise(QUANTITIES, (0.68, 0.95))
            line = ""
            for quantity, truth in truths(rate, exponent).items():
                pair = [share(truth, found.intervals[quantity, level]) for level in (0.68, 0.95)]
                line += f"{pair[0]:16.3f} {pair[1]:.3f}"
            print(f"{claim!s:5s}  {'given' if given else 'unknown':9s}{line}", flush=True)


def profile(repeats: int) -> None:
    print("\nprofile, fixed truths: share covered by 95 % intervals, least over the quantities")
    exponents = (0.5, 1.0, 1.5, 2.5)
    print("noise     k" + "".join(f"   p={p:3.1f}" for p in exponents))
    for noise in (0.002, 0.01, 0.05):
        for rate in (0.2, 0.5, 1.0, 2.0, 3.0):
            line = ""
            for exponent in exponents:
                random = np.random.default_rng(2)
                k, p = np.full((repeats, 1), rate), np.full((repeats, 1), exponent)
                curves = simulate_curves(random, k, p, noise=noise)
                found = kinetic_profile(curves.problem).intervals(QUANTITIES)
                least = min(share(truth, found[q]) for q, truth in truths(k, p).items())
                line += f"{least:8.3f}"
            print(f"{noise:5.3f}{rate:6.1f}{line}", flush=True)


def flag(repeats: int) -> None:
    print("\nflag, truths from the prior: kept, and of these within 0.2 of ln D1/2")
    for noise in (0.002, 0.005, 0.01, 0.05):
        random = np.random.default_rng(3)
        rate, exponent = draw_prior(random, (repeats, 1))
        curves = simulate_curves(random, rate, exponent, noise=noise)
        fit = fit_exact(curves.problem)
        kept = identifiability(curves.problem, fit=fit).identifiable
        error = np.abs(np.log(half_dose(fit.rate, fit.exponent)) - curves.log_half_dose)
        print(f"{noise:5.3f}  kept {kept.mean():.3f}  right {np.mean(error[kept] < 0.2):.3f}")
    random = np.random.default_rng(4)
    ones = np.ones((repeats, 1))
    curves = simulate_curves(random, ones, ones, noise=0.01)
    known = kinetic_posterior(curves.problem, ExactConfig(offset=5.0)).summarise()
    print(
        "k = 1, noise 1 %, offset known: posterior sd of ln D1/2, median "
        f"{np.median(known.sd_log_half_dose):.3f}, 90 % below "
        f"{np.quantile(known.sd_log_half_dose, 0.9):.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=1000)
    options = parser.parse_args()
    with torch_threads(1):
        posterior(options.repeats)
        profile(options.repeats)
        flag(options.repeats)


if __name__ == "__main__":
    main()
