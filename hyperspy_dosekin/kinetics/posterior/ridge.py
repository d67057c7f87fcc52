# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of the shape that cover the posterior of laws with one or two free parameters."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.laws.parameter import free_to_search, search_to_free
from hyperspy_dosekin.numerics.row_sums import log_row_sum, row_sum

from .detail import USUAL, Detail
from .rows import (
    Rows,
    best_on_rows,
    interpolate_rows,
    row_density,
    row_steps,
    searched,
    spread_rows,
)
from .scan import ScanData
from .templates import Templates

_LOG_NORMAL = 0.5 * math.log(2 * math.pi)
# Rows; those of delays have long tails, and walls at the frames.
N_ROW, _N_DELAY = 18, 28
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
_ROUNDS = 4
# Places on a row, in widths, that say how much mass it has where the offset is bounded.
_PLACES = (-4.0, -2.0, 0.0, 2.0, 4.0)
# It may be so much narrower or wider than its curvature says.
_STRETCHED = (0.5, 2.5)


def _first_rows(
    data: ScanData, start: Tensor, templates: Templates, number: int, depth: float
) -> Rows:
    """Rows of the shape that the curvature at the estimate and templates suggest."""
    shape = data.parameters.free[1]
    _, _, hessian = data.evaluate(list(start), [True, True])
    determinant = hessian[0, 0] * hessian[1, 1] - hessian[0, 1] ** 2
    safe = determinant > 1e-10 * hessian[0, 0] * hessian[1, 1]
    spread = torch.where(safe, hessian[0, 0] / determinant.clamp(min=1e-300), 1e6).sqrt()
    best = search_to_free(shape, start[1])
    low, high = shape.free_box
    # Ends at the corners of extinction hide curvature: never less than a little of the box.
    reach = _REACH * ((1.0 if shape.direct else best) * spread).clamp(min=1e-4)
    known, rates, deviance = templates
    # A row that is as good as this on a template is within the posterior.
    least = torch.minimum(deviance.amin(0), data.deviance_at(list(start)))
    good = deviance < least + 2 * depth
    lower = torch.where(good, known, torch.inf).amin(0)
    upper = torch.where(good, known, -torch.inf).amax(0)
    rows = spread_rows(
        torch.minimum(best - reach, lower).clamp(low, high),
        torch.maximum(best + reach, upper).clamp(low, high),
        number,
        shape,
    )
    if data.straight:
        # Nothing is searched for.
        return best_on_rows(data, rows, rows)
    slope = -hessian[0, 1] / hessian[0, 0].clamp(min=1e-12)
    line = start[0] + slope.clamp(-3, 3) * (free_to_search(shape, rows) - start[1])
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
        mass = row_density(data, log_rate, shape) + width.log() + _LOG_NORMAL
        return torch.stack([mass, torch.zeros_like(mass), torch.ones_like(mass)])
    # What is allowed may lie on the slope of a row.
    places = shape.new_tensor(_PLACES)[:, None, None]
    at = (log_rate + places * width).clamp(*data.parameters.free[0].search_box)
    density = row_density(data, at, shape)
    highest = density.amax(0)
    weight = (density - highest).exp_()
    total = row_sum(weight)
    middle = row_sum(weight * places) / total
    spread = row_sum(weight * (places - middle).square()) / total
    mass = highest + (total * width * (_PLACES[1] - _PLACES[0])).log()
    return torch.stack([mass, middle, spread.sqrt().clamp(*_STRETCHED)])


def extent(
    mass: Tensor, shape: Tensor, box: tuple[float, float], depth: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Where the mass of rows is so far below its highest, and how many rows lie within.

    Ends beyond the rows are extrapolated, by no more than the rows span.

    Parameters
    ----------
    mass
        Ln of the mass of each row, ``(n_row, n)``.
    shape
        Its shape on the scale of estimation, ascending, ``(n_row, n)``.
    box
        Box of that.
    depth
        How far, in ln.
    """
    count, wanted = len(shape), depth**0.5
    # Linear in p where the mass is a normal distribution, and bent the safe way in longer tails.
    root = (mass.amax(0) - mass).sqrt_()
    inside = root < wanted
    places = torch.arange(count, device=mass.device)[:, None]
    first = torch.where(inside, places, count).amin(0)
    last = torch.where(inside, places, -1).amax(0)
    span = shape[-1] - shape[0]

    def crossing(inner: Tensor, outer: Tensor) -> Tensor:
        # Where no density is a number, no row is inside.
        inner, outer = (each.clamp(0, count - 1)[None] for each in (inner, outer))
        above, below = root.gather(0, inner), root.gather(0, outer)
        share = (wanted - above) / (below - above).clamp(min=1e-12)
        share = (1.1 * share).clamp(0, 1)
        return torch.lerp(shape.gather(0, inner), shape.gather(0, outer), share)[0]

    def beyond(end: int, inner: int) -> Tensor:
        fall = (root[end] - root[inner]).clamp(min=1e-12)
        share = 1.2 * (wanted - root[end]).clamp(min=0.0) / fall
        step = shape[end] - shape[inner]
        return shape[end] + (share * step).clamp(min=-span, max=span)

    low = torch.where(first == 0, beyond(0, 1), crossing(first, first - 1))
    high = torch.where(last == count - 1, beyond(-1, -2), crossing(last, last + 1))
    return low.clamp(*box), high.clamp(*box), last - first


def _adapted_rows(
    data: ScanData, start: Tensor, templates: Templates, number: int, depth: float
) -> tuple[Rows, Tensor]:
    """Rows that cover the posterior of the shape, and not much more; and their mass."""
    rows = _first_rows(data, start, templates, number, depth)
    box = data.parameters.free[1].free_box
    moments = _row_moments(data, rows)
    low, high, count = extent(moments[0], rows.shape, box, depth)
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
        low[again], high[again], count[again] = extent(moments[0][:, again], part.shape, box, depth)
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
    guess = new = spread_rows(low, high, len(rows.shape), parameter)
    if not data.straight:
        guess = interpolate_rows(new, rows.shape, rows.log_rate, parameter)
    return best_on_rows(data, new, guess, iterations=iterations, near=_NEAR)


def rows_and_mass(
    data: ScanData,
    start: Tensor,
    templates: Templates,
    number: int | None = None,
    detail: Detail = USUAL,
) -> tuple[Rows, Tensor]:
    """Rows that cover the posterior of some curves, and about what ln mass it has, ``(n,)``.

    Parameters
    ----------
    start
        Free parameters of their estimates on the scale of search, ``(n_free, n)``.
    number
        How many rows; by the shape if not given. Times what the `detail` says.
    detail
        How many rows there are, and how far they go.
    """
    if len(data.parameters.free) > 1:
        if number is None:
            number = _N_DELAY if data.parameters.free[1].onset else N_ROW
        return _adapted_rows(data, start, templates, detail.rows * number, detail.depth)
    _, rate, deviance = templates
    rate = torch.where(deviance < data.deviance_at([start[:1]]), rate, start[:1])
    rows = best_on_rows(data, torch.zeros_like(rate), rate)
    return rows, _row_moments(data, rows)[0, 0]
