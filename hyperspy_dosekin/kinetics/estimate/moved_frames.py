# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of the doses of single frames as noise of the intensities, by the slope of the fit.

An intensity at a dose that is wrong by δ is wrong by the slope of the curve times δ. Independent
errors add to the variance of the frames, those that frames share become shared errors. The slope is
that of a fit without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.model.dose_error import EXACT, DoseError

from .exact_fit import law_integrity
from .fit import fit_exact

# Step of the numerical slope, as a share of the largest dose.
_STEP = 1e-4
# The noise beside the dose errors is at least this share of the variance of the residuals: these
# few numbers do not say that there is none.
_LEAST_NOISE = 0.1


def with_moved_frames(problem: DoseProblem, config: ExactConfig) -> tuple[DoseProblem, ExactConfig]:
    """The problem whose noise holds the errors of single doses, and the options to fit it with.

    Parameters
    ----------
    config
        Options; without errors of single doses both are returned as they are.

    Returns
    -------
    problem, config
        Without a known variance the noise is relative: its size stays free.
    """
    error = config.dose_error
    if not error.moves_frames:
        return problem, config
    plain = replace(config, dose_error=EXACT, hierarchy=())
    fit = fit_exact(problem, plain)
    count = len(config.parameters.free) + 1 + (config.offset is None)
    moved = moved_problem(
        problem, error, fit.law, fit.parameters, fit.amplitude, fit.offset, n_coefficient=count
    )
    return moved, config if problem.variance is not None else replace(config, noise="relative")


def moved_problem(
    problem: DoseProblem,
    error: DoseError,
    law: KineticLaw,
    parameters: Mapping[str, np.ndarray],
    amplitude: np.ndarray,
    offset: np.ndarray,
    *,
    n_coefficient: int,
) -> DoseProblem:
    """The same with given estimates, ``(n_curve, n_window)`` and NaN where there is none."""
    values = [parameters[parameter.name] for parameter in law.parameters]
    step = _STEP * problem.dose_max / problem.scale
    doses = problem.normalised_dose
    around = np.stack([doses, np.maximum(doses - step, 0.0), doses + step])
    integrity = law_integrity(*values, law=law, normalised_dose=around.ravel())
    at, before, after = np.split(integrity, 3, axis=-1)
    slope = amplitude[..., None] * (after - before) / ((around[2] - around[1]) * problem.scale)
    slope = np.nan_to_num(slope)
    own = (slope * error.frame * problem.dose) ** 2
    shared = error.patterns(problem.dose)[:, None, None] * slope
    variance = problem.variance
    if variance is None:
        fitted = amplitude[..., None] * at + offset[..., None]
        residual = np.where(problem.usable, problem.values - fitted, 0.0)
        number = problem.usable.sum(axis=-1)
        left = np.maximum(number - n_coefficient, 1)
        squares = np.nan_to_num((residual**2).sum(axis=-1)) / left
        moved = _left_over(own, shared, problem.normalised_dose, n_coefficient) / left
        noise = np.maximum(squares - moved, _LEAST_NOISE * squares)
        # A perfect fit has noise, too: that of rounding.
        noise = np.maximum(noise, 1e-24 * np.nanmax(np.abs(problem.values), initial=1e-300) ** 2)
        variance = np.broadcast_to(noise[..., None], problem.values.shape)
    if problem.shared_error is not None:
        shared = np.concatenate([problem.shared_error, shared])
    return replace(problem, variance=variance + own, shared_error=shared if len(shared) else None)


def _left_over(
    own: np.ndarray, shared: np.ndarray, dose: np.ndarray, n_coefficient: int
) -> np.ndarray:
    """Squares that dose errors leave beside a smooth curve, ``(n_curve, n_window)``."""
    smooth = np.linalg.qr(np.vander(dose, min(n_coefficient, dose.size)))[0]
    left = (own * (1 - (smooth**2).sum(axis=1))).sum(axis=-1)
    taken = shared @ smooth
    return left + ((shared**2).sum(axis=-1) - (taken**2).sum(axis=-1)).sum(axis=0)
