# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sum of squares along rows of constant exponent, following the ridge of each curve.

The likelihood of (k, p) is a bent ridge, between a fiftieth of an exponent wide and everything. A
grid that is the same for all curves would miss a narrow one, so each curve has its own: rows of p,
and on every row nodes of ln k about the best rate of that row. Posterior and profile both stand
on it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.laws.prior import LOG_RATE_BOX, Prior
from hyperspy_dosekin.kinetics.posterior.scan import ScanData
from hyperspy_dosekin.numerics.batched_minimiser import minimise_batched

from .row_objective import RowObjective


@dataclass(frozen=True, eq=False)
class Rows:
    """Best rate on rows of constant exponent.

    Parameters
    ----------
    exponent
        ``(n_row, n)``.
    log_rate
        Best ln k of each row, same shape.
    width
        Standard deviation of ln k on the row by the curvature there, same shape.
    squares
        Sum of squares there.
    """

    exponent: Tensor
    log_rate: Tensor
    width: Tensor
    squares: Tensor


def best_on_rows(
    data: ScanData,
    exponent: Tensor,
    start: Tensor,
    prior: Prior | None,
    *,
    box: tuple[float, float] = LOG_RATE_BOX,
    iterations: int = 12,
) -> Rows:
    """Best rate for every row of constant exponent.

    Parameters
    ----------
    data
        The curves.
    exponent, start
        p and a first guess of ln k, ``(n_row, n)``.
    prior
        Prior of ln k that takes part, or ``None``.
    box
        Box of ln k.
    iterations
        Steps at most.
    """
    n_row, n = exponent.shape
    objective = RowObjective.of(data, exponent, prior)
    lower, upper = (start.new_tensor([bound]) for bound in box)
    found = minimise_batched(
        objective,
        start.reshape(1, -1),
        lower,
        upper,
        largest_step=start.new_tensor([1.5]),
        tolerance=1e-3,
        max_iterations=iterations,
    )
    _, _, hessian = objective.evaluate(found.parameters)
    width = hessian[0, 0].clamp(min=1e-12).rsqrt().clamp(max=box[1] - box[0])
    log_rate = found.parameters.reshape(n_row, n)
    squares = data.squares(log_rate, exponent)
    return Rows(exponent, log_rate, width.reshape(n_row, n), squares)


def spread_rows(lower: Tensor, upper: Tensor, count: int) -> Tensor:
    """Rows from `lower` to `upper`, each ``(n,)``, even in √p: ``(count, n)``.

    Between even in p, as the prior is, and even in ln p, as the shapes of decays are.
    """
    share = torch.linspace(0.0, 1.0, count, dtype=lower.dtype, device=lower.device)[:, None]
    root = lower.sqrt() + share * (upper.sqrt() - lower.sqrt())
    return root * root


def row_steps(exponent: Tensor) -> Tensor:
    """Weight of each row in an integral over p (trapezoid), ``(n_row, n)``; 1 for a single row."""
    if exponent.shape[0] == 1:
        return torch.ones_like(exponent)
    gaps = exponent.diff(dim=0) / 2
    weight = torch.zeros_like(exponent)
    weight[:-1] += gaps
    weight[1:] += gaps
    return weight


def interpolate_rows(position: Tensor, known: Tensor, values: Tensor) -> Tensor:
    """Linear interpolation along rows; all ``(n_row, n)``, `known` ascending."""
    place = torch.searchsorted(known.T.contiguous(), position.T.contiguous()).T
    place = place.clamp(1, known.shape[0] - 1)
    left, right = known.gather(0, place - 1), known.gather(0, place)
    share = ((position - left) / (right - left).clamp(min=1e-300)).clamp(0.0, 1.0)
    return values.gather(0, place - 1) * (1 - share) + values.gather(0, place) * share


def log_dose_at(log_rate: Tensor, exponent: Tensor, level: float) -> Tensor:
    """Logarithm of the normalised dose at which C reaches a level in (0, 1)."""
    decades = -math.log(level)
    scaled = (exponent - 1.0) * decades
    # expm1(x)/x is accurate for every x but 0 itself.
    scaled = torch.where(scaled == 0, 1e-30, scaled)
    return (torch.expm1(scaled) / scaled).log() + math.log(decades) - log_rate
