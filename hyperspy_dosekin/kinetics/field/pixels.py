# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Posterior of single pixels under what they share: mode, curvature and nodes.

The prior of a pixel is normal on the scale of estimation, the same for all (a population) or each
its own (what its neighbours say), and is cut off at the box of the law.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .curves import SharedCurves
from .readout import Shared, Sums, likelihood_by_curve, readout_after
from .repeats import of_patches

# Step of numerical second derivatives, and the least curvature of the posterior, both in units of
# the prior: the data may make a pixel less certain in one place, but not that much.
_DIFFERENCE, _LEAST_CURVATURE = 1e-3, 0.15
_ITERATIONS, _TOLERANCE = 25, 1e-4
#: Nodes along the axes of the posterior by the number of parameters, the widest axis first, and
#: how far they reach in standard deviations.
NODES = {1: (41,), 2: (17, 11), 3: (13, 9, 7)}
FEW_NODES = {1: (21,), 2: (11, 9), 3: (9, 7, 7)}
_REACH = 4.5
#: Share of the covariance of the nodes that is added to that of their mass.
LEAST_SHARE = 0.03


@dataclass(frozen=True, eq=False)
class PixelPrior:
    """Normal priors of the kinetic parameters of pixels.

    Parameters
    ----------
    mean
        ``(d, n)``, or ``(d, 1)`` where all have the same.
    factor
        Lower triangular factors of the covariances, ``(n, d, d)`` or ``(1, d, d)``.
    """

    mean: Tensor
    factor: Tensor

    @classmethod
    def common(cls, shared: Shared) -> PixelPrior:
        """The same for all: the population."""
        return cls(shared.mean[:, None], shared.factor[None])

    @classmethod
    def merged(cls, priors: Sequence[PixelPrior], shares: Sequence[float]) -> PixelPrior:
        """One with the mean and covariance of a mixture, from the shares of its parts."""
        parts = list(zip(priors, shares, strict=True))
        mean = torch.stack([share * each.mean for each, share in parts]).sum(0)
        covariance = torch.zeros_like(priors[0].factor)
        for each, share in parts:
            away = (each.mean - mean).T
            square = each.factor @ each.factor.transpose(1, 2)
            covariance = covariance + share * (square + away[:, :, None] * away[:, None, :])
        return cls(mean, torch.linalg.cholesky(covariance))

    def each(self, number: int) -> PixelPrior:
        """The same with a prior for each of so many pixels, where all have one."""
        return PixelPrior(self.mean.repeat(1, number), self.factor.repeat(number, 1, 1))

    def select(self, index: Tensor) -> PixelPrior:
        """Those of some pixels."""
        if self.mean.shape[1] == 1:
            return self
        return PixelPrior(self.mean[:, index], self.factor[index])

    def score(self, free: Tensor) -> Tensor:
        """Distance from the mean in standard deviations, ``(d, …, n)``."""
        lead = [1] * (free.ndim - 2)
        found: list[Tensor] = []
        # Forward substitution, row by row: there are three at most.
        for i, row in enumerate(free):
            away = row - self.mean[i].reshape(*lead, -1)
            for j, earlier in enumerate(found):
                away = away - self.factor[:, i, j] * earlier
            found.append(away / self.factor[:, i, i])
        return torch.stack(found)

    def log_density(self, free: Tensor) -> Tensor:
        """Normalised logarithm of the density, ``(…, n)``."""
        return self.log_density_of(self.score(free))

    def log_density_of(self, score: Tensor) -> Tensor:
        """The same from what `score` has found."""
        width = self.factor.diagonal(dim1=1, dim2=2).log().sum(1)
        constant = 0.5 * len(self.mean) * math.log(2 * math.pi)
        return -0.5 * (score**2).sum(0) - width - constant


def likelihood_slopes(curves: SharedCurves, shared: Shared, free: Tensor) -> tuple[Tensor, Tensor]:
    """Ln likelihood ``(…, n)`` and its gradient ``(d, …, n)`` on the scale of estimation."""
    with torch.no_grad():
        integrity, slopes = curves.with_slopes(free)
        after = readout_after(curves, Sums.of(curves, integrity), free, shared)
    value, by_curve, by_mean = likelihood_by_curve(curves, after, integrity, free, shared)
    gradient = [
        (by_curve * slope).sum(0) + sum(m * by for m, by in zip(row, by_mean, strict=True))
        for slope, row in zip(slopes, shared.slope.T, strict=True)
    ]
    return value, torch.stack(gradient)


def curvature(
    curves: SharedCurves, shared: Shared, free: Tensor, step: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Ln likelihood ``(n,)``, gradient ``(d, n)`` and Hessian ``(n, d, d)`` at ``(d, n)``.

    Parameters
    ----------
    curves, shared, free
        The pixels, what they share, and where.
    step
        Steps of the differences, ``(d,)`` or ``(d, n)``.
    """
    d = len(free)
    lower, upper = curves.box
    shifted = [free]
    for place in range(d):
        moved = free.clone()
        # Away from the nearer end of the box.
        sign = torch.where(free[place] > 0.5 * (lower[place] + upper[place]), -1.0, 1.0)
        moved[place] = moved[place] + sign * step[place]
        shifted.append(moved)
    value, gradient = likelihood_slopes(curves, shared, torch.stack(shifted, 1))
    rows = []
    for place in range(d):
        distance = shifted[1 + place][place] - free[place]
        rows.append((gradient[:, 1 + place] - gradient[:, 0]) / distance)
    hessian = torch.stack(rows).permute(2, 0, 1)
    return value[0], gradient[:, 0], 0.5 * (hessian + hessian.transpose(1, 2))


@dataclass(frozen=True, eq=False)
class Modes:
    """Highest posterior density of pixels.

    Parameters
    ----------
    free
        ``(d, n)``.
    factor
        Lower triangular factor of the covariance there, ``(n, d, d)``.
    """

    free: Tensor
    factor: Tensor


def _bounded_curvature(hessian: Tensor, prior: PixelPrior) -> Tensor:
    """Precision of the posterior in units of the prior, ``(n, d, d)``, never small or negative."""
    factor = prior.factor
    eye = torch.eye(factor.shape[-1], dtype=factor.dtype)
    whole = eye - factor.transpose(1, 2) @ hessian @ factor
    values, vectors = torch.linalg.eigh(whole)
    values = values.clamp(min=_LEAST_CURVATURE)
    return (vectors * values[:, None, :]) @ vectors.transpose(1, 2)


def find_modes(
    curves: SharedCurves, shared: Shared, prior: PixelPrior, start: Tensor | None = None
) -> Modes:
    """Modes of the posteriors, by Newton's method with damping, all pixels at once.

    Parameters
    ----------
    curves, shared, prior
        The pixels, what they share, and their priors.
    start
        Where to begin, ``(d, n)``; the means of the priors if not given.
    """
    n, d = curves.number, curves.n_parameter
    spread = prior.factor.square().sum(2).sqrt()
    step = (_DIFFERENCE * spread.clamp(max=1.0)).T.expand(d, n)
    whole = curves.inside((prior.mean if start is None else start).expand(d, n))
    precision = torch.eye(d, dtype=whole.dtype).expand(n, d, d).clone()
    damping = torch.full((n,), 1e-3, dtype=whole.dtype)
    best = torch.full((n,), -torch.inf, dtype=whole.dtype)
    trial, at = whole.clone(), torch.arange(n)
    gradient_at = torch.zeros(n, d, dtype=whole.dtype)
    for _ in range(_ITERATIONS):
        if len(at) == n:
            some, few, here, own = curves, prior, trial, step
        else:
            some, few = curves.select(at), prior.select(at)
            here, own = trial[:, at], step[:, at]
        value, gradient, hessian = curvature(some, shared, here, own)
        score = few.score(here)
        value = value + few.log_density_of(score)
        value = torch.where(value.isnan(), -torch.inf, value)
        slope = (few.factor.transpose(1, 2) @ gradient.T[:, :, None])[..., 0] - score.T
        better = value >= best[at]
        gain = value - best[at]
        kept = at[better]
        whole[:, kept], best[kept] = trial[:, kept], value[better]
        gradient_at[kept] = slope[better]
        precision[kept] = _bounded_curvature(hessian, few)[better]
        damping[at] = torch.where(better, damping[at] * 0.2, damping[at] * 8 + 1e-3)
        moving = ~(better & (gain < _TOLERANCE)) & (damping[at] < 1e4)
        at = at[moving]
        if not len(at):
            break
        few = prior.select(at)
        diagonal = torch.diag_embed(damping[at, None] * precision[at].diagonal(dim1=1, dim2=2))
        move = torch.linalg.solve(precision[at] + diagonal, gradient_at[at][:, :, None])
        # Not further than two standard deviations of the prior at once.
        length = move.norm(dim=1, keepdim=True)
        move = move * (2.0 / length.clamp(min=2.0))
        trial[:, at] = whole[:, at] + (few.factor @ move)[..., 0].T
        trial = curves.inside(trial)
    inverse = torch.linalg.inv(precision)
    factor = prior.factor @ torch.linalg.cholesky(0.5 * (inverse + inverse.transpose(1, 2)))
    return Modes(whole, factor)


@dataclass(frozen=True, eq=False)
class PixelNodes:
    """Nodes of the pixels.

    Parameters
    ----------
    curves
        The pixels.
    free
        ``(d, n_node, n)``, an even grid of which the widest axis comes first.
    log_volume
        Logarithm of the volume of a node, ``-inf`` outside of the box, ``(n_node, n)``.
    sums
        Sums of the curves at the nodes.
    factor
        Factor of the covariance that the nodes follow, ``(n, d, d)``.
    """

    curves: SharedCurves
    free: Tensor
    log_volume: Tensor
    sums: Sums
    factor: Tensor

    @classmethod
    def around(cls, curves: SharedCurves, modes: Modes, *, few: bool = False) -> PixelNodes:
        """An even grid along the axes of the covariance at the modes."""
        d = curves.n_parameter
        counts = (FEW_NODES if few else NODES)[d]
        axes = [torch.linspace(-_REACH, _REACH, c, dtype=torch.float64) for c in counts]
        volume = sum(math.log(2 * _REACH / (c - 1)) for c in counts)
        grid = torch.stack([a.reshape(-1) for a in torch.meshgrid(*axes, indexing="ij")])
        covariance = modes.factor @ modes.factor.transpose(1, 2)
        values, vectors = torch.linalg.eigh(covariance)
        # The widest axis comes first.
        axis = (vectors * values.clamp(min=1e-16).sqrt()[:, None, :]).flip(2)
        free = modes.free[:, None, :] + torch.einsum("nij,jk->ikn", axis, grid)
        lower, upper = (end[:, None, None] for end in curves.box)
        inside = ((free >= lower) & (free <= upper)).all(0)
        free = curves.inside(free)
        log_width = 0.5 * values.clamp(min=1e-16).log().sum(1)
        log_volume = torch.where(inside, log_width + volume, -torch.inf)
        sums = Sums.of(curves, curves.integrity(free))
        return cls(curves, free, log_volume, sums, modes.factor)

    def log_weight(self, shared: Shared, prior: PixelPrior, repeats: float = 1.0) -> Tensor:
        """Logarithm of posterior mass at each node, not normalised, ``(n_node, n)``.

        With `repeats` the likelihood of a pixel is its share of that of its patch.
        """
        patch = of_patches(shared, repeats)
        likelihood = readout_after(self.curves, self.sums, self.free, patch).log_likelihood
        return likelihood / repeats + prior.log_density(self.free) + self.log_volume

    def moments(self, weight: Tensor) -> Modes:
        """Mean and covariance as new modes, from normalised weights."""
        mean = (weight * self.free).sum(1)
        away = self.free - mean[:, None]
        covariance = torch.einsum("kn,ikn,jkn->nij", weight, away, away)
        # Mass that lies on a single node is narrower than the nodes can say, and not by how much.
        covariance = covariance + LEAST_SHARE * self.factor @ self.factor.transpose(1, 2)
        return Modes(mean, torch.linalg.cholesky(covariance))
