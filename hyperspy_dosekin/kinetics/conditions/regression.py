# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""ln k of several series as a sum of effects, with a spread between specimens.

``ln k_i = x_i·β + N(0, ω²)``. The likelihoods of the rates are those of `rate_likelihood`, whatever
their form; a window that hardly changes says only that its rate is small. The posterior of the
effects is drawn by importance sampling: for each shape of the law and each ω a Student
distribution about the generalised least-squares solution proposes effects, which are weighed by
the exact density.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from .rate_likelihood import RateLikelihood

#: Spreads ω between specimens that are integrated over; 0 stands for none.
SPREADS = np.concatenate([[0.0], np.geomspace(0.02, 1.6, 12)])
#: Scale of the half-Cauchy prior of ω (A. Gelman, Bayesian Anal. 1, 515 (2006),
#: doi:10.1214/06-BA117A): D½ of specimens of one condition differ by a factor of e^0.3.
SPREAD_SCALE = 0.3
#: Prior probability that specimens of one condition do not differ.
NO_SPREAD = 0.3
# Draws at least in all and for each shape and spread, while they are not so many; of heavy tails
# and wider than the approximation.
_DRAWS, _LEAST_DRAWS, _MOST_DRAWS, _FREEDOM, _WIDER = 6144, 64, 65536, 4, 1.15


@dataclass(frozen=True, eq=False)
class Draws:
    """Equally probable draws of what all series have in common, and of each rate.

    Parameters
    ----------
    effects
        β, ``(n_draw, n_effect)``.
    spread
        ω, ``(n_draw,)``.
    shape
        Place of the shape, ``(n_draw,)``.
    log_rate
        ln k of each series per dose scale, ``(n_draw, n_series)``.
    shape_mass
        Posterior probability of each shape, ``(n_shape,)``.
    effective
        Effective number of the weighed draws that these were taken from.
    """

    effects: np.ndarray
    spread: np.ndarray
    shape: np.ndarray
    log_rate: np.ndarray
    shape_mass: np.ndarray
    effective: float


def spread_weights(known: bool) -> np.ndarray:
    """Prior probabilities of `SPREADS`; all on 0 where no spread can be told."""
    if not known:
        return np.eye(SPREADS.size)[0]
    edges = np.concatenate([[0.0], np.sqrt(SPREADS[1:-1] * SPREADS[2:]), [np.inf]])
    share = np.diff(np.arctan(edges / SPREAD_SCALE)) * 2 / math.pi
    return np.concatenate([[NO_SPREAD], (1 - NO_SPREAD) * share])


def draw_effects(
    likelihoods: Sequence[RateLikelihood],
    design: np.ndarray,
    prior_sd: np.ndarray,
    log_shape_weight: np.ndarray,
    *,
    spread_known: bool,
    number: int = 4000,
    seed: int = 0,
    every: int = 1,
) -> Draws:
    """Draw from the posterior of the effects.

    Parameters
    ----------
    likelihoods
        Of the rate of each series.
    design
        Of the effects, ``(n_series, n_effect)``.
    prior_sd
        Standard deviations of the normal priors of the effects, about 0, ``(n_effect,)``.
    log_shape_weight
        Logarithm of the prior probability of each shape, ``(n_shape,)``.
    spread_known
        Whether the series can tell the spread between specimens; it is taken for 0 otherwise.
    number
        Draws.
    seed
        Of the draws.
    every
        Only every so many of `SPREADS` are used, for a first look.
    """
    random = np.random.default_rng(seed)
    n_series, n_effect = design.shape
    n_shape = log_shape_weight.size
    moments = [each.moments() for each in likelihoods]
    mean = np.stack([m for m, _ in moments], axis=-1)  # (n_shape, n_series)
    variance = np.stack([v for _, v in moments], axis=-1)
    with np.errstate(divide="ignore"):
        log_spread = np.log(spread_weights(spread_known))
    used = np.flatnonzero(np.isfinite(log_spread))[::every]
    total = variance[:, None] + SPREADS[used][:, None] ** 2  # (n_shape, n_spread, n_series)
    scaled = design / total[..., None]
    precision = np.einsum("sone,nf->soef", scaled, design) + np.diag(prior_sd**-2.0)
    centre = np.linalg.solve(precision, np.einsum("sone,sn->soe", scaled, mean)[..., None])[..., 0]
    root = np.linalg.cholesky(np.linalg.inv(precision) * _WIDER**2)
    cells = n_shape * used.size
    each_cell = math.ceil(max(_DRAWS, min(_LEAST_DRAWS * cells, _MOST_DRAWS)) / cells)
    normal = random.normal(size=(n_shape, used.size, each_cell, n_effect))
    chi = random.chisquare(_FREEDOM, size=normal.shape[:-1]) / _FREEDOM
    away = normal / np.sqrt(chi)[..., None]
    effects = centre[:, :, None] + np.einsum("soef,sorf->sore", root, away)
    log_proposal = -0.5 * (_FREEDOM + n_effect) * np.log1p((away**2).sum(-1) / _FREEDOM)
    log_proposal -= np.log(np.einsum("soee->soe", root)).sum(-1)[..., None]
    target = -0.5 * ((effects / prior_sd) ** 2).sum(-1)
    target += log_shape_weight[:, None, None] + log_spread[used][:, None]
    level = effects @ design.T
    for series, each in enumerate(likelihoods):
        for place, spread in enumerate(SPREADS[used]):
            target[:, place] += each.expected(level[:, place, :, series], spread)
    log_weight = target - log_proposal
    weight = special.softmax(log_weight)
    flat = weight.reshape(-1)
    chosen = random.choice(flat.size, size=number, p=flat)
    shape, place, draw = np.unravel_index(chosen, weight.shape)
    found = Draws(
        effects[shape, place, draw],
        SPREADS[used][place],
        shape,
        np.empty((number, n_series)),
        weight.sum((1, 2)),
        float(1 / (flat**2).sum()),
    )
    for series, each in enumerate(likelihoods):
        middle = level[shape, place, draw, series]
        found.log_rate[:, series] = _rates(each, shape, middle, found.spread, random)
    return found


def _rates(
    likelihood: RateLikelihood,
    shape: np.ndarray,
    middle: np.ndarray,
    spread: np.ndarray,
    random: np.random.Generator,
) -> np.ndarray:
    """Draw ln k of a series about its expectation, ``(n_draw,)``."""
    nodes = likelihood.log_rate[shape]
    step = likelihood.spacing[shape]
    wide = spread >= step / 2
    found = middle.copy()
    if wide.any():
        density = likelihood.log_likelihood[shape[wide]]
        distance = (nodes[wide] - middle[wide, None]) / spread[wide, None]
        share = special.softmax(density - 0.5 * distance**2, axis=1).cumsum(1)
        place = (share < random.uniform(size=(wide.sum(), 1))).sum(1).clip(0, nodes.shape[1] - 1)
        jitter = random.uniform(-0.5, 0.5, wide.sum()) * step[wide]
        found[wide] = nodes[wide, place] + jitter
    return found
