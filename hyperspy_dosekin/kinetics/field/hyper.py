# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The numbers that describe a population, as one vector, and what is assumed of them.

The kinetic parameters, a and b of the pixels are normal together, with all correlations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.model.parameters import Parameters, known_before

from .curves import SharedCurves, curve_with_slopes, inside
from .readout import Shared

# Spread over pixels before the data: its median for ln k, and for another parameter as a share of
# what is assumed of a single pixel; a factor of 2 either way. Toward the end of the ridge where the
# exponent is large the same curves need larger spreads: to keep them from 0 by more than that, as
# the mode of a variance component is (doi:10.1007/s11336-013-9328-2), pulls a population there.
_SPREAD_OF_RATE, _SPREAD_SHARE, _SPREAD_WIDTH = 0.35, 0.315, 0.7
# Spread of the amplitudes as a share of their mean, a factor of e either way.
_AMPLITUDE_SHARE, _AMPLITUDE_WIDTH = 0.3, 1.0
# Ln of the spread of offsets, which are of the order of the swing, and of noise above its floor.
_SPREAD_OF_LAST, _LAST_WIDTH, _FLOOR_WIDTH = math.log(0.3), 1.5, 4.0
# Correlations (as Fisher's z): anything goes among a and b, which follow the thickness together.
# That of k and p is about LKJ's with η = 3 (doi:10.1016/j.jmva.2009.04.008): few patches easily
# seem to have one along the ridge. Between the two pairs there is no reason for much.
_READOUT_WIDTH, _KINETIC_WIDTH, _ACROSS_WIDTH = 0.7, 0.4, 0.15
# Spread of amplitude and offset, over the amplitude, of pixels that share nothing.
_WIDE = 3.0
# Share of the decay that is between the first and the last dose, at least; below the second what is
# assumed of levels follows it no longer.
_LEAST_FALL, _ANYTHING = 1e-3, 0.1
# What is assumed of every number leaves it within so many of its widths.
_FARTHEST = 6.0
# After the data a mean is not less known than before them, but for this factor of neighbours that
# repeat each other.
_LEAST_KNOWN = 1.5
# Offsets that are known have this spread, in units of the swing.
_KNOWN = 1e-6


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the numbers of a population lie in their vector.

    Parameters
    ----------
    centre, width
        What is assumed of the mean of every kinetic parameter, on its scale of estimation.
    spread
        Median of what is assumed of its spread over the pixels.
    offset_known, noise, sigma
        Whether offsets are known; ``"free"``, ``"given"`` or ``"floor"``, and the given noise.
    parameters
        Those of the law.
    ends
        First and last dose. Where there are none, as in files of earlier versions and with bounds,
        readouts are a and b themselves.
    """

    centre: tuple[float, ...]
    width: tuple[float, ...]
    spread: tuple[float, ...]
    offset_known: bool
    noise: str
    sigma: float
    parameters: Parameters
    ends: tuple[float, ...]

    @classmethod
    def of(cls, curves: SharedCurves, noise: str) -> Layout:
        """The layout for some curves."""
        centre, width, spread = [], [], []
        for parameter in curves.parameters.free:
            low, high = parameter.free_box
            before = known_before(parameter, curves.parameters.prior_of_law)
            if before is None:
                start = math.log(parameter.start) if parameter.logarithmic else parameter.start
                before = start, (high - low) / 4
            centre.append(before[0])
            width.append(before[1])
            is_rate = parameter.name == "rate" and parameter.logarithmic
            spread.append(_SPREAD_OF_RATE if is_rate else _SPREAD_SHARE * before[1])
        sigma = math.sqrt(curves.scale.variance) / curves.scale.unit
        return cls(
            tuple(centre),
            tuple(width),
            tuple(spread),
            curves.offset is not None,
            noise,
            sigma,
            curves.parameters,
            # A bound is one of b, and says most where b is a number of its own.
            () if curves.nonnegative else (float(curves.dose[0]), float(curves.dose[-1])),
        )

    @property
    def d(self) -> int:
        """Number of kinetic parameters."""
        return len(self.centre)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Lengths of means, spreads, correlations; those of the readout; slopes; noise."""
        d, r = self.d, 1 if self.offset_known else 2
        return (d, d, d * (d - 1) // 2, r, r, r - 1, r * d, 0 if self.noise == "given" else 1)

    @property
    def n(self) -> int:
        """Length of the vector."""
        return sum(self.sizes)

    def shared(self, vector: Tensor) -> Shared:
        """What pixels have in common, from the vector ``(n,)``."""
        mean, spread, corr, readout, spread_r, corr_r, slope, noise = vector.split(self.sizes)
        d = self.d
        factor = spread.exp()[:, None] * _factor_of_correlations(corr.tanh(), d)
        sd = spread_r.exp()
        if self.offset_known:
            sd = torch.cat([sd, sd.new_full((1,), _KNOWN)])
            readout = torch.cat([readout, readout.new_zeros(1)])
            slope = torch.cat([slope, slope.new_zeros(d)])
            corr_r = corr_r.new_zeros(1)
        # Covariance of a and b beside what follows the kinetic parameters.
        own = corr_r.tanh()
        cross = own * sd[0] * sd[1]
        cov = torch.stack([torch.cat([sd[:1] ** 2, cross]), torch.cat([cross, sd[1:] ** 2])])
        turn = self._to_readout(mean)
        cov = turn @ cov @ turn.T
        own_sd = cov.diagonal().clamp(min=1e-300).sqrt()
        per_spread = slope.reshape(2, d) * own_sd[:, None] / spread.exp()
        return Shared(mean, factor, turn @ readout, per_spread, cov, self._sigma(noise))

    def _to_readout(self, mean: Tensor) -> Tensor:
        """What makes a and b of the swing and the last level, ``(2, 2)``.

        Those are what is measured: how much the window changes from the first dose to the last, or
        the level at the first where offsets are known. Along the ridge, where rate, exponent, a and
        b change together, they stay as they are.
        """
        if not self.ends:
            return torch.eye(2, dtype=mean.dtype)
        with torch.no_grad():
            at = inside(self.parameters, mean.detach())[:, None]
            level, slopes = curve_with_slopes(self.parameters, mean.new_tensor(self.ends), at)
        first, last = (
            value[0] + sum(s[0] * (m - m.detach()) for s, m in zip(slope, mean, strict=True))
            for value, slope in zip(level, zip(*slopes, strict=True), strict=True)
        )
        if self.offset_known:
            last = torch.zeros_like(last)
        fall = (first - last).clamp(min=_LEAST_FALL)
        one, zero = torch.ones_like(fall), torch.zeros_like(fall)
        return torch.stack([1 / fall, zero, -last / fall, one]).reshape(2, 2)

    def _sigma(self, noise: Tensor) -> Tensor:
        if self.noise == "given":
            return noise.new_tensor(self.sigma)
        if self.noise == "floor":
            return self.sigma * torch.sqrt(1 + torch.exp(noise[0]))
        return noise[0].exp()

    def log_prior(self, vector: Tensor) -> Tensor:
        """Logarithm of what is assumed of the vector before the data."""
        parts = vector.split(self.sizes)
        every = zip(parts, self._assumed(parts), strict=True)
        loss = sum((((part - centre) / width) ** 2).sum() for part, (centre, width) in every)
        # Of a and b everything is as likely, which is not so of a swing. That a decay may be over
        # before the first frame, where a may be anything, says nothing for it.
        fall = 1 / torch.linalg.det(self._to_readout(parts[0]))
        return -0.5 * loss - torch.log(fall + _ANYTHING)

    def prior_curvature(self, vector: Tensor) -> Tensor:
        """Second derivatives of `log_prior`, ``(n, n)``."""
        # Means go together, and the first level and its spread. What goes with nothing needs no
        # row of its own: the sum of those rows has them in its diagonal.
        first = sum(self.sizes[:3])
        rows = [*range(self.d), first, first + self.sizes[3]]
        alone = torch.ones_like(vector).index_fill(0, torch.tensor(rows), 0.0)
        with torch.enable_grad():
            at = vector.detach().requires_grad_()
            slope = torch.autograd.grad(self.log_prior(at), at, create_graph=True)[0]
            ways = torch.cat([alone[None], torch.eye(len(at), dtype=at.dtype)[rows]])
            summed, *each = torch.autograd.grad(slope, at, ways, is_grads_batched=True)[0]
        found = torch.diag(alone * summed)
        found[rows] = torch.stack(each)
        return found

    def held(self, vectors: Tensor, vector: Tensor) -> Tensor:
        """Vectors ``(number, n)`` no further off than what is assumed, or the most probable one.

        Where pixels say nothing of a number the curvature at the most probable one may say even
        less than what is assumed, and a step along it leads to where no sum can be computed.
        """
        parts = vectors.split(self.sizes, 1)
        every = zip(parts, vector.split(self.sizes), self._assumed(parts), strict=True)
        found = []
        for part, best, (centre, width) in every:
            lower = torch.minimum(centre - _FARTHEST * width, best - width)
            upper = torch.maximum(centre + _FARTHEST * width, best + width)
            found.append(torch.maximum(torch.minimum(part, upper), lower))
        return torch.cat(found, 1)

    def bounded(self, covariance: Tensor) -> Tensor:
        """A covariance of the numbers in which means are known about as well as before the data.

        The curvature at the most probable vector may say less: what is assumed is not normal.
        """
        for place, width in enumerate(self.width):
            along, most = covariance[:, place], (_LEAST_KNOWN * width) ** 2
            if (own := float(along[place])) > most:
                covariance = covariance - (1 - most / own) / own * along[:, None] * along
        return covariance

    def _assumed(self, parts: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Centre and width of what is assumed of the numbers of vectors ``(…, n)``, part by part.

        Offsets, and noise that is free, may be anything.
        """
        like = parts[0].new_tensor
        nothing, anything = like(0.0), like(torch.inf)
        swing = _spread_of_swing(parts[3][..., :1])
        last = torch.full_like(parts[4][..., 1:], _SPREAD_OF_LAST)
        return [
            (like(self.centre), like(self.width)),
            (like(self.spread).log(), like(_SPREAD_WIDTH)),
            (nothing, like(_KINETIC_WIDTH)),
            (nothing, anything),
            (
                torch.cat([swing, last], -1),
                like([_AMPLITUDE_WIDTH, _LAST_WIDTH][: parts[4].shape[-1]]),
            ),
            (nothing, like(_READOUT_WIDTH)),
            (nothing, like(_ACROSS_WIDTH)),
            (nothing, like(_FLOOR_WIDTH) if self.noise == "floor" else anything),
        ]

    def nothing_shared(self, vector: Tensor) -> Tensor:
        """A population as wide as what is assumed of a single pixel, about the noise of another."""
        _, _, corr, readout, spread_r, corr_r, slope, noise = vector.split(self.sizes)
        like = vector.new_tensor
        wide = torch.maximum(spread_r, (_WIDE * readout.abs().amax()).log())
        parts = (like(self.centre), like(self.width).log(), 0 * corr, readout, wide)
        return torch.cat([*parts, 0 * corr_r, 0 * slope, noise])

    def start(self, amplitude: float, offset: float, sigma: float, spread: float) -> Tensor:
        """A vector to begin with."""
        sd = [math.log(0.3 * abs(amplitude) + 1e-3)]
        if not self.offset_known:
            sd = [*sd, math.log(max(spread, 0.02))]
        turn = self._to_readout(torch.tensor(self.centre, dtype=torch.float64))
        levels = torch.linalg.solve(turn, turn.new_tensor([amplitude, offset]))
        readout = levels[: len(sd)].tolist()
        noise = [] if self.noise == "given" else [math.log(max(sigma, 1e-6))]
        if self.noise == "floor":
            ratio = (sigma / self.sigma) ** 2 - 1
            noise = [math.log(max(ratio, 0.05))]
        d, zeros = self.d, [0.0]
        parts = [
            *self.centre, *(math.log(each) for each in self.spread), *zeros * (d * (d - 1) // 2),
            *readout, *sd, *zeros * (len(sd) - 1), *zeros * (len(sd) * d), *noise,
        ]  # fmt: skip
        return torch.tensor(parts, dtype=torch.float64)


def _spread_of_swing(swing: Tensor) -> Tensor:
    """Ln of the spread that is assumed of swings about a mean."""
    return torch.log(_AMPLITUDE_SHARE * (swing**2 + 1e-4).sqrt())


def _factor_of_correlations(partial: Tensor, d: int) -> Tensor:
    """Triangular factor of a correlation matrix, from partial correlations in (−1, 1)."""
    rows, used = [], 0
    for i in range(d):
        row, left = [], partial.new_ones(())
        for _ in range(i):
            row.append(partial[used] * left.sqrt())
            left = left * (1 - partial[used] ** 2)
            used += 1
        row.append(left.sqrt())
        rows.append(torch.stack([*row, *[partial.new_zeros(())] * (d - len(row))]))
    return torch.stack(rows)
