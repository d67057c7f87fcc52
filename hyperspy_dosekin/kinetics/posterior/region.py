# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the sum of squares of a curve stays below a limit: the region of a profile.

With one or two free parameters the edge of the region is found; with three it is that of the nodes
of a posterior without priors that lie inside.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.laws.parameter import search_to_free
from hyperspy_dosekin.kinetics.laws.prior import LOG_RATE_BOX
from hyperspy_dosekin.kinetics.model.parameters import Parameters

from .rows import Rows, best_on_rows, interpolate_rows, searched, spread_rows
from .sampling import sampled_nodes
from .scan import ScanData

#: Box of ln k, wider than that of the estimator so that open intervals show.
PROFILE_LOG_RATE_BOX = (math.log(1e-3), math.log(1000.0))
_N_ROW, _N_COARSE = 32, 24
_ZOOMS, _EXPANSIONS, _BISECTIONS = 4, 10, 14
# Nodes of a law with three free parameters so near the box of ln k stand for its edge.
_EDGE = 0.5


@dataclass(frozen=True, eq=False)
class Region:
    """Corners of the region of the parameters that is allowed, for some curves.

    Parameters
    ----------
    search
        Free parameters on their scale of search, each ``(n_point, n)``: least and largest rate of
        each row, then the two tips; or all nodes.
    inside
        Which of these points belong to the region, same shape.
    reaches_slow, reaches_fast
        Whether the region runs into the lower or upper end of the box of ln k, ``(n,)``.
    """

    search: list[Tensor]
    inside: Tensor
    reaches_slow: Tensor
    reaches_fast: Tensor


def rate_box(parameters: Parameters) -> tuple[float, float]:
    """Box of the first parameter on its scale of search, wider than that of the estimator."""
    first = parameters.free[0]
    if not (first.name == "rate" and first.logarithmic):
        return first.search_box
    low, high = first.search_box
    wider = zip(PROFILE_LOG_RATE_BOX, LOG_RATE_BOX, strict=True)
    (below, usual_low), (above, usual_high) = wider
    return low + below - usual_low, high + above - usual_high


def _squares(data: ScanData, log_rate: Tensor, shape: Tensor) -> Tensor:
    return data.sums(searched(data, log_rate, shape)).squares


@dataclass(frozen=True, eq=False)
class _SizedRows(Rows):
    """Rows with the sum of squares at the best rate of each, ``(n_row, n)``."""

    squares: Tensor

    @classmethod
    def best(
        cls, data: ScanData, shape: Tensor, start: Tensor, box: tuple[float, float]
    ) -> _SizedRows:
        """Rows with the best rate of each, from a first guess."""
        rows = best_on_rows(data, shape, start, box=box)
        return cls(shape, rows.log_rate, rows.width, _squares(data, rows.log_rate, shape))


def _started_rows(data: ScanData, shape: Tensor) -> tuple[_SizedRows, Tensor, Tensor]:
    """Best rates of rows from a coarse search, with its nodes ``(n_coarse,)`` and squares."""
    box = rate_box(data.parameters)
    coarse = torch.linspace(*box, _N_COARSE, dtype=shape.dtype).to(shape.device)
    squares = _squares(
        data,
        coarse[None, :, None].expand(*shape[:, None].shape[:1], -1, shape.shape[1]),
        shape[:, None],
    )
    start = coarse[squares.argmin(1)]
    return _SizedRows.best(data, shape, start, box), coarse, squares


def _zoomed_rows(
    data: ScanData, best: Tensor, limit: Tensor
) -> tuple[_SizedRows, Tensor, Tensor, Tensor]:
    """Rows that resolve the region; also the coarse search on them, and the limit of squares.

    `best` holds the least-squares estimate, rate on its scale of search and shape on that of
    estimation, ``(2, n)``; `limit` turns the least sum of squares into the largest that is
    allowed, as (factor, addend).
    """
    parameter = data.parameters.free[1]
    box = rate_box(data.parameters)
    least = _squares(data, best[0], best[1])
    low, high = (torch.full_like(least, bound) for bound in parameter.free_box)
    rows, coarse, squares = _started_rows(data, spread_rows(low, high, _N_ROW, parameter))
    places = torch.arange(_N_ROW, device=least.device)[:, None]
    for _ in range(_ZOOMS):
        least = torch.minimum(least, rows.squares.amin(0))
        allowed = limit[0] * least + limit[1]
        nearest = (rows.shape - best[1]).abs().argmin(0)
        active = (rows.squares <= allowed) | (places == nearest)
        first = torch.where(active, places, _N_ROW).amin(0)
        last = torch.where(active, places, -1).amax(0)
        again = torch.nonzero(last - first < _N_ROW // 3)[:, 0]
        if again.numel() == 0:
            break
        low = rows.shape.gather(0, (first - 1).clamp(min=0)[None])[0]
        high = rows.shape.gather(0, (last + 1).clamp(max=_N_ROW - 1)[None])[0]
        new = spread_rows(low[again], high[again], _N_ROW, parameter)
        part, _, part_squares = _started_rows(data.select(again), new)
        # The neighbours' best rates are a second guess where the coarse search misleads.
        known = rows.shape[:, again], rows.log_rate[:, again]
        guess = interpolate_rows(new, *known, parameter)
        other = _SizedRows.best(data.select(again), new, guess, box)
        better = other.squares < part.squares
        chosen = [
            torch.where(better, getattr(other, name), getattr(part, name))
            for name in ("shape", "log_rate", "width", "squares")
        ]
        rows.replaced(again, _SizedRows(*chosen))
        squares[..., again] = part_squares
    least = torch.minimum(least, rows.squares.amin(0))
    return rows, coarse, squares, limit[0] * least + limit[1]


def _edge(
    data: ScanData, rows: Rows, allowed: Tensor, inside: Tensor, step: Tensor, sign: float
) -> tuple[Tensor, Tensor]:
    """Where each row leaves the region upwards (`sign` 1) or downwards, and if not in the box."""
    box = rate_box(data.parameters)
    bound = box[1] if sign > 0 else box[0]
    outside = inside + sign * step
    reached = torch.zeros_like(inside, dtype=torch.bool)
    open_ = torch.ones_like(reached)
    for _ in range(_EXPANSIONS):
        outside = outside.clamp(*box)
        within = _squares(data, outside, rows.shape) <= allowed
        advance = within & ~reached
        inside = torch.where(advance, outside, inside)
        reached |= ~within
        open_ = ~reached & ((outside - bound).abs() < 1e-9)
        if bool((reached | open_).all()):
            break
        outside = torch.where(reached, outside, outside + sign * 2 * (outside - inside + step))
        outside = torch.where(~reached, inside + sign * 2 * step, outside)
        step = torch.where(reached, step, 2 * step)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (inside + outside)
        within = _squares(data, middle, rows.shape) <= allowed
        inside = torch.where(within, middle, inside)
        outside = torch.where(within, outside, middle)
    return inside, open_


def _tip(
    rows: _SizedRows, allowed: Tensor, active: Tensor, end: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Find ln k and p where the region ends along p, and whether there is such a place."""
    n_row = rows.shape.shape[0]
    places = torch.arange(n_row, device=active.device)[:, None]
    if end > 0:
        inner = torch.where(active, places, -1).amax(0)
        outer = (inner + 1).clamp(max=n_row - 1)
    else:
        inner = torch.where(active, places, n_row).amin(0)
        outer = (inner - 1).clamp(min=0)
    exists = active.any(0) & (inner != outer)
    inner = inner.clamp(0, n_row - 1)[None]
    outer = outer[None]
    s_in, s_out = rows.squares.gather(0, inner)[0], rows.squares.gather(0, outer)[0]
    share = ((allowed - s_in) / (s_out - s_in).clamp(min=1e-300)).clamp(0, 1)

    def between(array: Tensor) -> Tensor:
        return torch.lerp(array.gather(0, inner)[0], array.gather(0, outer)[0], share)

    return between(rows.log_rate), between(rows.shape), exists


def allowed_region(data: ScanData, best: Tensor, limit: Tensor) -> Region:
    """Find the allowed region of a block of curves."""
    if len(best) == 3:
        return _region_of_nodes(data, best, limit)
    if len(best) == 2:
        pair = torch.stack([best[0], search_to_free(data.parameters.free[1], best[1])])
        rows, coarse, squares, allowed = _zoomed_rows(data, pair, limit)
    else:
        rows, coarse, squares = _started_rows(data, torch.zeros_like(best[:1]))
        allowed = limit[0] * rows.squares.amin(0) + limit[1]
    active = rows.squares <= allowed
    # How far a parabola would reach the limit; at least something.
    rise = ((allowed - rows.squares) / rows.squares.clamp(min=1e-300)).clamp(min=0)
    step = (rows.width * (data.freedom.clamp(min=1) * rise).sqrt()).clamp(1e-4, 3.0) * 1.1
    # A second basin of the coarse search counts too: start from the outermost allowed node.
    kept = squares <= allowed
    lowest = torch.where(kept, coarse[:, None], math.inf).amin(1)
    highest = torch.where(kept, coarse[:, None], -math.inf).amax(1)
    low, open_low = _edge(data, rows, allowed, torch.minimum(rows.log_rate, lowest), step, -1.0)
    high, open_high = _edge(data, rows, allowed, torch.maximum(rows.log_rate, highest), step, 1.0)
    tips = [_tip(rows, allowed, active, end) for end in (-1, 1)]
    log_rate = torch.cat([low, high, *[tip[0][None] for tip in tips]])
    shapes = torch.cat([rows.shape, rows.shape, *[tip[1][None] for tip in tips]])
    return Region(
        searched(data, log_rate, shapes),
        torch.cat([active, active, *[tip[2][None] for tip in tips]]),
        (open_low & active).any(0),
        (open_high & active).any(0),
    )


def _region_of_nodes(data: ScanData, best: Tensor, limit: Tensor) -> Region:
    """Nodes of a law with three free parameters that are allowed."""
    search, _ = sampled_nodes(data, best)
    found = torch.stack(
        [torch.cat([each[0], row[None]]) for each, row in zip(search, best, strict=True)]
    )
    squares = data.sums(list(found)).squares
    allowed = limit[0] * squares.amin(0) + limit[1]
    inside = squares <= allowed
    first = data.parameters.free[0]
    low, high = first.search_box
    rates = found[0]
    is_rate = first.name == "rate" and first.logarithmic
    slow = (inside & (rates < low + _EDGE)).any(0) & is_rate
    fast = (inside & (rates > high - _EDGE)).any(0) & is_rate
    return Region(list(found), inside, slow, fast)
