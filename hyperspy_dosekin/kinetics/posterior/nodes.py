# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Weighed nodes of a posterior, whoever has placed them, and quantiles over them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.model.parameters import Parameters

# Bins that the range of a quantity is cut into for its quantiles.
_BINS = 512
# Smallest distance, in bins, over which the weight of a node is spread either way.
_SMALLEST_SPREAD = 1e-6
# The same for nodes without order, in standard deviations.
_SMOOTHED = 0.05


@dataclass(frozen=True, eq=False)
class Nodes:
    """Weighed nodes of some curves.

    Parameters
    ----------
    index
        Place of the curves in ``n_curve · n_window``.
    parameters
        The law with its priors.
    search
        Free parameters on their scale of search, of shapes that broadcast to that of the weights.
    weight
        Probabilities, ``(n_part, n_row, n_node, n)``; those of a curve add up to 1. Parts are those
        of `parts_of`.
    log_evidence
        Logarithm of the integral of likelihood times prior, ``(n,)``, up to a constant that the
        data and the number of frames alone decide: laws may be compared by it.
    ordered
        Whether rows and nodes follow each other, so that weights may be spread between them.
    n_bound
        How many of the parts, the last, have the offset at its bound.
    """

    index: np.ndarray
    parameters: Parameters
    search: tuple[Tensor, ...]
    weight: Tensor
    log_evidence: Tensor
    ordered: bool
    n_bound: int = 0

    @classmethod
    def of_parts(
        cls,
        index: np.ndarray,
        parameters: Parameters,
        found: list[tuple[list[Tensor], Tensor]],
        *,
        ordered: bool,
        n_bound: int = 0,
    ) -> Nodes:
        """Put parts together, each with its nodes and the logarithms of their weights."""
        log_weight = torch.stack([weight for _, weight in found])
        highest = log_weight.amax((0, 1, 2))
        weight = (log_weight - highest).exp_()
        total = weight.sum((0, 1, 2))
        search = tuple(torch.stack(each) for each in zip(*(s for s, _ in found), strict=True))
        weight /= total
        return cls(index, parameters, search, weight, highest + total.log(), ordered, n_bound)

    @cached_property
    def values(self) -> Tensor:
        """All parameters of the law, ``(n_parameter, n_part, n_row, n_node, n)``."""
        return self.parameters.values([each.expand(self.weight.shape) for each in self.search])

    @property
    def n_value(self) -> int:
        """Numbers held."""
        return (1 + len(self.search)) * self.weight.numel()

    def quantiles(self, values: Tensor, probabilities: Tensor) -> Tensor:
        """Quantiles of values at the nodes, ``(n_probability, n)``; see `quantiles`."""
        return quantiles(values, self.weight, probabilities, ordered=self.ordered)


def _sharpened(weight: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Weights that, spread evenly from node to node, have the moments of weights on nodes."""
    sharp = weight.clone()
    for dim in dims:
        length = weight.shape[dim] - 2
        if length > 0:
            inner, left, right = (weight.narrow(dim, start, length) for start in (1, 0, 2))
            excess = (left + right).sub_(inner, alpha=2.0)
            sharp.narrow(dim, 1, length).sub_(excess, alpha=1 / 24)
    return sharp.clamp_(min=0.0)


def _spacing(values: Tensor, dim: int) -> Tensor:
    """Distance, with its sign, of the middles between neighbours; 0 for a single one."""
    spacing = torch.zeros_like(values)
    length = values.shape[dim]
    if length == 1:
        return spacing
    gap = values.diff(dim=dim)
    half = gap * 0.5
    spacing.narrow(dim, 0, length - 1).add_(half)
    spacing.narrow(dim, 1, length - 1).add_(half)
    # The outermost nodes have as much room on their outer side.
    for end in (0, length - 1):
        spacing.narrow(dim, end, 1).mul_(2.0)
    return spacing


def _inverted(function: Tensor, place: Tensor, wanted: Tensor) -> Tensor:
    """Where rising functions ``(n, n_place)`` reach ``(n, n_wanted)``, ``(n_wanted, n)``."""
    right = torch.searchsorted(function, wanted.contiguous()).clamp_(1, function.shape[1] - 1)
    below, above = function.gather(1, right - 1), function.gather(1, right)
    share = ((wanted - below) / (above - below).clamp(min=1e-300)).clamp(0, 1)
    place = place.expand(function.shape)
    return torch.lerp(place.gather(1, right - 1), place.gather(1, right), share).T


def quantiles(
    values: Tensor, weight: Tensor, probabilities: Tensor, *, ordered: bool = False
) -> Tensor:
    """Weighed quantiles of values at nodes; values may be infinite.

    Where nodes are ordered the weight of a node is spread evenly as far as half way to its
    neighbours, on its row and on the next rows: nodes come in clumps, one for each row of a narrow
    ridge, and so would quantiles. The distribution function is then made of straight pieces,
    whose bends are sorted into narrow bins; for very many nodes that is much faster than to sort
    them.

    Parameters
    ----------
    values, weight
        ``(n_part, n_row, n_node, n)``; weights of a curve add up to 1.
    probabilities
        ``(n_probability,)``.
    ordered
        Whether rows and nodes follow each other.

    Returns
    -------
    Shape ``(n_probability, n)``.
    """
    n = values.shape[-1]
    wanted = probabilities.to(weight).expand(n, -1)
    finite = torch.isfinite(values)
    beyond = None
    if not bool(finite.all()):
        values, weight = torch.where(finite, values, 0.0), torch.where(finite, weight, 0.0)
        mass = weight.sum((0, 1, 2)).clamp(min=1e-300)
        # Infinite values take no place among the others.
        values = torch.where(finite, values, (weight * values).sum((0, 1, 2)) / mass)
        weight = weight / mass
        beyond = wanted > mass[:, None]
        wanted = (wanted / mass[:, None]).clamp(max=1.0)
    by_row = (weight * values).sum(2)
    mass = weight.sum(2)
    mean = by_row.sum((0, 1))
    spread = (weight * (values - mean).square_()).sum((0, 1, 2)).sqrt_()
    # Chebyshev: no quantile lies further from the mean than this.
    tail = torch.minimum(probabilities, 1 - probabilities).amin().clamp(min=1e-12)
    if beyond is not None:
        tail = tail.clamp(max=1e-3)
    reach = 1.01 * spread / tail.sqrt()
    low = torch.maximum(values.amin((0, 1, 2)), mean - reach)
    high = torch.minimum(values.amax((0, 1, 2)), mean + reach)
    width = ((high - low) / _BINS).clamp(min=1e-300)
    # From here on in units of bins.
    if ordered:
        # Rows without mass have no centre to speak of; they also do not matter.
        centre = torch.where(mass > 1e-290, by_row / mass.clamp(min=1e-290), mean)
        shift = _spacing(centre, 1).div_(width).square_()
        half = _spacing(values, 2).div_(width).square_().add_(shift[:, :, None]).sqrt_().mul_(0.5)
        slope = _sharpened(weight, (1, 2))
    else:
        half = (_SMOOTHED * spread / width).expand(values.shape).clone()
        slope = weight.clone()
    # An integrity stays at 0 beyond extinction: no spread may vanish.
    half.clamp_(min=_SMALLEST_SPREAD)
    place = (values - low).div_(width)
    slope.div_(slope.sum((0, 1, 2))).div_(half).mul_(0.5)
    slopes = place.new_zeros((_BINS + 2, n))
    offsets = torch.zeros_like(slopes)
    for edge, bend in ((place - half, slope), (place.add_(half), slope.neg())):
        # A bend between two bins acts from the next one on; beyond the last it does not matter.
        index = edge.ceil().clamp_(0, _BINS + 1).long().reshape(-1, n)
        slopes.scatter_add_(0, index, bend.reshape(-1, n))
        offsets.scatter_add_(0, index, edge.mul_(bend).reshape(-1, n))
    bins = torch.arange(_BINS + 1, device=place.device, dtype=place.dtype)
    function = slopes[:-1].cumsum_(0).mul_(bins[:, None]).sub_(offsets[:-1].cumsum_(0))
    # Rounding must not spoil the order that the search needs.
    function = function.T.contiguous().cummax(1).values
    found = low + width * _inverted(function, bins, wanted)
    return found if beyond is None else torch.where(beyond.T, torch.inf, found)
