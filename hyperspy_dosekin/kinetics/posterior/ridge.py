# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The grid under the posterior: rows of p, and on each the nodes of ln k that matter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.estimate.interval_data import exponent_is_free, known_exponent
from hyperspy_dosekin.kinetics.laws.prior import EXPONENT_BOX, LOG_RATE_BOX, Prior
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.model.objective import Deviance, Layout

from .rows import Rows, best_on_rows, interpolate_rows, row_steps, spread_rows
from .scan import ScanData

N_ROW, N_NODE = 24, 18
# Rows with which the extent of the posterior in p is looked for.
_N_SEARCH = 12
# Share of their span by which these rows may be left without a new search.
_EXTRAPOLATED = 0.25
# Rows are wanted down to this in ln density below the highest, nodes below that of their row: not
# further, since the tails of Student's t would leave no nodes for the middle.
_DEPTH, _ROW_DEPTH = 9.0, 6.0
_ROUNDS = 4
# Bins that the range of a quantity is cut into for its quantiles.
_BINS = 512
# Smallest distance, in bins, over which the weight of a node is spread either way.
_SMALLEST_SPREAD = 1e-6


@dataclass(frozen=True, eq=False)
class Nodes:
    """Weighed nodes of some curves: ln k and p with their probabilities.

    Parameters
    ----------
    index
        Place of the curves in ``n_curve · n_window``.
    log_rate, weight
        ``(n_row, n_node, n)``; weights of a curve add up to 1.
    exponent
        ``(n_row, 1, n)``.
    """

    index: np.ndarray
    log_rate: Tensor
    exponent: Tensor
    weight: Tensor

    @property
    def n_value(self) -> int:
        """Numbers held."""
        return 2 * self.log_rate.numel()


def _log_density(data: ScanData, log_rate: Tensor, exponent: Tensor, prior: Prior | None) -> Tensor:
    """Log posterior density in (ln k, p), up to a constant."""
    density = -0.5 * data.deviance(log_rate, exponent, weigh_signal=prior is not None)
    if prior is None:
        return density
    mean, width = prior.log_rate
    density = density - 0.5 * ((log_rate - mean) / width) ** 2
    mean, width = prior.exponent
    return density - 0.5 * ((exponent - mean) / width) ** 2


def _first_rows(data: ScanData, start: Tensor, config: ExactConfig) -> tuple[Tensor, Tensor]:
    """Rows of p that the curvature at the estimate suggests, with rates along the ridge."""
    layout = Layout(1, "free", data.offset_free, config.prior)
    root = None if data.root_weight is None else data.root_weight[:, None]
    freedom = None if data.variance_known else data.freedom.clamp(min=1)[None]
    objective = Deviance(layout, data.dose[:, None, None], data.values[:, None], root, freedom)
    hessian = objective.evaluate(start)[2]
    determinant = hessian[0, 0] * hessian[1, 1] - hessian[0, 1] ** 2
    safe = determinant > 1e-10 * hessian[0, 0] * hessian[1, 1]
    spread = torch.where(safe, hessian[0, 0] / determinant.clamp(min=1e-300), 1e6).sqrt()
    best = start[1].exp()
    reach = 8 * (best * spread).clamp(min=1e-4)
    # Ends at the corners of extinction hide curvature: never less than a little of the box.
    lower = (best - reach).clamp(*EXPONENT_BOX)
    upper = (best + reach).clamp(*EXPONENT_BOX)
    rows = spread_rows(lower, upper, _N_SEARCH)
    slope = -hessian[0, 1] / hessian[0, 0].clamp(min=1e-12)
    rates = start[0] + slope.clamp(-3, 3) * (rows.log() - start[1])
    return rows, rates.clamp(*LOG_RATE_BOX)


def _row_mass(data: ScanData, rows: Rows, prior: Prior | None) -> Tensor:
    """Laplace estimate of ln ∫ density d ln k on each row."""
    log_density = _log_density(data, rows.log_rate, rows.exponent, prior)
    return log_density + rows.width.log()


def _extent(data: ScanData, rows: Rows, prior: Prior | None) -> tuple[Tensor, Tensor, Tensor]:
    """Where the mass of rows is `_DEPTH` below its highest, and how many rows lie within.

    Ends beyond the rows are extrapolated, by no more than the rows span.
    """
    count = rows.exponent.shape[0]
    mass = _row_mass(data, rows, prior)
    # Linear in p where the mass is a normal distribution, and bent the safe way in longer tails.
    root = (mass.amax(0) - mass).sqrt_()
    inside = root < _DEPTH**0.5
    places = torch.arange(count, device=mass.device)[:, None]
    first = torch.where(inside, places, count).amin(0)
    last = torch.where(inside, places, -1).amax(0)
    span = rows.exponent[-1] - rows.exponent[0]

    def crossing(inner: Tensor, outer: Tensor) -> Tensor:
        inner, outer = inner[None], outer.clamp(0, count - 1)[None]
        above, below = root.gather(0, inner), root.gather(0, outer)
        share = (_DEPTH**0.5 - above) / (below - above).clamp(min=1e-12)
        share = (1.1 * share).clamp(0, 1)
        return torch.lerp(rows.exponent.gather(0, inner), rows.exponent.gather(0, outer), share)[0]

    def beyond(end: int, inner: int) -> Tensor:
        fall = (root[end] - root[inner]).clamp(min=1e-12)
        share = 1.2 * (_DEPTH**0.5 - root[end]).clamp(min=0.0) / fall
        step = rows.exponent[end] - rows.exponent[inner]
        return rows.exponent[end] + (share * step).clamp(min=-span, max=span)

    low = torch.where(first == 0, beyond(0, 1), crossing(first, first - 1))
    high = torch.where(last == count - 1, beyond(-1, -2), crossing(last, last + 1))
    return low.clamp(*EXPONENT_BOX), high.clamp(*EXPONENT_BOX), last - first


def _adapted_rows(data: ScanData, start: Tensor, config: ExactConfig) -> Rows:
    """Rows that cover the posterior of p, and not much more."""
    exponent, rate = _first_rows(data, start, config)
    rows = best_on_rows(data, exponent, rate, config.prior)
    low, high, count = _extent(data, rows, config.prior)
    for _ in range(_ROUNDS):
        span = rows.exponent[-1] - rows.exponent[0]
        missing = torch.maximum(rows.exponent[0] - low, high - rows.exponent[-1])
        outside = missing > _EXTRAPOLATED * span
        coarse = (count < _N_SEARCH // 2) & (high - low < 0.9 * span)
        again = torch.nonzero(outside | coarse)[:, 0]
        if again.numel() == 0:
            break
        some = data.select(again)
        new = spread_rows(low[again], high[again], _N_SEARCH)
        guess = interpolate_rows(new, rows.exponent[:, again], rows.log_rate[:, again])
        part = best_on_rows(some, new, guess, config.prior)
        for name in ("exponent", "log_rate", "width", "squares"):
            getattr(rows, name)[:, again] = getattr(part, name)
        low[again], high[again], count[again] = _extent(some, part, config.prior)
    new = spread_rows(low, high, N_ROW)
    guess = interpolate_rows(new, rows.exponent, rows.log_rate)
    return best_on_rows(data, new, guess, config.prior)


def _adapted_nodes(
    data: ScanData, rows: Rows, prior: Prior | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Nodes of ln k on each row, ln densities, and their spacing ``(n_row, n)``."""
    # A single row, where p is known, has to carry the whole posterior.
    n_node = N_NODE if rows.exponent.shape[0] > 1 else 4 * N_NODE
    share = torch.linspace(0, 1, n_node, dtype=torch.float64, device=data.dose.device)
    share = share[:, None]
    # Where a normal (σ known) or Student's t of seven (σ marginalised) is down by _ROW_DEPTH.
    reach = 3.5 if data.variance_known else 4.8
    low = (rows.log_rate - reach * rows.width).clamp(*LOG_RATE_BOX)
    high = (rows.log_rate + reach * rows.width).clamp(*LOG_RATE_BOX)
    low, high = low.reshape(-1), high.reshape(-1)
    n_row, n = rows.exponent.shape
    # Worked on as pairs of row and curve, row by row; most pairs are right at once.
    exponent = rows.exponent.reshape(-1)
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
            value = _log_density(data, table, rows.exponent, prior).reshape(n_node, -1)
        else:
            value = _log_density(data.select(curve[work]), nodes, exponent[work], prior)
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
        new_low, new_high = new_low.clamp(*LOG_RATE_BOX), new_high.clamp(*LOG_RATE_BOX)
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


def grid_nodes(
    data: ScanData, index: np.ndarray, start: Tensor, config: ExactConfig, piece: int
) -> Iterator[Nodes]:
    """Weighed nodes of a block of curves, `piece` curves at a time.

    Rows are looked for in the whole block, since their arrays are small; the nodes of a piece
    should fit in the processor's cache.
    """
    if exponent_is_free(config):
        rows = _adapted_rows(data, start, config)
    else:
        exponent = torch.full_like(start[:1], known_exponent(config))
        rows = best_on_rows(data, exponent, start[:1], config.prior)
    for begin in range(0, index.size, piece):
        part = torch.arange(begin, min(begin + piece, index.size), device=start.device)
        some = Rows(
            *(getattr(rows, name)[:, part] for name in ("exponent", "log_rate", "width", "squares"))
        )
        log_rate, density, spacing = _adapted_nodes(data.select(part), some, config.prior)
        weight = (density - density.amax((0, 1))).exp_()
        weight[:, 0] *= 0.5
        weight[:, -1] *= 0.5
        weight *= (spacing * row_steps(some.exponent))[:, None]
        weight /= weight.sum((0, 1))
        yield Nodes(index[begin : begin + piece], log_rate, some.exponent[:, None], weight)


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


def _spacing(values: Tensor, dim: int) -> Tensor:
    """Distance, with its sign, of the middles between neighbours; 0 for a single one."""
    spacing = torch.zeros_like(values)
    length = values.shape[dim]
    if length == 1:
        return spacing
    gap = values.diff(dim=dim)
    half = gap * 0.5
    spacing.narrow(dim, 0, length - 1).add_(half)
    spacing.narrow(dim, 1, length - 1).add_(half)
    # The outermost nodes have as much room on their outer side.
    for end in (0, length - 1):
        spacing.narrow(dim, end, 1).mul_(2.0)
    return spacing


def exponent_quantiles(nodes: Nodes, probabilities: Tensor) -> Tensor:
    """Quantiles of p, ``(n_probability, n)``: the mass of a row spread from row to row."""
    exponent = nodes.exponent[:, 0]
    mass = _sharpened(nodes.weight.sum(1), (0,))
    if exponent.shape[0] == 1:
        return exponent.expand(probabilities.numel(), -1)
    edge = torch.cat([exponent[:1], 0.5 * (exponent[1:] + exponent[:-1]), exponent[-1:]]).T
    function = torch.cat([torch.zeros_like(mass[:1]), (mass / mass.sum(0)).cumsum(0)]).T
    return _inverted(function.contiguous(), edge, probabilities)


def _inverted(function: Tensor, place: Tensor, probabilities: Tensor) -> Tensor:
    """Where rising functions ``(n, n_place)`` reach some values, ``(n_probability, n)``."""
    wanted = probabilities.to(function).expand(function.shape[0], -1).contiguous()
    right = torch.searchsorted(function, wanted).clamp_(1, function.shape[1] - 1)
    below, above = function.gather(1, right - 1), function.gather(1, right)
    share = ((wanted - below) / (above - below).clamp(min=1e-300)).clamp(0, 1)
    place = place.expand(function.shape)
    return torch.lerp(place.gather(1, right - 1), place.gather(1, right), share).T


def quantiles(values: Tensor, weight: Tensor, probabilities: Tensor) -> Tensor:
    """Weighed quantiles of values on a grid of nodes.

    The weight of a node is spread evenly as far as half way to its neighbours, on its row and on
    the next rows: nodes come in clumps, one for each row of a narrow ridge, and so would
    quantiles. The distribution function is then made of straight pieces, whose bends are sorted
    into narrow bins; for very many nodes that is much faster than to sort them.

    Parameters
    ----------
    values, weight
        ``(n_row, n_node, n)``; weights of a curve add up to 1.
    probabilities
        ``(n_probability,)``.

    Returns
    -------
    Shape ``(n_probability, n)``.
    """
    n = values.shape[-1]
    by_row = (weight * values).sum(1)
    mass = weight.sum(1)
    mean = by_row.sum(0)
    spread = (weight * (values - mean).square_()).sum((0, 1)).sqrt_()
    # Chebyshev: no quantile lies further from the mean than this.
    tail = torch.minimum(probabilities, 1 - probabilities).amin().clamp(min=1e-12)
    reach = 1.01 * spread / tail.sqrt()
    low = torch.maximum(values.amin((0, 1)), mean - reach)
    high = torch.minimum(values.amax((0, 1)), mean + reach)
    width = ((high - low) / _BINS).clamp(min=1e-300)
    # Rows without mass have no centre to speak of; they also do not matter.
    centre = torch.where(mass > 1e-290, by_row / mass.clamp(min=1e-290), mean)
    shift = _spacing(centre, 0).div_(width).square_()
    # From here on in units of bins.
    half = _spacing(values, 1).div_(width).square_().add_(shift[:, None]).sqrt_().mul_(0.5)
    # An integrity stays at 0 beyond extinction: no spread may vanish.
    half.clamp_(min=_SMALLEST_SPREAD)
    place = (values - low).div_(width)
    slope = _sharpened(weight, (0, 1))
    slope.div_(slope.sum((0, 1))).div_(half).mul_(0.5)
    slopes = place.new_zeros((_BINS + 2, n))
    offsets = torch.zeros_like(slopes)
    for edge, bend in ((place - half, slope), (place.add_(half), slope.neg())):
        # A bend between two bins acts from the next one on; beyond the last it does not matter.
        index = edge.ceil().clamp_(0, _BINS + 1).long().reshape(-1, n)
        slopes.scatter_add_(0, index, bend.reshape(-1, n))
        offsets.scatter_add_(0, index, edge.mul_(bend).reshape(-1, n))
    bins = torch.arange(_BINS + 1, device=place.device, dtype=place.dtype)
    function = slopes[:-1].cumsum_(0).mul_(bins[:, None]).sub_(offsets[:-1].cumsum_(0))
    # Rounding must not spoil the order that the search needs.
    function = function.T.contiguous().cummax(1).values
    return low + width * _inverted(function, bins, probabilities)
