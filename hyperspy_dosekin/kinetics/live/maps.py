# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Posterior of many growing curves at once, those of the pixels of a map.

All curves have the same nodes, in the order of their D½, so that the sums over doses are one
product of matrices. What follows from them is worked out where it matters: at pairs of a curve and
a node whose density is not far below the highest one of the curve. Pairs of a curve follow each
other, and so do their D½.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.posterior.parts import bound_matters
from hyperspy_dosekin.kinetics.posterior.scan import ScanData, Sums

from .asked import PROBABILITIES, Asked, LiveEstimate
from .grid import OF_MAPS, Grid
from .nodes import steps
from .scan import BinnedScan, Moments
from .summary import with_bound

# Nodes whose density is further down, in ln, are left out.
_FAR = 12.0
# Of curves of so many nodes that matter every second or fourth in ln k is enough: the nodes of a
# row reach over ten standard deviations, each of which then still has one.
_MANY = (384, 768)


@dataclass(frozen=True, eq=False)
class MapGrid:
    """Nodes that all curves share, in the order of D½.

    Parameters
    ----------
    search
        Free parameters on their scale of search, each ``(n_node, 1)``.
    decay
        C at the bins, ``(n_bin, n_node, 1)``.
    log_prior, log_room
        Logarithms of the prior, and of what each node stands for, ``(n_node, 1)``.
    half, integrity
        Ln D½, which may be infinite, and C after the last frame, ``(n_node,)``.
    kept
        Whether a node is one of every first, second and fourth in ln k, ``(3, n_node)``.
    step
        Distance of nodes in ln k.
    dose, width, asked
        What they are made for.
    """

    search: list[Tensor]
    decay: Tensor
    log_prior: Tensor
    log_room: Tensor
    half: np.ndarray
    integrity: np.ndarray
    kept: np.ndarray
    step: float
    dose: Tensor
    width: Tensor | None
    asked: Asked

    def is_of(self, data: BinnedScan, asked: Asked) -> bool:
        """Whether these are the nodes of some curves at their bins."""
        mine, theirs = self.asked, asked
        if (mine.scale, mine.last, mine.level) != (theirs.scale, theirs.last, theirs.level):
            return False
        if not torch.equal(data.dose, self.dose):
            return False
        if self.width is None or data.width is None:
            return self.width is data.width
        return torch.equal(data.width, self.width)

    @classmethod
    def of(cls, data: BinnedScan, asked: Asked) -> MapGrid:
        """That of the law of some curves, at their bins."""
        grid, parameters = Grid.of(data, OF_MAPS), data.parameters
        shape = (grid.row.numel(), grid.rate.numel(), 1)
        room = steps(grid.rate, 0)[None, :, None]
        if grid.row.numel() > 1:
            room = room * steps(grid.row, 0)[:, None, None]
        search = [each.expand(shape).reshape(-1, 1) for each in grid.search]
        half, integrity = (
            at(parameters, search)[:, 0] for at in (asked.half_at, asked.integrity_at)
        )
        order = half.nan_to_num(nan=torch.inf).argsort()
        search = [each[order] for each in search]
        place = order.numpy() % grid.rate.numel()
        return cls(
            search,
            grid.decay.expand(-1, *shape).flatten(1, 2)[:, order].contiguous(),
            parameters.log_prior(search),
            room.expand(shape).reshape(-1, 1)[order].log(),
            half[order].numpy(),
            integrity[order].numpy(),
            (place % 2 ** np.arange(len(_MANY) + 1)[:, None] == 0),
            grid.step,
            data.dose,
            data.width,
            asked,
        )


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of a curve and a node that matter, by curve, and those of a curve by D½.

    Parameters
    ----------
    curve, node
        Their places, ``(n_pair,)``.
    begin
        Where those of each curve begin, ``(n,)``.
    most
        Deviance less twice the log prior up to which nodes of a curve matter, ``(n,)``.
    step
        Distance of the nodes of each curve in ln k, ``(n,)``.
    """

    curve: np.ndarray
    node: np.ndarray
    begin: np.ndarray
    most: np.ndarray
    step: np.ndarray

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sums over the pairs of each curve, ``(…, n_pair)`` to ``(…, n)``."""
        return np.add.reduceat(values, self.begin, axis=-1)

    def quantiles(self, value: np.ndarray, weight: np.ndarray) -> Tensor:
        """Quantiles ``(3, n)`` of values with weights that add up to 1 for each curve."""
        mass = weight.cumsum()
        # Half of the mass of a node lies on either side of it; each curve begins at its number.
        number = np.arange(self.begin.size)
        moved = number - (mass - weight)[self.begin]
        reached = mass - 0.5 * weight + moved[self.curve]
        wanted = number + np.asarray(PROBABILITIES)[:, None]
        last = np.append(self.begin[1:], value.size) - 1
        right = np.searchsorted(reached, wanted.ravel()).reshape(wanted.shape)
        right = np.clip(right, np.minimum(self.begin + 1, last), last)
        left = np.maximum(right - 1, self.begin)
        low, high = reached[left], reached[right]
        share = np.clip((wanted - low) / np.maximum(high - low, 1e-30), 0.0, 1.0)
        found = np.where(np.isfinite(value[right]), 0.0, np.inf)
        known = np.where(np.isfinite(value), value, 0.0)
        return torch.from_numpy(found + known[left] + share * (known[right] - known[left]))


def near_pairs(data: BinnedScan, grid: MapGrid, squares: Tensor) -> Pairs:
    """Pairs whose density is not far below the highest one of their curve.

    Parameters
    ----------
    data, grid, squares
        The curves, their nodes and the sums of squares there, ``(n_node, n)``.
    """
    deviance = (data.deviance_of(squares) - 2 * grid.log_prior).T.numpy()
    most = deviance.min(axis=1) + 2 * _FAR
    near = deviance < most[:, None]
    level = np.searchsorted(_MANY, near.sum(axis=1))
    many = np.flatnonzero(level)
    near[many] &= grid.kept[level[many]]
    curve, node = np.divmod(np.flatnonzero(near), near.shape[1])
    begin = np.searchsorted(curve, np.arange(len(near)))
    return Pairs(curve, node, begin, most, grid.step * 2.0**level)


def log_weights(
    data: BinnedScan,
    parts: list[ScanData],
    grid: MapGrid,
    moments: Moments,
    sums: Sums,
    pairs: Pairs,
) -> np.ndarray:
    """Logarithms of the weights of all pairs in each part, ``(n_part, n_pair)``.

    Sums over doses are in double precision, and what follows from them in single precision.

    Parameters
    ----------
    data, parts
        The curves, and the parts of their posterior.
    grid, moments, sums, pairs
        The nodes, the sums over doses there, and which of them matter.
    """
    curve, node = torch.from_numpy(pairs.curve), torch.from_numpy(pairs.node)
    known = (grid.log_prior + grid.log_room)[node, 0]

    def at_pairs(array: Tensor) -> Tensor:
        return array[node, 0] if array.shape[-1] == 1 else array[node, curve]

    found = np.full((len(parts), node.numel()), -np.inf)
    for row, part in zip(found, parts, strict=True):
        assert isinstance(part, BinnedScan)
        scan = part.condensed().select(curve)
        chosen: np.ndarray | slice = slice(None)
        if all(getattr(part, name) is getattr(data, name) for name in ("pin", "share", "base")):
            own = Sums(*(at_pairs(getattr(sums, name)) for name in Sums.__dataclass_fields__))
        else:
            mean, size, product = map(at_pairs, moments)
            # Of values at another level the product is another by the decay alone.
            level = (data.base - part.base)[curve]
            own = scan.projected(Moments(mean, size, product + level * mean))
            # Most curves are far from the bound of their offset.
            far = data.condensed().select(curve).deviance_of(own.squares)
            near = (far - 2 * grid.log_prior[node, 0]).numpy() < pairs.most[pairs.curve]
            chosen = np.flatnonzero(near)
            if not chosen.size:
                continue
            if chosen.size < near.size:
                index = torch.from_numpy(chosen)
                scan = scan.select(index)
                own = Sums(*(getattr(own, n)[index] for n in Sums.__dataclass_fields__))
        scan = replace(scan, found=own).single()
        assert scan.found is not None
        row[chosen] = scan.log_likelihood(scan.found).numpy()
    return found + known.numpy()


def of_many(
    log_weight: np.ndarray, grid: MapGrid, pairs: Pairs, n_bound: int, asked: Asked
) -> LiveEstimate:
    """What is said of the curves of a map.

    Parameters
    ----------
    log_weight, grid, pairs
        The weights of the pairs of curves and nodes, by `log_weights`; the last `n_bound` parts
        have the offset at its bound.
    asked
        What is asked. What the nodes are coarser by than nodes of their own is added to the
        standard deviation.
    """
    highest = np.maximum.reduceat(log_weight.max(axis=0), pairs.begin)
    weight = np.exp(log_weight - highest[pairs.curve])
    whole = weight.sum(axis=0)
    total = pairs.sums(whole)
    # Of numbers at the end of their type nothing can be said, and others do not notice.
    whole, value = np.nan_to_num(whole / total[pairs.curve]), grid.half[pairs.node]
    ends = pairs.quantiles(value, whole)
    if n_bound:
        part = np.nan_to_num(weight[-n_bound:].sum(axis=0))
        mass = pairs.sums(part)
        held = bound_matters(torch.from_numpy(np.nan_to_num(mass / total)))
        if held.numel():
            own = pairs.quantiles(value, part / np.maximum(mass, 1e-300)[pairs.curve])
            ends = with_bound(ends, own[:, held], held)
    finite, now = np.isfinite(value), grid.integrity[pairs.node]
    known = np.where(finite, value, 0.0)
    columns = np.stack([finite, known, known**2, now, now < asked.level])
    mass, first, second, now, below = pairs.sums(columns * whole)
    mass = np.maximum(mass, 1e-300)
    variance = np.maximum(second / mass - (first / mass) ** 2, 0.0) + pairs.step**2 / 12
    variance[~np.isfinite(total)] = np.nan
    return asked.estimate(ends, *map(torch.from_numpy, (variance, now, below)))
