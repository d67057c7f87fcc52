# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Curves whose offset would be negative are fitted again with it at its bound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.curves.preparation import PreparedCurves
from hyperspy_dosekin.kinetics.model.objective import Deviance, Layout
from hyperspy_dosekin.numerics.batched_minimiser import Minimum

from .minima import better_of, minimise, rows_of
from .start import Dictionary


def _violated(deviance: Deviance, rows: Tensor, mean: Tensor) -> Tensor:
    """Bounds that a fit without them breaks: 0 for b < 0, 1 for a + b < 0, else NaN.

    `mean` is what was taken off the values when they were centred, ``(n_window, n_curve)``.
    """
    integrity = deviance.integrity(rows)
    column = deviance.project(integrity)
    amplitude = (column * deviance.values).sum(0) / (column * column).sum(0).clamp(min=1e-20)
    ones = deviance.ones
    middle = integrity.mean(0)
    if ones is not None:
        whitened = deviance.whitened(integrity)
        middle = (ones * whitened).sum(0) / (ones * ones).sum(0).clamp(min=1e-20)
    offset = mean - amplitude * middle
    bound = torch.where(amplitude >= 0, 0.0, 1.0)
    below = torch.where(amplitude >= 0, offset, offset + amplitude) < 0
    return torch.where(below, bound.to(offset), torch.nan)


def held_at_bounds(
    curves: PreparedCurves,
    part: np.ndarray,
    deviance: Deviance,
    minimum: Minimum,
    bound: np.ndarray,
    allowed: np.ndarray,
    build: Callable[[Layout, np.ndarray, np.ndarray | None], Deviance],
    max_iterations: int,
) -> Deviance:
    """Fit curves again whose intensity would become negative, with the offset at its bound.

    `minimum` and `bound` are changed in place.
    """
    layout = deviance.layout
    mean = curves.centre[part] / curves.unit[part]
    mean = torch.as_tensor(mean.reshape(-1, layout.n_window).T.copy()).to(deviance.values)
    if deviance.shared is not None:
        # With shared errors the mean that was taken off is not the best level.
        n_dose = curves.values.shape[-1]
        raw = torch.as_tensor(curves.values[part].reshape(-1, layout.n_window, n_dose))
        raw, ones = deviance.whitened(raw.permute(2, 1, 0).to(deviance.values)), deviance.ones
        assert ones is not None
        mean = mean + (ones * raw).sum(0) / (ones * ones).sum(0).clamp(min=1e-20)
    broken = _violated(deviance, minimum.parameters, mean)
    may = torch.as_tensor(allowed[part].reshape(-1, layout.n_window).T.copy())
    broken = torch.where(may.to(broken.device), broken, torch.nan)
    index = torch.nonzero((~broken.isnan()).any(0))[:, 0]
    if index.numel() == 0:
        return deviance
    bound[part] = broken.T.reshape(bound[part].shape).cpu().numpy()
    held = build(layout, part, bound)
    start = minimum.parameters[:, index]
    some = held.select(index)
    found = minimise(some, start, max_iterations)
    if layout.n_window == 1:
        # The ridge may have carried the free minimum far away: the dictionary may know better.
        for pin in (0.0, 1.0):
            where = torch.nonzero(broken[0, index] == pin)[:, 0]
            if where.numel() == 0:
                continue
            few = replace(some.select(where), offset_free=False, bound=None)
            again = rows_of(layout, Dictionary(few, pin).best(few)[0])
            trial = minimise(some.select(where), again, max_iterations)
            found = better_of(found, trial, where)
    minimum.parameters[:, index] = found.parameters
    minimum.objective[index] = found.objective
    minimum.converged[index] = found.converged
    return held
