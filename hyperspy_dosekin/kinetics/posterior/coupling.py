# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the windows of a curve say of each other: a common exponent, and a hierarchy of rates.

Each window has its nodes, weighed by its own likelihood and priors. Where the exponent is shared,
the weight of a row takes what the other windows say of its p, with the prior of p counted once.
Where a pair of the hierarchy joins two windows, the weight of a node takes the probability of the
pair, integrated over the rate of the other window; a pair may be none, with a small probability,
so that data which contradict it are heard. Of windows in several pairs each pair is taken
by itself, and after the exponent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.laws.parameter import search_to_free
from hyperspy_dosekin.kinetics.laws.prior import HIERARCHY_DOUBT, HIERARCHY_WIDTH
from hyperspy_dosekin.kinetics.model.parameters import Parameters, known_before

from .nodes import Nodes
from .rows import interpolate_rows, row_steps, spread_rows

# Exponents, even in their square root, on which windows are compared.
_GRID = 256
# Fall of the ln density for each row beyond the outermost.
_FALL = 1.2
# Rates, even on their scale of search, on which windows are compared: their distance in widths of
# the hierarchy, and how many at most.
_RATE_STEP, _MOST_RATES = 0.2, 1024
# Widths after which nothing is left of the hierarchy, and rates that are summed at once.
_OVER, _RATES_AT_ONCE = 8.6, 64


def coupled(
    made: Sequence[Nodes],
    n_window: int,
    *,
    shared: bool,
    pairs: Sequence[tuple[int, int]],
) -> list[Nodes]:
    """Nodes with weights that know of the other windows of their curve.

    Parameters
    ----------
    made
        Nodes of all windows of some curves that are not dead. Pairs are told of each other in
        their weights themselves: a copy would be as large as they are.
    n_window
        Windows of a curve.
    shared
        Whether the exponent is common to them; only for laws whose nodes are rows of it.
    pairs
        Hierarchy as places of windows, (faster, slower).
    """
    nodes = list(made)
    if not nodes:
        return nodes
    index = np.concatenate([each.index for each in nodes])
    place = np.full((int(index.max()) // n_window + 1) * n_window, -1)
    place[index] = np.arange(index.size)

    def others(each: Nodes, window: int) -> Tensor:
        """Place of another window of the same curve; −1 where it is not there."""
        found = place[each.index // n_window * n_window + window]
        return torch.as_tensor(np.where(found == place[each.index], -1, found))

    if shared and nodes[0].ordered and len(nodes[0].search) == 2:
        said = torch.cat([_of_exponents(each) for each in nodes], 1)
        nodes = [
            _weighed(each, _by_exponent(each, [others(each, w) for w in range(n_window)], said))
            for each in nodes
        ]
    for pair in pairs:
        cells = [[_Cells.of(each, window, n_window) for window in pair] for each in nodes]
        said = _of_rates(nodes, cells)
        for each, own in zip(nodes, cells, strict=True):
            _by_pair(each, own, pair, others, said)
    return nodes


def _weighed(nodes: Nodes, log_factor: Tensor) -> Nodes:
    """The same with weights times a factor, of a shape that broadcasts to theirs."""
    log_factor = log_factor - log_factor.amax((0, 1, 2))
    weight = nodes.weight * log_factor.exp()
    total = weight.sum((0, 1, 2))
    # Windows that contradict each other beyond all numbers stay by themselves.
    sound = total > 0
    weight = torch.where(sound, weight / total.clamp(min=1e-300), nodes.weight)
    return replace(nodes, weight=weight)


def _exponents(parameters: Parameters) -> Tensor:
    """The exponents on which windows are compared, ``(n_grid, 1)``."""
    shape = parameters.free[1]
    low, high = torch.tensor(shape.free_box, dtype=torch.float64)[:, None]
    return spread_rows(low, high, _GRID, shape)


def _rows(nodes: Nodes) -> Tensor:
    """Exponents of the rows, ``(n_part, n_row, n)``."""
    return search_to_free(nodes.parameters.free[1], nodes.search[1][:, :, 0])


def _of_exponents(nodes: Nodes) -> Tensor:
    """Ln density that the windows by themselves give to exponents, less prior, ``(n_grid, n)``."""
    parameter = nodes.parameters.free[1]
    rows, grid = _rows(nodes), _exponents(nodes.parameters).to(nodes.weight)
    found = []
    for number, shape in enumerate(rows):
        mass = nodes.weight[number].sum(1)
        density = (mass / row_steps(shape, parameter).clamp(min=1e-300)).clamp(min=1e-300).log()
        step = (shape[-1].sqrt() - shape[0].sqrt()) / (len(shape) - 1)
        beyond = torch.maximum(shape[0].sqrt() - grid.sqrt(), grid.sqrt() - shape[-1].sqrt())
        inside = interpolate_rows(grid.expand(-1, shape.shape[1]), shape, density, parameter)
        found.append(inside - _FALL * (beyond / step.clamp(min=1e-300)).clamp(min=0.0))
    whole = torch.stack(found).logsumexp(0)
    known = known_before(parameter, nodes.parameters.prior_of_law)
    if known is None:
        return whole
    return whole + 0.5 * ((grid - known[0]) / known[1]) ** 2


def _by_exponent(nodes: Nodes, others: Sequence[Tensor], said: Tensor) -> Tensor:
    """What the other windows say of the exponents of the rows, ``(n_part, n_row, 1, n)``."""
    total = torch.zeros_like(said[:, : nodes.weight.shape[-1]])
    for place in others:
        there = (place >= 0).to(said)
        total = total + there * said[:, place.clamp(min=0).to(said.device)]
    parameter, grid = nodes.parameters.free[1], _exponents(nodes.parameters).to(said)
    known = grid.expand_as(total)
    rows = [interpolate_rows(shape, known, total, parameter) for shape in _rows(nodes)]
    return torch.stack(rows)[:, :, None]


def _rates(parameters: Parameters) -> Tensor:
    """The rates on which windows are compared, on their scale of search, ``(n_grid,)``."""
    low, high = parameters.free[0].search_box
    number = min(math.ceil((high - low) / (_RATE_STEP * HIERARCHY_WIDTH)), _MOST_RATES)
    return torch.linspace(low, high, number + 1, dtype=torch.float64)


@dataclass(frozen=True, eq=False)
class _Cells:
    """Where the nodes of one window of some curves lie among the rates that are compared.

    Parameters
    ----------
    column
        Which of the curves of the nodes, m of them; a slice where they follow each other.
    cell, share
        Cells of the rates of nodes, and places in them from 0 to 1, ``(n_node, m)``.
    """

    column: Tensor | slice
    cell: Tensor
    share: Tensor

    @classmethod
    def of(cls, nodes: Nodes, window: int, n_window: int) -> _Cells:
        low, high = nodes.parameters.free[0].search_box
        number = len(_rates(nodes.parameters))
        chosen = np.flatnonzero(nodes.index % n_window == window)
        column: Tensor | slice = torch.as_tensor(chosen, device=nodes.weight.device)
        if chosen.size and chosen[-1] - chosen[0] + 1 == chosen.size:
            column = slice(int(chosen[0]), int(chosen[-1]) + 1)
        rate = nodes.search[0].expand(nodes.weight.shape)[..., column].flatten(0, 2)
        place = (rate - low).mul_((number - 1) / (high - low)).clamp_(0.0, number - 1 - 1e-9)
        # Of all nodes of all windows: memory that was not there before takes longer than this.
        return cls(column, place.short(), place.frac_().float())


def _of_rates(nodes: Sequence[Nodes], cells: Sequence[Sequence[_Cells]]) -> Tensor:
    """Ln of the probability that each window of a pair gives to rates of the other one.

    ``(n_grid, n)``; zeros for other windows.
    """
    grid = _rates(nodes[0].parameters).to(nodes[0].weight)
    found = []
    for each, pair in zip(nodes, cells, strict=True):
        said = grid.new_zeros(grid.numel(), each.weight.shape[-1])
        for own, faster in zip(pair, (True, False), strict=True):
            weight = each.weight[..., own.column].flatten(0, 2)
            upper, cell = weight * own.share, own.cell.long()
            mass = grid.new_zeros(grid.numel(), weight.shape[1])
            mass[1:].scatter_add_(0, cell, upper)
            mass.scatter_add_(0, cell, torch.sub(weight, upper, out=upper))
            # Rates that the slower window may have are those that the faster one may, mirrored.
            allowed = _allowed(mass, grid) if faster else _allowed(mass.flip(0), grid).flip(0)
            said[:, own.column] = allowed.clamp_(min=1e-300).log_()
        found.append(said)
    return torch.cat(found, 1)


def _allowed(mass: Tensor, grid: Tensor) -> Tensor:
    """Probability of a pair for each rate of one window, by the mass of the other one's rates.

    Rates up to those of the other window obey; beyond, a normal distribution says how far one may
    be. It is over after a few of its widths, so that blocks of rates need but their neighbours.

    Parameters
    ----------
    mass
        Of the faster window at the rates, ``(n_grid, n)``; mirrored, that of the slower one.
    grid
        The rates, ``(n_grid,)``.
    """
    count, step = len(grid), (grid[1] - grid[0]) / HIERARCHY_WIDTH
    before = min(math.ceil(_OVER / step.item()), count)
    number = -(-count // _RATES_AT_ONCE)
    padded = mass.new_zeros(before + number * _RATES_AT_ONCE, mass.shape[1])
    padded[before : before + count] = mass
    blocks = padded.unfold(0, before + _RATES_AT_ONCE, _RATES_AT_ONCE).transpose(1, 2)
    row = torch.arange(_RATES_AT_ONCE, device=grid.device)[:, None]
    column = torch.arange(before + _RATES_AT_ONCE, device=grid.device) - before
    excess = (row - column).clamp(min=0) * step
    obeyed = (-0.5 * excess * excess).exp_() @ blocks
    total = padded[before:].unflatten(0, (number, -1)).sum(1)
    obeyed += (total.flip(0).cumsum(0).flip(0) - total)[:, None]
    # Half of the prior obeys a pair by chance. Where the data contradict it, it is taken for none.
    obeyed.mul_(2 * (1 - HIERARCHY_DOUBT)).add_(total.sum(0), alpha=HIERARCHY_DOUBT)
    return obeyed.flatten(0, 1)[:count]


def _by_pair(
    nodes: Nodes,
    cells: Sequence[_Cells],
    pair: tuple[int, int],
    others: Callable[[Nodes, int], Tensor],
    said: Tensor,
) -> None:
    """Put the probability of a pair into the weights of its windows."""
    for own, other in zip(cells, pair[::-1], strict=True):
        place = others(nodes, other).to(own.cell.device)[own.column]
        # Factors of weights, of which seven digits are enough.
        against = said[:, place.clamp(min=0)].float()
        rise = torch.cat([against.diff(dim=0), torch.zeros_like(against[:1])])
        cell = own.cell.long()
        factor = against.gather(0, cell).addcmul_(rise.gather(0, cell), own.share)
        factor = factor.sub_(factor.amax(0)).exp_()
        some = nodes.weight[..., own.column]
        found = some * factor.reshape(some.shape)
        total = found.sum((0, 1, 2))
        # Windows whose other one is dead, or that contradict each other beyond all numbers, stay by
        # themselves.
        sound = (total > 0) & (place >= 0)
        if not bool(sound.all()):
            found, total = torch.where(sound, found, some), torch.where(sound, total, 1.0)
        nodes.weight[..., own.column] = found.div_(total)
