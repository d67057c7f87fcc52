# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes of laws with one or two free parameters: rows of the shape, nodes of ln k on each."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hyperspy_dosekin.numerics.row_sums import hyperbolic, log_row_sum, row_sum

from .rows import (
    Rows,
    best_on_rows,
    end_weights,
    interpolate_rows,
    row_steps,
    searched,
    spread_rows,
)
from .scan import ScanData
from .templates import Templates

_LOG_TWO, _LOG_NORMAL = math.log(2.0), 0.5 * math.log(2 * math.pi)
# Rows, and nodes on each, on which the density is evaluated; then it is interpolated to more.
N_ROW, N_NODE = 18, 12
# Rows of delays, which have long tails, and walls at the frames.
_N_DELAY = 28
# A single row, where the shape is known, has to carry the whole posterior.
_N_ALONE = 80
# Spread of the first rows in standard deviations by the curvature, and share of their span by which
# rows may be left without a new search.
_REACH, _EXTRAPOLATED = 5.0, 0.1
# Steps towards the best rate of a row at first, and when rows are moved a little; the middle of
# nodes need not be nearer to it than this share of the width of the row.
_STEPS, _FEW_STEPS, _NEAR = 12, 4, 0.25
# Deviances that differ by less are the same: of a decay that one frame alone has seen all rates
# fit alike, and rounding must not choose.
_SAME = 1e-6
# A row has stuck where its neighbours know a rate of a deviance that is lower by more.
_STUCK = 0.5
# It is looked for where second differences of the best rates are larger.
_BENT = 0.15
# Rows are wanted down to this in ln density below the highest, nodes below that of their row: not
# further, since the tails of Student's t would leave no nodes for the middle.
_DEPTH, _ROW_DEPTH, _MATTERS = 9.0, 7.0, 6.0
_ROUNDS = 4
# Nodes are even in the inverse hyperbolic sine
# of the distance over so many widths: tails are long. Where a row is narrower than its curvature
# says too few nodes matter, and they are placed anew.
_CORE, _LONGEST = 1.5, 20.0
# So many nodes of a row must matter, or the others are drawn in.
_FEWEST = 6
# Towards slow rates tails are longer: a slow decay of a large amplitude looks like any other.
_LONGER, _ALONE_LONGER = (1.6, 1.2), (5.0, 5.0)
# Places on a row, in widths, that say how much mass it has where the offset is bounded.
_PLACES = (-4.0, -2.0, 0.0, 2.0, 4.0)
# It may be so much narrower or wider than its curvature says.
_STRETCHED = (0.5, 2.5)
# Second differences of ln densities that are larger than this cannot be interpolated: a decay would
# be over before a frame that still has some of it.
_SHARP = 2.0
# Densities so far below the highest are none.
_LOWEST = 60.0


def _log_density(data: ScanData, log_rate: Tensor, shape: Tensor) -> Tensor:
    """Log posterior density in the rate on its scale of search and the shape."""
    density = data.log_density(searched(data, log_rate, shape))[0]
    rate = data.parameters.free[0]
    # A rate that is even on its own scale is not on its logarithm.
    return density if rate.logarithmic or rate.lower <= 0 else density + log_rate


def _first_rows(data: ScanData, start: Tensor, templates: Templates, number: int) -> Rows:
    """Rows of the shape that the curvature at the estimate and templates suggest."""
    shape = data.parameters.free[1]
    _, _, hessian = data.evaluate(list(start), [True, True])
    determinant = hessian[0, 0] * hessian[1, 1] - hessian[0, 1] ** 2
    safe = determinant > 1e-10 * hessian[0, 0] * hessian[1, 1]
    spread = torch.where(safe, hessian[0, 0] / determinant.clamp(min=1e-300), 1e6).sqrt()
    logarithm = not shape.logarithmic and shape.lower > 0
    best = start[1].exp() if logarithm else start[1]
    low, high = shape.free_box
    # Ends at the corners of extinction hide curvature: never less than a little of the box.
    reach = _REACH * ((best if logarithm else 1.0) * spread).clamp(min=1e-4)
    known, rates, deviance = templates
    # A row that is as good as this on a template is within the posterior.
    least = torch.minimum(deviance.amin(0), data.deviance_at(list(start)))
    good = deviance < least + 2 * _DEPTH
    lower = torch.where(good, known, torch.inf).amin(0)
    upper = torch.where(good, known, -torch.inf).amax(0)
    rows = spread_rows(
        torch.minimum(best - reach, lower).clamp(low, high),
        torch.maximum(best + reach, upper).clamp(low, high),
        number,
        shape,
    )
    slope = -hessian[0, 1] / hessian[0, 0].clamp(min=1e-12)
    line = start[0] + slope.clamp(-3, 3) * ((rows.log() if logarithm else rows) - start[1])
    line = line.clamp(*data.parameters.free[0].search_box)
    other = interpolate_rows(rows, known.expand(-1, data.count), rates, shape)
    trials = [data.deviance_at(searched(data, at, rows)) for at in (line, other)]
    guess = torch.where(trials[0] < trials[1] - _SAME, line, other)
    found = best_on_rows(data, rows, guess, iterations=_STEPS, near=_NEAR)
    # Few rows far from each other bend more, and hardly any of them has stuck.
    return _from_neighbours(data, found, _ROUNDS if number >= N_ROW else 1)


def _from_neighbours(data: ScanData, rows: Rows, rounds: int) -> Rows:
    """The same with rows that have stuck begun again where their neighbours point to.

    Between walls the best rate of a row may be missed by a search from elsewhere.
    """
    index = torch.nonzero((rows.log_rate.diff(2, dim=0).abs() > _BENT).any(0))[:, 0]
    for _ in range(rounds):
        if index.numel() == 0:
            break
        some, part = data.select(index), rows.select(index)
        at = part.log_rate
        first, last = 2 * at[1:2] - at[2:3], 2 * at[-2:-1] - at[-3:-2]
        guesses = [
            torch.cat([first, at[:1], 2 * at[1:-1] - at[:-2]]),
            torch.cat([2 * at[1:-1] - at[2:], at[-1:], last]),
        ]
        now = some.deviance_at(searched(some, at, part.shape))
        for guess in guesses:
            found = some.deviance_at(searched(some, guess, part.shape))
            better = found < now - _STUCK
            now, at = torch.where(better, found, now), torch.where(better, guess, at)
        stuck = torch.nonzero((at != part.log_rate).any(0))[:, 0]
        index, shape = index[stuck], part.shape[:, stuck]
        if index.numel():
            few = some.select(stuck)
            found = best_on_rows(few, shape, at[:, stuck], iterations=_STEPS, near=_NEAR)
            rows.replaced(index, found)
    return rows


def _row_moments(data: ScanData, rows: Rows) -> Tensor:
    """Estimates of ln ∫ density d ln k on each row, and where its middle is and how wide it is.

    ``(3, n_row, n)``; the middle from the best rate, both in the widths of the rows.
    """
    log_rate, shape, width = rows.log_rate, rows.shape, rows.width
    if not data.bounded:
        mass = _log_density(data, log_rate, shape) + width.log() + _LOG_NORMAL
        return torch.stack([mass, torch.zeros_like(mass), torch.ones_like(mass)])
    # What is allowed may lie on the slope of a row.
    places = shape.new_tensor(_PLACES)[:, None, None]
    at = (log_rate + places * width).clamp(*data.parameters.free[0].search_box)
    density = _log_density(data, at, shape)
    highest = density.amax(0)
    weight = (density - highest).exp_()
    total = row_sum(weight)
    middle = row_sum(weight * places) / total
    spread = row_sum(weight * (places - middle).square()) / total
    mass = highest + (total * width * (_PLACES[1] - _PLACES[0])).log()
    return torch.stack([mass, middle, spread.sqrt().clamp(*_STRETCHED)])


def extent(mass: Tensor, shape: Tensor, box: tuple[float, float]) -> tuple[Tensor, Tensor, Tensor]:
    """Where the mass of rows is `_DEPTH` below its highest, and how many rows lie within.

    Ends beyond the rows are extrapolated, by no more than the rows span.

    Parameters
    ----------
    mass
        Ln of the mass of each row, ``(n_row, n)``.
    shape
        Its shape on the scale of estimation, ascending, ``(n_row, n)``.
    box
        Box of that.
    """
    count = len(shape)
    # Linear in p where the mass is a normal distribution, and bent the safe way in longer tails.
    root = (mass.amax(0) - mass).sqrt_()
    inside = root < _DEPTH**0.5
    places = torch.arange(count, device=mass.device)[:, None]
    first = torch.where(inside, places, count).amin(0)
    last = torch.where(inside, places, -1).amax(0)
    span = shape[-1] - shape[0]

    def crossing(inner: Tensor, outer: Tensor) -> Tensor:
        # Where no density is a number, no row is inside.
        inner, outer = (each.clamp(0, count - 1)[None] for each in (inner, outer))
        above, below = root.gather(0, inner), root.gather(0, outer)
        share = (_DEPTH**0.5 - above) / (below - above).clamp(min=1e-12)
        share = (1.1 * share).clamp(0, 1)
        return torch.lerp(shape.gather(0, inner), shape.gather(0, outer), share)[0]

    def beyond(end: int, inner: int) -> Tensor:
        fall = (root[end] - root[inner]).clamp(min=1e-12)
        share = 1.2 * (_DEPTH**0.5 - root[end]).clamp(min=0.0) / fall
        step = shape[end] - shape[inner]
        return shape[end] + (share * step).clamp(min=-span, max=span)

    low = torch.where(first == 0, beyond(0, 1), crossing(first, first - 1))
    high = torch.where(last == count - 1, beyond(-1, -2), crossing(last, last + 1))
    return low.clamp(*box), high.clamp(*box), last - first


def _adapted_rows(
    data: ScanData, start: Tensor, templates: Templates, number: int
) -> tuple[Rows, Tensor]:
    """Rows that cover the posterior of the shape, and not much more; and their mass."""
    rows = _first_rows(data, start, templates, number)
    box = data.parameters.free[1].free_box
    moments = _row_moments(data, rows)
    low, high, count = extent(moments[0], rows.shape, box)
    for _ in range(_ROUNDS):
        span = rows.shape[-1] - rows.shape[0]
        missing = torch.maximum(rows.shape[0] - low, high - rows.shape[-1])
        outside = missing > _EXTRAPOLATED * span
        coarse = (count < number // 3) & (high - low < 0.9 * span)
        again = torch.nonzero(outside | coarse)[:, 0]
        if again.numel() == 0:
            break
        some = data.select(again)
        part = _moved(some, rows.select(again), low[again], high[again], _STEPS)
        rows.replaced(again, part)
        moments[..., again] = _row_moments(some, part)
        low[again], high[again], count[again] = extent(moments[0][:, again], part.shape, box)
    found = _moved(data, rows, low, high, _FEW_STEPS)
    shape = data.parameters.free[1]
    mass = log_row_sum(moments[0] + row_steps(rows.shape, shape).clamp(min=1e-300).log())
    if not data.bounded:
        return found, mass
    middle, spread = (interpolate_rows(found.shape, rows.shape, m, shape) for m in moments[1:])
    if data.softness is not None:
        # Curves without a bound among others that have one begin about their best rates.
        none = data.softness.isinf()
        middle, spread = middle.masked_fill(none, 0.0), spread.masked_fill(none, 1.0)
    return Rows(found.shape, found.log_rate + middle * found.width, spread * found.width), mass


def _moved(data: ScanData, rows: Rows, low: Tensor, high: Tensor, iterations: int) -> Rows:
    """Rows between other ends, which begin where the old ones say."""
    parameter = data.parameters.free[1]
    new = spread_rows(low, high, len(rows.shape), parameter)
    guess = interpolate_rows(new, rows.shape, rows.log_rate, parameter)
    return best_on_rows(data, new, guess, iterations=iterations, near=_NEAR)


def _nodes(data: ScanData, rows: Rows, reach: Tensor, number: int) -> tuple[Tensor, Tensor, Tensor]:
    """Nodes of the rate on each row, ln densities, and ln of the spacing of nodes."""
    box = data.parameters.free[0].search_box
    scale = _CORE * rows.width
    ends = torch.stack(
        [rows.log_rate - reach[0] * rows.width, rows.log_rate + reach[1] * rows.width]
    )
    low, high = ((ends.clamp(*box) - rows.log_rate) / scale).asinh()[:, :, None]
    share = torch.linspace(0, 1, number).to(low)[:, None]
    place = torch.lerp(low, high, share)
    sinh, cosh = hyperbolic(place)
    log_rate = torch.addcmul(rows.log_rate[:, None], scale[:, None], sinh)
    spacing = cosh.mul_(scale[:, None] * (high - low) / (number - 1))
    density = _log_density(data, log_rate, rows.shape[:, None])
    density = torch.maximum(density, density.amax((0, 1)) - _LOWEST)
    return log_rate, density, spacing.clamp_(min=1e-300).log_()


def _reach(data: ScanData) -> Tensor:
    """Widths from the middle of a row where its density is down to the depth that is wanted."""
    depth = 2 * (_ROW_DEPTH + 1)
    if data.noise == "given":
        return data.dose.new_full((data.count,), depth**0.5)
    # Student's t.
    freedom = data.freedom.clamp(min=1)
    return (freedom * torch.expm1(depth / freedom)).sqrt().clamp(max=_LONGEST)


def _adapted_nodes(data: ScanData, rows: Rows, number: int) -> tuple[Tensor, Tensor, Tensor]:
    """Nodes of the rate on each row, ln densities and of the spacing, ``(n_row, n_node, n)``."""
    alone = rows.shape.shape[0] == 1
    # Many nodes may look far.
    longer = rows.shape.new_tensor(_ALONE_LONGER if alone else _LONGER)[:, None, None]
    reach = longer * _reach(data).expand(2, *rows.shape.shape)
    low, high = data.parameters.free[0].search_box
    number = _N_ALONE if alone else number
    found = torch.stack(_nodes(data, rows, reach, number))
    index, some, now = torch.arange(data.count, device=reach.device), data, found
    places = torch.arange(number, dtype=torch.int8, device=reach.device)[:, None]
    for _ in range(_ROUNDS):
        at, density, spacing = now
        peak = density.amax(1)
        # Rows far down do not matter, and ends that are.
        highest = peak.amax(0)
        above = density > torch.maximum(peak - _ROW_DEPTH, highest - _DEPTH)[:, None]
        short = torch.stack(
            [above[:, 0] & (at[:, 0] > low + 1e-9), above[:, -1] & (at[:, -1] < high - 1e-9)]
        )
        sparse = above.sum(1) < (0 if alone else _FEWEST)
        wrong = (short.any(0) | sparse) & (peak > highest - _MATTERS)
        again = torch.nonzero(wrong.any(0))[:, 0]
        if again.numel() == 0:
            break
        index, some = index[again], some.select(again)
        at, density, spacing, above, short, reach = (
            each[..., again] for each in (at, density, spacing, above, short, reach)
        )
        weight = density.add_(spacing)
        weight = weight.sub_(weight.amax(1, keepdim=True)).exp_()
        total = weight.sum(1)
        middle = (weight * at).sum(1).div_(total)
        spread = (at - middle[:, None]).square_().mul_(weight).sum(1).div_(total).sqrt_()
        width = spread.clamp_(min=1e-9)
        # The nodes just outside of what matters.
        first = torch.where(above, places, number).amin(1, True) - 1
        last = torch.where(above, places, 0).amax(1, True) + 1
        ends = torch.cat([first.clamp(min=0), last.clamp(max=number - 1)], 1)
        ends = at.gather(1, ends.long())
        tight = torch.stack([middle - ends[:, 0], ends[:, 1] - middle]) / width
        drawn = above.any(1) & ~short
        reach = torch.where(drawn, torch.minimum(reach, tight), reach)
        reach = reach * torch.where(short, 1.6, 1.0)
        # Neighbours reach alike, since what lies between them is interpolated.
        padded = torch.cat([reach[:, :1], reach, reach[:, -1:]], 1)
        reach = torch.maximum(torch.maximum(padded[:, :-2], padded[:, 2:]), reach)
        part = Rows(rows.shape[:, index], middle, width)
        now = torch.stack(_nodes(some, part, reach, number))
        found[..., index] = now
    return found[0], found[1], found[2]


def ridge_rows(
    data: ScanData, start: Tensor, templates: Templates, number: int | None = None
) -> Rows:
    """Rows that cover the posterior of some curves, see `rows_and_mass`."""
    return rows_and_mass(data, start, templates, number)[0]


def rows_and_mass(
    data: ScanData, start: Tensor, templates: Templates, number: int | None = None
) -> tuple[Rows, Tensor]:
    """Rows that cover the posterior of some curves, and about what ln mass it has, ``(n,)``.

    Parameters
    ----------
    data
        The curves.
    start
        Free parameters of their estimates on the scale of search, ``(n_free, n)``.
    templates
        What templates say of them.
    number
        How many rows; by the shape if not given.
    """
    if len(data.parameters.free) > 1:
        if number is None:
            number = _N_DELAY if data.parameters.free[1].name == "delay" else N_ROW
        return _adapted_rows(data, start, templates, number)
    _, rate, deviance = templates
    rate = torch.where(deviance < data.deviance_at([start[:1]]), rate, start[:1])
    rows = best_on_rows(data, torch.zeros_like(rate), rate)
    return rows, _row_moments(data, rows)[0, 0]


def ridge_nodes(
    data: ScanData, rows: Rows, *, finer: bool = False, number: int = N_NODE
) -> tuple[list[Tensor], Tensor]:
    """Nodes of some curves and the logarithms of their unnormalised weights.

    Parameters
    ----------
    data
        The curves.
    rows
        Their rows.
    finer
        Whether there are twice as many rows, for what other windows say of the shape.
    number
        Nodes on each row.

    Returns
    -------
    Free parameters on the scale of search, of shapes that broadcast to ``(n_row, n_node, n)``, and
    the weights of that shape.
    """
    free, shape = data.parameters.free, rows.shape
    log_rate, density, spacing = _adapted_nodes(data, rows, number)
    if len(free) > 1:
        row, curve = _steep(density).nonzero().T
        log_rate, weight = _refined(log_rate, (0,)), _refined(density + spacing, (0,))
        if row.numel():
            # Rows half way between others cannot be interpolated there.
            at = log_rate[1::2].transpose(0, 1)[:, row, curve]
            places = spread_rows(shape[0], shape[-1], len(log_rate), free[1])[1::2][row, curve]
            exact = _log_density(data.select(curve), at, places[None])
            exact = torch.maximum(exact, density.amax((0, 1))[curve] - _LOWEST)
            own = spacing.transpose(0, 1)
            room = torch.logaddexp(own[:, row, curve], own[:, row + 1, curve]) - _LOG_TWO
            weight[1::2].transpose(0, 1)[:, row, curve] = exact + room
        log_rate, weight = _refined(log_rate, (1,)), _refined(weight, (1,))
        if finer:
            log_rate, weight = _refined(log_rate, (0,)), _refined(weight, (0,))
        shape = spread_rows(shape[0], shape[-1], log_rate.shape[0], free[1])
        steps = row_steps(shape, free[1]).clamp(min=1e-300).log().sub_(_LOG_TWO)
        weight += steps[:, None]
    else:
        weight = density + spacing
    weight += end_weights(log_rate.shape[1]).to(weight).log()[:, None]
    return searched(data, log_rate, shape[:, None]), weight


def _steep(density: Tensor) -> Tensor:
    """Places between rows ``(n_row - 1, n)`` about which the density bends sharply.

    Where it matters, from row to row. Bends along a row hardly count: its nodes stand closer where
    it falls.
    """
    matters = density > density.amax((0, 1)) - _MATTERS
    inner = matters[:-2] & matters[1:-1] & matters[2:]
    bent = ((density.diff(2, dim=0).abs_() > _SHARP) & inner).any(1)
    none = torch.zeros_like(bent[:1])
    return torch.cat([none, bent]) | torch.cat([bent, none])


def _refined(values: Tensor, dims: tuple[int, ...] = (0, 1)) -> Tensor:
    """Values at nodes ``(n_row, n_node, n)`` and half way between the rows and nodes.

    Parabolas with the harmonic mean of the bends of the two that meet there, near to the flatter
    one: densities fall off like a wall where a decay would be extinct before a frame that still has
    some of it.
    """
    for dim in dims:
        bend = values.diff(2, dim=dim)
        number = bend.shape[dim]
        bend = torch.cat([bend.narrow(dim, 0, 1), bend, bend.narrow(dim, number - 1, 1)], dim)
        pair = bend.narrow(dim, 0, number + 1), bend.narrow(dim, 1, number + 1)
        flatter, total = (pair[0] * pair[1]).clamp_(min=0.0), pair[0] + pair[1]
        flatter.div_(total.masked_fill_(total == 0, 1.0))
        left, right = values.narrow(dim, 0, number + 1), values.narrow(dim, 1, number + 1)
        both = values.new_empty(*values.shape[:dim], 2 * number + 3, *values.shape[dim + 1 :])
        places = (slice(None),) * dim
        both[(*places, slice(0, None, 2))] = values
        middle = both[(*places, slice(1, None, 2))]
        torch.add(left, right, out=middle).mul_(0.5).sub_(flatter, alpha=0.25)
        values = both
    return values
