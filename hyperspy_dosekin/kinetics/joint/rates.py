# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
r"""Rates that several series have in common, up to a factor of each series.

With k of window w in series s per dose,

.. math:: \ln k_{sw} = \beta_w + \alpha_s,

α = 0 says that the rates are the same, a free α that only their ratios are, and an α that is known
to the error of the dose scale that the specimen is the same and the doses are not quite. Given the
shape of the law, what each window says is a likelihood of one number, so that the posterior of all
α and β is near a normal one: it is drawn from a Student distribution about that, and the draws are
weighed by the likelihoods themselves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import linalg, special, stats

from hyperspy_dosekin.kinetics.laws.prior import DEFAULT_PRIOR
from hyperspy_dosekin.kinetics.model.parameters import Parameters, known_before

from .shape import CurveNodes, log_rate_prior

#: What can be said of α: nothing is left of it, it is free, or known to the error of the doses.
RATE, RATIO, DOSE_ERROR = "rate", "rate ratio", "dose error"
# Standard deviation of a free α.
_FREE = 5.0
# Draws for each shape, freedom of the Student distribution, and how much wider it is.
_DRAWS, _FREEDOM, _WIDER = 512, 5.0, 1.2
_NOTHING = -60.0
# Least probability below a node.
_LOWEST = 1e-12


@dataclass(frozen=True, eq=False)
class RateModel:
    """Which rates have to do with each other.

    Parameters
    ----------
    kind
        `RATE`, `RATIO` or `DOSE_ERROR`.
    windows
        Names of the windows of each series.
    scales
        Dose scale of each series, in one unit.
    spreads
        For `DOSE_ERROR`: standard deviation of ln of the dose scale of each.
    correlations
        Of the errors of ln k of the windows of each series, see `correlation_of_rates`; none by
        default.
    """

    kind: str
    windows: tuple[tuple[str, ...], ...]
    scales: tuple[float, ...]
    spreads: tuple[float, ...]
    correlations: tuple[np.ndarray, ...] = ()

    @property
    def correlation(self) -> np.ndarray:
        """Of the errors of ln k of all curves, ``(n_curve, n_curve)``."""
        blocks = self.correlations or [np.eye(len(each)) for each in self.windows]
        return np.asarray(linalg.block_diag(*blocks))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all windows."""
        return tuple(dict.fromkeys(name for each in self.windows for name in each))

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Series, and place among `names`, of each curve."""
        names = self.names
        return [(s, names.index(w)) for s, each in enumerate(self.windows) for w in each]

    @property
    def factor_sd(self) -> np.ndarray:
        """Standard deviation of the α of each series; 0 where there is none."""
        number = len(self.windows)
        if self.kind == DOSE_ERROR:
            return np.array(self.spreads)
        return np.where(np.arange(number) > 0, _FREE if self.kind == RATIO else 0.0, 0.0)

    @property
    def freedom(self) -> int:
        """Numbers that a fit without it has more."""
        factors = self.kind == RATIO
        linked = [w for w in self.names if sum(w in each for each in self.windows) > 1]
        series = sum(any(w in linked for w in each) for each in self.windows)
        again = sum(sum(w in each for each in self.windows) - 1 for w in linked)
        return again - (max(series - 1, 0) if factors else 0)


@dataclass(frozen=True, eq=False)
class CoupledRates:
    """Weighed draws for each shape.

    Parameters
    ----------
    log_rate
        ln k of each curve per dose scale of its series, ``(n_shape, n_draw, n_curve)``.
    factor
        α of each series, ``(n_shape, n_draw, n_series)``.
    common
        β of each window, per dose, ``(n_shape, n_draw, n_name)``.
    log_weight
        Likelihoods times priors over the density of the draws, ``(n_shape, n_draw)``.
    """

    log_rate: np.ndarray
    factor: np.ndarray
    common: np.ndarray
    log_weight: np.ndarray

    @property
    def by_shape(self) -> np.ndarray:
        """Log likelihood of the shapes, ``(n_shape,)``."""
        return np.asarray(special.logsumexp(self.log_weight, axis=1))


def _tables(nodes: Sequence[CurveNodes], parameters: Parameters) -> list[tuple[np.ndarray, ...]]:
    """Nodes of ln k and log likelihood of each curve, ``(n_node, n_shape)`` each."""
    found = []
    for series in nodes:
        likelihood = torch.logsumexp(series.log_density, 0)
        likelihood = likelihood - log_rate_prior(parameters, series.log_rate)
        step = (series.log_rate[1] - series.log_rate[0]).clamp(min=1e-300)
        likelihood = likelihood - step.log()
        for window in range(series.log_rate.shape[-1]):
            pair = series.log_rate[..., window].numpy(), likelihood[..., window].numpy()
            found.append(pair)
    return found


def _shares(table: tuple[np.ndarray, ...], parameters: Parameters) -> np.ndarray:
    """Probabilities of the nodes of one curve for each shape, with its prior."""
    nodes, likelihood = table
    prior = log_rate_prior(parameters, torch.as_tensor(nodes)).numpy()
    return special.softmax(likelihood + prior, axis=0)


def _moments(table: tuple[np.ndarray, ...], parameters: Parameters) -> tuple[np.ndarray, ...]:
    """Mean and variance of ln k of one curve for each shape, with its prior."""
    nodes, weight = table[0], _shares(table, parameters)
    mean = (weight * nodes).sum(0)
    variance = (weight * (nodes - mean) ** 2).sum(0)
    return mean, np.maximum(variance, ((nodes[1] - nodes[0]) / 4) ** 2)


def _normal_scores(table: tuple[np.ndarray, ...], parameters: Parameters) -> np.ndarray:
    """Normal quantiles of the distribution of ln k of one curve at its nodes.

    With them correlated errors are those of a Gaussian copula, whatever the tails of each curve.
    """
    weight = _shares(table, parameters)
    below = np.cumsum(weight, axis=0) - 0.5 * weight
    return special.ndtri(np.clip(below, _LOWEST, 1 - _LOWEST))


def coupled_rates(
    nodes: Sequence[CurveNodes], log_prior: np.ndarray, parameters: Parameters, model: RateModel
) -> CoupledRates:
    """Draw rates that have to do with each other, for each shape.

    Parameters
    ----------
    nodes
        Of each series, without shapes of single curves.
    log_prior
        Of the shapes, ``(n_shape,)``.
    model
        Which rates have to do with each other.
    """
    pairs, names, sd = model.pairs, model.names, model.factor_sd
    tables = _tables(nodes, parameters)
    moments = [_moments(table, parameters) for table in tables]
    moving = np.flatnonzero(sd > 0)
    n_factor, n_series = moving.size, len(model.windows)
    size = n_factor + len(names)
    design = np.zeros((len(pairs), size))
    for row, (series, window) in enumerate(pairs):
        design[row, n_factor + window] = 1.0
        design[row, :n_factor][moving == series] = 1.0
    shift = np.log([model.scales[series] for series, _ in pairs])
    centre, width = np.zeros(size), np.concatenate([sd[moving], np.full(len(names), np.inf)])
    known = known_before(parameters.free[0], parameters.prior_of_law) or DEFAULT_PRIOR.log_rate
    for window in range(len(names)):
        first = next(series for series, each in pairs if each == window)
        centre[n_factor + window] = known[0] - math.log(model.scales[first])
        width[n_factor + window] = known[1]
    random = np.random.default_rng(0)
    normal = random.normal(size=(_DRAWS, size))
    stretch = np.sqrt(random.chisquare(_FREEDOM, _DRAWS) / _FREEDOM)
    # Half of them opposite the other half: the mean of the draws is that of the distribution.
    normal[_DRAWS // 2 :] = -normal[: _DRAWS // 2]
    stretch[_DRAWS // 2 :] = stretch[: _DRAWS // 2]
    standard = normal / stretch[:, None]
    density = -0.5 * (_FREEDOM + size) * np.log1p((standard**2).sum(1) / _FREEDOM)
    inverse = np.linalg.inv(model.correlation)
    scores = [_normal_scores(table, parameters) for table in tables]
    n_shape = log_prior.size
    rates = np.empty((n_shape, _DRAWS, len(pairs)))
    factors = np.zeros((n_shape, _DRAWS, n_series))
    common = np.empty((n_shape, _DRAWS, len(names)))
    weight = np.empty((n_shape, _DRAWS))
    for shape in range(n_shape):
        mean = np.array([each[0][shape] for each in moments])
        size = np.sqrt([each[1][shape] for each in moments])
        precision = inverse / size / size[:, None]
        matrix = design.T @ precision @ design + np.diag(width**-2.0)
        right = design.T @ precision @ (mean - shift) + centre / width**2
        root = linalg.cholesky(np.linalg.inv(matrix), lower=True) * _WIDER
        drawn = np.linalg.solve(matrix, right) + standard @ root.T
        rates[shape] = drawn @ design.T + shift
        total = -0.5 * (((drawn - centre) / width) ** 2).sum(1) - np.log(width).sum()
        for curve, (at, likelihood) in enumerate(tables):
            total += np.interp(
                rates[shape, :, curve],
                at[:, shape],
                likelihood[:, shape],
                left=likelihood[:, shape].max() + _NOTHING,
                right=likelihood[:, shape].max() + _NOTHING,
            )
        # What windows of a frame have in common is in the likelihood of each, and counts once.
        score = np.stack(
            [
                np.interp(row, at[:, shape], normal[:, shape])
                for row, (at, _), normal in zip(rates[shape].T, tables, scores, strict=True)
            ],
            axis=1,
        )
        total -= 0.5 * np.einsum("di,ij,dj->d", score, inverse - np.eye(len(inverse)), score)
        weight[shape] = total - density + np.log(np.diag(root)).sum() + log_prior[shape]
        factors[shape][:, moving] = drawn[:, :n_factor]
        common[shape] = drawn[:, n_factor:]
    return CoupledRates(rates, factors, common, weight - math.log(_DRAWS))


def coupling_p_value(
    nodes: Sequence[CurveNodes], mass: np.ndarray, parameters: Parameters, model: RateModel
) -> float:
    """Probability of rates as far from what `model` says as found, if it were so.

    Parameters
    ----------
    nodes, parameters, model
        As for `coupled_rates`.
    mass
        Probabilities of the shapes without the model, ``(n_shape,)``.
    """
    moments = [_moments(table, parameters) for table in _tables(nodes, parameters)]
    means, variances = (np.array([each[place] for each in moments]) for place in (0, 1))
    mean = means @ mass
    away = means - mean[:, None]
    size = np.sqrt(variances @ mass)
    covariance = (away * mass) @ away.T + model.correlation * size * size[:, None]
    pairs = model.pairs
    by_window = np.array([[w == place for place in range(len(model.names))] for _, w in pairs])
    by_series = np.array([[s == place for place in range(len(model.windows))] for s, _ in pairs])
    span = by_window.astype(float)
    if model.kind == RATIO:
        span = np.concatenate([span, by_series.astype(float)], axis=1)
    covariance += (by_series * model.factor_sd**2) @ by_series.T if model.kind != RATIO else 0.0
    contrasts = linalg.null_space(span.T)
    if not contrasts.size:
        return float("nan")
    found = contrasts.T @ (mean - np.log([model.scales[series] for series, _ in pairs]))
    square = found @ np.linalg.solve(contrasts.T @ covariance @ contrasts, found)
    return float(stats.chi2.sf(square, contrasts.shape[1]))
