# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Posterior of the parameters of any kinetic law, as weighed nodes that follow each curve.

Readout and noise are marginalised as in `posterior`. A grid over the box that all curves share says
roughly where the mass lies; then nodes are drawn in a few rounds around the best of the nodes so
far, along the curvature of the deviance there, and weighed by density over density of the draw
(population Monte Carlo [1]_). However narrow and bent the ridge of a curve is, most of its nodes
lie on it. The draws are quasi-random and the same for every curve, so that results repeat, and do
not depend on which curves are worked on together.

References
----------
.. [1] O. Cappé, A. Guillin, J.-M. Marin, C. P. Robert, J. Comput. Graph. Stat. 13, 907 (2004),
   doi:10.1198/106186004X12803.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from hyperspy_dosekin.kinetics.estimate.law_fit import LawObjective
from hyperspy_dosekin.kinetics.laws.solution import trajectories
from hyperspy_dosekin.kinetics.model.coupling import LawData, LawModel

# Rounds of drawing; the last two make the posterior.
_ROUNDS = 3
# Middles of a draw and nodes of a round, by the number of parameters; powers of 2.
_CENTRES = {1: 16, 2: 32, 3: 32}
_NODES = {1: 512, 2: 1024, 3: 1024}
# Degrees of freedom of the draws: tails heavier than those of any posterior here.
_TAIL = 5.0
# Length of a draw along the ridge: at first as a share of the box, then of the spread so far.
_FIRST_LENGTH, _LENGTH = 0.15, 0.6
_RELAXATIONS = 2


@dataclass(frozen=True, eq=False)
class LawNodes:
    """Weighed nodes of some curves.

    Parameters
    ----------
    index
        Place of the curves in ``n_curve · n_window``.
    values
        Parameters in the order of the law, ``(n_parameter, n, n_node)``.
    weight
        Probabilities, ``(n, n_node)``; those of a curve add up to 1.
    squares
        Residual sum of squares, ``(n, n_node)``.
    """

    index: np.ndarray
    values: Tensor
    weight: Tensor
    squares: Tensor


@lru_cache(maxsize=8)
def _draws(count: int, number: int, round_: int) -> Tensor:
    """Quasi-random draws of Student's t in `count` dimensions, ``(count, number)``."""
    engine = torch.quasirandom.SobolEngine(count + 1, scramble=True, seed=7919 * (round_ + 1))
    uniform = engine.draw(number, dtype=torch.float64).numpy().clip(1e-12, 1 - 1e-12)
    normal = stats.norm.ppf(uniform[:, :count])
    scale = np.sqrt(_TAIL / stats.chi2.ppf(uniform[:, count], _TAIL))
    return torch.as_tensor(np.ascontiguousarray((normal * scale[:, None]).T))


def _resample(weight: Tensor, number: int) -> Tensor:
    """Indices of nodes, each about as often as it weighs, ``(n, number)`` from ``(n, m)``."""
    cumulated = weight.cumsum(1)
    cumulated = cumulated / cumulated[:, -1:]
    wanted = (torch.arange(number, device=weight.device) + 0.5) / number
    wanted = wanted.to(weight.dtype).expand(weight.shape[0], -1).contiguous()
    return torch.searchsorted(cumulated, wanted).clamp(max=weight.shape[1] - 1)


def _flattened(log_density: Tensor, wanted: float) -> Tensor:
    """Weights ∝ density^β with the largest β ≤ 1 that leaves `wanted` nodes of weight."""
    log_density = log_density - log_density.amax(1, keepdim=True)
    low, high = torch.zeros_like(log_density[:, :1]), torch.ones_like(log_density[:, :1])
    for trial in range(25):
        power = high if trial == 0 else 0.5 * (low + high)
        weight = (power * log_density).exp()
        enough = weight.sum(1, keepdim=True) ** 2 >= wanted * (weight**2).sum(1, keepdim=True)
        low, high = torch.where(enough, power, low), torch.where(enough, high, power)
    return (low * log_density).exp()


@dataclass(frozen=True, eq=False)
class _Mixture:
    """Draws around some centres: ``(n_parameter, n, k)`` and their precisions' factors."""

    centre: Tensor
    factor: Tensor  # lower Cholesky factors of the precisions, (n, k, d, d)

    @classmethod
    def of(cls, model: LawModel, data: LawData, centre: Tensor, length: Tensor, relax: int):
        """Draw around centres, first moved towards the ridge, along the curvature there."""
        count, n, number = centre.shape
        curve = torch.arange(n, device=centre.device).repeat_interleave(number)
        objective = LawObjective(model, data.select(curve))
        floor = (1.0 / length**2).repeat_interleave(number)
        unit = torch.eye(count).to(centre)
        point = centre.reshape(count, -1)
        for step in range(relax + 1):
            _, gradient, hessian = objective.evaluate(point)
            precision = hessian.permute(2, 0, 1) + floor[:, None, None] * unit
            if step < relax:
                move = torch.linalg.solve(precision, gradient.T[..., None])[..., 0].T
                point = (point - move.clamp(-0.1, 0.1)).clamp(0.0, 1.0)
        factor = torch.linalg.cholesky(precision)
        return cls(point.reshape(count, n, number), factor.reshape(n, number, count, count))

    def draw(self, draws: Tensor) -> Tensor:
        """Nodes ``(n_parameter, n, n_node)``, the same number around each centre."""
        count, n, number = self.centre.shape
        each = draws.shape[1] // number
        pattern = draws.reshape(count, number, each).permute(1, 0, 2)
        pattern = pattern.expand(n, *pattern.shape)
        offset = torch.linalg.solve_triangular(self.factor.mT, pattern, upper=True)
        nodes = self.centre.permute(1, 2, 0)[..., None] + offset
        return nodes.permute(2, 0, 1, 3).reshape(count, n, -1)

    def log_density(self, nodes: Tensor) -> Tensor:
        """Log of the mean density of the draws, ``(n, n_node)``, up to a constant."""
        count = nodes.shape[0]
        points = nodes.permute(1, 0, 2)
        start = torch.einsum("nkji,jnk->nki", self.factor, self.centre)
        turned = torch.einsum("nkji,njm->nkim", self.factor, points) - start[..., None]
        distance = (turned * turned).sum(2)
        volume = self.factor.diagonal(dim1=2, dim2=3).log().sum(2)
        log_density = volume[..., None] - 0.5 * (_TAIL + count) * torch.log1p(distance / _TAIL)
        return torch.logsumexp(log_density, dim=1) - math.log(self.centre.shape[2])


@dataclass(frozen=True, eq=False)
class _Round:
    """Nodes of a round, with the log densities wanted and drawn from."""

    mixture: _Mixture
    share: Tensor
    density: Tensor
    squares: Tensor
    drawn_from: Tensor


def _evaluated(model: LawModel, data: LawData, share: Tensor) -> tuple[Tensor, Tensor]:
    """Log posterior density and squares at nodes ``(n_parameter, n, n_node)`` of the box."""
    inside = ((share >= 0) & (share <= 1)).all(0)
    integrity = trajectories(model.law, data.dose, model.values(share.clamp(0.0, 1.0)))
    return _densities(model, data, share, inside, integrity)


def _densities(
    model: LawModel, data: LawData, share: Tensor, inside: Tensor | None, integrity: Tensor
) -> tuple[Tensor, Tensor]:
    squares, norm = data.squares_and_norm(integrity)
    deviance = data.marginal_deviance(squares, norm, weigh_signal=model.weigh_signal)
    density = -0.5 * (deviance + model.prior_squares(share))
    if inside is not None:
        density = torch.where(inside, density, -torch.inf)
        squares = torch.where(inside, squares, torch.inf)
    return density, squares


def posterior_nodes(
    model: LawModel,
    data: LawData,
    index: np.ndarray,
    mode: Tensor,
    grid: Tensor,
    on_grid: Tensor,
) -> LawNodes:
    """Weighed nodes of the posterior of a block of curves.

    Parameters
    ----------
    model, data
        The law with its priors, and the curves.
    index
        Place of the curves in ``n_curve · n_window``.
    mode
        Estimates in shares of the box, ``(n_parameter, n)``.
    grid, on_grid
        Nodes ``(n_parameter, n_node)`` and the trajectories there, which all curves share.
    """
    count, n = mode.shape
    number = _CENTRES[count]
    density, _ = _densities(model, data, grid[:, None], None, on_grid)
    chosen = _resample(_flattened(density, number / 2), number)
    centre = grid[:, chosen]
    centre[..., 0] = mode
    length = torch.full((n,), _FIRST_LENGTH, dtype=mode.dtype, device=mode.device)
    drawn: list[_Round] = []
    for round_ in range(_ROUNDS):
        relax = _RELAXATIONS if round_ == 0 else 0
        mixture = _Mixture.of(model, data, centre, length, relax)
        share = mixture.draw(_draws(count, _NODES[count], round_).to(mode))
        density, squares = _evaluated(model, data, share)
        drawn.append(_Round(mixture, share, density, squares, mixture.log_density(share)))
        if round_ == _ROUNDS - 1:
            break
        weight = _flattened(density - drawn[-1].drawn_from, number / 2)
        weight = weight / weight.sum(1, keepdim=True)
        mean = (weight * share).sum(-1, keepdim=True)
        offset = share - mean
        covariance = torch.einsum("nm,inm,jnm->nij", weight, offset, offset)
        spread = torch.linalg.eigvalsh(covariance)[:, -1].clamp(min=1e-12).sqrt()
        length = _LENGTH * spread
        chosen = _resample(weight, number).expand(count, -1, -1)
        centre = share.gather(2, chosen).clamp(0.0, 1.0)
    first, second = drawn[-2:]
    share = torch.cat([first.share, second.share], dim=2)
    squares = torch.cat([first.squares, second.squares], dim=1)
    from_first = torch.cat([first.drawn_from, first.mixture.log_density(second.share)], dim=1)
    from_second = torch.cat([second.mixture.log_density(first.share), second.drawn_from], dim=1)
    log_weight = torch.cat([first.density, second.density], dim=1)
    log_weight = log_weight - torch.logaddexp(from_first, from_second)
    weight = (log_weight - log_weight.amax(1, keepdim=True)).exp()
    weight = weight / weight.sum(1, keepdim=True)
    return LawNodes(index, model.values(share.clamp(0.0, 1.0)), weight, squares)
