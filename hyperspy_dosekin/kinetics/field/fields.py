# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fields of kinetic parameters: what its neighbours say of every pixel.

Spread and correlation of the parameters over the pixels are those of the population; the length
over which neighbours are alike is found by the evidence of the field. For each of the populations
that stand for what is unknown, the normal distribution nearest to the posterior of the fields is
sought (`sites`), and the prior of a pixel is what is left of its marginal without its own data, so
that these can be heard exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import sparse

from .curves import SharedCurves
from .newton import NewtonSteps, blocks_of, precision_of, pulled
from .pixels import PixelPrior
from .readout import Shared
from .sites import Sites, likelihood_of
from .smooth import Bonds, factorised

# Steps to the mode, and the largest of a pixel in units of the population. The search ends where a
# step gains less of ln posterior than this for each unknown: fields that differ by so little are
# equally likely, and to follow the flat directions to their end takes three times as long and moves
# no interval.
_STEPS, _LARGEST_STEP, _LEAST_GAIN, _LEAST_GAIN_OF_ALL = 60, 1.0, 1e-4, 0.1
# A pixel whose likelihood falls short of its expansion, where C reaches 0 or a curve says little,
# is damped by itself: it alone does not hold up the others.
_SHORT_BY, _SHORT_AT_LEAST = 0.3, 0.02
# Random fields from which variances are computed.
_DRAWS = 48
# Rounds of fields and their spread.
_MEAN_ROUNDS = 3
# A pixel without its data is no less certain than the population, within a boundary's factor.
_LEAST_PRECISION = 0.7


@dataclass(frozen=True, eq=False)
class Mode:
    """Fields of a population, the most probable or the mean ones.

    Parameters
    ----------
    field
        In units of the population, ``(n, d)``.
    weight
        Weights of the bonds.
    lengths
        Length of each field.
    spread
        Covariance of every pixel over which likelihoods were averaged, ``(n, d, d)``; ``None`` for
        the most probable fields.
    """

    field: np.ndarray
    weight: np.ndarray
    lengths: tuple[float, ...]
    spread: np.ndarray | None = None

    def under(self, before: Shared, after: Shared) -> Mode:
        """The same parameters in units of another population."""
        change = torch.linalg.solve(after.factor, before.factor).numpy()
        shift = torch.linalg.solve(after.factor, before.mean - after.mean).numpy()
        spread = None if self.spread is None else change @ self.spread @ change.T
        return replace(self, field=self.field @ change.T + shift, spread=spread)


def find_fields(
    curves: SharedCurves,
    shared: Shared,
    bonds: Bonds,
    lengths: Sequence[float],
    start: Mode | None = None,
    *,
    repeats: float = 1.0,
    steps: int = _STEPS,
    mean: bool = False,
    seed: int = 0,
) -> Mode:
    """Fields of the highest posterior density, or the mean ones and their spread.

    Bonds give way where they jump.

    Parameters
    ----------
    lengths
        Length of each field.
    start
        Where to begin.
    repeats
        Neighbours that have one amplitude and offset, see `repeats`.
    steps
        Steps of Newton's method, at most.
    mean
        Whether those of the normal distribution are wanted that is nearest to the posterior.
    seed
        Of the random fields from which their spread is computed.
    """

    def climbed(start: Mode | None) -> Mode:
        return _climbed(curves, shared, bonds, lengths, start, repeats, steps)

    found = climbed(start)
    if not mean:
        return found
    for _ in range(_MEAN_ROUNDS if found.spread is None else _MEAN_ROUNDS - 1):
        sites = likelihood_of(curves, shared, found.field, repeats, found.spread)
        spread = _marginals(sites, bonds.roots(lengths, found.weight), seed)[0]
        # Fields of more spread are flatter and those less so: half way they settle.
        spread = spread if found.spread is None else 0.5 * (spread + found.spread)
        found = climbed(replace(found, spread=spread))
    return found


def _climbed(
    curves: SharedCurves,
    shared: Shared,
    bonds: Bonds,
    lengths: Sequence[float],
    start: Mode | None,
    repeats: float,
    steps: int,
) -> Mode:
    """Fields of the highest density, of its mean over the spread where the start has one."""
    d = curves.n_parameter
    n = curves.number
    field = np.zeros((n, d)) if start is None else start.field.copy()
    weight = np.ones(bonds.n_bond) if start is None else start.weight
    spread = None if start is None else start.spread
    roots = bonds.roots(lengths, weight)
    sites = likelihood_of(curves, shared, field, repeats, spread)
    newton, damping = NewtonSteps(), np.zeros(n)
    for _ in range(steps):
        slope = sites.gradient - pulled(roots, field)
        step = newton.step(roots, sites.curvature + damping[:, None, None] * np.eye(d), slope)
        expected = 0.5 * float((slope * step).sum())
        step = np.clip(step, -_LARGEST_STEP, _LARGEST_STEP)
        found = likelihood_of(curves, shared, field + step, repeats, spread)
        gain = log_posterior(found, roots, field + step) - log_posterior(sites, roots, field)
        damping = _damped(damping, sites, found, step)
        if not gain >= -1e-6 * abs(float(sites.value.sum())):
            continue
        field, sites = field + step, found
        weight = bonds.weights(field, lengths)
        roots = bonds.roots(lengths, weight)
        if max(gain, expected) < max(_LEAST_GAIN * n * d, _LEAST_GAIN_OF_ALL):
            break
    return Mode(field, weight, tuple(lengths), spread)


def _damped(damping: np.ndarray, before: Sites, after: Sites, step: np.ndarray) -> np.ndarray:
    """Damping of every pixel, ``(n,)``: more where the likelihood gains less than expected."""
    bent = np.einsum("ni,nij,nj->n", step, before.curvature, step)
    expected = np.einsum("ni,ni->n", before.gradient, step) - 0.5 * bent
    margin = np.maximum(_SHORT_BY * np.abs(expected), _SHORT_AT_LEAST)
    short = ~(after.value - before.value >= expected - margin)
    more = np.maximum(4 * damping, 1.0) + np.abs(before.gradient).max(1)
    return np.where(short, more, np.where(damping > 1e-2, 0.3 * damping, 0.0))


def log_posterior(sites: Sites, roots: Sequence[sparse.csc_matrix], field: np.ndarray) -> float:
    """Ln posterior of fields, up to what does not depend on them."""
    squares = sum(((root @ row) ** 2).sum() for root, row in zip(roots, field.T, strict=True))
    return float(sites.value.sum()) - 0.5 * float(squares)


def _marginals(
    sites: Sites, roots: Sequence[sparse.csc_matrix], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Covariance of every pixel, ``(n, d, d)``, and its own precision before data, ``(n, d)``."""
    n, d = sites.gradient.shape
    prior = precision_of(roots)
    factor = factorised(prior + blocks_of(sites.curvature))
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
    # One by one: SuperLU takes four times as long for many right sides at once.
    columns = pull.reshape(n * d, _DRAWS).T
    draws = np.stack([factor.solve(row) for row in np.ascontiguousarray(columns)], 1)
    draws = draws.reshape(n, d, _DRAWS)
    # The variance of a pixel is that at given neighbours and that of its mean at given neighbours:
    # the first is exact, and only the second comes from the draws.
    own = prior.diagonal().reshape(n, d)
    others = own[:, :, None] * draws - (prior @ draws.reshape(n * d, -1)).reshape(draws.shape)
    at_given = np.linalg.inv(own[:, :, None] * np.eye(d) + sites.curvature)
    shifts = np.einsum("nij,njs->nis", at_given, others)
    return at_given + np.einsum("nis,njs->nij", shifts, shifts) / _DRAWS, own


def neighbours_say(
    curves: SharedCurves,
    shared: Shared,
    bonds: Bonds,
    mode: Mode,
    seed: int = 0,
    repeats: float = 1.0,
) -> PixelPrior:
    """Prior of every pixel from all but its own data.

    Parameters
    ----------
    curves, shared, bonds
        The pixels, what they share, and their neighbours.
    seed
        Of the random fields.
    repeats
        As for `find_fields`.
    """
    sites = likelihood_of(curves, shared, mode.field, repeats, mode.spread)
    marginal, own = _marginals(sites, bonds.roots(mode.lengths, mode.weight), seed)
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
