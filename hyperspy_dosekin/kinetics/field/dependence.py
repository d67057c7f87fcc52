# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much less pixels say together because neighbours are alike.

The likelihood of a population is a product over the pixels as if they were independent. Its
curvature makes the numbers too certain, and its height outweighs what is assumed of them: pixels of
a few patches, which are never quite normal together, would tell a correlation of k and p along the
ridge on which nothing is known. Both are mended by the sums of products of scores over pairs of
neighbours: the likelihood is raised to a power below 1, and the covariance is Godambe's.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from scipy import stats
from scipy.spatial.distance import pdist, squareform
from torch import Tensor

# Ranges of neighbourhood that are tried, in pixels, and the share of the extent that a range may
# have at most: the scores add up to nothing, and so do those of a neighbourhood as large as all.
_RANGES, _LARGEST_RANGE, _LEAST_FREEDOM = (0.7, 1.5, 3.0, 5.0, 8.0, 12.0), 0.25, 1.5


def _over_neighbours(white: np.ndarray, places: np.ndarray) -> Iterator[tuple[np.ndarray, float]]:
    """Sums of products of scores over neighbours, and what they are wider, for each range."""
    apart = squareform(pdist(places.astype(np.float64)))
    extent = float(np.ptp(places, axis=0).max()) + 1.0
    for reach in _RANGES:
        if reach > max(_LARGEST_RANGE * extent, _RANGES[0]):
            break
        near = np.exp(-0.5 * (apart / reach) ** 2)
        share = near.mean()
        # Scores add up to zero, which takes a share away; and what is known of the sums of so few
        # neighbourhoods is Student's t.
        freedom = max(1 / share - 1, _LEAST_FREEDOM)
        wider = (stats.t.ppf(0.975, freedom) / stats.norm.ppf(0.975)) ** 2
        yield white.T @ (near @ white) / max(1 - share, 0.3), float(wider)


def root_of_inverse(hessian: Tensor) -> tuple[Tensor, Tensor]:
    """R with R·Rᵀ = H⁻¹, and the eigenvalues of H."""
    values, vectors = torch.linalg.eigh(hessian)
    # A direction that the data do not curve is held by the prior only.
    values = values.clamp(min=1e-3)
    return vectors / values.sqrt(), values


def godambe(hessian: Tensor, score: Tensor, places: np.ndarray) -> tuple[Tensor, float]:
    """Covariance of an estimate from pixels that are no independent draws.

    Parameters
    ----------
    hessian
        Curvature of −ln posterior, ``(n, n)``.
    score
        Gradient of the likelihood of every pixel, ``(n_pixel, n)``.
    places
        Where the pixels are, ``(n_pixel, n_axis)``.

    Returns
    -------
    covariance : Tensor
        H⁻¹ J H⁻¹ with J the sum of products of scores over pairs of neighbours, never less than
        H⁻¹.
    inflation : float
        Its largest ratio to H⁻¹.
    """
    root, _ = root_of_inverse(hessian)
    white = ((score - score.mean(0)) @ root).numpy()
    sums = independent = np.eye(len(hessian))
    for found, wider in _over_neighbours(white, places):
        excess, axes = np.linalg.eigh(0.5 * (found + found.T) - independent)
        excess = wider * np.maximum(excess, 0)
        sums = _larger(sums, independent + (axes * excess) @ axes.T)
    covariance = root @ torch.as_tensor(sums) @ root.T
    return 0.5 * (covariance + covariance.T), float(np.linalg.eigvalsh(sums).max())


def _larger(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The least matrix above both in the directions in which they differ."""
    values, vectors = np.linalg.eigh(second - first)
    return first + (vectors * np.maximum(values, 0)) @ vectors.T


def redundancy(hessian: Tensor, score: Tensor, asked: Tensor, places: np.ndarray) -> float:
    """Pixels that say as much of what is asked as a single independent one would.

    It is the variance of the estimate of what is asked, with the pixels as they are, over that
    with independent ones, at least 1. A likelihood raised to its inverse has the right weight
    against what is assumed (F. Pauli, W. Racugno, L. Ventura, Statistica Sinica 21, 149, 2011),
    here for the numbers that matter and not on the mean of all.

    Parameters
    ----------
    hessian, score, places
        As in `godambe`.
    asked
        Gradient of whatever is asked of the population, ``(n_asked, n)``.
    """
    root, _ = root_of_inverse(hessian)
    white = ((score - score.mean(0)) @ root).numpy()
    wanted = (asked @ root).numpy()
    weigh = wanted.T @ wanted
    alone = float((weigh * (white.T @ white)).sum())
    if alone <= 0:
        return 1.0
    excess = [
        wider * (float((weigh * found).sum()) / alone - 1)
        for found, wider in _over_neighbours(white, places)
    ]
    return 1.0 + max(0.0, *excess)
