# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mean, spread and correlations of a population, with their intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from hyperspy_dosekin.kinetics.laws.solution import dose_at_level
from hyperspy_dosekin.kinetics.model.parameters import Parameters

from .curves import search
from .population import Population
from .readout import Shared

#: Random populations that intervals are read from.
DRAWS = 400


@dataclass(frozen=True)
class PopulationNumber:
    """One quantity of a population.

    Parameters
    ----------
    mean, mean_lower, mean_upper
        Its mean over the pixels, with its interval; of a quantity that is estimated on a
        logarithmic scale (k, D½) the median.
    spread, spread_lower, spread_upper
        Its standard deviation over the pixels, of the logarithm where it is logarithmic.
    logarithmic
        Whether it is.
    """

    mean: float
    mean_lower: float
    mean_upper: float
    spread: float
    spread_lower: float
    spread_upper: float
    logarithmic: bool


@dataclass(frozen=True, eq=False)
class PopulationSummary:
    """What is known of a population.

    Parameters
    ----------
    numbers
        By name: the parameters of the law, ``"half_integrity_dose"`` (normalised dose),
        ``"amplitude"`` and ``"offset"``.
    correlations
        (value, lower, upper) by pairs of names.
    """

    numbers: dict[str, PopulationNumber]
    correlations: dict[tuple[str, str], tuple[float, float, float]]


def summary_of(
    population: Population, parameters: Parameters, level: float = 0.95
) -> PopulationSummary:
    """Summarise a population.

    Parameters
    ----------
    level
        Probability of the intervals.
    """
    tails = [(1 - level) / 2, (1 + level) / 2]
    vectors = [population.vector, *population.draws(DRAWS)]
    every = [
        _moments(population.layout.shared(torch.as_tensor(vector)), parameters, population)
        for vector in vectors
    ]
    means, covariances = (np.stack(part) for part in zip(*every, strict=True))
    free = [parameter.name for parameter in parameters.free]
    names = [*free, "half_integrity_dose", "amplitude"]
    names += [] if population.layout.offset_known else ["offset"]
    logarithmic = [*(p.logarithmic for p in parameters.free), True, False, False]
    numbers = {}
    for place, name in enumerate(names):
        mean = np.exp(means[:, place]) if logarithmic[place] else means[:, place]
        spread = np.sqrt(np.maximum(covariances[:, place, place], 0))
        mean_ends, spread_ends = (np.quantile(each[1:], tails) for each in (mean, spread))
        numbers[name] = PopulationNumber(
            mean=float(mean[0]),
            mean_lower=float(mean_ends[0]),
            mean_upper=float(mean_ends[1]),
            spread=float(spread[0]),
            spread_lower=float(spread_ends[0]),
            spread_upper=float(spread_ends[1]),
            logarithmic=logarithmic[place],
        )
    correlations = {}
    paired = [place for place, name in enumerate(names) if name != "half_integrity_dose"]
    for i, first in enumerate(paired):
        for second in paired[i + 1 :]:
            scale = np.sqrt(covariances[:, first, first] * covariances[:, second, second])
            ratio = covariances[:, first, second] / np.maximum(scale, 1e-300)
            ends = np.quantile(ratio[1:], tails)
            pair = (names[first], names[second])
            correlations[pair] = float(ratio[0]), float(ends[0]), float(ends[1])
    return PopulationSummary(numbers, correlations)


def _moments(
    shared: Shared, parameters: Parameters, population: Population
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of (parameters, ln D½, a, b), in the units of the data."""
    d = population.layout.d
    scale = population.scale
    covariance = shared.factor @ shared.factor.T
    # Points that have the mean and the covariance of the parameters.
    points = torch.cat([torch.zeros(d, 1), d**0.5 * torch.eye(d), -(d**0.5) * torch.eye(d)], 1)
    free = shared.mean[:, None] + shared.factor @ points.to(shared.mean)
    lower, upper = shared.mean.new_tensor([p.free_box for p in parameters.free]).T
    free = torch.maximum(torch.minimum(free, upper[:, None]), lower[:, None])
    values = parameters.values(search(parameters, free))
    log_dose = dose_at_level(parameters.law, values, 0.5).clamp(max=1e4).log()
    by_free = (log_dose[1 : 1 + d] - log_dose[1 + d :]) / (2 * d**0.5)
    slope = torch.linalg.solve_triangular(shared.factor.T, by_free[:, None], upper=True)[:, 0]
    linear = torch.cat([torch.eye(d).to(slope), slope[None], shared.slope])
    whole = linear @ covariance @ linear.T
    whole[d + 1 :, d + 1 :] += shared.readout_cov
    mean = torch.cat([shared.mean, log_dose[:1], shared.readout])
    unit = torch.ones(d + 3, dtype=mean.dtype)
    unit[d + 1 :] = scale.unit
    shift = torch.zeros_like(unit)
    shift[d + 2] = scale.centre
    found = (mean * unit + shift).numpy(), (whole * unit * unit[:, None]).numpy()
    return found
