# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ends of intervals, and moments of the half-integrity dose, over the weighed nodes of a posterior.

An interval always holds the estimate of the fit, the mode of the posterior. Without priors the box
is the prior, and an interval that runs into it is open: its end is then infinite (or zero). Where
the offset may be at its bound the interval holds that of the bound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.model.parameters import known_before

from .distribution import Distribution
from .nodes import Nodes
from .parts import bound_matters
from .quantities import Quantity

# Without a prior an interval is open where more than this share of the mass lies within half a
# unit of ln k of its box: even over the box it would be 0.066.
_OPEN_SHARE, _EDGE = 0.025, 0.5
# An interval begins at a bound of a box where more than so much of the mass lies within this share
# of its width of it, and goes a part of the way from the first of the two on: a jump would hang on
# rounding. An even density would have about twice that.
_BOUND_MASS, _BOUND_REACH = (0.04, 0.06), 0.1
#: Probability of never reaching ½ above which nothing is said of the spread of D½.
NEVER = 0.025
#: Distance in ln D½ from the estimate that counts as near it.
NEAR = 0.2


@dataclass(frozen=True, eq=False)
class PosteriorSummary:
    """What one pass over the posterior gave, arrays ``(n_curve, n_window)``, NaN where dead.

    Parameters
    ----------
    mean_log_half_dose, sd_log_half_dose
        Mean and standard deviation of ln D½ (D½ in normalised dose); infinite where ½ may well
        never be reached.
    near_estimate
        Probability that ln D½ lies within `NEAR` of the estimate.
    log_evidence
        See `Nodes`.
    intervals
        Lower and upper ends for each (quantity, level) that was asked for;
        ``(n_curve, n_window, n_dose)`` for an integrity at several doses.
    """

    mean_log_half_dose: np.ndarray
    sd_log_half_dose: np.ndarray
    near_estimate: np.ndarray
    log_evidence: np.ndarray
    intervals: dict[tuple[Quantity, float], tuple[np.ndarray, np.ndarray]]


def quantity_ends(
    nodes: Nodes,
    quantity: Quantity,
    probabilities: Tensor,
    value: Tensor,
    estimate: Tensor,
    spread: Distribution | None = None,
) -> Tensor:
    """Ends of the central intervals of a quantity, ``(n_probability, n)``.

    Parameters
    ----------
    probabilities
        Of the ends.
    value, estimate
        Its value at the nodes and at the estimate, which intervals hold, as
        `Quantity.evaluate_all` gives them.
    spread
        Its distribution, if that is there already.
    """
    parameters = nodes.parameters
    spread = nodes.distribution(value) if spread is None else spread
    ends = spread.quantiles(probabilities)
    if nodes.n_bound:
        ends = holding_bound(ends, spread, nodes, probabilities)
    ends = _to_bounds(ends, quantity, spread, nodes, probabilities)
    ends = _opened(ends, quantity, nodes, probabilities)
    ends = _holding(ends, estimate, probabilities)
    return quantity.finish(parameters, ends)


def half_dose_moments(
    value: Tensor,
    nodes: Nodes,
    estimate: Tensor,
    scale: float,
    spread: Distribution | None = None,
) -> Tensor:
    """Mean and deviation of ln D½, probability near the estimate, and evidence, ``(4, n)``.

    The relative error `scale` of all doses is in deviation and probability; `spread` is the
    distribution of the values, if it is there already.
    """
    spread = nodes.distribution(value) if spread is None else spread
    known = torch.isfinite(estimate)
    estimate = torch.where(known, estimate, 0.0)
    if scale:
        distance = (value - estimate).abs()
        near = torch.special.ndtr((NEAR - distance) / scale)
        near = near - torch.special.ndtr((-NEAR - distance) / scale)
        near = (nodes.weight * near.nan_to_num(0.0)).sum((0, 1, 2))
    else:
        near = spread.below(estimate + NEAR) - spread.below(estimate - NEAR)
    deviation = (spread.spread**2 + scale**2).sqrt()
    if spread.finite_mass is not None:
        deviation = torch.where(spread.finite_mass < 1 - NEVER, torch.inf, deviation)
    return torch.stack([spread.mean, deviation, torch.where(known, near, 0.0), nodes.log_evidence])


def _holding(ends: Tensor, estimate: Tensor, tails: Tensor) -> Tensor:
    """Widen intervals ``(n_tail, n)`` that do not hold the estimate."""
    lower, upper = tails[:, None] < 0.5, tails[:, None] > 0.5
    ends = torch.where(lower, torch.minimum(ends, estimate), ends)
    return torch.where(upper, torch.maximum(ends, estimate), ends)


def holding_bound(ends: Tensor, spread: Distribution, nodes: Nodes, tails: Tensor) -> Tensor:
    """Widen intervals to those of the parts at the bound, where the data do not speak against."""
    index = bound_matters(nodes.bound_mass)
    if index.numel() == 0:
        return ends
    own = spread.of_last(nodes.n_bound, len(nodes.weight), index).quantiles(tails)
    some = ends[:, index]
    lower, upper = torch.minimum(some, own), torch.maximum(some, own)
    ends[:, index] = torch.where(tails[:, None] < 0.5, lower, upper)
    return ends


def _to_bounds(
    ends: Tensor, quantity: Quantity, spread: Distribution, nodes: Nodes, tails: Tensor
) -> Tensor:
    """Move the ends of a parameter without a prior to its box where the density has not fallen.

    Those of an exponent, of which the box is no knowledge, go on to 0 or infinity.
    """
    parameters = nodes.parameters
    chosen = [p for p in parameters.free if p.name == quantity.name]
    if not chosen or chosen[0].name == "rate":
        return ends
    if known_before(chosen[0], parameters.prior_of_law) is not None:
        return ends
    low, high = chosen[0].free_box
    outer = (0.0, math.inf) if chosen[0].name == "exponent" else (low, high)
    reach = _BOUND_REACH * (ends.amax(0) - ends.amin(0))
    none, all_ = _BOUND_MASS
    for near, end, side in (
        (spread.below(low + reach), outer[0], tails[:, None] < 0.5),
        (1 - spread.below(high - reach), outer[1], tails[:, None] > 0.5),
    ):
        share = ((near - none) / (all_ - none)).clamp(0.0, 1.0)
        ends = torch.where(side & (share > 0), ends + share * (end - ends), ends)
    return ends


def _opened(ends: Tensor, quantity: Quantity, nodes: Nodes, tails: Tensor) -> Tensor:
    """Open the ends of rates and doses whose mass stands on the box of a rate without a prior."""
    parameters = nodes.parameters
    rate = parameters.free[0]
    known = known_before(rate, parameters.prior_of_law)
    if known is not None or not (rate.name == "rate" and rate.logarithmic):
        return ends
    if quantity.name not in ("rate", "half_integrity_dose", "dose_at"):
        return ends
    low, high = rate.search_box
    spread = nodes.distribution(nodes.search[0])
    edges = ends.new_tensor([[low + _EDGE], [high - _EDGE]]).expand(-1, ends.shape[1])
    slow, below = spread.below(edges)
    slow, fast = slow > _OPEN_SHARE, 1 - below > _OPEN_SHARE
    # A small rate is a large dose.
    below, above = (slow, fast) if quantity.name == "rate" else (fast, slow)
    ends = torch.where((tails[:, None] < 0.5) & below, -math.inf, ends)
    return torch.where((tails[:, None] > 0.5) & above, math.inf, ends)
