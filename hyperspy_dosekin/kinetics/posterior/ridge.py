# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes of laws with one or two free parameters: rows of the shape, nodes of ln k on each."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .rows import Rows, best_on_rows, interpolate_rows, row_steps, searched, spread_rows
from .scan import ScanData

N_ROW, N_NODE = 24, 18
# Rows with which the extent of the posterior in the shape is looked for.
_N_SEARCH = 12
# Share of their span by which these rows may be left without a new search.
_EXTRAPOLATED = 0.25
# Rows are wanted down to this in ln density below the highest, nodes below that of their row: not
# further, since the tails of Student's t would leave no nodes for the middle.
_DEPTH, _ROW_DEPTH = 9.0, 6.0
_ROUNDS = 4
# The outermost nodes of a row count half.
_LOG_TWO = math.log(2.0)


def _log_density(data: ScanData, log_rate: Tensor, shape: Tensor) -> Tensor:
    """Log posterior density in the rate on its scale of search and the shape."""
    density = data.log_density(searched(data, log_rate, shape))[0]
    rate = data.parameters.free[0]
    # A rate that is even on its own scale is not on its logarithm.
    return density if rate.logarithmic or rate.lower <= 0 else density + log_rate


def _first_rows(data: ScanData, start: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of the shape that the curvature at the estimate suggests, with rates on the ridge."""
    shape = data.parameters.free[1]
    _, _, hessian = data.evaluate(list(start), [True, True])
    determinant = hessian[0, 0] * hessian[1, 1] - hessian[0, 1] ** 2
    safe = determinant > 1e-10 * hessian[0, 0] * hessian[1, 1]
    spread = torch.where(safe, hessian[0, 0] / determinant.clamp(min=1e-300), 1e6).sqrt()
    logarithm = not shape.logarithmic and shape.lower > 0
    best = start[1].exp() if logarithm else start[1]
    low, high = shape.free_box
    # Ends at the corners of extinction hide curvature: never less than a little of the box.
    reach = 8 * ((best if logarithm else 1.0) * spread).clamp(min=1e-4)
    rows = spread_rows(
        (best - reach).clamp(low, high), (best + reach).clamp(low, high), _N_SEARCH, shape
    )
    slope = -hessian[0, 1] / hessian[0, 0].clamp(min=1e-12)
    rates = start[0] + slope.clamp(-3, 3) * ((rows.log() if logarithm else rows) - start[1])
    return rows, rates.clamp(*data.parameters.free[0].search_box)


def _row_mass(data: ScanData, rows: Rows) -> Tensor:
    """Laplace estimate of ln ∫ density d ln k on each row."""
    log_density = _log_density(data, rows.log_rate, rows.shape)
    return log_density + rows.width.log()


def _extent(data: ScanData, rows: Rows) -> tuple[Tensor, Tensor, Tensor]:
    """Where the mass of rows is `_DEPTH` below its highest, and how many rows lie within.

    Ends beyond the rows are extrapolated, by no more than the rows span.
    """
    count = rows.shape.shape[0]
    mass = _row_mass(data, rows)
    # Linear in p where the mass is a normal distribution, and bent the safe way in longer tails.
    root = (mass.amax(0) - mass).sqrt_()
    inside = root < _DEPTH**0.5
    places = torch.arange(count, device=mass.device)[:, None]
    first = torch.where(inside, places, count).amin(0)
    last = torch.where(inside, places, -1).amax(0)
    span = rows.shape[-1] - rows.shape[0]

    def crossing(inner: Tensor, outer: Tensor) -> Tensor:
        inner, outer = inner[None], outer.clamp(0, count - 1)[None]
        above, below = root.gather(0, inner), root.gather(0, outer)
        share = (_DEPTH**0.5 - above) / (below - above).clamp(min=1e-12)
        share = (1.1 * share).clamp(0, 1)
        return torch.lerp(rows.shape.gather(0, inner), rows.shape.gather(0, outer), share)[0]

    def beyond(end: int, inner: int) -> Tensor:
        fall = (root[end] - root[inner]).clamp(min=1e-12)
        share = 1.2 * (_DEPTH**0.5 - root[end]).clamp(min=0.0) / fall
        step = rows.shape[end] - rows.shape[inner]
        return rows.shape[end] + (share * step).clamp(min=-span, max=span)

    box = data.parameters.free[1].free_box
    low = torch.where(first == 0, beyond(0, 1), crossing(first, first - 1))
    high = torch.where(last == count - 1, beyond(-1, -2), crossing(last, last + 1))
    return low.clamp(*box), high.clamp(*box), last - first


def _adapted_rows(data: ScanData, start: Tensor) -> Rows:
    """Rows that cover the posterior of the shape, and not much more."""
    parameter = data.parameters.free[1]
    rows = best_on_rows(data, *_first_rows(data, start))
    low, high, count = _extent(data, rows)
    for _ in range(_ROUNDS):
        span = rows.shape[-1] - rows.shape[0]
        missing = torch.maximum(rows.shape[0] - low, high - rows.shape[-1])
        outside = missing > _EXTRAPOLATED * span
        coarse = (count < _N_SEARCH // 2) & (high - low < 0.9 * span)
        again = torch.nonzero(outside | coarse)[:, 0]
        if again.numel() == 0:
            break
        some = data.select(again)
        new = spread_rows(low[again], high[again], _N_SEARCH, parameter)
        guess = interpolate_rows(new, rows.shape[:, again], rows.log_rate[:, again])
        part = best_on_rows(some, new, guess)
        rows.replaced(again, part)
        low[again], high[again], count[again] = _extent(some, part)
    new = spread_rows(low, high, N_ROW, parameter)
    guess = interpolate_rows(new, rows.shape, rows.log_rate)
    return best_on_rows(data, new, guess)


def _adapted_nodes(data: ScanData, rows: Rows) -> tuple[Tensor, Tensor, Tensor]:
    """Nodes of the rate on each row, ln densities, and their spacing ``(n_row, n)``."""
    # A single row, where p is known, has to carry the whole posterior.
    n_node = N_NODE if rows.shape.shape[0] > 1 else 4 * N_NODE
    share = torch.linspace(0, 1, n_node, dtype=torch.float64, device=data.dose.device)
    share = share[:, None]
    # Where a normal (σ known) or Student's t of seven (σ marginalised) is down by _ROW_DEPTH.
    reach = 3.5 if data.noise == "given" else 4.8
    box = data.parameters.free[0].search_box
    low = (rows.log_rate - reach * rows.width).clamp(*box)
    high = (rows.log_rate + reach * rows.width).clamp(*box)
    low, high = low.reshape(-1), high.reshape(-1)
    n_row, n = rows.shape.shape
    # Worked on as pairs of row and curve, row by row; most pairs are right at once.
    shape_of = rows.shape.reshape(-1)
    curve = torch.arange(n, device=low.device).repeat(n_row)
    log_rate = torch.empty(n_node, n_row * n).to(low)
    density = torch.empty_like(log_rate)
    work = torch.arange(n_row * n, device=low.device)
    places = torch.arange(n_node, device=low.device)[:, None]
    highest = None
    for round_ in range(_ROUNDS):
        lower, span = low[work], (high - low)[work]
        nodes = lower + share * span
        if round_ == 0:
            # All pairs: the curves need not be copied for each row.
            table = nodes.reshape(n_node, n_row, n)
            value = _log_density(data, table, rows.shape).reshape(n_node, -1)
        else:
            value = _log_density(data.select(curve[work]), nodes, shape_of[work])
        log_rate[:, work], density[:, work] = nodes, value
        peak = value.amax(0)
        if highest is None:
            highest = peak.reshape(n_row, n).amax(0)
        active = value > peak - _ROW_DEPTH
        first = torch.where(active, places, n_node).amin(0)
        last = torch.where(active, places, -1).amax(0)
        step = span / (n_node - 1)
        new_low = lower + step * torch.where(first == 0, -n_node / 3, first - 1.0)
        new_high = (
            lower + span + step * torch.where(last == n_node - 1, n_node / 3, last + 2.0 - n_node)
        )
        new_low, new_high = new_low.clamp(*box), new_high.clamp(*box)
        wrong = (new_low < lower - 1e-9) | (new_high > lower + span + 1e-9)
        wrong |= (last - first < n_node // 2) & (new_high - new_low < 0.9 * span)
        # Rows far down do not matter.
        wrong &= peak > highest[curve[work]] - _DEPTH
        if round_ == _ROUNDS - 1 or not bool(wrong.any()):
            break
        low[work] = torch.where(wrong, new_low, lower)
        high[work] = torch.where(wrong, new_high, lower + span)
        work = work[wrong]
    shape = (n_node, n_row, n)
    log_rate, density = (array.reshape(shape).transpose(0, 1) for array in (log_rate, density))
    return log_rate, density, (log_rate[:, -1] - log_rate[:, 0]) / (n_node - 1)


def ridge_nodes(data: ScanData, start: Tensor) -> tuple[list[Tensor], Tensor]:
    """Nodes of some curves and the logarithms of their unnormalised weights.

    Parameters
    ----------
    data
        The curves.
    start
        Free parameters of their estimates on the scale of search, ``(n_free, n)``.

    Returns
    -------
    Free parameters on the scale of search, of shapes that broadcast to ``(n_row, n_node, n)``, and
    the weights of that shape.
    """
    if len(data.parameters.free) == 1:
        rows = best_on_rows(data, torch.zeros_like(start[:1]), start[:1])
    else:
        rows = _adapted_rows(data, start)
    log_rate, density, spacing = _adapted_nodes(data, rows)
    weight = density + (spacing * row_steps(rows.shape)).clamp(min=1e-300).log()[:, None]
    weight[:, 0] -= _LOG_TWO
    weight[:, -1] -= _LOG_TWO
    return searched(data, log_rate, rows.shape[:, None]), weight
