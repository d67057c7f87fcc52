# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The noise that the pixels of a map show together, as the least that each of them has.

Nine frames leave a pixel five or six numbers for its noise: in one pixel of ten the residuals are
half as large as the noise by luck, and these look determined. Those of all pixels together are
never small by luck. What they give is a floor: a pixel that scatters more has its own noise, so
that regions and pixels of more noise than others get no narrower intervals by it. The lower
quartile sets the floor, not the mean: a minority of noisier pixels does not move it, and where half
of a map is quiet it is near the noise of that half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import special, stats

from hyperspy_dosekin.kinetics.estimate.fit import fit_exact
from hyperspy_dosekin.kinetics.model.config import ExactConfig

from .block import offset_of, problem_of

#: Fewest pixels of a map, and fewest fitted ones of a window, whose noise is pooled.
FEWEST_PIXELS, _FEWEST_FITTED = 32, 16
# The part of the pixels that has less noise than what is taken, were all alike.
_PART = 0.25
# Fewest frames left over of a pixel that is counted.
_LEFT = 1.0
# Powers of the mean intensity that the variance may go with: from one for all pixels to a gain.
_POWERS = (0.0, 2.0)
# Where too few pixels can be fitted: a share of the variance of a curve that says nothing.
_NOTHING = 1e-6


def pooled_noise(
    values: np.ndarray,
    variance: np.ndarray | None,
    offset: np.ndarray | None,
    *shared: np.ndarray,
    dose: np.ndarray,
    window_names: Sequence[str],
    config: ExactConfig,
    dose_scale: float | None = None,
) -> np.ndarray:
    """Noise of the pixels of each window, from the residuals of a fit of them.

    Parameters
    ----------
    values, variance, offset, *shared, dose, window_names, config, dose_scale
        As for `fit_block`.

    Returns
    -------
    numpy.ndarray
        Shape ``(n_window, 3)``: the factor of a given variance, at least 1, and two zeros; without
        a variance the noise variance where ln of the mean intensity is 0, the power of the
        intensity that it goes with, and the median of the noise variances. NaN where too few
        pixels can be fitted.
    """
    problem = problem_of(values, variance, dose, window_names, dose_scale, shared)
    offset = offset_of(offset, len(window_names))
    alone = replace(config, noise="relative", hierarchy=(), nonnegative=False, offset=offset)
    fit = fit_exact(problem, alone)
    usable = problem.usable
    with np.errstate(invalid="ignore", divide="ignore"):
        squares = fit.residual_sigma**2
        left = (usable.sum(-1) - 1 - (offset is None)) * fit.noise_sigma**2 / squares
        # Each is above the noise variance with a probability of three quarters.
        each = squares * left / special.chdtri(left, 1 - _PART)
        if problem.variance is not None:
            known = usable & (problem.variance > 0)
            each = each * _mean(np.where(known, 1 / problem.variance, np.nan))[..., 0]
    found = np.full((len(window_names), 3), np.nan)
    for window in range(len(window_names)):
        used = (left[:, window] >= _LEFT) & (each[:, window] > 0)
        if used.sum() < _FEWEST_FITTED:
            continue
        if variance is not None:
            found[window] = max(np.quantile(each[used, window], _PART), 1.0), 0.0, 0.0
            continue
        middle = np.median(squares[used, window])
        level = _log_level(problem.values[used, window], middle)
        logs = np.log(each[used, window])
        power = np.nan_to_num(np.asarray(stats.siegelslopes(logs, level)))[0].clip(*_POWERS)
        found[window] = np.exp(np.quantile(logs - power * level, _PART)), power, middle
    return found


def least_variance(pooled: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Least noise variance of pixels whose variance is not given.

    Parameters
    ----------
    pooled
        What `pooled_noise` found.
    values
        Shape ``(…, n_window, n_dose)``.

    Returns
    -------
    numpy.ndarray
        Of the shape of the values.
    """
    size, power, middle = pooled.T[..., None]
    found = size * np.exp(power * _log_level(values, middle[:, 0])[..., None])
    spread = _mean((values - _mean(values)) ** 2)
    return np.broadcast_to(np.where(np.isfinite(found), found, _NOTHING * spread), values.shape)


def _log_level(values: np.ndarray, noise: np.ndarray | float) -> np.ndarray:
    """Ln of the mean intensity of curves ``(…, n_window)``, and not below that of the noise."""
    return 0.5 * np.log(_mean(values)[..., 0] ** 2 + noise)


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over the frames that are there, ``(…, 1)``."""
    finite = np.isfinite(values)
    total = np.where(finite, values, 0.0).sum(axis=-1, keepdims=True)
    return total / finite.sum(axis=-1, keepdims=True).clip(1)
