# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes of laws with three free parameters: slices of the last, and on each its own ridge.

A slice is a curve whose law has one free parameter less. Slices stand where the mass of the last
parameter is, a little closer together in the middle; that of a slice before it has nodes is that of
the normal distribution about its mode.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.laws.parameter import free_to_search, search_to_free
from hyperspy_dosekin.kinetics.model.parameters import Parameters
from hyperspy_dosekin.numerics.batched_minimiser import minimise_batched
from hyperspy_dosekin.numerics.row_sums import log_row_sum

from .ridge import extent, rows_and_mass
from .row_nodes import ridge_nodes
from .rows import ByCurve, Rows
from .scan import ScanData
from .slice_places import at_frames, between, by_mass, stood
from .templates import Templates
from .whole import Whole

#: Slices of a curve.
N_SLICE = 40
# Rows of a slice and nodes of a row. Where the integrity is a straight line in the first parameter,
# the density is evaluated on all rows: that costs little.
_N_ROW, _N_NODE = 14, 12
# Slices of the templates.
_TEMPLATE_SLICES = 9
# Spread of the first slices in standard deviations by the curvature at the estimate, and the depth
# in deviance of templates whose slices are within.
_REACH, _DEEP = 5.0, 18.0
# So many are there at first, closer together within so many standard deviations.
_FIRST, _CORE = 21, 4.0
_ROUNDS = 4
# Steps towards the mode of a slice, fewer from where others say it is, and what the next one may
# still promise.
_STEPS, _FEW_STEPS, _TOLERANCE = 6, 3, 0.1
# Densities whose logarithms differ by less are the same: rounding must not choose.
_SAME = 1e-6
# Precision of an even density over a box in units of its width.
_FLAT = 12.0
# Volumes of slices are medians of those of so many to either side.
_BESIDE = 2
# Slices are wanted down to this in ln density below the highest, more than rows: that of slices is
# a guess.
_DEPTH = 11.0
# Share of their span by which slices may be too short, and how many have to be inside.
_MISSING, _FEWEST = 0.05, 6


def _cut(data: ScanData, places: Tensor) -> ScanData:
    """Slices ``(n_slice, n)`` on the scale of estimation as curves, slice after slice."""
    parameters = data.parameters
    third = parameters.free[-1]
    number, count = places.shape
    index = torch.arange(count, device=places.device).repeat(number)
    held = (*parameters.held, (third.name, third.start))
    return replace(
        data.select(index),
        parameters=replace(parameters, held=held, order=parameters.order[:2]),
        third=free_to_search(third, places).reshape(-1),
    )


@dataclass(frozen=True, eq=False)
class _Slices(ByCurve):
    """Places ``(n_slice, n)``, modes ``(2, n_slice, n)`` on the scale of search, masses, steps."""

    place: Tensor
    step: Tensor
    mode: Tensor
    mass: Tensor


@dataclass(frozen=True, eq=False)
class SlicedRows(ByCurve):
    """Rows of slices.

    Parameters
    ----------
    place, log_step
        Slices on the scale of estimation and the logarithm of what each weighs, ``(n_slice, n)``.
    shape, log_rate, width
        As in `Rows`, ``(n_row, n_slice, n)``.
    """

    place: Tensor
    log_step: Tensor
    shape: Tensor
    log_rate: Tensor
    width: Tensor


def _log_prior(parameters: Parameters, place: Tensor) -> Tensor:
    """Log prior of the last parameter."""
    *others, third = parameters.free
    held = (*parameters.held, *((each.name, each.start) for each in others))
    alone = replace(parameters, held=held, order=(third.name,))
    return alone.log_prior([free_to_search(third, place)])


def _log_mass(cut: ScanData, mode: Tensor, number: int) -> Tensor:
    """Log mass of slices by the curvatures at their modes ``(2, n_slice · n)`` and the box."""
    _, _, hessian = Whole(cut).evaluate(mode)
    free = cut.parameters.free
    # Of scales of search a box would be.
    scale = mode.new_tensor([p.free_box[1] - p.free_box[0] for p in free])[:, None]
    direct = mode.new_tensor([p.direct for p in free])[:, None] > 0
    scale = torch.where(direct, scale, scale / mode.exp())
    first = hessian[0, 0] * scale[0] ** 2 + _FLAT
    second = hessian[1, 1] * scale[1] ** 2 + _FLAT
    cross = hessian[0, 1] * scale[0] * scale[1]
    # Where nothing is left of a decay its slopes are rounding errors, which may contradict each
    # other.
    most = first.sqrt() * second.sqrt()
    cross = torch.minimum(torch.maximum(cross, -most), most)
    rest = (second - cross * cross / first).clamp(min=_FLAT)
    log_volume = -0.5 * (first * rest).log()
    log_volume = log_volume.reshape(number, -1)
    # At the corners of extinction curvatures are those of one side: neighbours know better.
    places = torch.arange(number)[:, None] + torch.arange(-_BESIDE, _BESIDE + 1)
    log_volume = log_volume[places.clamp(0, number - 1).to(mode.device)].median(1).values
    return cut.log_density(list(mode))[0].reshape(number, -1) + log_volume


def _settled(data: ScanData, place: Tensor, step: Tensor, guesses: list[Tensor]) -> _Slices:
    """Slices with their modes, which begin at the best of some guesses ``(2, n_slice, n)``."""
    cut = _cut(data, place)
    flat = [guess.flatten(1) for guess in guesses]
    best, height = flat[0], cut.log_density(list(flat[0]))[0]
    for guess in flat[1:]:
        found = cut.log_density(list(guess))[0]
        better = found > height + _SAME
        best, height = torch.where(better, guess, best), torch.where(better, found, height)
    free = cut.parameters.free
    lower, upper = place.new_tensor([parameter.search_box for parameter in free]).T
    # Rounding must not choose on which side of a bound a search begins, either.
    best = torch.where(best < lower[:, None] + _SAME, lower[:, None], best)
    best = torch.where(best > upper[:, None] - _SAME, upper[:, None], best)
    best = minimise_batched(
        Whole(cut),
        best,
        lower,
        upper,
        largest_step=torch.minimum(0.3 * (upper - lower), torch.ones_like(lower)),
        tolerance=_TOLERANCE,
        max_iterations=_STEPS if len(guesses) > 1 else _FEW_STEPS,
        least_gain=_SAME,
    ).parameters
    mass = _log_mass(cut, best, len(place)) + _log_prior(data.parameters, place)
    return _Slices(place, step, best.reshape(2, *place.shape), mass)


def _templates(data: ScanData) -> tuple[Tensor, Templates]:
    """Slices of templates ``(n_slice,)``, and what each says, ``(n_slice, …)``."""
    free = data.parameters.free
    place = torch.linspace(*free[2].free_box, _TEMPLATE_SLICES).to(data.dose)
    each = [Templates.of(data, [free_to_search(free[2], one)]) for one in place[:, None]]
    return place, Templates(*(torch.stack(some) for some in zip(*each, strict=True)))


def _first(data: ScanData, start: Tensor, place: Tensor, known: Templates) -> _Slices:
    """Slices that the curvature at the estimate and templates suggest."""
    third = data.parameters.free[2]
    box = third.free_box
    _, _, hessian = data.evaluate(list(start), [True] * 3)
    # How the others follow the last, and how sharp it is then.
    corner, cross = hessian[:2, :2], hessian[:2, 2]
    weight = corner.diagonal(dim1=0, dim2=1).T + 1e-300
    inverse = weight.prod(0) - corner[0, 1] ** 2
    inverse = 1 / torch.maximum(inverse, 1e-9 * weight.prod(0))
    slope = torch.stack(
        [
            (corner[0, 1] * cross[1] - weight[1] * cross[0]) * inverse,
            (corner[0, 1] * cross[0] - weight[0] * cross[1]) * inverse,
        ]
    )
    precision = hessian[2, 2] + (slope * cross).sum(0)
    sharp = precision > 1e-10 * hessian[2, 2]
    spread = torch.where(sharp, precision.clamp(min=1e-300).rsqrt(), torch.inf)
    at = search_to_free(third, start[2])
    spread = spread if third.direct else spread * at
    spread = spread.clamp(1e-4 * (box[1] - box[0]), box[1] - box[0])
    least = torch.minimum(known.deviance.amin((0, 1)), data.deviance_at(list(start)))
    good = (known.deviance < least + _DEEP).any(1)
    lower = torch.where(good, place[:, None], torch.inf).amin(0)
    upper = torch.where(good, place[:, None], -torch.inf).amax(0)
    low = torch.minimum(at - _REACH * spread, lower).clamp(*box)
    high = torch.maximum(at + _REACH * spread, upper).clamp(*box)
    places, step = stood(_FIRST, low, high, at, _CORE * spread)
    moved = free_to_search(third, places) - start[2]
    guess = start[:2, None] + (slope[:, None] * moved).clamp(-3.0, 3.0)
    return _settled(data, places, step, [guess, _of_templates(data, place, known, places)])


def _nearest(place: Tensor, places: Tensor) -> Tensor:
    """Which slice of the templates is the nearest to each slice."""
    return (places[..., None] - place).abs().argmin(-1)


def _of_templates(data: ScanData, place: Tensor, known: Templates, places: Tensor) -> Tensor:
    """Best of the templates of the nearest slice, ``(2, n_slice, n)``."""
    free = data.parameters.free
    rate, shape = known.rate, known.shape.expand(known.rate.shape)
    search = [rate, free_to_search(free[1], shape)]
    third = free_to_search(free[2], place)[:, None, None].expand(rate.shape)
    row = (0.5 * known.deviance - data.parameters.log_prior([*search, third])).argmin(1, True)
    best = torch.stack([each.gather(1, row)[:, 0] for each in search])
    nearest = _nearest(place, places)
    return best.gather(1, nearest.expand(2, -1, -1))


def _adapted(data: ScanData, start: Tensor, place: Tensor, known: Templates) -> _Slices:
    """Slices that cover the mass of the last parameter, and not much more."""
    part = _first(data, start, place, known)
    box = data.parameters.free[2].free_box
    index = torch.arange(data.count, device=start.device)
    delayed = data.parameters.free[2].onset
    slices = None
    for _ in range(_ROUNDS):
        low, high, _ = extent(part.mass, part.place, box, _DEPTH)
        places, step = by_mass(N_SLICE, low, high, part.place, part.mass)
        if delayed:
            places, step = at_frames(data.dose.clamp(*box), places)
        guess = torch.stack([between(places, part.place, mode) for mode in part.mode])
        part = _settled(data.select(index), places, step, [guess])
        if slices is None:
            slices = part
        else:
            slices.replaced(index, part)
        low, high, inside = extent(part.mass, part.place, box, _DEPTH)
        span = part.place[-1] - part.place[0]
        missing = torch.maximum(part.place[0] - low, high - part.place[-1])
        wrong = (missing > _MISSING * span) | (inside < _FEWEST)
        again = torch.nonzero(wrong)[:, 0]
        if again.numel() == 0:
            break
        index, part = index[again], part.select(again)
    assert slices is not None
    return slices


def _nested(data: ScanData) -> ScanData:
    """The same with the free parameters in the order in which the law nests them."""
    return replace(data, parameters=replace(data.parameters, order=data.parameters.law.nesting))


def sliced_rows(data: ScanData, start: Tensor) -> tuple[SlicedRows, Tensor]:
    """Rows of slices that cover the posterior of some curves, and about what ln mass it has.

    Parameters
    ----------
    data
        The curves, of a law that names the order of its three free parameters.
    start
        Their estimates on the scale of search, ``(3, n)``.
    """
    names = [parameter.name for parameter in data.parameters.free]
    data = _nested(data)
    start = torch.stack([start[names.index(name)] for name in data.parameters.law.nesting])
    place, known = _templates(data)
    slices = _adapted(data, start, place, known)
    nearest = _nearest(place, slices.place)

    def own(array: Tensor) -> Tensor:
        """Of each slice what the nearest of the templates says, ``(n_row, n_slice · n)``."""
        chosen = array.gather(0, nearest[:, None].expand(-1, array.shape[1], -1))
        return chosen.transpose(0, 1).flatten(1)

    templates = Templates(known.shape[0], own(known.rate), own(known.deviance))
    cut = _cut(data, slices.place)
    rows, mass = rows_and_mass(cut, slices.mode.flatten(1), templates, _N_ROW)
    shape, log_rate, width = (
        each.unflatten(1, slices.place.shape) for each in (rows.shape, rows.log_rate, rows.width)
    )
    log_step = slices.step.log() + _log_prior(data.parameters, slices.place)
    mass = log_row_sum(mass.reshape(log_step.shape) + log_step)
    return SlicedRows(slices.place, log_step, shape, log_rate, width), mass


def sliced_nodes(data: ScanData, rows: SlicedRows) -> tuple[list[Tensor], Tensor]:
    """Nodes of some curves and the logarithms of their unnormalised weights.

    Returns
    -------
    Free parameters on the scale of search, of shapes that broadcast to ``(n_row, n_node, n)``,
    where the rows of `N_SLICE` slices follow each other, and the weights of that shape.
    """
    names = [parameter.name for parameter in data.parameters.free]
    data = _nested(data)
    order = data.parameters.law.nesting
    cut = _cut(data, rows.place)
    flat = Rows(*(each.flatten(1) for each in (rows.shape, rows.log_rate, rows.width)))
    search, weight = ridge_nodes(cut, flat, between=int(not cut.straight), number=_N_NODE)
    number = len(weight)

    def stacked(array: Tensor) -> Tensor:
        """From ``(n_row, n_node, n_slice · n)`` to ``(n_slice · n_row, n_node, n)``."""
        return array.unflatten(2, rows.place.shape).movedim(2, 0).flatten(0, 1)

    def spread(array: Tensor) -> Tensor:
        """From ``(n_slice, n)`` to ``(n_slice · n_row, 1, n)``."""
        return array.repeat_interleave(number, 0)[:, None]

    third = free_to_search(data.parameters.free[2], rows.place)
    found = [*(stacked(each) for each in search), spread(third)]
    return [found[order.index(name)] for name in names], stacked(weight) + spread(rows.log_step)
