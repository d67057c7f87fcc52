# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Intervals of what a kinetic law says, from the weighed nodes of its posterior."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from hyperspy_dosekin.kinetics.block import LEVEL
from hyperspy_dosekin.kinetics.laws.contract import KineticLaw, LawParameter
from hyperspy_dosekin.kinetics.laws.prior import Prior
from hyperspy_dosekin.kinetics.laws.solution import dose_at_level, trajectories
from hyperspy_dosekin.kinetics.model.coupling import LawData, LawModel, known_before

from .sampling import LawNodes

# An interval is open where this share of the mass lies within half a unit of ln k of the box.
_OPEN_SHARE, _EDGE = 0.025, 0.5
# An interval begins at a bound of a box if this share of the mass lies within this share of its
# width of it; an even density would have about twice that.
_BOUND_MASS, _BOUND_REACH = 0.05, 0.1
# A parameter is determined where its interval is narrower than this share of what was assumed.
_DETERMINED = 0.8


@dataclass(frozen=True)
class LawQuantity:
    """One quantity of a law to give an interval for.

    Parameters
    ----------
    name
        A parameter of the law, ``"dose_at"`` or ``"integrity"``.
    dose_level
        Integrity at which the dose is asked for.
    normalised_dose
        Normalised doses at which the integrity is asked for.
    """

    name: str
    dose_level: float = 0.5
    normalised_dose: tuple[float, ...] = ()

    @property
    def n_value(self) -> int:
        """Values per window: the doses of an integrity, 1 otherwise."""
        return len(self.normalised_dose) if self.name == "integrity" else 1

    def evaluate(self, law: KineticLaw, values: Tensor) -> Tensor:
        """Value at nodes ``(n_parameter, n, n_node)``, ``(n, n_node, n_value)``."""
        if self.name == "integrity":
            doses = values.new_tensor(self.normalised_dose)
            return trajectories(law, doses, values)
        if self.name == "dose_at":
            return dose_at_level(law, values, self.dose_level)[..., None]
        return values[[parameter.name for parameter in law.parameters].index(self.name)][..., None]


def is_determined(
    parameter: LawParameter, prior: Prior | None, lower: np.ndarray, upper: np.ndarray
) -> np.ndarray:
    """Whether the data say more of a parameter than was assumed before them.

    Parameters
    ----------
    parameter
        A parameter of a law.
    prior
        The priors of the fit.
    lower, upper
        Its 95 % posterior interval.
    """
    assumed = assumed_distribution(parameter, prior).interval(LEVEL)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.log(upper) - np.log(lower) if parameter.logarithmic else upper - lower
        return found < _DETERMINED * (assumed[1] - assumed[0])


def assumed_distribution(parameter: LawParameter, prior: Prior | None) -> Any:
    """What is assumed of a parameter before the data, on its scale of estimation."""
    low, high = parameter.free_box
    known = known_before(parameter, prior)
    if known is None:
        return stats.uniform(low, high - low)
    mean, width = known
    return stats.truncnorm((low - mean) / width, (high - mean) / width, mean, width)


def _quantiles(values: Tensor, weight: Tensor, probabilities: Sequence[float]) -> Tensor:
    """Weighed quantiles of ``(n, n_node)``, ``(n_probability, n)``; values may be infinite."""
    values, order = values.sort(dim=1)
    weight = weight.gather(1, order)
    middle = weight.cumsum(1) - 0.5 * weight
    wanted = weight.new_tensor(list(probabilities)).expand(values.shape[0], -1).contiguous()
    place = torch.searchsorted(middle, wanted).clamp(1, values.shape[1] - 1)
    left, right = middle.gather(1, place - 1), middle.gather(1, place)
    share = ((wanted - left) / (right - left).clamp(min=1e-300)).clamp(0, 1)
    low, high = values.gather(1, place - 1), values.gather(1, place)
    between = low + share * torch.where(torch.isinf(high), 0.0, high - low)
    return torch.where(torch.isinf(high) & (share > 0.5), high, between).T


def posterior_ends(
    model: LawModel,
    quantity: LawQuantity,
    value: Tensor,
    nodes: LawNodes,
    level: float,
    *,
    open_box: bool,
) -> Tensor:
    """Ends of the central posterior interval, ``(2, n, n_value)``.

    A parameter without a prior that has its mass at a bound, such as a plateau of 0, has its
    interval begin there.

    Parameters
    ----------
    model
        The law.
    quantity, value
        What the interval is of, and its values at the nodes.
    nodes
        The posterior.
    level
        Probability.
    open_box
        Whether ends are 0 or infinite where the mass stands on the box of the rate.
    """
    tails = ((1 - level) / 2, (1 + level) / 2)
    ends = [_quantiles(value[..., i], nodes.weight, tails) for i in range(value.shape[-1])]
    found = torch.stack(ends, dim=-1)
    found = _to_bounds(model, quantity, value, nodes.weight, found)
    return _opened(model, quantity, nodes, nodes.weight, found) if open_box else found


def _to_bounds(
    model: LawModel, quantity: LawQuantity, value: Tensor, weight: Tensor, ends: Tensor
) -> Tensor:
    """Move the ends of a parameter to a bound of its box where the density has not fallen off."""
    bounded = [
        parameter
        for parameter, precision in zip(
            model.law.parameters, model.prior_precision.tolist(), strict=True
        )
        if parameter.name == quantity.name and not parameter.logarithmic and precision == 0
    ]
    if not bounded:
        return ends
    reach = _BOUND_REACH * (ends[1] - ends[0])[:, None]
    moved = []
    for end, bound in zip(ends, (bounded[0].lower, bounded[0].upper), strict=True):
        near = ((value - bound).abs() < reach)[..., 0]
        mass = (weight * near).sum(1, keepdim=True)
        moved.append(torch.where(mass > _BOUND_MASS, bound, end))
    return torch.stack(moved)


def allowed_range(
    model: LawModel, data: LawData, quantity: LawQuantity, nodes: LawNodes, level: float
) -> Tensor:
    """Range over the nodes that the data alone allow as in `profile`, ``(2, n, n_value)``.

    The outermost of some hundred nodes stand for the edge of the region.
    """
    least = nodes.squares.amin(1, keepdim=True)
    if data.variance_known:
        allowed = least + float(stats.chi2.ppf(level, 1))
    else:
        freedom = data.freedom.cpu().numpy() - len(model.law.parameters)
        # Without a frame left over anything is allowed.
        ratio = np.where(freedom >= 1, stats.f.ppf(level, 1, np.maximum(freedom, 1)), np.inf)
        factor = 1 + torch.as_tensor(ratio / np.maximum(freedom, 1)).to(least)[:, None]
        allowed = factor * least
    inside = nodes.squares <= allowed
    value = quantity.evaluate(model.law, nodes.values)
    low = torch.where(inside[..., None], value, torch.inf).amin(1)
    high = torch.where(inside[..., None], value, -torch.inf).amax(1)
    weight = inside.to(value)
    weight = weight / weight.sum(1, keepdim=True)
    return _opened(model, quantity, nodes, weight, torch.stack([low, high]))


def _opened(
    model: LawModel, quantity: LawQuantity, nodes: LawNodes, weight: Tensor, ends: Tensor
) -> Tensor:
    """Open the ends of rates and doses that stand on the box of the rate."""
    rates = [p for p in model.law.parameters if p.name == "rate" and p.logarithmic]
    if not rates or quantity.name not in ("rate", "dose_at"):
        return ends
    log_rate = nodes.values[model.law.parameters.index(rates[0])].log()
    low, high = rates[0].free_box
    slow = (weight * (log_rate < low + _EDGE)).sum(1, keepdim=True) > _OPEN_SHARE
    fast = (weight * (log_rate > high - _EDGE)).sum(1, keepdim=True) > _OPEN_SHARE
    # A small rate is a large dose.
    below, above = (slow, fast) if quantity.name == "rate" else (fast, slow)
    return torch.stack([torch.where(below, 0.0, ends[0]), torch.where(above, torch.inf, ends[1])])
