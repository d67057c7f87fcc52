# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Residuals in which the noise is white, whatever it was: weights, shared errors, correlation.

The tests of fit are of white noise. Where the fit takes errors that frames share, or noise that
follows itself, the residuals and the space that the fit has taken are freed of them first; the
correlation of neighbouring frames is the one that makes the residuals of a curve the likeliest.
"""

from __future__ import annotations

import numpy as np
import torch

from hyperspy_dosekin.kinetics.model.shared_error import basis_of, without_shared
from hyperspy_dosekin.kinetics.posterior.parts import CORRELATIONS

from .projection import ProjectedResiduals

#: Ln likelihood by which a correlation must be better than none: one parameter by chance gains half
#: of that on average, and white noise must not be taken for correlated.
_EARNED = 2.0


def white_residuals(
    residual: np.ndarray,
    columns: np.ndarray,
    root_weight: np.ndarray,
    *,
    shared: np.ndarray | None = None,
    correlated: bool = False,
) -> tuple[ProjectedResiduals, np.ndarray, ProjectedResiduals]:
    """Residuals of one window, projected, and the correlation that was taken out of each curve.

    The third are the residuals with it.

    Parameters
    ----------
    residual, columns, root_weight
        As for `ProjectedResiduals.of`.
    shared
        Errors that the frames share, ``(n_error, n, n_dose)``, in the unit of the residuals.
    correlated
        Whether the noise of neighbouring frames may be correlated.
    """
    used = root_weight > 0
    weight = np.where(used, root_weight, 0.0)
    rows = np.concatenate([np.where(used, residual, 0.0)[:, None], columns], axis=1)
    rows = rows * weight[:, None]
    if shared is not None and shared.size:
        rows = _without_shared(rows, shared * weight)
    best = ProjectedResiduals.of_white(rows[:, 0], rows[:, 1:], used)
    taken = np.zeros(len(residual))
    plain = best
    if not correlated:
        return best, taken, plain
    highest = _log_likelihood(best, rows[:, 1:], rows[:, 1:], 0.0) + _EARNED
    for correlation in CORRELATIONS[1:]:
        white, log_size = _filtered(rows, used, correlation)
        trial = ProjectedResiduals.of_white(white[:, 0], white[:, 1:], used)
        found = _log_likelihood(trial, white[:, 1:], rows[:, 1:], log_size)
        better = (found > highest) & (plain.freedom > 1)
        highest = np.where(better, found, highest)
        taken = np.where(better, correlation, taken)
        best = ProjectedResiduals(
            np.where(better[:, None], trial.residual, best.residual),
            np.where(better[:, None, None], trial.basis, best.basis),
            used,
        )
    return best, taken, plain


def likely_shared(residual: np.ndarray, deviation: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """The part of residuals that errors which frames share have most likely made.

    Parameters
    ----------
    residual
        Data less the fit, ``(n, n_dose)``; NaN for missing frames.
    deviation
        Standard deviation of the noise, of the same shape.
    errors
        Errors of one standard deviation, ``(n_error, n, n_dose)``.

    Returns
    -------
    numpy.ndarray
        Of the shape of the residuals; 0 in missing frames.

    Examples
    --------
    Where the noise is small, all that is alike in all frames is theirs:

    >>> residual = 0.3 + 0.001 * np.array([[1.0, -1.0, -1.0, 1.0]])
    >>> likely_shared(residual, np.full((1, 4), 0.001), np.full((1, 1, 4), 0.1)).round(3)
    array([[0.3, 0.3, 0.3, 0.3]])
    """
    there = np.isfinite(residual) & (deviation > 0)
    noise = np.where(there, deviation, 1.0)
    each = np.where(there, np.nan_to_num(errors), 0.0) / noise
    basis = basis_of(torch.as_tensor(np.ascontiguousarray(each.transpose(2, 0, 1))))
    columns = torch.as_tensor(np.ascontiguousarray((np.where(there, residual, 0.0) / noise).T))
    return noise * (columns - without_shared(without_shared(columns, basis), basis)).numpy().T


def _without_shared(rows: np.ndarray, shared: np.ndarray) -> np.ndarray:
    """Take shared errors out of rows ``(n, n_row, n_dose)``, both in units of the noise."""
    basis = basis_of(torch.as_tensor(np.ascontiguousarray(shared.transpose(2, 0, 1))))
    columns = torch.as_tensor(np.ascontiguousarray(rows.transpose(2, 1, 0)))
    white = without_shared(columns, basis[:, :, None])
    return np.ascontiguousarray(white.numpy().transpose(2, 1, 0))


def _filtered(
    rows: np.ndarray, used: np.ndarray, correlation: float
) -> tuple[np.ndarray, np.ndarray]:
    """Rows less what the frame before says of them, and Σ ln of their new scale, ``(n,)``."""
    found = np.zeros_like(rows)
    gap = np.zeros(len(used))
    before = np.zeros_like(rows[..., 0])
    first = np.ones(len(used), dtype=bool)
    log_size = np.zeros(len(used))
    for frame, there in enumerate(used.T):
        gap += 1
        ratio = np.where(first, 0.0, correlation**gap)
        scale = 1 / np.sqrt(1 - ratio**2)
        white = (rows[..., frame] - ratio[:, None] * before) * scale[:, None]
        found[..., frame] = np.where(there[:, None], white, 0.0)
        before = np.where(there[:, None], rows[..., frame], before)
        log_size += np.where(there, np.log(scale), 0.0)
        gap = np.where(there, 0.0, gap)
        first &= ~there
    return found, log_size


def _log_likelihood(
    residuals: ProjectedResiduals,
    columns: np.ndarray,
    unfiltered: np.ndarray,
    log_size: np.ndarray | float,
) -> np.ndarray:
    """Restricted ln likelihood with the size of the noise integrated out, ``(n,)``."""
    size = np.sqrt((unfiltered**2).sum(axis=-1, keepdims=True))
    scaled = columns / np.where(size > 0, size, 1.0)
    value = np.linalg.eigvalsh(scaled @ scaled.transpose(0, 2, 1))
    taken = np.log(np.where(value > 1e-10, value, 1.0)).sum(axis=-1)
    squares = np.maximum(residuals.squares, 1e-300)
    return log_size - 0.5 * (residuals.freedom * np.log(squares) + taken)
