# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Templates of the classes, and their likelihood with the scale integrated out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hyperspy_dosekin.classification.nuisances import HALF_WIDTH
from hyperspy_dosekin.classification.references import ReferenceSet

#: Mixtures that stand for a class of several references.
_MIXTURES = 8
#: Standard deviations beyond which the normal tail is taken from its expansion.
_FAR = 30.0


def class_templates(
    references: ReferenceSet, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Mixtures of the references of each class."""
    templates, class_of = [], []
    largest = np.abs(references.spectra).max()
    for k in range(references.n_class):
        own = references.spectra[references.class_of == k]
        if len(own) > 1 and np.ptp(own, axis=0).max() > 1e-9 * largest:
            own = _mixtures(len(own), rng) @ own
        else:
            own = own[:1]
        templates.append(own)
        class_of += [k] * len(own)
    return np.concatenate(templates), np.array(class_of)


def _mixtures(number: int, rng: np.random.Generator) -> np.ndarray:
    """Few weights on the simplex with mean and covariance of the uniform distribution there."""
    weights = rng.dirichlet(np.ones(number), _MIXTURES)
    departure = weights - weights.mean(axis=0)
    if number <= _MIXTURES:
        left, _, right = np.linalg.svd(departure, full_matrices=False)
        rank = number - 1
        departure = left[:, :rank] @ right[:rank]
        departure *= np.sqrt(_MIXTURES / (number * (number + 1)))
    return 1 / number + departure


def _log_marginal_normal(
    linear: np.ndarray, square: np.ndarray, mean: float, sd: float
) -> np.ndarray:
    """Logarithm of ∫ exp(linear·a − square·a²/2) p(a) da for a normal density p."""
    posterior = 1 / sd**2 + square
    centre = mean / sd**2 + linear
    return 0.5 * (centre**2 / posterior - mean**2 / sd**2 - np.log(sd**2 * posterior))


def _log_marginal_uniform(
    linear: np.ndarray, square: np.ndarray, mean: float, sd: float
) -> np.ndarray:
    """The same for a uniform density of that mean and standard deviation."""
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
    return 0.5 * (linear * centre + np.log(2 * np.pi / square)) + mass - np.log(high - low)


#: By the shape of the distribution of the scale.
LOG_MARGINALS: dict[str, Callable[..., np.ndarray]] = {
    "normal": _log_marginal_normal,
    "uniform": _log_marginal_uniform,
}
