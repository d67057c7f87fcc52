# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fields of kinetic parameters: what its neighbours say of every pixel.

Spread and correlation of the parameters over the pixels are those of the population; the length
over which neighbours are alike is found by the evidence of the field. For each of the populations
that stand for what is unknown, the mode of the fields is sought (Laplace), and the prior of a pixel
is what is left of its normal marginal without its own data, so that these can be heard exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse

from .curves import SharedCurves
from .pixels import PixelPrior, curvature
from .readout import Shared
from .smooth import Bonds, factorised

# Steps to the mode, and the largest in units of the population. The search ends where a step gains
# less of ln posterior than this: fields that differ by so little are equally likely, and to follow
# the flat directions to their end takes three times as long and moves no interval.
_STEPS, _LARGEST_STEP, _LEAST_GAIN = 60, 1.5, 0.1
# Random fields from which variances are computed.
_DRAWS = 48
# Step of numerical second derivatives in units of the population.
_DIFFERENCE = 1e-3
# A pixel without its data is no less certain than the population, within a boundary's factor.
_LEAST_PRECISION = 0.7


@dataclass(frozen=True, eq=False)
class Sites:
    """Gradient and curvature of the likelihood of every pixel, in units of the population."""

    value: float
    gradient: np.ndarray
    curvature: np.ndarray


@dataclass(frozen=True, eq=False)
class Mode:
    """Most probable fields of a population.

    Parameters
    ----------
    field
        In units of the population, ``(n, d)``.
    weight
        Weights of the bonds.
    lengths
        Length of each field.
    """

    field: np.ndarray
    weight: np.ndarray
    lengths: tuple[float, ...]


def likelihood_near(
    curves: SharedCurves, shared: Shared, field: np.ndarray, power: float = 1.0
) -> Sites:
    """Likelihood of pixels near fields ``(n, d)``, raised to a power."""
    free = shared.mean[:, None] + shared.factor @ torch.as_tensor(field.T.copy())
    lower, upper = (end[:, None] for end in curves.box)
    inside = torch.maximum(torch.minimum(free, upper), lower)
    step = _DIFFERENCE * shared.factor.square().sum(1).sqrt()
    value, gradient, hessian = curvature(curves, shared, inside, step)
    slope = (shared.factor.T @ gradient).T
    bent = -(shared.factor.T @ hessian @ shared.factor)
    values, axes = torch.linalg.eigh(bent)
    bent = (axes * values.clamp(min=0.0)[:, None, :]) @ axes.transpose(1, 2)
    found = (power * value.sum(), power * slope, power * bent)
    return Sites(float(found[0]), found[1].numpy(), found[2].numpy())


def blocks_of(curvature: np.ndarray) -> sparse.spmatrix:
    """Sparse matrix with the curvature of each pixel, ``(n, d, d)``, on its diagonal."""
    n, d, _ = curvature.shape
    shape = (n * d, n * d)
    return sparse.bsr_matrix((curvature, np.arange(n), np.arange(n + 1)), shape=shape)


def precision_of(roots: Sequence[sparse.csc_matrix]) -> sparse.csc_matrix:
    """Of all fields, the numbers of a pixel next to each other."""
    d = len(roots)
    parts = [
        sparse.kron(root @ root, sparse.csc_matrix(([1.0], ([k], [k])), shape=(d, d)))
        for k, root in enumerate(roots)
    ]
    return sparse.csc_matrix(sum(parts[1:], parts[0]))


def find_fields(
    curves: SharedCurves,
    shared: Shared,
    bonds: Bonds,
    lengths: Sequence[float],
    start: Mode | None = None,
    *,
    power: float = 1.0,
    steps: int = _STEPS,
) -> Mode:
    """Fields of the highest posterior density, with bonds that give way where they jump.

    Parameters
    ----------
    curves, shared
        The pixels, and what they share.
    bonds
        Their neighbours.
    lengths
        Length of each field.
    start
        Where to begin.
    power
        Power of the likelihood.
    steps
        Steps of Newton's method, at most.
    """
    d = curves.n_parameter
    n = curves.number
    field = np.zeros((n, d)) if start is None else start.field.copy()
    weight = np.ones(bonds.n_bond) if start is None else start.weight
    roots = bonds.roots(lengths, weight)
    sites = likelihood_near(curves, shared, field, power)
    for _ in range(steps):
        prior = precision_of(roots)
        whole = prior + blocks_of(sites.curvature)
        slope = sites.gradient.ravel() - prior @ field.ravel()
        step = factorised(whole).solve(slope).reshape(n, d)
        step *= min(1.0, _LARGEST_STEP / max(np.abs(step).max(), 1e-12))
        value = log_posterior(sites, roots, field)
        share = 1.0
        for _ in range(6):
            trial = field + share * step
            found = likelihood_near(curves, shared, trial, power)
            gain = log_posterior(found, roots, trial) - value
            if gain >= -1e-6 * abs(value):
                break
            share *= 0.4
        else:
            break
        field, sites = trial, found
        weight = bonds.weights(field, lengths)
        roots = bonds.roots(lengths, weight)
        if gain < _LEAST_GAIN:
            break
    return Mode(field, weight, tuple(lengths))


def log_posterior(sites: Sites, roots: Sequence[sparse.csc_matrix], field: np.ndarray) -> float:
    """Ln posterior of fields, up to what does not depend on them."""
    squares = sum(((root @ row) ** 2).sum() for root, row in zip(roots, field.T, strict=True))
    return sites.value - 0.5 * float(squares)


def neighbours_say(
    curves: SharedCurves,
    shared: Shared,
    bonds: Bonds,
    mode: Mode,
    seed: int = 0,
    power: float = 1.0,
) -> PixelPrior:
    """Prior of every pixel from all but its own data.

    Parameters
    ----------
    curves, shared, bonds
        The pixels, what they share, and their neighbours.
    mode
        Most probable fields.
    seed
        Of the random fields.
    power
        Power of the likelihood of the neighbours.
    """
    n, d = mode.field.shape
    sites = likelihood_near(curves, shared, mode.field, power)
    roots = bonds.roots(mode.lengths, mode.weight)
    prior = precision_of(roots)
    whole = prior + blocks_of(sites.curvature)
    factor = factorised(whole)
    random = np.random.default_rng(seed)
    # Draws of precision K² + H: what is pulled has the precision as its covariance.
    values, axes = np.linalg.eigh(sites.curvature)
    half = axes * np.sqrt(np.maximum(values, 0))[:, None, :]
    pull = np.stack(
        [
            np.stack([root @ random.standard_normal(n) for root in roots], 1)
            + np.einsum("nij,nj->ni", half, random.standard_normal((n, d)))
            for _ in range(_DRAWS)
        ],
        -1,
    )
    draws = factor.solve(pull.reshape(n * d, _DRAWS)).reshape(n, d, _DRAWS)
    # The variance of a pixel is that at given neighbours and that of its mean at given neighbours:
    # the first is exact, and only the second comes from the draws.
    own = prior.diagonal().reshape(n, d)
    others = own[:, :, None] * draws - (prior @ draws.reshape(n * d, -1)).reshape(draws.shape)
    at_given = np.linalg.inv(own[:, :, None] * np.eye(d) + sites.curvature)
    shifts = np.einsum("nij,njs->nis", at_given, others)
    marginal = at_given + np.einsum("nis,njs->nij", shifts, shifts) / _DRAWS
    precision = np.linalg.inv(marginal) - sites.curvature
    values, axes = np.linalg.eigh(0.5 * (precision + precision.transpose(0, 2, 1)))
    most = np.maximum(own.max(axis=1, keepdims=True), _LEAST_PRECISION)
    values = np.clip(values, _LEAST_PRECISION, most)
    covariance = (axes / values[:, None, :]) @ axes.transpose(0, 2, 1)
    mean = mode.field - np.einsum("nij,nj->ni", covariance, sites.gradient)
    # Where the likelihood is far from normal its slope can say anything: not beyond the population.
    mean = mode.field + np.clip(mean - mode.field, -2.0, 2.0)
    below = np.linalg.cholesky(covariance)
    return PixelPrior(
        shared.mean[:, None] + shared.factor @ torch.as_tensor(mean.T.copy()),
        shared.factor @ torch.as_tensor(below),
    )
