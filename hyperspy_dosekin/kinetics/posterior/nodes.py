# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Weighed nodes of a posterior, whoever has placed them, and quantiles over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.model.parameters import Parameters

# Steps of a quantile at most, and the share of a tail that may be missing.
_STEPS, _CLOSE, _EPS = 16, 2e-3, 1e-6
# Places at which a distribution function is looked at first.
_PLACES = 12
# Smallest distance over which the weight of a node is spread either way, and
# that for nodes without order, in standard deviations.
_SMALLEST_SPREAD, _SMOOTHED = 1e-6, 0.05


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
    parts
        Which of all parts these are.
    """

    index: np.ndarray
    parameters: Parameters
    search: tuple[Tensor, ...]
    weight: Tensor
    log_evidence: Tensor
    ordered: bool
    n_bound: int = 0
    parts: tuple[int, ...] = (0,)

    @classmethod
    def of_parts(
        cls,
        index: np.ndarray,
        parameters: Parameters,
        found: list[tuple[list[Tensor], Tensor]],
        *,
        ordered: bool,
        n_bound: int = 0,
        parts: Sequence[int] | None = None,
    ) -> Nodes:
        """Put parts together, each with its nodes and the logarithms of their weights."""
        log_weight = torch.stack([weight for _, weight in found])
        highest = log_weight.amax((0, 1, 2))
        weight = (log_weight - highest).exp_()
        total = weight.sum((0, 1, 2))
        search = tuple(torch.stack(each) for each in zip(*(s for s, _ in found), strict=True))
        weight /= total
        which = tuple(range(len(found)) if parts is None else parts)
        evidence = highest + total.log()
        return cls(index, parameters, search, weight, evidence, ordered, n_bound, which)

    @cached_property
    def values(self) -> Tensor:
        """All parameters of the law, ``(n_parameter, n_part, n_row, n_node, n)``."""
        return self.parameters.values([each.expand(self.weight.shape) for each in self.search])

    @property
    def n_value(self) -> int:
        """Numbers held."""
        return (1 + len(self.search)) * self.weight.numel()

    def distribution(self, values: Tensor) -> Distribution:
        """Distribution of values at the nodes, of shapes that broadcast to that of the weights."""
        return Distribution(values, self.weight, ordered=self.ordered)

    def quantiles(self, values: Tensor, probabilities: Tensor) -> Tensor:
        """Quantiles of values at the nodes, ``(n_probability, n)``."""
        return self.distribution(values).quantiles(probabilities)


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


def _spacing(values: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Room of each node as far as half way to its neighbours, and where its middle is from it.

    Outermost nodes have none on their outer side; a single one has none at all.
    """
    length = values.shape[dim]
    room, shift = torch.zeros_like(values), torch.zeros_like(values)
    if length > 1:
        half = values.diff(dim=dim).mul_(0.5)
        for start, sign in ((0, 0.5), (1, -0.5)):
            room.narrow(dim, start, length - 1).add_(half)
            shift.narrow(dim, start, length - 1).add_(half, alpha=sign)
    return room, shift


class Distribution:
    """Distribution function of values at weighed nodes, which may be infinite.

    Where nodes are ordered the weight of a node is spread evenly as far as half way to its
    neighbours, on its row and on the next rows: nodes come in clumps, one for each row of a narrow
    ridge, and so would quantiles.

    Parameters
    ----------
    values, weight
        ``(n_part, n_row, n_node, n)``; weights of a curve add up to 1. Values that are the same on
        a row, or on all rows, may have a dimension of 1 there.
    ordered
        Whether rows and nodes follow each other.
    """

    def __init__(self, values: Tensor, weight: Tensor, *, ordered: bool = False) -> None:
        self.finite_mass: Tensor | None = None
        self._rows: list[Tensor] | None = None
        if ordered and values.shape[2] == 1:
            weight = weight.sum(2, keepdim=True)
        values = values.expand(weight.shape)
        finite = torch.isfinite(values)
        if not bool(finite.all()):
            values, weight = torch.where(finite, values, 0.0), torch.where(finite, weight, 0.0)
            self.finite_mass = weight.sum((0, 1, 2)).clamp(min=1e-300)
            # Infinite values take no place among the others.
            mean = (weight * values).sum((0, 1, 2)) / self.finite_mass
            values = torch.where(finite, values, mean)
            weight = weight / self.finite_mass
        n = values.shape[-1]
        # About one of the values, few digits are enough.
        about = values[0, values.shape[1] // 2, values.shape[2] // 2]
        place, weight = (values - about).float(), weight.float()
        by_row, mass = (weight * place).sum(2), weight.sum(2)
        mean = by_row.sum((0, 1))
        place = place - mean
        spread = (weight * place * place).sum((0, 1, 2)).sqrt().clamp(min=1e-30)
        self.mean, self.spread = about + mean, spread.to(about)
        place = place / spread
        self.low, self.high = place.amin((0, 1, 2)), place.amax((0, 1, 2))
        if ordered:
            # Rows without mass have no centre to speak of; they also do not matter.
            centre = torch.where(mass > 1e-30, by_row / mass.clamp(min=1e-30) - mean, 0.0)
            centre = centre / spread
            rows, shift = _spacing(centre, 1)
            half, shifted = _spacing(place, 2)
            half = half.square_().add_(rows.square_()[:, :, None]).sqrt_().mul_(0.5)
            # Rows of one value each end where they end; centres of others may be anywhere.
            place = place + (shift[:, :, None] if place.shape[2] == 1 else shifted)
            weight = _sharpened(weight, (1, 2))
        else:
            half = torch.full_like(place, _SMOOTHED)
        # An integrity stays at 0 beyond extinction: no spread may vanish.
        half.clamp_(min=_SMALLEST_SPREAD)
        if ordered and place.shape[2] > 1:
            # A normal distribution for each row says about where quantiles are.
            square = (weight * (place - centre[:, :, None]).square()).sum(2)
            deviation = (square / mass.clamp(min=1e-30) + rows.square() / 12).sqrt()
            deviation = deviation.clamp(min=_SMALLEST_SPREAD)
            self._rows = [each.reshape(-1, n) for each in (centre, deviation, mass)]
        self._slope = (0.5 / half).reshape(-1, n)
        self._start = 0.5 - place.reshape(-1, n) * self._slope
        self._weight = (weight / weight.sum((0, 1, 2))).reshape(-1, n)
        self.low, self.high = self.low - half.amax((0, 1, 2)), self.high + half.amax((0, 1, 2))

    def _below(self, place: Tensor) -> Tensor:
        """Mass below places in units of the spread, ``(…, n)``."""
        share = torch.addcmul(self._start, place[..., None, :], self._slope).clamp_(0.0, 1.0)
        return share.mul_(self._weight).sum(-2)

    def _about_below(self, place: Tensor) -> Tensor:
        """About the same from the rows as a whole."""
        if self._rows is None:
            return self._below(place)
        centre, deviation, mass = self._rows
        return (torch.special.ndtr((place[:, None] - centre) / deviation) * mass).sum(1)

    def below(self, value: Tensor) -> Tensor:
        """Probability of values up to some finite ones, ``(…, n)``."""
        found = self._below(((value - self.mean) / self.spread).float()).to(value)
        return found if self.finite_mass is None else found * self.finite_mass

    def quantiles(self, probabilities: Tensor) -> Tensor:
        """Values below which the mass is so large, ``(n_probability, n)``."""
        wanted = probabilities[:, None].expand(-1, self.mean.numel())
        if self.finite_mass is not None:
            wanted = wanted / self.finite_mass
        found = self.mean + self.spread * self._where(wanted.clamp(max=1.0).float())
        return torch.where(wanted > 1.0, torch.inf, found)

    def _where(self, wanted: Tensor) -> Tensor:
        """Where the distribution function reaches some values: a secant in standard scores."""
        # Chebyshev: no quantile lies further from the mean than this.
        tail = torch.minimum(wanted, 1 - wanted)
        reach = 1.01 / tail.clamp(min=_EPS).sqrt()
        low, high = torch.maximum(self.low, -reach), torch.minimum(self.high, reach)
        score = torch.special.ndtri(wanted.clamp(_EPS, 1 - _EPS))
        # A few places at once say about where; between them it is a straight line in scores.
        places = torch.lerp(low.amin(0), high.amax(0), self._shares(wanted)[:, None])
        shares = self._about_below(places).clamp(_EPS, 1 - _EPS)
        right = (shares[:, None] < wanted).sum(0).clamp(1, len(places) - 1)
        (at_low, at_high), (missed_low, missed_high) = (
            (each.gather(0, right - 1), each.gather(0, right))
            for each in (places, torch.special.ndtri(shares))
        )
        missed_low, missed_high = missed_low - score, missed_high - score
        if self._rows is None:
            low = torch.where(missed_low < 0, torch.maximum(low, at_low), low)
            high = torch.where(missed_high > 0, torch.minimum(high, at_high), high)
        slope = (missed_high - missed_low).clamp(min=1e-3) / (at_high - at_low).clamp(min=1e-6)
        last = (at_high, missed_high) if self._rows is None else None
        at = (at_low - missed_low / slope).clamp(low, high)
        for _ in range(_STEPS):
            share = self._below(at)
            miss = share - wanted
            done = miss.abs() <= _CLOSE * tail + 1e-7
            if bool(done.all()):
                break
            low, high = torch.where(miss > 0, low, at), torch.where(miss > 0, at, high)
            missed = torch.special.ndtri(share.clamp(_EPS, 1 - _EPS)) - score
            if last is not None:
                found = (missed - last[1]) / (at - last[0])
                slope = torch.where(found > 1e-3, found, slope)
            last = at, missed
            next_ = at - missed / slope
            inside = (next_ > low) & (next_ < high)
            at = torch.where(done, at, torch.where(inside, next_, 0.5 * (low + high)))
        return at.double()

    @staticmethod
    def _shares(like: Tensor) -> Tensor:
        """Places between the ends, closer together in the middle."""
        even = torch.linspace(-1.0, 1.0, _PLACES, dtype=like.dtype, device=like.device)
        return 0.5 + 0.5 * even * (0.4 + 0.6 * even * even)


def quantiles(
    values: Tensor, weight: Tensor, probabilities: Tensor, *, ordered: bool = False
) -> Tensor:
    """Weighed quantiles ``(n_probability, n)`` of values at nodes; see `Distribution`."""
    return Distribution(values, weight, ordered=ordered).quantiles(probabilities)
