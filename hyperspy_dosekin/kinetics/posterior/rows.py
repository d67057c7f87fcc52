# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The likelihood along rows of constant shape, following the ridge of each curve.

The likelihood of (k, shape) is a bent ridge, between a fiftieth of an exponent wide and everything.
A grid that is the same for all curves would miss a narrow one, so each curve has its own: rows of
the shape, and on every row nodes of ln k about the best rate of that row. Posterior and profile
both stand on it. Shapes are on their scale of estimation here, rates on that of search.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.laws.contract import LawParameter
from hyperspy_dosekin.kinetics.posterior.scan import ScanData
from hyperspy_dosekin.numerics.batched_minimiser import minimise_batched


@dataclass(frozen=True, eq=False)
class Rows:
    """Best rate on rows of constant shape.

    Parameters
    ----------
    shape
        ``(n_row, n)``; zeros where the law has no free shape.
    log_rate
        Best rate of each row, on its scale of search, same shape.
    width
        Standard deviation of that by the curvature there, same shape.
    squares
        Sum of squares there.
    """

    shape: Tensor
    log_rate: Tensor
    width: Tensor
    squares: Tensor

    def select(self, index: Tensor) -> Rows:
        """Select some of the curves."""
        return Rows(*(getattr(self, name)[:, index] for name in self.__dataclass_fields__))

    def replaced(self, index: Tensor, part: Rows) -> None:
        """Put other rows in the place of those of some curves."""
        for name in self.__dataclass_fields__:
            getattr(self, name)[:, index] = getattr(part, name)


def searched(data: ScanData, log_rate: Tensor, shape: Tensor) -> list[Tensor]:
    """Free parameters on their scale of search from a rate and a shape that broadcast."""
    free = data.parameters.free
    if len(free) == 1:
        return [log_rate]
    direct = free[1].logarithmic or free[1].lower <= 0
    return [log_rate, shape if direct else shape.log()]


@dataclass(frozen=True, eq=False)
class _RowObjective:
    """Deviance in ln k alone on rows of constant shape, an objective of `minimise_batched`."""

    data: ScanData
    shape: Tensor

    def select(self, index: Tensor) -> _RowObjective:
        return _RowObjective(self.data.select(index), self.shape[index])

    def evaluate(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        search = searched(self.data, parameters[0], self.shape)
        slopes = [True, False][: len(search)]
        return self.data.evaluate(search, slopes)


def best_on_rows(
    data: ScanData,
    shape: Tensor,
    start: Tensor,
    *,
    box: tuple[float, float] | None = None,
    iterations: int = 12,
) -> Rows:
    """Best rate for every row of constant shape.

    Parameters
    ----------
    data
        The curves.
    shape, start
        The shape and a first guess of the rate, ``(n_row, n)``.
    box
        Box of the rate on its scale of search; that of the law if not given.
    iterations
        Steps at most.
    """
    n_row, n = shape.shape
    box = data.parameters.free[0].search_box if box is None else box
    curves = torch.arange(n, device=shape.device).repeat(n_row)
    objective = _RowObjective(data.select(curves), shape.reshape(-1))
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
    squares = data.sums(searched(data, log_rate, shape)).squares
    return Rows(shape, log_rate, width.reshape(n_row, n), squares)


def spread_rows(lower: Tensor, upper: Tensor, count: int, parameter: LawParameter) -> Tensor:
    """Rows from `lower` to `upper`, each ``(n,)``: ``(count, n)``.

    Even in the square root of a positive parameter, between even, as a prior of p is, and even in
    the logarithm, as the shapes of decays are.
    """
    share = torch.linspace(0.0, 1.0, count, dtype=lower.dtype, device=lower.device)[:, None]
    if parameter.logarithmic or parameter.lower <= 0:
        return lower + share * (upper - lower)
    root = lower.sqrt() + share * (upper.sqrt() - lower.sqrt())
    return root * root


def row_steps(shape: Tensor) -> Tensor:
    """Weight of each row in an integral over the shape (trapezoid); 1 for a single row."""
    if shape.shape[0] == 1:
        return torch.ones_like(shape)
    gaps = shape.diff(dim=0) / 2
    weight = torch.zeros_like(shape)
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
