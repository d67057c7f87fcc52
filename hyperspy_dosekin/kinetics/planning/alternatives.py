# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people do instead of a plan, and what else would help, by the same bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .design import DesignProblem, allowed, best_doses, even, geometric

#: Dose rates of the series that are compared.
RATES = (1.0, 3.0, 10.0)
#: Standard deviation of the exponent of the dose rate before the data: it is not known at all.
_EXPONENT_BEFORE = 10.0


@dataclass(frozen=True, eq=False)
class Alternative:
    """Another set of frames.

    Parameters
    ----------
    name
        What it is.
    dose
        Doses of its frames, ``(n_frame,)``.
    sd
        Standard deviation of the logarithm of the goal, by draw.
    """

    name: str
    dose: np.ndarray
    sd: np.ndarray


def joined(dose: np.ndarray) -> np.ndarray:
    """Doses of neighbouring frames joined to one, two by two; an odd last one is left out.

    Parameters
    ----------
    dose
        Ascending, ``(n_frame,)``.
    """
    pairs = dose[: dose.size // 2 * 2].reshape(-1, 2)
    return pairs.mean(axis=1)


def sd_at_rates(
    problem: DesignProblem, dose: np.ndarray, rates: Sequence[float] = RATES
) -> np.ndarray:
    """Standard deviation of the logarithm of the goal from series at several dose rates, by draw.

    Each has frames at the same doses, a specimen and a readout of its own; they share the shape of
    the curve, and ln k = ln k₀ + β ln J with β unknown, as `fit_dose_conditions` has it. The truth
    is that dose alone counts.

    Parameters
    ----------
    problem
        What is wanted, of one series.
    dose
        Doses of the frames of each.
    rates
        Dose rates J; the goal is that of the rate 1.
    """
    information, slope, precision, place = problem.of_law(dose)
    n_law = precision.size
    whole = np.zeros((len(slope), n_law + 1, n_law + 1))
    whole[:, range(n_law), range(n_law)] = precision
    whole[:, n_law, n_law] = _EXPONENT_BEFORE**-2
    for rate in rates:
        # Parameters of this series by those of all and β.
        by = np.eye(n_law, n_law + 1)
        by[place, n_law] = np.log(rate)
        whole += by.T @ information @ by
    slope = np.concatenate([slope, np.zeros((len(slope), 1))], axis=1)
    solved = np.linalg.solve(whole, slope[..., None])[..., 0]
    return np.sqrt(np.maximum((slope * solved).sum(-1), 1e-24))


def alternatives(
    problem: DesignProblem, dose: np.ndarray, budget: float, least: float, most: int
) -> list[Alternative]:
    """The plan, which comes first, and what people do instead.

    Parameters
    ----------
    dose
        The plan.
    budget, least
        Largest dose, and least dose of a frame.
    most
        Frames at most.
    """
    n_frame = dose.size

    def row(name: str, doses: np.ndarray, of: DesignProblem = problem) -> Alternative:
        return Alternative(name, doses, of.sd(doses))

    steps = even(n_frame, budget)
    early = np.concatenate([[least], even(n_frame - 1, budget)])
    double = best_doses(problem, n_frame, 2 * budget, smallest=least, starts=(dose,))
    rows = [
        row("this plan", dose),
        row("even steps", steps),
        row("even steps, one frame near zero", early),
        row("equal ratios, one frame near zero", geometric(n_frame, budget, least)),
        row("this plan, one more frame at five times the budget", np.append(dose, 5 * budget)),
        row("planned for twice the budget", double),
        row("this plan, four pixels averaged", dose, replace(problem, n_pixel=4 * problem.n_pixel)),
    ]
    if not problem.offset_known:
        rows.append(row("this plan, offset known", dose, replace(problem, offset_known=True)))
    if problem.noise.dose is not None and n_frame < (shorter := int(min(budget / least, most))):
        rows.append(row(f"even steps, {shorter} shorter frames", even(shorter, budget)))
    if n_frame // 2 > problem.expectation.precision().size + 1:
        # Where every electron is recorded the joined frame has the dose of both.
        whole, pairs = problem, joined(dose)
        if problem.noise.dose is None:
            whole = replace(problem, n_pixel=2 * problem.n_pixel)
        else:
            pairs = dose[: n_frame // 2 * 2].reshape(-1, 2)[:, 1]
        rows.append(row("this plan, frames joined in pairs", pairs, whole))
    if any(parameter.name == "rate" for parameter in problem.expectation.law.parameters):
        rates = " : ".join(f"{rate:g}" for rate in RATES)
        name = f"this plan at dose rates {rates}, a specimen each"
        rows.append(Alternative(name, dose, sd_at_rates(problem, dose)))
    return [rows[0], *(each for each in rows[1:] if allowed(each.dose[None], least)[0])]
