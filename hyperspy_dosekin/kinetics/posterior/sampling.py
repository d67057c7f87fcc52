# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes of laws with three or more free parameters, drawn along the ridge of each curve.

Templates that all curves share say roughly where the mass lies; then nodes are drawn in a few
rounds around the best of the nodes so far, along the curvature of the deviance there, and weighed
by density over density of the draw (population Monte Carlo [1]_). However narrow and bent the
ridge of a curve is, most of its nodes lie on it. The draws are quasi-random and the same for every
curve, so that results repeat, and do not depend on which curves are worked on together.

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
from scipy import special, stats
from torch import Tensor

from hyperspy_dosekin.kinetics.laws.parameter import free_to_search, search_to_free
from hyperspy_dosekin.kinetics.model.parameters import Parameters
from hyperspy_dosekin.kinetics.posterior.scan import ScanData

# Rounds of drawing; the last two make the posterior.
_ROUNDS = 3
# Middles of a draw and nodes of a round; powers of 2.
_CENTRES, _NODES = 32, 1024
# Templates along each parameter.
_TEMPLATES = (30, 11, 9)
# Rounds for more parameters than that, which no grid would cover: the draws begin at the estimate.
_MORE_ROUNDS = 6
# Degrees of freedom of the draws: tails heavier than those of any posterior here.
_TAIL = 5.0
# Length of a draw along the ridge: at first as a share of the box, then of the spread so far.
_FIRST_LENGTH, _LENGTH = 0.15, 0.6
_RELAXATIONS = 2
# Densities of a draw that are smaller are those of nodes that nobody has drawn.
_LEAST_DENSITY = 1e-37
# Of the eigenvalues of a precision, which has to be factorised.
_LEAST_RATIO = 1e-12


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


def _positive(precision: Tensor, floor: Tensor) -> Tensor:
    """Precisions ``(n, d, d)`` whose eigenvalues are at least `floor`, ``(n,)``.

    A curvature of large numbers that cancel may have others: of a law with more parameters than
    the frames of a series, which goes through all of them.
    """
    values, vectors = torch.linalg.eigh(0.5 * (precision + precision.mT))
    least = torch.maximum(floor, _LEAST_RATIO * values[:, -1])
    return (vectors * torch.maximum(values, least[:, None])[:, None]) @ vectors.mT


class _Box:
    """Free parameters as shares of their boxes on the scale of estimation."""

    def __init__(self, parameters: Parameters, like: Tensor) -> None:
        self.free = parameters.free
        boxes = like.new_tensor([parameter.free_box for parameter in self.free])
        self.lower, self.width = boxes[:, 0], boxes[:, 1] - boxes[:, 0]

    def search(self, share: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Shares ``(n_free, …)`` on the scale of search, and the derivatives of that."""
        found, slopes = [], []
        for place, parameter in enumerate(self.free):
            free = self.lower[place] + share[place].clamp(0.0, 1.0) * self.width[place]
            found.append(free_to_search(parameter, free))
            width = self.width[place]
            slopes.append(width.expand_as(free) if parameter.direct else width / free)
        return found, slopes

    def shares(self, search: Tensor) -> Tensor:
        """Inverse of `search`."""
        rows = []
        for place, parameter in enumerate(self.free):
            free = search_to_free(parameter, search[place])
            rows.append(((free - self.lower[place]) / self.width[place]).clamp(0.0, 1.0))
        return torch.stack(rows)

    def templates(self) -> Tensor:
        """Shares of templates, ``(n_free, n_template)``."""
        axes = [(torch.arange(n).to(self.lower) + 0.5) / n for n in _TEMPLATES[: len(self.free)]]
        return torch.stack([axis.reshape(-1) for axis in torch.meshgrid(*axes, indexing="ij")])


@dataclass(frozen=True, eq=False)
class _Mixture:
    """Draws around some centres: ``(n_free, n, k)`` and their precisions' factors."""

    centre: Tensor
    factor: Tensor  # lower Cholesky factors of the precisions, (n, k, d, d)

    @classmethod
    def of(cls, data: ScanData, box: _Box, centre: Tensor, length: Tensor, relax: int) -> _Mixture:
        """Draw around centres, first moved towards the ridge, along the curvature there."""
        count, n, number = centre.shape
        curve = torch.arange(n, device=centre.device).repeat_interleave(number)
        some = data.select(curve)
        floor = (1.0 / length**2).repeat_interleave(number)
        unit = torch.eye(count).to(centre)
        point = centre.reshape(count, -1)
        precision = unit.expand(n * number, -1, -1)
        for step in range(relax + 1):
            search, slopes = box.search(point)
            _, gradient, hessian = some.evaluate(search, [True] * count)
            slope = torch.stack(slopes)
            gradient = gradient * slope
            hessian = hessian * slope[:, None] * slope[None]
            precision = hessian.permute(2, 0, 1) + floor[:, None, None] * unit
            if step < relax:
                move = torch.linalg.solve(precision, gradient.T[..., None])[..., 0].T
                point = (point - move.clamp(-0.1, 0.1)).clamp(0.0, 1.0)
        factor, failed = torch.linalg.cholesky_ex(precision)
        if bool(failed.any()):
            mended = torch.linalg.cholesky(_positive(precision, floor))
            factor = torch.where(failed[:, None, None] > 0, mended, factor)
        return cls(point.reshape(count, n, number), factor.reshape(n, number, count, count))

    def draw(self, draws: Tensor) -> Tensor:
        """Nodes ``(n_free, n, n_node)``, the same number around each centre."""
        count, n, number = self.centre.shape
        each = draws.shape[1] // number
        pattern = draws.reshape(count, number, each).permute(1, 0, 2)
        pattern = pattern.expand(n, *pattern.shape)
        offset = torch.linalg.solve_triangular(self.factor.mT, pattern, upper=True)
        nodes = self.centre.permute(1, 2, 0)[..., None] + offset
        return nodes.permute(2, 0, 1, 3).reshape(count, n, -1)

    def log_density(self, nodes: Tensor) -> Tensor:
        """Log of the mean density of the draws, ``(n, n_node)``."""
        count, n, number = self.centre.shape
        # Distances in standard deviations need few digits, if they are counted from nearby.
        middle = self.centre.mean(2, keepdim=True)
        points = (nodes - middle).permute(1, 0, 2).float()
        rows = self.factor.mT.reshape(n, number * count, count)
        start = torch.einsum("nkji,jnk->nki", self.factor, self.centre - middle)
        turned = torch.baddbmm(start.reshape(n, -1, 1).float(), rows.float(), points, beta=-1.0)
        distance = turned.square_().reshape(n, number, count, -1).sum(2)
        # Of three dimensions the power of Student's t is a whole number.
        share = distance.div_(_TAIL).add_(1.0).reciprocal_()
        power = 0.5 * (_TAIL + count)
        share = share.square_().square_() if power == 4.0 else share.pow_(power)
        log_volume = self.factor.diagonal(dim1=2, dim2=3).log().sum(2)
        largest = log_volume.amax(1, keepdim=True)
        volume = (log_volume - largest).exp().float()[:, None]
        density = volume.bmm(share)[:, 0].clamp_(min=_LEAST_DENSITY).to(nodes)
        constant = special.gammaln((_TAIL + count) / 2) - special.gammaln(_TAIL / 2)
        constant -= 0.5 * count * math.log(_TAIL * math.pi) + math.log(number)
        return density.log_() + (largest + float(constant))


@dataclass(frozen=True, eq=False)
class _Round:
    """Nodes of a round, with the log densities wanted and drawn from."""

    mixture: _Mixture
    share: Tensor
    density: Tensor
    drawn_from: Tensor


def _log_density(data: ScanData, box: _Box, share: Tensor) -> Tensor:
    """Log posterior density at shares ``(n_free, n, n_node)`` of the box, ``(n, n_node)``."""
    inside = ((share >= 0) & (share <= 1)).all(0)
    search, _ = box.search(share.transpose(1, 2))
    return torch.where(inside, data.log_density(search)[0].T, -torch.inf)


def _on_templates(data: ScanData, box: _Box) -> Tensor:
    """Centres of the first draws, at the best templates, ``(n_free, n, k)``."""
    grid = box.templates()
    search, _ = box.search(grid)
    density = data.log_density([each[:, None] for each in search])[0].T
    return grid[:, _resample(_flattened(density, _CENTRES / 2), _CENTRES)]


def sampled_nodes(data: ScanData, start: Tensor) -> tuple[list[Tensor], Tensor]:
    """Nodes of some curves and the logarithms of their unnormalised weights.

    Parameters
    ----------
    start
        Free parameters of their estimates on the scale of search, ``(n_free, n)``.

    Returns
    -------
    Free parameters on the scale of search, and the weights, each ``(1, n_node, n)``.
    """
    count = len(start)
    box = _Box(data.parameters, start)
    rounds = _ROUNDS if count <= len(_TEMPLATES) else _MORE_ROUNDS
    if count <= len(_TEMPLATES):
        centre = _on_templates(data, box)
        centre[..., 0] = box.shares(start)
    else:
        centre = box.shares(start)[..., None].repeat(1, 1, _CENTRES)
    length = torch.full_like(start[0], _FIRST_LENGTH)
    drawn: list[_Round] = []
    for round_ in range(rounds):
        relax = _RELAXATIONS if round_ == 0 else 0
        mixture = _Mixture.of(data, box, centre, length, relax)
        share = mixture.draw(_draws(count, _NODES, round_).to(start))
        density = _log_density(data, box, share)
        drawn.append(_Round(mixture, share, density, mixture.log_density(share)))
        if round_ == rounds - 1:
            break
        weight = _flattened(density - drawn[-1].drawn_from, _CENTRES / 2)
        weight = weight / weight.sum(1, keepdim=True)
        mean = (weight * share).sum(-1, keepdim=True)
        offset = share - mean
        covariance = torch.einsum("nm,inm,jnm->nij", weight, offset, offset)
        spread = torch.linalg.eigvalsh(covariance)[:, -1].clamp(min=1e-12).sqrt()
        length = _LENGTH * spread
        chosen = _resample(weight, _CENTRES).expand(count, -1, -1)
        centre = share.gather(2, chosen).clamp(0.0, 1.0)
    first, second = drawn[-2:]
    share = torch.cat([first.share, second.share], dim=2)
    from_first = torch.cat([first.drawn_from, first.mixture.log_density(second.share)], dim=1)
    from_second = torch.cat([second.mixture.log_density(first.share), second.drawn_from], dim=1)
    log_weight = torch.cat([first.density, second.density], dim=1)
    log_weight = log_weight - torch.logaddexp(from_first, from_second)
    log_weight = log_weight - math.log(_NODES) + box.width.log().sum()
    search, _ = box.search(share.transpose(1, 2))
    return [each[None] for each in search], log_weight.T[None]
