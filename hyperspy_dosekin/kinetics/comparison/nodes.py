# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Posterior and evidence of any law from its trajectories alone.

A grid that all curves share says roughly where the mass lies; then nodes are drawn for each curve
around the best of the nodes so far and weighed by density over density of the draw (population
Monte Carlo [1]_). The mean of these weights is the evidence, the probability of the data under
law and priors. The draws are quasi-random and the same for every curve, so that results repeat.

References
----------
.. [1] O. Cappé, A. Guillin, J.-M. Marin, C. P. Robert, J. Comput. Graph. Stat. 13, 907 (2004),
   doi:10.1198/106186004X12803.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from hyperspy_dosekin.kinetics.curves.preparation import PreparedCurves
from hyperspy_dosekin.kinetics.laws.contract import KineticLaw, LawParameter
from hyperspy_dosekin.kinetics.laws.prior import Prior

from .curves import ComparedCurves

# Nodes of the shared grid along each parameter, and nodes of a round, by number of parameters.
_GRID = {1: (513,), 2: (129, 49), 3: (49, 17, 13)}
_NODES = {1: 512, 2: 1024, 3: 2048}
_CENTRES, _TAIL = 64, 5.0
# Widths of the draws in the spread of the nodes so far; small ones follow bent ridges.
_BENT = (0.5, 0.35, 0.25, 0.25)
_WIDTHS = {1: (1.0, 1.0, 1.0), 2: _BENT, 3: _BENT}
# Numbers that are worked on at once, 8 bytes each.
_AT_ONCE = 1_000_000


@dataclass(frozen=True, eq=False)
class WeighedNodes:
    """Posterior of some curves under a law.

    Parameters
    ----------
    index
        Place of the curves in ``n_curve · n_window``.
    values
        Parameters in the order of the law, ``(n_parameter, n, n_node)``.
    weight
        Probabilities, ``(n, n_node)``; those of a curve add up to 1.
    log_evidence
        ln of the probability of the data, up to a constant that is the same for every law.
    log_predictive
        ln of the probability of each frame given the others, summed over the frames.
    best
        Parameters of the likeliest node, ``(n_parameter, n)``.
    """

    index: np.ndarray
    values: Tensor
    weight: Tensor
    log_evidence: Tensor
    log_predictive: Tensor
    best: Tensor


@dataclass(frozen=True, eq=False)
class _Box:
    """The box of a law in shares, with what is assumed before the data."""

    law: KineticLaw
    prior: Prior
    lower: Tensor
    width: Tensor

    @classmethod
    def of(cls, law: KineticLaw, prior: Prior) -> _Box:
        boxes = torch.tensor([p.free_box for p in law.parameters], dtype=torch.float64)
        return cls(law, prior, boxes[:, 0], boxes[:, 1] - boxes[:, 0])

    def values(self, share: Tensor) -> Tensor:
        column = (-1, *[1] * (share.ndim - 1))
        free = self.lower.reshape(column) + share.clamp(0.0, 1.0) * self.width.reshape(column)
        rows = zip(self.law.parameters, free.unbind(0), strict=True)
        return torch.stack([p.from_free(row).clamp(p.lower, p.upper) for p, row in rows])

    def integrity(self, share: Tensor, dose: Tensor) -> Tensor:
        values = self.values(share)
        names = [parameter.name for parameter in self.law.parameters]
        with torch.no_grad():
            return self.law.solution(dose, dict(zip(names, values.unbind(0), strict=True)))

    def log_prior(self, share: Tensor) -> Tensor:
        """Normalised ln density over shares of the box; −inf outside."""
        found = torch.zeros_like(share[0])
        for place, parameter in enumerate(self.law.parameters):
            assumed = _assumed(parameter, self.prior)
            if assumed is None:
                continue
            low, width = self.lower[place].item(), self.width[place].item()
            ends = [(end - assumed[0]) / assumed[1] for end in (low, low + width)]
            inside = float(stats.norm.cdf(ends[1]) - stats.norm.cdf(ends[0]))
            score = (low + share[place] * width - assumed[0]) / assumed[1]
            constant = math.log(width / (assumed[1] * math.sqrt(2 * math.pi) * inside))
            found = found + constant - 0.5 * score * score
        return torch.where(((share >= 0) & (share <= 1)).all(0), found, -torch.inf)


def _assumed(parameter: LawParameter, prior: Prior) -> tuple[float, float] | None:
    """Mean and standard deviation before the data; ``None`` where the box is all."""
    if parameter.name == "rate" and parameter.logarithmic:
        return prior.log_rate
    return prior.exponent if parameter.name == "exponent" else None


@lru_cache(maxsize=16)
def _draws(count: int, number: int, round_: int) -> Tensor:
    """Quasi-random draws of Student's t in `count` dimensions, ``(number, count)``."""
    engine = torch.quasirandom.SobolEngine(count + 1, scramble=True, seed=101 * (round_ + 1))
    uniform = engine.draw(number, dtype=torch.float64).numpy().clip(1e-12, 1 - 1e-12)
    scale = np.sqrt(_TAIL / stats.chi2.ppf(uniform[:, count], _TAIL))
    return torch.as_tensor(stats.norm.ppf(uniform[:, :count]) * scale[:, None])


def _resampled(log_weight: Tensor, number: int) -> Tensor:
    """Indices of nodes, each about as often as it weighs, ``(n, number)``."""
    cumulated = torch.softmax(log_weight, 1).cumsum(1)
    wanted = (torch.arange(number, dtype=torch.float64) + 0.5) / number
    wanted = (wanted * cumulated[:, -1:]).contiguous()
    return torch.searchsorted(cumulated, wanted).clamp(max=log_weight.shape[1] - 1)


def law_nodes(curves: PreparedCurves, law: KineticLaw, prior: Prior) -> Iterator[WeighedNodes]:
    """Posterior of all curves that are not dead, block by block.

    Parameters
    ----------
    curves
        The curves.
    law
        The law, of one to three parameters.
    prior
        Priors of ``rate`` and ``exponent``; other parameters are uniform in their box on the scale
        of estimation.
    """
    box = _Box.of(law, prior)
    count = len(law.parameters)
    axes = [(torch.arange(n, dtype=torch.float64) + 0.5) / n for n in _GRID[count]]
    mesh = torch.meshgrid(*axes, indexing="ij")
    grid = torch.stack([axis.reshape(-1) for axis in mesh])
    on_grid = box.integrity(grid, torch.as_tensor(curves.normalised_dose))
    alive = np.flatnonzero(~curves.dead)
    block = max(1, _AT_ONCE // (_NODES[count] * curves.values.shape[-1]))
    for begin in range(0, alive.size, block):
        index = alive[begin : begin + block]
        part = ComparedCurves.of(curves, torch.as_tensor(index))
        yield _population(box, part, index, grid, on_grid)


def _population(
    box: _Box, curves: ComparedCurves, index: np.ndarray, grid: Tensor, on_grid: Tensor
) -> WeighedNodes:
    """Draw, weigh and draw again."""
    count = grid.shape[0]
    likelihood = curves.shared_likelihood(on_grid)
    log_prior_weight = box.log_prior(grid)
    log_weight = log_prior_weight + likelihood.log
    share = grid[:, None].expand(count, index.size, -1)
    cell = torch.tensor([1.0 / n_axis for n_axis in _GRID[count]], dtype=torch.float64)
    for round_, width in enumerate(_WIDTHS[count]):
        chosen = _resampled(log_weight, _CENTRES)
        centre = share.gather(2, chosen.expand(count, -1, -1))
        factor = _spread(share, log_weight, cell if round_ == 0 else 0.02 * cell) * width
        number = _NODES[count]
        draws = _draws(count, number, round_)
        shift = torch.einsum("nij,mj->inm", factor, draws)
        share = centre.repeat_interleave(number // _CENTRES, dim=2) + shift
        log_drawn = _log_drawn(share, centre, factor)
        likelihood = curves.likelihood(box.integrity(share, curves.dose))
        log_prior_weight = box.log_prior(share) - log_drawn
        log_weight = log_prior_weight + likelihood.log
    number = share.shape[2]
    best = share.gather(2, (log_weight.argmax(1)[None, :, None]).expand(count, -1, 1))[..., 0]
    return WeighedNodes(
        index,
        box.values(share),
        torch.softmax(log_weight, 1),
        torch.logsumexp(log_weight, 1) - math.log(number),
        likelihood.left_out(log_prior_weight),
        box.values(best),
    )


def _spread(share: Tensor, log_weight: Tensor, least: Tensor) -> Tensor:
    """Cholesky factors of the covariance of weighed nodes, ``(n, n_parameter, n_parameter)``."""
    weight = torch.softmax(log_weight, 1)
    offset = share - (weight * share).sum(-1, keepdim=True)
    covariance = torch.einsum("nm,inm,jnm->nij", weight, offset, offset)
    return torch.linalg.cholesky(covariance + torch.diag(least**2))


def _log_drawn(share: Tensor, centre: Tensor, factor: Tensor) -> Tensor:
    """Ln of the density of the draws, ``(n, n_node)``."""
    count = share.shape[0]
    inverse = torch.linalg.inv(factor)
    at = torch.einsum("nij,jnm->nmi", inverse, share)
    around = torch.einsum("nij,jnk->nki", inverse, centre)
    distance = torch.cdist(at, around) ** 2
    constant = math.lgamma(0.5 * (_TAIL + count)) - math.lgamma(0.5 * _TAIL)
    constant -= 0.5 * count * math.log(_TAIL * math.pi)
    volume = factor.diagonal(dim1=1, dim2=2).log().sum(1)[:, None]
    each = -0.5 * (_TAIL + count) * torch.log1p(distance / _TAIL)
    return torch.logsumexp(each, 2) - math.log(centre.shape[2]) + constant - volume
