# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Curves and their likelihood at many nodes of the kinetic parameters, on the device of the scan.

Sums over doses are those of whitened columns: weighed, with the correlation ρ of neighbouring
frames taken out (first-order autoregression), and then what errors that frames share. A free offset
is projected out by its share κ = 1; one that is known to ± s by ``κ = rW/(1 + rW)`` with r = s²/σ²
and W the sum of the weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.model.shared_error import without_shared
from hyperspy_dosekin.kinetics.posterior.marginal import (
    LARGEST_SIGNAL,
    StudentShare,
    inverse_sinh,
    log_normal_share,
    marginal_deviance,
)

from .products import ProductsOverDoses

# Rounding of a difference of sums, in units of what is subtracted: nothing below is told from a
# perfect fit.
_ROUNDING = 1e-13
# Sums of squares that differ by less, in units of the total, are the same.
_ALIKE = 1e-10
# Of every parameter, on scales of search: where decays do not change, rounding of a gradient over
# less would be a step.
_LEAST_PRECISION = 1e-5


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums over doses at nodes, ``(…, n)``.

    Parameters
    ----------
    squares
        Residual sum of squares with the readout projected out.
    norm
        Sum of squares of the decay, free of the offset.
    amplitude
        Best amplitude.
    mean
        Mean of the decay less the pin of the curves, weighed.
    """

    squares: Tensor
    norm: Tensor
    amplitude: Tensor
    mean: Tensor


@dataclass(frozen=True, eq=False)
class ScanData(ProductsOverDoses):
    """Curves to scan, with what they say at nodes; fields as in `WhitenedCurves`."""

    @cached_property
    def _student(self) -> StudentShare:
        return StudentShare(self.freedom)

    def sums(self, search: Sequence[Tensor]) -> Sums:
        """Sums over doses at nodes.

        Parameters
        ----------
        search
            Free parameters on their scale of search; shapes that broadcast to ``(…, n)``.
        """
        many = self.straight and search[0].numel() > 2 * max(each.numel() for each in search[1:])
        found = self._along_rows(search) if many else self._products(search)
        ((norm,),), (product,), (mean,) = found.inner, found.level, found.mean
        # Extinct before the first frame, a curve is constant: nothing is left but rounding.
        visible = norm > (1e-24 if self.share is None else 1e-12 * found.size)
        amplitude = (product / norm.clamp(min=1e-30)).masked_fill_(~visible, 0.0)
        squares = torch.addcmul(self.total, amplitude, product, value=-1)
        squares = torch.maximum(squares, _ROUNDING * self.total, out=squares)
        return Sums(squares, norm, amplitude, mean / self.weight_sum + (found.pin - self.pin))

    def fitted(self, search: Sequence[Tensor]) -> Tensor:
        """Fitted values at one node of each curve, whitened as the values are, ``(n_dose, n)``.

        Parameters
        ----------
        search
            Free parameters on their scale of search, each ``(n,)``.
        """
        parts = list(self._columns(search))
        column = without_shared(torch.cat([columns[0] for _, columns, _ in parts]), self.basis)
        sums = self.sums(search)
        share = 0.0 if self.share is None else self.share
        mean = sums.mean + (self.pin - parts[0][2])
        level = share * (self._level / self.weight_sum - sums.amplitude * mean)
        return sums.amplitude * column + level * self.ones

    def readout(self, search: Sequence[Tensor], integrity: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of a·C + b where the integrity is known, in the unit of the values.

        Parameters
        ----------
        search
            Free parameters on their scale of search at nodes ``(…, n)``.
        integrity
            C there at any doses, ``(n_dose, …, n)``.
        """
        sums = self.sums(search)
        amplitude, noise, norm = self._amplitude(sums)
        share = 0.0 if self.share is None else self.share
        decay = integrity - self.pin - share * sums.mean
        mean = self.base + share * self._level / self.weight_sum + amplitude * decay
        return mean, noise * (decay.square() / norm + share / self.weight_sum)

    def amplitude(self, search: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Mean and variance of a, in the unit of the values, at nodes ``(…, n)``."""
        amplitude, noise, norm = self._amplitude(self.sums(search))
        return amplitude, noise / norm

    def _amplitude(self, sums: Sums) -> tuple[Tensor, Tensor, Tensor]:
        """Mean of a, the variance of the noise and that over the variance of a."""
        freedom = self.freedom.clamp(min=1)
        noise = torch.ones_like(sums.squares) if self.noise == "given" else sums.squares / freedom
        if self.noise == "floor":
            noise = noise.clamp(min=1.0)
        # Where a decay is over before the first frame, the data leave its amplitude open.
        least = LARGEST_SIGNAL**-2 if self.parameters.informed else 1e-300
        norm = sums.norm + least
        return sums.amplitude * (sums.norm / norm), noise, norm

    def log_density(self, search: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Log posterior density on the scales of estimation, and S, at nodes ``(…, n)``."""
        sums = self.sums(search)
        prior = self.parameters.log_prior(list(search))
        return self.log_likelihood(sums) + prior, sums.squares

    def log_likelihood(self, sums: Sums) -> Tensor:
        """Log of the likelihood with readout and noise integrated out, where the sums are known."""
        # Sums that were rounded to single precision may differ by that.
        explained = (self.total - sums.squares).clamp(min=0.0)
        deviance, variance = marginal_deviance(
            sums.squares,
            explained,
            sums.norm,
            self.freedom.clamp(min=1),
            noise=self.noise,
            weigh_signal=self.parameters.informed,
        )
        density = self.log_constant - 0.5 * deviance
        if self.bounded:
            density = density + self._share_above_bound(sums, variance)
        return density

    def log_share(self, search: Sequence[Tensor]) -> Tensor:
        """Log of the probability that the smaller end of the curve is not negative, ``(…, n)``."""
        sums = self.sums(search)
        variance = torch.ones_like(sums.squares)
        if self.noise != "given":
            variance = sums.squares / self.freedom.clamp(min=1)
            variance = variance.clamp(min=1.0) if self.noise == "floor" else variance
        return self._share_above_bound(sums, variance).to(sums.squares)

    def _share_above_bound(self, sums: Sums, variance: Tensor) -> Tensor:
        """Log of the probability that the smaller end of the curve is not negative."""
        end = (sums.amplitude < 0).to(sums.mean).sub_(self.pin).sub_(sums.mean)
        level = torch.addcmul(self.base + self._level / self.weight_sum, sums.amplitude, end)
        # Few digits of a score are enough.
        spread = end.float().square_().div_(sums.norm.float().clamp_(min=1e-30))
        spread = spread.add_((1 / self.weight_sum).float()).mul_(variance.float())
        if self.softness is not None:
            spread = spread.add_(self.softness.square().float())
        score = level.float() * spread.rsqrt_()
        if self.noise == "given":
            return log_normal_share(score)
        return self._student(inverse_sinh(score))

    # Objective

    def evaluate(
        self, search: Sequence[Tensor], slopes: Sequence[bool]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Deviance with priors, half its gradient and half its Hessian by some free parameters.

        Parameters
        ----------
        search
            Free parameters on their scale of search; shapes that broadcast to ``(…, n)``.
        slopes
            By which of them; the first dimensions of gradient and Hessian.
        """
        found = self._products(search, slopes)
        inner, level = found.inner, found.level
        norm = inner[0][0].clamp(min=1e-30)
        amplitude = level[0] / norm
        squares = torch.maximum(self.total - amplitude * level[0], _ROUNDING * self.total)
        squares = squares.clamp(min=1e-300)
        count = len(level) - 1
        gradient = squares.new_empty((count, *squares.shape))
        hessian = squares.new_empty((count, count, *squares.shape))
        squared = amplitude * amplitude
        for i in range(count):
            by_column = inner[i + 1][0]
            gradient[i] = amplitude * (level[i + 1] - amplitude * by_column)
            for j in range(i + 1):
                cross = inner[i + 1][j + 1] - by_column * inner[j + 1][0] / norm
                if i == j:
                    cross = cross.clamp(min=0.0)
                hessian[i, j] = hessian[j, i] = squared * cross
        if self.noise != "given":
            factor = self.freedom.clamp(min=1) / squares
            if self.noise == "floor":
                factor = factor.clamp(max=1.0)
            gradient, hessian = gradient * factor, hessian * factor
        penalty, score, precision = self.parameters.prior(list(search))
        chosen = [place for place, slope in enumerate(slopes) if slope]
        for row, place in enumerate(chosen):
            gradient[row] += score[place]
            hessian[row, row] += precision[place] + _LEAST_PRECISION
        return self.deviance_of(squares) + penalty, gradient, hessian

    def best_on_lines(self, others: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """First parameter of the least squares and its precision, on its scale of search.

        Where the integrity is a straight line in it; without its prior.

        Parameters
        ----------
        others
            The other free parameters on their scale of search, each ``(…, n)``.
        """
        parameter = self.parameters.free[0]
        found, start = self.line(others)
        ((norm,), (cross, square)), (level, change) = found.inner, found.level
        bend = level * square - change * cross
        inner = (change * norm - level * cross) / torch.where(bend == 0, 1e-300, bend)
        low, high = (start - bound for bound in (parameter.upper, parameter.lower))
        best, explained = torch.zeros_like(inner), torch.zeros_like(inner)
        # Where all are alike, rounding must not choose.
        least = _ALIKE * self.total
        ends = (inner.new_tensor(end) for end in (0.0, low, high))
        for away in (*ends, inner.clamp(low, high)):
            size = torch.addcmul(norm, torch.addcmul(2 * cross, away, square), away)
            gain = torch.addcmul(level, away, change).square() / size.clamp(min=1e-30)
            better = gain > explained + least
            best, explained = torch.where(better, away, best), torch.where(better, gain, explained)
        size = torch.addcmul(norm, torch.addcmul(2 * cross, best, square), best).clamp(min=1e-30)
        amplitude = torch.addcmul(level, best, change) / size
        slope = torch.addcmul(cross, best, square)
        precision = amplitude.square() * (square - slope * slope / size).clamp(min=0.0)
        squares = (self.total - explained).clamp(min=0.0)
        squares = torch.maximum(squares, _ROUNDING * self.total).clamp(min=1e-300)
        if self.noise != "given":
            factor = self.freedom.clamp(min=1) / squares
            precision = precision * (factor.clamp(max=1.0) if self.noise == "floor" else factor)
        value = start - best
        if parameter.lower > 0 or parameter.logarithmic:
            precision = precision * value.square()
        return parameter.to_search(value), precision + _LEAST_PRECISION

    def deviance_of(self, squares: Tensor) -> Tensor:
        """Deviance of sums of squares ``(…, n)``, without priors."""
        if self.noise == "given":
            return squares
        freedom = self.freedom.clamp(min=1)
        if self.noise == "free":
            return freedom * squares.log()
        return squares.minimum(freedom) + freedom * (squares / freedom).log().clamp(min=0.0)

    def deviance_at(self, search: Sequence[Tensor]) -> Tensor:
        """Deviance at nodes ``(…, n)``, without priors."""
        return self.deviance_of(self.sums(search).squares)


def log_sigma_integral(freedom: Tensor, noise: str) -> Tensor:
    """Log of what the integral over σ has beside the deviance, by degrees of freedom ``(n,)``."""
    if noise != "free":
        return torch.zeros_like(freedom)
    half = 0.5 * freedom.clamp(min=1)
    return torch.lgamma(half) + half * math.log(2.0)
