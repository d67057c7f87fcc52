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
from .population import Population
from .readout import Shared
from .smooth import Bonds, factorised, log_determinant

#: Lengths that are tried, in pixels.
LENGTHS = (1.5, 2.5, 4.0, 6.0, 8.5, 12.0, 17.0, 24.0)
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
_LENGTH_ROUNDS = 2


@dataclass(frozen=True, eq=False)
class _Sites:
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


def likelihood_near(curves: SharedCurves, shared: Shared, field: np.ndarray) -> _Sites:
    """Likelihood of pixels near fields ``(n, d)``."""
    free = shared.mean[:, None] + shared.factor @ torch.as_tensor(field.T.copy())
    lower, upper = (end[:, None] for end in curves.box)
    inside = torch.maximum(torch.minimum(free, upper), lower)
    step = _DIFFERENCE * shared.factor.square().sum(1).sqrt()
    value, gradient, hessian = curvature(curves, shared, inside, step)
    slope = (shared.factor.T @ gradient).T
    bent = -(shared.factor.T @ hessian @ shared.factor)
    values, axes = torch.linalg.eigh(bent)
    bent = (axes * values.clamp(min=0.0)[:, None, :]) @ axes.transpose(1, 2)
    return _Sites(float(value.sum()), slope.numpy(), bent.numpy())


def _blocks(curvature: np.ndarray) -> sparse.spmatrix:
    n, d, _ = curvature.shape
    shape = (n * d, n * d)
    return sparse.bsr_matrix((curvature, np.arange(n), np.arange(n + 1)), shape=shape)


def _precision(roots: Sequence[sparse.csc_matrix]) -> sparse.csc_matrix:
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
    steps
        Steps of Newton's method, at most.
    """
    d = curves.n_parameter
    n = curves.number
    field = np.zeros((n, d)) if start is None else start.field.copy()
    weight = np.ones(bonds.n_bond) if start is None else start.weight
    roots = bonds.roots(lengths, weight)
    sites = likelihood_near(curves, shared, field)
    for _ in range(steps):
        prior = _precision(roots)
        whole = prior + _blocks(sites.curvature)
        slope = sites.gradient.ravel() - prior @ field.ravel()
        step = factorised(whole).solve(slope).reshape(n, d)
        step *= min(1.0, _LARGEST_STEP / max(np.abs(step).max(), 1e-12))
        value = log_posterior(sites, roots, field)
        share = 1.0
        for _ in range(6):
            trial = field + share * step
            found = likelihood_near(curves, shared, trial)
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


def log_posterior(sites: _Sites, roots: Sequence[sparse.csc_matrix], field: np.ndarray) -> float:
    """Ln posterior of fields, up to what does not depend on them."""
    squares = sum(((root @ row) ** 2).sum() for root, row in zip(roots, field.T, strict=True))
    return sites.value - 0.5 * float(squares)


def log_evidence(
    curves: SharedCurves, sites: _Sites, bonds: Bonds, at: Mode, lengths: Sequence[float]
) -> float:
    """Ln evidence of lengths, with the likelihood as it is near some fields.

    Parameters
    ----------
    curves
        The pixels.
    sites
        Their likelihood near the fields.
    bonds
        Their neighbours.
    at
        The fields, and weights of the bonds.
    lengths
        Length of each field.
    """
    roots = bonds.roots(lengths, at.weight)
    pull = sites.gradient + np.einsum("nij,nj->ni", sites.curvature, at.field)
    factor = factorised(_precision(roots) + _blocks(sites.curvature))
    mean = factor.solve(pull.ravel())
    prior = sum(2 * log_determinant(factorised(root)) for root in roots)
    return 0.5 * (prior - log_determinant(factor) + float(pull.ravel() @ mean))


@dataclass(frozen=True, eq=False)
class Lengths:
    """Over how many pixels neighbours are alike.

    Parameters
    ----------
    tried
        Lengths that were tried, ``(n_length,)``.
    chance
        Their probabilities for each field, ``(d, n_length)``.
    """

    tried: np.ndarray
    chance: np.ndarray

    @property
    def best(self) -> tuple[float, ...]:
        """The most probable length of each field."""
        return tuple(float(x) for x in self.tried[self.chance.argmax(axis=1)])

    def drawn(self, number: int) -> list[tuple[float, ...]]:
        """Lengths of the fields in proportion to their probabilities, ``number`` of them."""
        random = np.random.default_rng(1)
        columns = []
        for row in self.chance:
            places = (random.permutation(number) + 0.5) / number
            found = np.searchsorted(np.cumsum(row), places).clip(max=self.tried.size - 1)
            columns.append(self.tried[found])
        return [tuple(float(x) for x in each) for each in zip(*columns, strict=True)]


def find_lengths(
    curves: SharedCurves, shared: Shared, bonds: Bonds, largest: float
) -> tuple[Lengths, Mode]:
    """Find the lengths of the fields by their evidence, and the fields of the best.

    Parameters
    ----------
    curves, shared, bonds
        The pixels, what they share, and their neighbours.
    largest
        Largest length that makes sense, the extent of the pixels.
    """
    tried = np.array([x for x in LENGTHS if x <= max(largest, LENGTHS[1])])
    d = curves.n_parameter
    lengths = (float(tried[tried.size // 2]),) * d
    mode = find_fields(curves, shared, bonds, lengths)
    chance = np.zeros((d, tried.size))
    for _ in range(_LENGTH_ROUNDS):
        sites = likelihood_near(curves, shared, mode.field)
        for field in range(d):
            evidence = np.array(
                [
                    log_evidence(
                        curves, sites, bonds, mode, (*lengths[:field], x, *lengths[field + 1 :])
                    )
                    for x in tried
                ]
            )
            lengths = (*lengths[:field], float(tried[evidence.argmax()]), *lengths[field + 1 :])
            likely = np.exp(evidence - evidence.max())
            chance[field] = _blurred(likely / likely.sum())
        if lengths == mode.lengths:
            break
        mode = find_fields(curves, shared, bonds, lengths, mode)
    return Lengths(tried, chance), mode


def _blurred(chance: np.ndarray) -> np.ndarray:
    """Probabilities with a share of those next to them: no real field is of this kind exactly."""
    spread = np.array([0.25, 0.5, 0.25])
    found = np.convolve(chance, spread)[1:-1]
    return found / found.sum()


def neighbours_say(
    curves: SharedCurves, shared: Shared, bonds: Bonds, mode: Mode, seed: int = 0
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
    """
    n, d = mode.field.shape
    sites = likelihood_near(curves, shared, mode.field)
    roots = bonds.roots(mode.lengths, mode.weight)
    prior = _precision(roots)
    whole = prior + _blocks(sites.curvature)
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


def field_priors(
    curves: SharedCurves,
    population: Population,
    bonds: Bonds,
    lengths: Sequence[Sequence[float]],
    start: Mode | None = None,
) -> list[PixelPrior]:
    """What neighbours say under each of the populations that stand for what is unknown.

    Parameters
    ----------
    curves
        The pixels.
    population
        Their population.
    bonds
        Their neighbours.
    lengths
        Length of each field for each population.
    start
        Fields to begin with.
    """
    found = []
    for seed, (shared, each) in enumerate(zip(population.designs, lengths, strict=True)):
        mode = find_fields(curves, shared, bonds, each, start)
        found.append(neighbours_say(curves, shared, bonds, mode, seed))
    return found
