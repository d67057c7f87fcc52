# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Distribution functions of values at weighed nodes, and their quantiles."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from .rows import end_weights

# Steps of a quantile at most, and the share of a tail that may be missing.
_STEPS, _CLOSE, _EPS = 16, 1e-2, 1e-6
# Least slope of the standard score, over the range of the values.
_LEAST_SLOPE = 1e-3
# Share of the curves below which those that are not done go on by themselves.
_SOME = 0.6
# Weights that are none, and the largest change of a density over the room of a node, as a share of
# it: it is not negative anywhere.
_NONE, _STEEPEST = 1e-30, 2.0
# A row of so small a share of the mass of the next one has none.
_NOTHING = 1e-3
# Largest mass of a cell, in that of an even density.
_MOST = 1.5
# Numbers that are added in double precision.
_FEW = 64
# Places at which a distribution function is looked at first.
_PLACES = 12
# Smallest distance over which the weight of a node is spread either way, and
# that for nodes without order, in standard deviations.
_SMALLEST_SPREAD, _SMOOTHED = 1e-6, 0.05
# Least square of the room of a node, above the smallest number of single precision.
_NARROWEST = 1e-36


def _cells(weight: Tensor, dim: int) -> tuple[Tensor, Tensor | None]:
    """Masses of the cells of nodes, and by how much of them the density changes over each.

    The cell of a node reaches half way to its neighbours, that of an outermost node to one side.

    Parameters
    ----------
    weight
        Of nodes along a dimension whose weights are those of `end_weights`: their sum is that of
        the cells.
    dim
        The dimension.
    """
    length = weight.shape[dim]
    if length < 6:
        return weight, None
    at = weight.clone()
    for ends in (slice(0, 3), slice(length - 3, length)):
        known = end_weights(length)[ends].to(weight).reshape(-1, *[1] * (weight.ndim - dim - 1))
        at[(slice(None),) * dim + (ends,)].div_(known)
    left, inner, right = (at.narrow(dim, start, length - 2) for start in range(3))
    mass, change = torch.empty_like(at), torch.empty_like(at)
    torch.add(left, right, out=mass.narrow(dim, 1, length - 2))
    mass.narrow(dim, 1, length - 2).sub_(inner, alpha=2.0).mul_(1 / 24).add_(inner)
    torch.sub(right, left, out=change.narrow(dim, 1, length - 2)).mul_(0.5)
    for end, step in ((0, 1), (length - 1, -1)):
        first, second, third = (at.select(dim, end + step * place) for place in range(3))
        half = torch.add(first, second, alpha=5 / 8).sub_(third, alpha=1 / 8).mul_(1 / 3)
        mass.select(dim, end).copy_(half)
        change.select(dim, end).copy_((second - first).mul_(0.25 * step))
    # Beside a narrow peak parabolas say too much.
    at.mul_(_MOST)
    at.select(dim, 0).mul_(0.5)
    at.select(dim, length - 1).mul_(0.5)
    mass = torch.minimum(mass, at).clamp_(min=0.0)
    return mass, change.div_(mass.clamp(min=_NONE)).clamp_(-_STEEPEST, _STEEPEST)


def _summed(values: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Sum in double precision of values in single precision.

    The order in which numbers are added depends on how many curves there are; so the sums do not.
    """
    return values.sum(dims, dtype=torch.float64)


def _folded(values: Tensor) -> Tensor:
    """The same sum of the last dimension but one, ``(…, k, n)``.

    Rows are first added in single precision to blocks of so many that they fill whole vectors of
    the processor, which all add in one order: that takes a fourth of the time.
    """
    number, rest = divmod(values.shape[-2], _FEW)
    if number < 2:
        return _summed(values, (-2,))
    blocks = values.narrow(-2, 0, number * _FEW).unflatten(-2, (number, _FEW)).sum(-3)
    found = _summed(blocks, (-2,))
    return found.add_(_summed(values.narrow(-2, number * _FEW, rest), (-2,))) if rest else found


def _row_totals(values: Tensor) -> Tensor:
    """Sums over the nodes of rows ``(n_part, n_row, n_node, n)``, halves of them paired first."""
    while (half := values.shape[2] // 2) > 1:
        pairs = values.narrow(2, 0, half) + values.narrow(2, half, half)
        if values.shape[2] % 2:
            pairs.narrow(2, 0, 1).add_(values.narrow(2, 2 * half, 1))
        values = pairs
    return _summed(values, (2,))


def _below(nodes: Sequence[Tensor], place: Tensor) -> Tensor:
    """Mass below places ``(…, n)`` of nodes ``(k, n)``.

    Their `start` and `slope` say what share u of its room lies below, and of that a node has
    `even` u + `bent` u².
    """
    start, slope, even, bent = nodes
    share = torch.addcmul(start, place.float()[..., None, :], slope).clamp_(0.0, 1.0)
    return _folded(torch.addcmul(even, bent, share).mul_(share))


def _between(values: Tensor, dim: int, known: Tensor | None) -> Tensor:
    """What values are half way from each to the next one, by their bends there.

    By the flatter of the two parabolas that meet there, about, as in `refined`.
    """
    length = values.shape[dim]
    left, right = values.narrow(dim, 0, length - 1), values.narrow(dim, 1, length - 1)
    middle = torch.add(left, right).mul_(0.5)
    if length < 3:
        return middle
    bend = values.diff(2, dim=dim)
    if known is not None:
        inner = (known.narrow(dim, start, length - 2) for start in range(3))
        bend = torch.where(next(inner) & next(inner) & next(inner), bend, 0.0)
    bend = torch.cat([bend.narrow(dim, 0, 1), bend, bend.narrow(dim, length - 3, 1)], dim)
    first, second = bend.narrow(dim, 0, length - 1), bend.narrow(dim, 1, length - 1)
    total = (first + second).add_(torch.finfo(values.dtype).tiny)
    return middle.sub_((first * second).clamp_(min=0.0).div_(total), alpha=0.25)


def _neighbours(values: Tensor, dim: int, known: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Room of each value as far as half way to its neighbours, and the middle of that room.

    Outermost values have none on their outer side; a single one has none at all. One beside a value
    that is not known has as much room there as on its other side.
    """
    length = values.shape[dim]
    if length == 1:
        return torch.zeros_like(values), values
    between = _between(values, dim, known)
    low = torch.cat([values.narrow(dim, 0, 1), between], dim)
    high = torch.cat([between, values.narrow(dim, length - 1, 1)], dim)
    if known is not None:
        both = known.narrow(dim, 0, length - 1) & known.narrow(dim, 1, length - 1)
        end = torch.ones_like(both.narrow(dim, 0, 1))
        low, high = (
            torch.where(torch.cat([end, both], dim), low, 2 * values - high),
            torch.where(torch.cat([both, end], dim), high, 2 * values - low),
        )
    return high - low, low.add_(high).mul_(0.5)


def _bends(values: Tensor, middle: Tensor, dim: int) -> Tensor:
    """Second differences of values as their rooms know them, whose middles they move."""
    bend = (middle - values).mul_(8.0)
    for end in (0, -1):
        bend.select(dim, end).zero_()
    return bend


@dataclass(frozen=True, eq=False)
class _Across:
    """What rows say of the rooms of their nodes, ``(n_part, n_row, n)``.

    Parameters
    ----------
    shift
        From the centres of rows to the means of their rooms.
    square
        Squared length of the rooms.
    tilt, bend
        Change of the density over rooms times their length, and second differences of centres
        times their square.
    """

    shift: Tensor
    square: Tensor
    tilt: Tensor
    bend: Tensor

    def single(self) -> _Across:
        """The same for all nodes of the rows, in single precision."""
        each = (self.shift, self.square, self.tilt, self.bend)
        return _Across(*(one.float()[:, :, None] for one in each))


def _there(mass: Tensor, dim: int) -> Tensor:
    """Which rows have mass, compared with those beside them: the centre of none is anywhere."""
    length = mass.shape[dim]
    most = mass.clone()
    if length > 1:
        left, right = most.narrow(dim, 0, length - 1), most.narrow(dim, 1, length - 1)
        torch.maximum(left, mass.narrow(dim, 1, length - 1), out=left)
        torch.maximum(right, mass.narrow(dim, 0, length - 1), out=right)
    return mass > (_NOTHING * most).clamp(min=_NONE)


def _across(centre: Tensor, mass: Tensor, weights: Weights) -> _Across:
    """Rooms of the centres of rows as far as half way to the next rows and slices."""
    cut = centre.unflatten(1, (weights.slices, -1))
    share = mass.unflatten(1, (weights.slices, -1))
    room, middle = _neighbours(cut, 2, _there(share, 2))
    square, shift = room.square(), middle - cut
    bend = _bends(cut, middle, 2)
    shift -= bend / 12
    bend *= square
    tilt = torch.zeros_like(room) if weights.over_rows is None else room * weights.over_rows
    if weights.slices > 1:
        # Rows of one slice and of the next are not the same: slices as a whole are.
        total = share.sum(2)
        whole = (share * cut).sum(2) / total.clamp(min=_NONE)
        room, between = _neighbours(whole, 1, _there(total, 1))
        own, whole_bend = room.square(), _bends(whole, between, 1)
        bend += (whole_bend * own)[:, :, None]
        square += own[:, :, None]
        shift += (between - whole - whole_bend / 12)[:, :, None]
        if weights.over_slices is not None:
            tilt += (room * weights.over_slices)[:, :, None]
    return _Across(*(each.flatten(1, 2) for each in (shift, square, tilt, bend)))


class Weights:
    """Weights of nodes in single precision, and masses of the cells about them.

    Outermost nodes of a row, rows and slices have weights by `end_weights`.

    Parameters
    ----------
    weight
        ``(n_part, n_row, n_node, n)``; they may add up to anything.
    ordered
        Whether rows and nodes follow each other.
    slices
        How many slices the rows belong to, one after the other.
    """

    def __init__(self, weight: Tensor, *, ordered: bool, slices: int = 1) -> None:
        self.ordered, self.slices = ordered, slices
        plain = weight.float()
        total = _folded(plain.flatten(0, 2)).clamp_(min=1e-300)
        self.plain = plain / total.float()
        mass, self.along, self.over_rows, self.over_slices = self.plain, None, None, None
        if ordered:
            mass, self.along = _cells(self.plain, 2)
            rows = self.by_row.unflatten(1, (slices, -1))
            in_row, self.over_rows = _cells(rows, 2)
            whole = rows.sum(2)
            in_slice, self.over_slices = _cells(whole, 1)
            # Rows and slices keep what they have, whatever is made of it along them.
            in_row *= (in_slice / in_row.sum(2).clamp(min=_NONE))[:, :, None]
            share = in_row.flatten(1, 2) / _row_totals(mass).clamp(min=_NONE)
            mass = mass * share.float()[:, :, None]
        mass = mass.flatten(0, 2)
        self.mass = mass / _folded(mass).float()

    @cached_property
    def by_row(self) -> Tensor:
        """Weights of rows, ``(n_part, n_row, n)``."""
        return _row_totals(self.plain)


class Distribution:
    """Distribution function of values at weighed nodes, which may be infinite.

    Where nodes are ordered the mass of the cell of a node is spread as far as half way to its
    neighbours, on its row and on the next rows: nodes come in clumps, one for each row of a narrow
    ridge, and so would quantiles. Over that room the density is a straight line, as far as it
    changes from node to node.

    Parameters
    ----------
    values
        ``(n_part, n_row, n_node, n)``, or of shapes that broadcast to that of the weights.
    weights
        Of the nodes. Of values that are the same on a row those of the rows are enough.
    """

    def __init__(self, values: Tensor, weights: Weights) -> None:
        self.finite_mass: Tensor | None = None
        self._rows: list[Tensor] | None = None
        values = values.expand(weights.plain.shape)
        given, self._whole = weights, weights.mass
        weight = weights.mass
        finite = None
        if not bool(torch.isfinite(values.sum())):
            finite = torch.isfinite(values)
            weight = torch.where(finite.flatten(0, 2), weight, 0.0)
            self.finite_mass = _summed(weight, (0,)).clamp(min=1e-300)
            weight /= self.finite_mass.float()
            masked = torch.where(finite, weights.plain, 0.0)
            weights = Weights(masked, ordered=weights.ordered, slices=weights.slices)
            # Infinite values take no place among the others.
            values = torch.where(finite, values, 0.0)
            mean = (weights.plain * values).sum((0, 1, 2))
            values = torch.where(finite, values, mean)
        # About one of the values, few digits are enough.
        about = values[0, values.shape[1] // 2, values.shape[2] // 2]
        place, plain = (values - about).float(), weights.plain
        first = _row_totals(plain * place)
        mean = first.sum((0, 1))
        place.sub_(mean.float())
        second = _row_totals((plain * place).mul_(place))
        self.mean = about + mean
        self.spread = second.sum((0, 1)).sqrt().clamp(min=1e-30)
        smallest = _SMALLEST_SPREAD * self.spread
        low, high = place.amin((0, 1, 2)).double(), place.amax((0, 1, 2)).double()
        if weights.ordered:
            mass = weights.by_row
            # Rows without mass have no centre to speak of; they also do not matter.
            centre = torch.where(mass > _NONE, first / mass.clamp(min=_NONE) - mean, 0.0)
            room = _across(centre, mass, given)
            across = room.single()
            if place.shape[2] > 1:
                # A normal distribution for each row says about where quantiles are.
                own = (second / mass.clamp(min=_NONE) - centre.square()).clamp_(min=0.0)
                deviation = torch.maximum((own + room.square / 12).sqrt(), smallest)
                self._rows = [each.flatten(0, 1).float() for each in (centre, deviation, mass)]
                along, middle = _neighbours(place, 2, finite)
                bend = _bends(place, middle, 2)
                square = along.square()
                bend.mul_(square).add_(across.bend)
                place = middle
                tilt = across.tilt if given.along is None else across.tilt + along * given.along
                square.add_(across.square)
            else:
                square, tilt, bend = across.square, across.tilt, across.bend.clone()
            # An integrity stays at 0 beyond extinction: no spread may vanish.
            square = torch.maximum(square, (4 * smallest.square()).float().clamp(min=_NARROWEST))
            place.add_(across.shift).addcdiv_(across.bend, square, value=1 / 12)
            reach = 0.5 * square.amax((0, 1, 2)).double().sqrt()
            slope = square.rsqrt()
            tilt = (tilt - bend.div_(square)).mul_(slope).clamp_(-_STEEPEST, _STEEPEST)
            bent = tilt.flatten(0, 2).mul_(weight).mul_(0.5)
        else:
            reach = _SMOOTHED * self.spread
            slope = (0.5 / reach).float().expand_as(place)
            bent = torch.zeros_like(weight)
        self.low, self.high = low - reach, high + reach
        start = place.mul_(slope).neg_().add_(0.5).flatten(0, 2)
        self._nodes = start, slope.flatten(0, 2), weight - bent, bent

    def of_last(self, number: int, parts: int, index: Tensor) -> Distribution:
        """The distribution of some of the curves over the last parts alone.

        Parameters
        ----------
        number, parts
            How many parts, of how many.
        index
            Which curves; they have mass there.
        """
        part = copy(self)

        def own(array: Tensor) -> Tensor:
            return array[len(array) // parts * (parts - number) :, index]

        part.mean, part.low, part.high = self.mean[index], self.low[index], self.high[index]
        # Another mean and spread than those of the whole, which say nothing of its tails.
        part.spread = torch.full_like(part.mean, torch.inf)
        start, slope, even, bent = map(own, self._nodes)
        total = _summed(even + bent, (0,)).clamp(min=1e-300)
        part._nodes = start, slope, even / total.float(), bent / total.float()
        if self.finite_mass is not None:
            whole = _summed(own(self._whole), (0,)).clamp(min=1e-300)
            part.finite_mass = total * self.finite_mass[index] / whole
        if self._rows is not None:
            centre, deviation, shares = map(own, self._rows)
            part._rows = [centre, deviation, shares / total.float()]
        return part

    def _below(self, place: Tensor) -> Tensor:
        """Mass below distances from the mean, ``(…, n)``."""
        return _below(self._nodes, place)

    def _about_below(self, place: Tensor) -> Tensor:
        """About the same from the rows as a whole."""
        if self._rows is None:
            return self._below(place)
        centre, deviation, mass = self._rows
        score = (place.float()[:, None] - centre) / deviation
        return _summed(torch.special.ndtr(score).mul_(mass), (1,))

    def below(self, value: Tensor) -> Tensor:
        """Probability of values up to some finite ones, ``(…, n)``."""
        found = self._below(value - self.mean)
        return found if self.finite_mass is None else found * self.finite_mass

    def quantiles(self, probabilities: Tensor) -> Tensor:
        """Values below which the mass is so large, ``(n_probability, n)``."""
        wanted = probabilities[:, None].expand(-1, self.mean.numel())
        if self.finite_mass is not None:
            wanted = wanted / self.finite_mass
        found = self.mean + self._where(wanted.clamp(max=1.0))
        return torch.where(wanted > 1.0, torch.inf, found)

    def _where(self, wanted: Tensor) -> Tensor:
        """Where the distribution function reaches some values: a secant in standard scores."""
        # Chebyshev: no quantile lies further from the mean than this.
        tail = torch.minimum(wanted, 1 - wanted)
        reach = 1.01 * self.spread / tail.clamp(min=_EPS).sqrt()
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
        # Slopes are compared with those of the normal distribution over the range.
        least = _LEAST_SLOPE / (self.high - self.low).clamp(min=1e-300)
        slope = (missed_high - missed_low) / (at_high - at_low).clamp(min=1e-300)
        slope = torch.maximum(slope, least)
        last = (at_high, missed_high) if self._rows is None else None
        at = (at_low - missed_low / slope).clamp(low, high)
        found, index = at, torch.arange(at.shape[-1], device=at.device)
        rests = torch.zeros_like(at, dtype=torch.bool)
        nodes = self._nodes
        for _ in range(_STEPS):
            share = _below(nodes, at)
            miss = share - wanted
            close = rests | (miss.abs() <= _CLOSE * tail + 1e-7)
            low, high = torch.where(miss > 0, low, at), torch.where(miss > 0, at, high)
            missed = torch.special.ndtri(share.clamp(_EPS, 1 - _EPS)) - score
            if last is not None:
                change = (missed - last[1]) / (at - last[0])
                slope = torch.where(change > least, change, slope)
            last = at, missed
            # Also what is close takes a last step, so that it matters little where that is found.
            next_ = _stepped(at, missed / slope, low, high, close)
            at, rests = torch.where(rests, at, next_), close
            found = found.index_copy(-1, index, at)
            undone = torch.nonzero(~rests.all(0))[:, 0]
            if undone.numel() == 0:
                break
            if undone.numel() < _SOME * index.numel():
                index, least = index[undone], least[undone]
                at, rests, low, high = _columns(undone, at, rests, low, high)
                slope, wanted, tail, score = _columns(undone, slope, wanted, tail, score)
                last = last[0][:, undone], last[1][:, undone]
                nodes = _columns(undone, *nodes)
        return found

    @staticmethod
    def _shares(like: Tensor) -> Tensor:
        """Places between the ends, closer together in the middle."""
        even = torch.linspace(-1.0, 1.0, _PLACES, dtype=like.dtype, device=like.device)
        return 0.5 + 0.5 * even * (0.4 + 0.6 * even * even)


def _columns(chosen: Tensor, *each: Tensor) -> tuple[Tensor, ...]:
    """Some columns of each of several arrays, ``(…, n)``."""
    return tuple(one.index_select(1, chosen) for one in each)


def _stepped(at: Tensor, step: Tensor, low: Tensor, high: Tensor, close: Tensor) -> Tensor:
    """A step back from a place; where that leaves the bracket, its middle, or nothing."""
    following = at - step
    inside = (following > low) & (following < high)
    return torch.where(inside, following, torch.where(close, at, 0.5 * (low + high)))
