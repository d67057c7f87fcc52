# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights that keep single outlying frames from bending a fit.

Iteratively reweighed least squares [1]_ on the dictionary of decays: residuals of the best decay
give a scale (median of absolute residuals, where no variance is given) and new weights. It begins
with the frame left out whose absence helps most: one spike in nine frames otherwise draws the
first fit so far that all residuals look alike.

References
----------
.. [1] P. W. Holland, R. E. Welsch, Commun. Stat. Theory Methods 6, 813 (1977),
   doi:10.1080/03610927708827533.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.curves.preparation import PreparedCurves
from hyperspy_dosekin.kinetics.model.objective import Deviance, Layout
from hyperspy_dosekin.kinetics.model.parameters import Parameters
from hyperspy_dosekin.numerics.batched_minimiser import minimise_batched

from .start import Dictionary

_ROUNDS = 6
_REFINE = 4
_HUBER = 1.345
_BLOCK = 8192
# Normal consistency of the median absolute deviation.
_MEDIAN_TO_SIGMA = 1.4826


def _loss_weight(scaled: Tensor, loss: str) -> Tensor:
    """ψ(r)/r: 1 for small residuals, falling as 1/|r| for large ones."""
    if loss == "huber":
        return (_HUBER / scaled.abs().clamp(min=_HUBER)).clamp(max=1.0)
    return (1 + scaled * scaled).rsqrt()


def _residuals(deviance: Deviance, raw: Tensor, weight: Tensor, rows: Tensor) -> Tensor:
    """Unweighed residuals of ``raw`` values for given parameters, with the readout weighed."""
    column = deviance.integrity(rows)
    if deviance.offset_free:
        total = weight.sum(0).clamp(min=1e-30)
        column = column - (weight * column).sum(0) / total
        raw = raw - (weight * raw).sum(0) / total
    norm = (weight * column * column).sum(0).clamp(min=1e-30)
    return raw - column * ((weight * column * raw).sum(0) / norm)


def _fit(deviance: Deviance, dictionary: Dictionary) -> Tensor:
    start = dictionary.best(deviance)[0][:, 0]
    lower, upper, largest = deviance.layout.box(start.dtype, start.device)
    return minimise_batched(
        deviance,
        start,
        lower,
        upper,
        largest_step=largest,
        tolerance=1e-4,
        max_iterations=_REFINE,
    ).parameters


def robust_weights(
    curves: PreparedCurves, parameters: Parameters, loss: str, device: torch.device
) -> tuple[np.ndarray, np.ndarray]:
    """√weights of every value, the variance of the noise included.

    Parameters
    ----------
    parameters
        What is estimated; windows are reweighed by themselves.
    loss
        ``"huber"`` or ``"soft_l1"``.

    Returns
    -------
    root_weight
        Shape of the values; residuals times this have unit variance, but for outliers.
    scale
        Standard deviation of the weighed noise in the unit of the values, ``(n_curve, n_window)``.
    """
    alone, offset_free = Layout(parameters), not curves.offset_known
    n_dose = curves.values.shape[-1]
    flat = curves.values.reshape(-1, n_dose)
    base = curves.root_weight
    base = np.ones_like(flat) if base is None else base.reshape(-1, n_dose)
    result, scales = np.empty_like(flat), np.empty(flat.shape[0])
    coefficients = int(offset_free) + len(parameters.free)
    for begin in range(0, flat.shape[0], _BLOCK):
        part = slice(begin, begin + _BLOCK)
        raw = torch.as_tensor(flat[part].T.copy(), device=device)[:, None]
        first = torch.as_tensor(base[part].T.copy(), device=device)[:, None] ** 2
        dose = torch.as_tensor(curves.normalised_dose, device=device)[:, None, None]
        number = (first > 0).sum(0).to(raw.dtype)

        def deviance(
            weight: Tensor, freedom: Tensor | None, raw: Tensor = raw, dose: Tensor = dose
        ) -> Deviance:
            bare = Deviance(alone, dose, raw, offset_free, weight.sqrt(), freedom)
            return replace(bare, values=bare.project(raw))

        dictionary = Dictionary(deviance(first, number))
        best, weight = torch.full_like(number, np.inf), first
        for frame in range(n_dose):
            trial = first.clone()
            trial[frame] = 0
            freedom = ((trial > 0).sum(0) - int(offset_free) - 1).clamp(min=1).to(raw.dtype)
            candidate = deviance(trial, freedom)
            rows = dictionary.best(candidate)[0][:, 0]
            squares = (_residuals(candidate, raw, trial, rows).square() * trial).sum(0)
            lower = squares < best
            best = torch.where(lower, squares, best)
            weight = torch.where(lower, trial, weight)
        scale = torch.ones_like(number)
        known = curves.variance_known
        for _ in range(_ROUNDS):
            freedom = None if known else ((weight > 0).sum(0) - 2).clamp(min=1).to(raw.dtype)
            current = deviance(weight, freedom)
            rows = _fit(current, dictionary)
            residual = _residuals(current, raw, weight, rows) * first.sqrt()
            if not known:
                magnitude = torch.where(first > 0, residual.abs(), torch.nan)
                spread = _MEDIAN_TO_SIGMA * magnitude.nanmedian(dim=0).values
                # Fitted coefficients have used up part of the scatter.
                scale = spread * (number / (number - coefficients).clamp(min=1)).sqrt()
                scale = torch.nan_to_num(scale, nan=1.0).clamp(min=1e-12)
            weight = first * _loss_weight(residual / scale, loss)
        scales[part] = scale[0].cpu().numpy()
        result[part] = (weight / scale**2).sqrt()[:, 0].T.cpu().numpy()
    return result.reshape(curves.values.shape), scales.reshape(curves.dead.shape)
