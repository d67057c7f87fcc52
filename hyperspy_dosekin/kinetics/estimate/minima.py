# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Minima of the deviance of many curves, and the better of two."""

from __future__ import annotations

import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.model.objective import Deviance, Layout
from hyperspy_dosekin.numerics.batched_minimiser import Minimum, minimise_batched

# Convergence: promised decrease of the deviance, far below what is visible in it (1).
_TOLERANCE = {torch.float64: 1e-7, torch.float32: 1e-4}


def minimise(
    objective: Deviance,
    start: Tensor,
    steps: int,
    *,
    between: tuple[int, Tensor, Tensor] | None = None,
) -> Minimum:
    """Minimum of every curve from some rows of parameters, inside the box of the law.

    With `between` one row is kept, in each curve, between two values of its own.
    """
    dtype = objective.values.dtype
    lower, upper, largest = objective.layout.box(dtype, objective.values.device)
    if between is not None:
        row, low, high = between
        lower, upper = (each[:, None].repeat(1, start.shape[1]) for each in (lower, upper))
        lower[row], upper[row] = low.maximum(lower[row]), high.minimum(upper[row])
    return minimise_batched(
        objective,
        start,
        lower,
        upper,
        largest_step=largest,
        tolerance=_TOLERANCE[dtype],
        max_iterations=steps,
    )


def rows_of(layout: Layout, start: Tensor) -> Tensor:
    """Rows of the parameters from those of each window, ``(n_free, n_window, n_curve)``."""
    parts = []
    for place, parameter in enumerate(layout.parameters.free):
        shared = parameter.name in layout.shared
        part = start[place]
        parts.append(part.median(dim=0, keepdim=True).values if shared else part)
    return torch.cat(parts)


def better_of(first: Minimum, second: Minimum, index: Tensor) -> Minimum:
    """`first`, replaced at `index` by `second` where that is lower or has now converged."""
    lower = second.objective < first.objective[index]
    finished = second.converged & (second.objective <= first.objective[index] + 1e-6)
    chosen = index[lower | finished]
    source = torch.nonzero(lower | finished)[:, 0]
    for old, new in zip(
        (first.parameters, first.objective, first.converged),
        (second.parameters, second.objective, second.converged),
        strict=True,
    ):
        old[..., chosen] = new[..., source]
    return first
