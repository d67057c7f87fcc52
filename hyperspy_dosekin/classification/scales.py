# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scales of explanations, integrated out under a normal, uniform or lognormal distribution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hyperspy_dosekin.classification.nuisances import HALF_WIDTH

#: Standard deviations beyond which the normal tail is taken from its expansion.
_FAR = 30.0
#: Steps of Newton's method for the likeliest scale of a lognormal distribution.
NEWTON = 3


@dataclass(frozen=True, eq=False)
class Scaled:
    """Scales of explanations, one for each: best value, its error and what integrates it out.

    Parameters
    ----------
    log_marginal
        Logarithm of ∫ exp(linear·a − square·a²/2) p(a) da.
    best, error
        Likeliest scale under the prior p, and its standard error.
    penalty
        What the prior adds to the squared distance there, 0 at its own maximum.
    """

    log_marginal: np.ndarray
    best: np.ndarray
    error: np.ndarray
    penalty: np.ndarray


def _normal(linear: np.ndarray, square: np.ndarray, mean: float, sd: float) -> Scaled:
    posterior = 1 / sd**2 + square
    centre = mean / sd**2 + linear
    best = centre / posterior
    log = 0.5 * (centre * best - mean**2 / sd**2 - np.log(sd**2 * posterior))
    return Scaled(log, best, 1 / np.sqrt(posterior), ((best - mean) / sd) ** 2)


def _uniform(linear: np.ndarray, square: np.ndarray, mean: float, sd: float) -> Scaled:
    from scipy.special import ndtr

    low, high = mean - HALF_WIDTH * sd, mean + HALF_WIDTH * sd
    # A template without signal has no curvature; a little makes its integral the width.
    square = np.maximum(square, 1e-6 / sd**2)
    root, centre = np.sqrt(square), linear / square
    left, right = (low - centre) * root, (high - centre) * root
    # Both ends on the side where the tails are small, so that their difference keeps its digits.
    swap = left + right > 0
    left, right = np.where(swap, -right, left), np.where(swap, -left, right)
    mass = np.log(np.maximum(ndtr(right) - ndtr(left), 1e-290))
    far = right < -_FAR
    mass[far] = -0.5 * right[far] ** 2 - np.log(-right[far] * np.sqrt(2 * np.pi))
    log = 0.5 * (linear * centre + np.log(2 * np.pi / square)) + mass - np.log(high - low)
    best = np.clip(centre, low, high)
    return Scaled(log, best, np.minimum(1 / root, sd), np.zeros_like(best))


def _lognormal(linear: np.ndarray, square: np.ndarray, mean: float, sd: float) -> Scaled:
    """By Laplace's method in the logarithm of the scale."""
    variance = np.log1p((sd / mean) ** 2)
    middle = np.log(mean) - variance / 2
    # From the normal answer, which is close where the spectrum says most.
    start = (mean / sd**2 + linear) / (1 / sd**2 + square)
    u = np.log(np.clip(start, mean * np.exp(-4 * np.sqrt(variance)), None))
    curvature = np.ones_like(u)
    for _ in range(NEWTON):
        a = np.exp(u)
        first, second = linear * a, square * a * a
        curvature = np.maximum(2 * second - first + 1 / variance, 0.2 / variance)
        u += np.clip((first - second - (u - middle) / variance) / curvature, -1.0, 1.0)
    a = np.exp(u)
    first, second = linear * a, square * a * a
    curvature = np.maximum(2 * second - first + 1 / variance, 0.2 / variance)
    penalty = (u - middle) ** 2 / variance
    log = first - 0.5 * (second + penalty + np.log(variance * curvature))
    return Scaled(log, a, a / np.sqrt(curvature), penalty)


#: By the shape of the distribution of the scale.
SCALES: dict[str, Callable[..., Scaled]] = {
    "normal": _normal,
    "uniform": _uniform,
    "lognormal": _lognormal,
}
