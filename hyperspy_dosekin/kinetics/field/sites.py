# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pixels of a field say of their kinetic parameters, near them or about them.

The likelihood of a patch of one thickness is far from normal over what its neighbours leave open. A
mode of hundreds of pixels that lean to the same side then is not where their mean is, by several
times the spread of what they have in common. Gradient and curvature that are averaged over a normal
distribution about the fields make that the normal one which is nearest to the posterior (M. Opper,
C. Archambeau, doi:10.1162/neco.2008.08-07-592).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from .curves import SharedCurves
from .pixels import curvature, likelihood_slopes
from .readout import Shared
from .repeats import of_patches

# Step of numerical second derivatives in units of the population.
_DIFFERENCE = 1e-3
# Points along each axis over which a likelihood is averaged.
_POINTS = 3


@dataclass(frozen=True, eq=False)
class Sites:
    """Likelihood of every pixel, its gradient and curvature, in units of the population."""

    value: np.ndarray
    gradient: np.ndarray
    curvature: np.ndarray


def likelihood_of(
    curves: SharedCurves,
    shared: Shared,
    field: np.ndarray,
    repeats: float = 1.0,
    spread: np.ndarray | None = None,
) -> Sites:
    """Likelihood of pixels at fields ``(n, d)``, for each its share of that of its patch.

    Parameters
    ----------
    field
        Kinetic parameters in units of the population.
    repeats
        Neighbours that have one amplitude and offset, see `repeats`.
    spread
        Covariance of every pixel over which the likelihood is averaged, ``(n, d, d)``; that at the
        fields themselves if not given.
    """
    shared = of_patches(shared, repeats)
    found = _at(curves, shared, field) if spread is None else _about(curves, shared, field, spread)
    value, slope, bent = (each / repeats for each in found)
    values, axes = np.linalg.eigh(0.5 * (bent + bent.transpose(0, 2, 1)))
    bent = (axes * np.maximum(values, 0)[:, None, :]) @ axes.transpose(0, 2, 1)
    return Sites(value, slope, bent)


def _at(
    curves: SharedCurves, shared: Shared, field: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Likelihood, gradient and curvature at fields."""
    inside = _inside(curves, shared, torch.as_tensor(field.T.copy()))
    step = _DIFFERENCE * shared.factor.square().sum(1).sqrt()
    value, gradient, hessian = curvature(curves, shared, inside, step)
    slope = (shared.factor.T @ gradient).T
    bent = -(shared.factor.T @ hessian @ shared.factor)
    return value.numpy(), slope.numpy(), bent.numpy()


def _about(
    curves: SharedCurves, shared: Shared, field: np.ndarray, spread: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Their means over normal distributions; the mean curvature by Stein's lemma."""
    points, weight = _normal(field.shape[1])
    factor = np.linalg.cholesky(spread)
    away = np.einsum("nij,pj->ipn", factor, points)
    at = torch.as_tensor(field.T[:, None, :] + away)
    value, gradient = likelihood_slopes(curves, shared, _inside(curves, shared, at))
    slope = torch.einsum("ij,ipn->jpn", shared.factor, gradient).numpy()
    by_point = np.einsum("p,jpn,pk->njk", weight, slope, points)
    mean_value = weight @ value.numpy()
    mean_slope = np.einsum("p,jpn->nj", weight, slope)
    return mean_value, mean_slope, -by_point @ np.linalg.inv(factor)


def _inside(curves: SharedCurves, shared: Shared, field: torch.Tensor) -> torch.Tensor:
    """Parameters on their scale of estimation, ``(d, …, n)``, within the box of the law."""
    lead = [1] * (field.ndim - 1)
    return curves.inside(shared.mean.reshape(-1, *lead) + torch.tensordot(shared.factor, field, 1))


@lru_cache(maxsize=4)
def _normal(d: int) -> tuple[np.ndarray, np.ndarray]:
    """Points ``(n_point, d)`` and weights of a standard normal distribution."""
    point, weight = np.polynomial.hermite_e.hermegauss(_POINTS)
    points = np.stack(np.meshgrid(*[point] * d, indexing="ij"), -1).reshape(-1, d)
    weights = np.stack(np.meshgrid(*[weight / weight.sum()] * d, indexing="ij"), -1)
    return points, weights.reshape(-1, d).prod(1)
