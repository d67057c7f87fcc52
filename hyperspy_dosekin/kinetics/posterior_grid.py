# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The grid under the posterior: rows of p, and on each the nodes of ln k that matter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .exact import ExactConfig
from .interval_data import exponent_is_free, known_exponent
from .objective import Deviance, Layout
from .prior import EXPONENT_BOX, LOG_RATE_BOX, Prior
from .scan import Rows, ScanData, best_on_rows, interpolate_rows, row_steps, spread_rows

N_ROW, N_NODE = 28, 20
# Rows are wanted down to this in ln density below the highest, nodes below that of their row: not
# further, since the tails of Student's t would leave no nodes for the middle.
_DEPTH, _ROW_DEPTH = 9.0, 6.0
_ROUNDS = 4
# Parts of a row when quantiles are taken.
_SUBROWS = 3


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
    rows = spread_rows(lower, upper, N_ROW)
    slope = -hessian[0, 1] / hessian[0, 0].clamp(min=1e-12)
    rates = start[0] + slope.clamp(-3, 3) * (rows.log() - start[1])
    return rows, rates.clamp(*LOG_RATE_BOX)


def _row_mass(data: ScanData, rows: Rows, prior: Prior | None) -> Tensor:
    """Laplace estimate of ln ∫ density d ln k on each row."""
    log_density = _log_density(data, rows.log_rate, rows.exponent, prior)
    return log_density + rows.width.log()


def _adapted_rows(data: ScanData, start: Tensor, config: ExactConfig) -> Rows:
    """Rows that cover the posterior of p, and not much more."""
    exponent, rate = _first_rows(data, start, config)
    rows = best_on_rows(data, exponent, rate, config.prior)
    for _ in range(_ROUNDS):
        mass = _row_mass(data, rows, config.prior)
        active = mass > mass.amax(0) - _DEPTH
        places = torch.arange(N_ROW, device=active.device)[:, None]
        first = torch.where(active, places, N_ROW).amin(0)
        last = torch.where(active, places, -1).amax(0)
        span = rows.exponent[-1] - rows.exponent[0]
        low = rows.exponent.gather(0, (first - 1).clamp(min=0)[None])[0]
        high = rows.exponent.gather(0, (last + 1).clamp(max=N_ROW - 1)[None])[0]
        low = torch.where(first == 0, (low - span).clamp(min=EXPONENT_BOX[0]), low)
        high = torch.where(last == N_ROW - 1, (high + span).clamp(max=EXPONENT_BOX[1]), high)
        outside = (low < rows.exponent[0]) | (high > rows.exponent[-1])
        coarse = last - first < N_ROW // 2
        # A box-wide scan with half its rows idle is still fine; one of a few rows is not.
        again = torch.nonzero(outside | (coarse & (high - low < 0.9 * span)))[:, 0]
        if again.numel() == 0:
            break
        new = spread_rows(low[again], high[again], N_ROW)
        guess = interpolate_rows(new, rows.exponent[:, again], rows.log_rate[:, again])
        part = best_on_rows(data.select(again), new, guess, config.prior)
        for name in ("exponent", "log_rate", "width", "squares"):
            getattr(rows, name)[:, again] = getattr(part, name)
    return rows


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


def grid_nodes(data: ScanData, index: np.ndarray, start: Tensor, config: ExactConfig) -> Nodes:
    """Weighed nodes of a block of curves."""
    if exponent_is_free(config):
        rows = _adapted_rows(data, start, config)
    else:
        exponent = torch.full_like(start[:1], known_exponent(config))
        rows = best_on_rows(data, exponent, start[:1], config.prior)
    log_rate, density, spacing = _adapted_nodes(data, rows, config.prior)
    weight = (density - density.amax((0, 1))).exp()
    weight[:, 0] *= 0.5
    weight[:, -1] *= 0.5
    weight *= (spacing * row_steps(rows.exponent))[:, None]
    weight /= weight.sum((0, 1))
    return Nodes(index, log_rate, rows.exponent[:, None], weight)


def refined(nodes: Nodes) -> Nodes:
    """Split every row into `_SUBROWS`, moved along the ridge, each with its share of the mass.

    The nodes by themselves come in clumps, one for each row of a narrow ridge, and so would
    quantiles.
    """
    if nodes.exponent.shape[0] == 1:
        return nodes
    mass = nodes.weight.sum(1, keepdim=True).clamp(min=1e-300)
    centre = (nodes.weight * nodes.log_rate).sum(1, keepdim=True) / mass
    # Rows without mass have no centre to speak of; they also do not matter.
    shift, spread = torch.zeros_like(centre), torch.zeros_like(centre)
    for array, change in ((centre, shift), (nodes.exponent, spread)):
        change[1:-1] = 0.5 * (array[2:] - array[:-2])
    share = ((torch.arange(_SUBROWS).to(centre) + 0.5) / _SUBROWS - 0.5).reshape(1, -1, 1, 1)
    log_rate = (nodes.log_rate[:, None] + share * shift[:, None]).flatten(0, 1)
    return Nodes(
        nodes.index,
        log_rate.clamp(*LOG_RATE_BOX),
        (nodes.exponent[:, None] + share * spread[:, None]).flatten(0, 1),
        (nodes.weight / _SUBROWS).repeat_interleave(_SUBROWS, dim=0),
    )


def quantiles(values: Tensor, weight: Tensor, probabilities: Tensor) -> Tensor:
    """Weighed quantiles of ``(n_row, n_node, n)``, linear between the middles of the weights."""
    n = values.shape[-1]
    values, weight = values.reshape(-1, n).T, weight.reshape(-1, n).T
    values, order = values.contiguous().sort(dim=1)
    weight = weight.gather(1, order)
    middle = weight.cumsum(1) - 0.5 * weight
    wanted = probabilities.to(middle).expand(n, -1).contiguous()
    place = torch.searchsorted(middle, wanted).clamp(1, middle.shape[1] - 1)
    left, right = middle.gather(1, place - 1), middle.gather(1, place)
    share = ((wanted - left) / (right - left).clamp(min=1e-300)).clamp(0, 1)
    low, high = values.gather(1, place - 1), values.gather(1, place)
    return (low + share * (high - low)).T
