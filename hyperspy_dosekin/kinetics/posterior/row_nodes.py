# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes of laws with one or two free parameters: some of the rate on each row of the shape."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hyperspy_dosekin.numerics.row_sums import hyperbolic

from .detail import USUAL, Detail
from .marginal import inverse_sinh
from .refinement import bent_rows, refined
from .rows import Rows, end_weights, row_density, row_steps, searched, spread_rows
from .scan import ScanData

_LOG_TWO = math.log(2.0)
# Nodes on each row, on which the density is evaluated; then it is interpolated to more.
N_NODE = 12
# A single row, where the shape is known, has to carry the whole posterior.
_N_ALONE = 80
# Rows so far down in ln density do not matter.
_MATTERS = 6.0
_ROUNDS = 4
# Nodes are even in the inverse hyperbolic sine of the distance over so many widths: tails are long.
# Where a row is narrower than its curvature says too few nodes matter, and they are placed anew.
_CORE = 1.5
# So many nodes of a row must matter, or the others are drawn in.
_FEWEST = 6
# Widths that a row which is too short reaches at least.
_LEAST_REACH = 3.0
# Share by which they go beyond where slopes point, at least for so much ln density, and how much
# longer they become at most.
_MORE, _LEAST_FALL, _GROWN = 1.3, 0.5, 6.0
# Standard deviation of a normal distribution times the integral of its square.
_EVEN_WIDTH = 0.5 / math.pi**0.5
# Towards slow rates tails are longer: a slow decay of a large amplitude looks like any other.
_LONGER, _ALONE_LONGER = (1.6, 1.2), (5.0, 5.0)
# Densities so far below the highest are none.
_LOWEST = 60.0


def _nodes(data: ScanData, rows: Rows, reach: Tensor, number: int) -> tuple[Tensor, Tensor, Tensor]:
    """Nodes of the rate on each row, ln densities, and ln of the spacing of nodes."""
    box = data.parameters.free[0].search_box
    scale = _CORE * rows.width
    ends = torch.stack(
        [rows.log_rate - reach[0] * rows.width, rows.log_rate + reach[1] * rows.width]
    )
    low, high = inverse_sinh((ends.clamp(*box) - rows.log_rate) / scale)[:, :, None]
    share = torch.linspace(0, 1, number).to(low)[:, None]
    place = torch.lerp(low, high, share)
    sinh, cosh = hyperbolic(place)
    log_rate = torch.addcmul(rows.log_rate[:, None], scale[:, None], sinh)
    spacing = cosh.mul_(scale[:, None] * (high - low) / (number - 1))
    density = row_density(data, log_rate, rows.shape[:, None])
    density = torch.maximum(density, density.amax((0, 1)) - _LOWEST)
    return log_rate, density, spacing.clamp_(min=1e-300).log_()


def _reach(data: ScanData, detail: Detail) -> Tensor:
    """Widths from the middle of a row where its density is down to the depth that is wanted."""
    depth = 2 * (detail.row_depth + 1)
    if data.noise == "given":
        return data.dose.new_full((data.count,), depth**0.5)
    # Student's t.
    freedom = data.freedom.clamp(min=1)
    return (freedom * torch.expm1(depth / freedom)).sqrt().clamp(max=detail.longest)


def _beyond(at: Tensor, density: Tensor, least: Tensor) -> Tensor:
    """How far beyond both ends of rows their density would be down to the least, and some more.

    By the slopes there, which are less further out: tails are long. ``(2, n_row, n)``.
    """
    end, place = (torch.stack([each[:, 0], each[:, -1]]) for each in (density, at))
    inner, before = (torch.stack([each[:, 2], each[:, -3]]) for each in (density, at))
    slope = (inner - end).clamp(min=1e-9) / (before - place).abs()
    return _MORE * (end - least).clamp(min=_LEAST_FALL) / slope


def _adapted_nodes(
    data: ScanData, rows: Rows, number: int, detail: Detail
) -> tuple[Tensor, Tensor, Tensor]:
    """Nodes of the rate on each row, ln densities and of the spacing, ``(n_row, n_node, n)``."""
    alone = rows.shape.shape[0] == 1
    # Many nodes may look far.
    longer = rows.shape.new_tensor(_ALONE_LONGER if alone else _LONGER)[:, None, None]
    reach = longer * _reach(data, detail).expand(2, *rows.shape.shape)
    low, high = data.parameters.free[0].search_box
    number = detail.nodes * (_N_ALONE if alone else number)
    found = _nodes(data, rows, reach, number)
    index, some, now = torch.arange(data.count, device=reach.device), data, found
    places = torch.arange(number, dtype=torch.int8, device=reach.device)[:, None]
    for _ in range(_ROUNDS):
        at, density, spacing = now
        peak = density.amax(1)
        # Rows far down do not matter, and ends that are.
        highest = peak.amax(0)
        least = torch.maximum(peak - detail.row_depth, highest - detail.depth)
        above = density > least[:, None]
        short = torch.stack(
            [above[:, 0] & (at[:, 0] > low + 1e-9), above[:, -1] & (at[:, -1] < high - 1e-9)]
        )
        sparse = above.sum(1) < (0 if alone else detail.nodes * _FEWEST)
        wrong = (short.any(0) | sparse) & (peak > highest - _MATTERS)
        again = torch.nonzero(wrong.any(0))[:, 0]
        if again.numel() == 0:
            break
        index, some = index[again], some.select(again)
        at, density, spacing, above, least, short, reach = (
            each[..., again] for each in (at, density, spacing, above, least, short, reach)
        )
        beyond = _beyond(at, density, least)
        weight = density.add_(spacing)
        weight = weight.sub_(weight.amax(1, keepdim=True)).exp_()
        weight /= weight.sum(1, keepdim=True)
        # Middle and width of the peak: tails may be long.
        sharp = spacing.neg_().exp_().mul_(weight).mul_(weight)
        total = sharp.sum(1)
        middle = (sharp * at).sum(1).div_(total)
        width = (_EVEN_WIDTH / total).clamp_(min=1e-9)
        # The nodes just outside of what matters.
        first = torch.where(above, places, number).amin(1, True) - 1
        last = torch.where(above, places, 0).amax(1, True) + 1
        ends = torch.cat([first.clamp(min=0), last.clamp(max=number - 1)], 1)
        ends = at.gather(1, ends.long())
        tight = torch.stack([middle - ends[:, 0], ends[:, 1] - middle]) / width
        drawn = above.any(1) & ~short
        reach = torch.where(drawn, tight, reach)
        # One that was drawn in to a box, or nearly, would take too long to grow.
        grown = torch.minimum(tight + beyond / width, _GROWN * tight).clamp(min=_LEAST_REACH)
        reach = torch.where(short, grown, reach)
        # Neighbours reach alike, since what lies between them is interpolated.
        padded = torch.cat([reach[:, :1], reach, reach[:, -1:]], 1)
        reach = torch.maximum(torch.maximum(padded[:, :-2], padded[:, 2:]), reach)
        part = Rows(rows.shape[:, index], middle, width)
        now = _nodes(some, part, reach, number)
        for each, few in zip(found, now, strict=True):
            each[..., index] = few
    return found


def ridge_nodes(
    data: ScanData,
    rows: Rows,
    *,
    finer: bool = False,
    between: int = 2,
    number: int = N_NODE,
    detail: Detail = USUAL,
) -> tuple[list[Tensor], Tensor]:
    """Nodes of some curves and the logarithms of their unnormalised weights.

    Parameters
    ----------
    finer
        Whether there are twice as many rows, for what other windows say of the shape.
    between
        Whether there are rows (1), or rows and nodes (2), half way between those on which the
        density is evaluated.
    number
        Nodes on each row, times what the `detail` says.
    detail
        How many nodes there are, and how far they go.

    Returns
    -------
    Free parameters on the scale of search, of shapes that broadcast to ``(n_row, n_node, n)``, and
    the weights of that shape.
    """
    free, shape = data.parameters.free, rows.shape
    log_rate, density, spacing = _adapted_nodes(data, rows, number, detail)
    weight = density + spacing
    if len(free) > 1:
        if between:
            log_rate, weight = _with_rows_between(data, shape, log_rate, density, spacing)
        if between == 2:
            log_rate, weight = refined(log_rate, 1), refined(weight, 1)
            weight -= _LOG_TWO
        if finer:
            log_rate, weight = refined(log_rate, 0), refined(weight, 0)
        shape = spread_rows(shape[0], shape[-1], log_rate.shape[0], free[1])
        steps = row_steps(shape, free[1]).clamp(min=1e-300).log()
        weight += steps[:, None]
    # Those of all other nodes are one.
    for ends in (slice(3), slice(-3, None)):
        weight[:, ends] += end_weights(log_rate.shape[1])[ends].to(weight).log()[:, None]
    return searched(data, log_rate, shape[:, None]), weight


def _with_rows_between(
    data: ScanData, shape: Tensor, log_rate: Tensor, density: Tensor, spacing: Tensor
) -> tuple[Tensor, Tensor]:
    """Nodes, and densities times their spacing, with rows half way between others."""
    row, curve = bent_rows(density).nonzero().T
    log_rate, weight = refined(log_rate, 0), refined(density + spacing, 0)
    if row.numel():
        # They cannot be interpolated there.
        at = log_rate[1::2].transpose(0, 1)[:, row, curve]
        parameter = data.parameters.free[1]
        places = spread_rows(shape[0], shape[-1], len(log_rate), parameter)[1::2][row, curve]
        exact = row_density(data.select(curve), at, places[None])
        exact = torch.maximum(exact, density.amax((0, 1))[curve] - _LOWEST)
        own = spacing.transpose(0, 1)
        room = torch.logaddexp(own[:, row, curve], own[:, row + 1, curve]) - _LOG_TWO
        weight[1::2].transpose(0, 1)[:, row, curve] = exact + room
    return log_rate, weight
