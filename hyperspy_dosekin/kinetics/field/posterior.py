# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Posterior of pixels that share a population or agree with their neighbours.

It is the mixture over the populations that stand for what is unknown of it, all on the same nodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.model.parameters import Parameters
from hyperspy_dosekin.kinetics.posterior.ends import NEAR, NEVER, PosteriorSummary
from hyperspy_dosekin.kinetics.posterior.nodes import Nodes
from hyperspy_dosekin.kinetics.posterior.quantities import Quantity, check_level

from .curves import SharedCurves
from .mixture import Assumed, Piece, centre, piece_of, placed, possible, shares_of, weights_of
from .pixels import LEAST_SHARE, NODES, PixelNodes
from .readout import readout_after
from .still import Still, moving
from .windows import Reading

# Pixels whose nodes are worked on at once.
_PIECE = 512
# Least variance of what a curve says, in units of the population.
_LEAST_READ = 1e-6


@dataclass(frozen=True, eq=False)
class SharedPosterior:
    """Posterior of the pixels of one window.

    Parameters
    ----------
    curves
        The pixels.
    assumed
        The populations with their priors of the pixels.
    number
        Number of pixels with those that cannot be fitted.
    still
        How to tell pixels in which nothing happens; ``None`` without any.
    """

    curves: SharedCurves
    assumed: Sequence[Assumed]
    number: int
    still: Still | None = None

    @property
    def parameters(self) -> Parameters:
        """The law with its priors."""
        return self.curves.parameters

    @cached_property
    def _pieces(self) -> list[Piece]:
        """Nodes of all pixels, kept for whatever is asked of them next."""
        return [piece_of(curves, possible(some)) for curves, some in self._parts()]

    def _parts(self) -> Iterator[tuple[SharedCurves, list[Assumed]]]:
        """Some pixels at a time, with the populations."""
        for begin in range(0, self.curves.number, _PIECE):
            index = torch.arange(begin, min(begin + _PIECE, self.curves.number))
            yield self.curves.select(index), [each.select(index) for each in self.assumed]

    def estimates(self, near: float) -> dict[str, np.ndarray]:
        """Means of the kinetic parameters, a, b and what the others say, by name, ``(n,)`` each.

        ``"near_by"`` is the probability that ln D½ lies within `near` of that of the means.

        ``"shrinkage"`` is the ratio of the variance of ln D½ after the data of a pixel to that
        before them: 0 where a pixel speaks for itself, 1 where the others do.
        """
        names = [parameter.name for parameter in self.parameters.free]
        keys = (*names, "amplitude", "offset", "sigma", "shrinkage", "near_by")
        found = {key: np.full(self.number, np.nan) for key in keys}
        for piece in self._pieces:
            scale = self.curves.scale
            mean = centre(piece)
            for parameter, row in zip(self.parameters.free, mean, strict=True):
                found[parameter.name][piece.index] = parameter.from_free(row).numpy()
            at = mean[:, None]
            curves = piece.nodes.curves
            sums = type(piece.nodes.sums).of(curves, curves.integrity(at))
            # The readout that belongs to these parameters, averaged over the populations.
            a, b = torch.zeros_like(mean[0]), torch.zeros_like(mean[0])
            sigma = 0.0
            for each, share in shares_of(piece.assumed):
                after = readout_after(curves, sums, at, each.shared)
                a, b = a + share * after.amplitude[0], b + share * after.offset[0]
                sigma += share * float(each.shared.sigma)
            found["amplitude"][piece.index] = scale.unit * a.numpy()
            known = curves.offset
            found["offset"][piece.index] = (
                scale.centre + scale.unit * b.numpy() if known is None else known
            )
            weight = curves.weight.sum(0) / sums.count
            found["sigma"][piece.index] = scale.unit * sigma * weight.rsqrt().numpy()
            half = Quantity("half_integrity_dose")
            away = piece.value - half.evaluate(self.parameters, curves.search(mean))
            close = (piece.weight * (away.abs() <= near)).sum(0).numpy()
            if self.still is not None:
                # A pixel in which nothing happens has no D½.
                close = close * (1 - self.still.chance(curves))
            found["near_by"][piece.index] = close
            found["shrinkage"][piece.index] = _shrinkage(piece).numpy()
        return found

    def summarise(
        self, quantities: Sequence[Quantity] = (), levels: Sequence[float] = (0.95,)
    ) -> PosteriorSummary:
        """Moments of ln D½ and intervals, arrays ``(n, 1)``; as `KineticPosterior.summarise`."""
        for level in levels:
            check_level(level)
        tails = sorted({tail for level in levels for tail in ((1 - level) / 2, (1 + level) / 2)})
        moments = np.full((4, self.number), np.nan)
        found = {q: np.full((len(tails), self.number, q.n_value), np.nan) for q in quantities}
        half = Quantity("half_integrity_dose")
        for piece in self._pieces:
            nodes = _as_nodes(piece)
            curves = piece.nodes.curves
            mean = centre(piece)
            at = curves.search(mean)
            value = piece.value.reshape(nodes.weight.shape)
            moments[:, piece.index] = _moments(value, nodes, half.evaluate(self.parameters, at))
            probabilities = nodes.weight.new_tensor(tails)
            for quantity in quantities:
                for place in range(quantity.n_value):
                    each = value
                    if quantity.name != half.name:
                        each = quantity.evaluate(self.parameters, nodes.search, place)
                    ends = nodes.quantiles(each.expand(nodes.weight.shape), probabilities)
                    estimate = quantity.evaluate(self.parameters, at, place)
                    # What is the same at all nodes, such as C at dose 0, has no quantiles.
                    same = each.amax((0, 1, 2)) - each.amin((0, 1, 2)) <= 1e-12
                    ends = torch.where(same, estimate, ends)
                    ends = _holding(ends, estimate, probabilities)
                    found[quantity][:, piece.index, place] = quantity.finish(self.parameters, ends)
        intervals = {}
        for quantity, ends in found.items():
            shape = (self.number, 1, *((quantity.n_value,) if quantity.name == "integrity" else ()))
            for level in levels:
                places = (tails.index(tail) for tail in ((1 - level) / 2, (1 + level) / 2))
                lower, upper = (ends[place].reshape(shape) for place in places)
                intervals[quantity, level] = lower, upper
        mean, spread, near, evidence = (row[:, None] for row in moments)
        return PosteriorSummary(mean, spread, near, evidence, intervals)

    def readings(self) -> list[Reading]:
        """What the curves say under each population, for all pixels, for `windows`."""
        q = self.curves.n_parameter + (2 if self.curves.offset is None else 1)
        found = [Reading.nothing(self.number, q) for _ in self.assumed]
        for curves, some in self._parts():
            # Moments need fewer nodes than the ends of intervals.
            nodes = PixelNodes.around(curves, placed(curves, possible(some)), few=True)
            said = moving(self.still, curves)
            place = curves.alive[said]
            for reading, each in zip(found, some, strict=True):
                mean, covariance = _read(nodes, each)
                reading.mean[place] = mean[said, :q]
                reading.covariance[place] = covariance[said, :q, :q]
        return found

    def band(self, normalised_dose: Sequence[float], level: float) -> np.ndarray:
        """Ends of the interval of a·C + b, ``(2, n, n_grid)``, in the unit of the data."""
        grid = torch.as_tensor(np.asarray(normalised_dose, dtype=np.float64))
        ends = np.full((2, self.number, grid.numel()), np.nan)
        for piece in self._pieces:
            mean, variance = _predicted(piece, grid)
            reach = torch.special.ndtri(mean.new_tensor((1 + level) / 2)) * variance.sqrt()
            base = self.curves.scale.centre
            if piece.nodes.curves.offset is not None:
                base = torch.as_tensor(piece.nodes.curves.offset)
            both = torch.stack([mean - reach, mean + reach]) * self.curves.scale.unit + base
            ends[:, piece.index] = both.transpose(1, 2).numpy()
        return ends


def _as_nodes(piece: Piece) -> Nodes:
    """The nodes as intervals take them, in rows along the narrow axis of the posterior."""
    n = piece.weight.shape[-1]
    counts = NODES[len(piece.nodes.free)]
    ordered = len(counts) < 3
    shape = (1, *([1] * (2 - len(counts))), *counts, n) if ordered else (1, -1, 1, n)
    search = tuple(row.reshape(shape) for row in piece.nodes.curves.search(piece.nodes.free))
    weight = piece.weight.reshape(shape)
    evidence = torch.zeros(n, dtype=weight.dtype)
    parameters = piece.nodes.curves.parameters
    return Nodes(piece.index, parameters, search, weight, evidence, ordered=ordered)


def _moments(value: Tensor, nodes: Nodes, estimate: Tensor) -> np.ndarray:
    """Mean and deviation of ln D½, probability near the estimate, evidence, ``(4, n)``."""
    finite = torch.isfinite(value)
    weight = torch.where(finite, nodes.weight, 0.0)
    known = torch.where(finite, value, 0.0)
    mass = weight.sum((0, 1, 2))
    mean = (weight * known).sum((0, 1, 2)) / mass.clamp(min=1e-300)
    spread = (weight * (known - mean) ** 2).sum((0, 1, 2)) / mass.clamp(min=1e-300)
    spread = torch.where(mass < 1 - NEVER, torch.inf, spread.sqrt())
    near = (weight * ((known - estimate).abs() <= NEAR)).sum((0, 1, 2))
    near = torch.where(torch.isfinite(estimate), near, 0.0)
    return torch.stack([mean, spread, near, torch.full_like(mean, torch.nan)]).numpy()


def _holding(ends: Tensor, estimate: Tensor, tails: Tensor) -> Tensor:
    """Widen intervals ``(n_tail, n)`` that do not hold the estimate."""
    lower = tails[:, None] < 0.5
    return torch.where(lower, torch.minimum(ends, estimate), torch.maximum(ends, estimate))


def _shrinkage(piece: Piece) -> Tensor:
    """Variance of ln D½ after the data over that before them, mean over the populations."""
    curves = piece.nodes.curves
    half = Quantity("half_integrity_dose")
    ratio = torch.zeros(piece.weight.shape[-1], dtype=piece.weight.dtype)
    for after, (each, share) in zip(piece.spread, shares_of(piece.assumed), strict=True):
        prior = each.prior
        d = len(prior.mean)
        points = torch.cat([torch.eye(d), -torch.eye(d)]).to(prior.mean).T * d**0.5
        free = prior.mean[:, None] + torch.einsum("nij,jk->ikn", prior.factor, points)
        at = curves.search(curves.inside(free))
        before = half.evaluate(curves.parameters, at).clamp(max=1e3)
        known = before.var(0, correction=0).clamp(min=1e-12)
        ratio += share * (after / known).clamp(0, 1)
    return ratio


def _read(nodes: PixelNodes, assumed: Assumed) -> tuple[np.ndarray, np.ndarray]:
    """Mean ``(n, d + 2)`` and covariance of the parameters, a and b in units of a population."""
    shared, free = assumed.shared, nodes.free
    weight = weights_of(nodes, assumed)
    after = readout_after(nodes.curves, nodes.sums, free, shared)
    expected = shared.expected(free)
    unit = torch.linalg.inv(torch.linalg.cholesky(shared.readout_cov))
    away = torch.stack([after.amplitude - expected[0], after.offset - expected[1]])
    value = torch.cat([assumed.prior.score(free), torch.einsum("ij,jkn->ikn", unit, away)])
    mean = (weight * value).sum(1)
    away = value - mean[:, None]
    covariance = torch.einsum("kn,ikn,jkn->nij", weight, away, away)
    own = (after.var_a, after.cov_ab, after.cov_ab, after.var_b)
    spread = torch.stack([(weight * each).sum(0) for each in own], -1).reshape(-1, 2, 2)
    covariance[:, -2:, -2:] += unit @ spread @ unit.T
    # Mass on a single node is narrower than the nodes can say.
    least = torch.linalg.solve_triangular(assumed.prior.factor, nodes.factor, upper=False)
    d = least.shape[-1]
    covariance[:, :d, :d] += LEAST_SHARE * least @ least.transpose(1, 2)
    covariance += _LEAST_READ * torch.eye(d + 2, dtype=covariance.dtype)
    return mean.T.numpy(), covariance.numpy()


def _predicted(piece: Piece, grid: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of a·C + b at doses, ``(n_grid, n)``, in the units of the scale."""
    nodes = piece.nodes
    integrity = nodes.curves.integrity(nodes.free, grid)
    mean = torch.zeros(len(grid), piece.weight.shape[-1], dtype=grid.dtype)
    square = torch.zeros_like(mean)
    for each, share in shares_of(piece.assumed):
        weight = share * weights_of(nodes, each)
        after = readout_after(nodes.curves, nodes.sums, nodes.free, each.shared)
        value = after.amplitude * integrity + after.offset
        spread = (after.var_a * integrity + 2 * after.cov_ab) * integrity + after.var_b
        mean += (weight * value).sum(1)
        square += (weight * (value**2 + spread)).sum(1)
    return mean, (square - mean**2).clamp(min=0)
