# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows without what all windows of a frame have in common: thickness, beam current.

The gain of a frame is estimated from the *other* windows and taken off each one; what they leave
open of it stays as an error that its frames share. So each window is used against all others, and
never against itself: what only looks like a gain, because it is the window's own decay, stays.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hyperspy_dosekin.kinetics.adequacy.common_mode import CommonGain
from hyperspy_dosekin.kinetics.adequacy.examination import fitted_curves, frame_gain
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.exact_fit import ExactFit
from hyperspy_dosekin.kinetics.model.config import ExactConfig

# Frames with which it counts that half of the residuals of a window are its own noise.
_ASSUMED = 4.0
# Frames left over in all windows from which on a gain can be told from noise.
_LEAST_FREEDOM = 8
#: Gain over the decay of a window, up to which curves near the fits say what it does to rates.
LINEAR_GAIN = 0.08
# Errors below this share of the noise of a frame do not matter.
_NEGLIGIBLE = 0.03


def without_common_mode(
    problem: DoseProblem, config: ExactConfig, fit: ExactFit, *, largest: float = np.inf
) -> tuple[DoseProblem, CommonGain | None]:
    """Take the gain that the windows of a frame share off a single curve.

    Parameters
    ----------
    problem
        The data, ``(1, n_window, n_dose)``.
    fit
        A fit of the data, from which intensities and slopes are taken.
    largest
        Largest gain that is taken off, relative to the decay of the windows that is seen.

    Returns
    -------
    problem, gain
        The problem itself and ``None`` where there are fewer than two windows or too few frames,
        or they have nothing in common, or more than is taken off.
    """
    if problem.values.shape[1] < 2:
        return problem, None
    offset = None if config.offset is None else fit.offset
    curves = fitted_curves(
        problem,
        replace(config, offset=offset, hierarchy=()),
        fit.parameters,
        fit.amplitude,
        fit.offset,
    )
    coefficients = len(config.parameters.free) + 1 + (offset is None)
    left = np.maximum(problem.usable.sum(axis=-1) - coefficients, 0).sum()
    if left < _LEAST_FREEDOM:
        return problem, None
    gain = frame_gain(curves, assumed=_ASSUMED)
    if not gain.spread[0] > 0:
        return problem, None
    fitted = curves.columns()[0][0]
    moved = gain.spread[0] * np.abs(fitted).mean(axis=-1)
    if np.median(moved / np.maximum(np.ptp(fitted, axis=-1), 1e-300)) > largest:
        return problem, None
    means, covariances = (each[:, 0] for each in gain.by_others)
    values = problem.values - (fitted * means)[None]
    noise = gain.noise.T[..., None]
    noise = np.where(np.isfinite(noise), noise, 1.0)
    variance = problem.variance
    if variance is None:
        variance = np.broadcast_to(noise, values.shape)
    elif config.noise == "relative":
        variance = variance * noise
    variance, covariances = (gain.widening[0] * each for each in (variance, covariances))
    size, vector = np.linalg.eigh(covariances)  # (n_window, n_dose), (n_window, n_dose, n_dose)
    pattern = vector * np.sqrt(np.maximum(size, 0.0))[:, None]
    errors = np.moveaxis(pattern, -1, 0)[:, None] * fitted[None]
    share = np.abs(errors) / np.sqrt(np.maximum(variance, 1e-300))
    errors = errors[share.max(axis=(1, 2, 3)) > _NEGLIGIBLE]
    if problem.shared_error is not None:
        errors = np.concatenate([problem.shared_error, errors])
    changed = replace(
        problem, values=values, variance=variance, shared_error=errors if len(errors) else None
    )
    return changed, gain
