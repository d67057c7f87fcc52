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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.laws.solution import curve, streams
from hyperspy_dosekin.kinetics.model.shared_error import without_shared
from hyperspy_dosekin.kinetics.posterior.marginal import (
    LARGEST_SIGNAL,
    ByFreedom,
    inverse_sinh,
    log_normal_share,
    marginal_deviance,
)

from .neighbours import before, beside
from .whitened import WhitenedCurves

# Rounding of a difference of sums, in units of what is subtracted: nothing below is told from a
# perfect fit.
_ROUNDING = 1e-13
# Numbers of an array that are worked on at once: arrays of this size stay in the cache.
_AT_ONCE = 2**14
# The same of a law, what of it does not know the dose being worked out once.
_OF_LAW = 2**18


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


class _Products(NamedTuple):
    """Sums over doses of products, free of the offset.

    Of columns with each other (a triangle), the values and a constant; `size` is the first of them
    with the offset, `pin` what was taken off the decay.
    """

    inner: list[list[Tensor]]
    level: list[Tensor]
    mean: list[Tensor]
    size: Tensor
    pin: Tensor | float


@dataclass(frozen=True, eq=False)
class ScanData(WhitenedCurves):
    """Curves to scan, with what they say at nodes; fields as in `WhitenedCurves`."""

    @cached_property
    def _floor(self) -> Callable[[Tensor], Tensor] | None:
        return ByFreedom("floor", self.freedom) if self.noise == "floor" else None

    @cached_property
    def _student(self) -> ByFreedom:
        return ByFreedom("student", self.freedom)

    # Columns

    def _columns(
        self, search: Sequence[Tensor], slopes: Sequence[bool] = ()
    ) -> Iterator[tuple[slice, list[Tensor], Tensor | float]]:
        """The decay less its pin, and minus its slopes, weighed and filtered, of some doses.

        A few doses at once where there are many nodes, so that arrays stay in the cache; many where
        there are few nodes, for which a step of Python would take longer than the arithmetic. The
        third is the pin. Where the offset is free any constant may be taken off, and nodes that are
        over before the first frame have 0: of differences from 1 only rounding would be left.
        """
        whole = self.parameters.complete(search)
        law, number = self.parameters.law, self.dose.numel()
        wanted = iter(slopes)
        flags = [free and next(wanted, False) for free in self.parameters.is_free]
        size = max(torch.broadcast_tensors(*whole)[0].numel(), 1)
        step = max(_AT_ONCE // size, 1)
        known = max(_OF_LAW // size, 1) if streams(law) else number
        along = [1] * max(each.ndim for each in whole)
        carried: Sequence[Tensor | None] = ()
        pin = self.pin
        for begin in range(0, number, known):
            dose = self.dose[begin : begin + known].reshape(-1, *along)
            integrity, changes = curve(law, dose, whole, slopes=flags)
            if begin == 0 and self.offset_free:
                pin = (integrity[0] > 0.5).to(integrity)
            # What a closed form gives is nobody else's.
            own = streams(law) and self.offset_free
            integrity = integrity.sub_(pin) if own else integrity - pin
            made = [integrity, *(each for each in changes if each is not None)]
            for first in range(0, len(dose), step):
                columns = [each[first : first + step] for each in made]
                places = slice(begin + first, begin + first + len(columns[0]))
                if self.root_weight is not None:
                    weight = beside(self.root_weight[places], columns[0])
                    columns = [each * weight for each in columns]
                if self.filter_ is not None:
                    ratio, scale = (beside(each[places], columns[0]) for each in self.filter_)
                    carried = carried or [None] * len(columns)
                    pairs = [
                        before(each, scale, last, self._gapless)
                        for each, last in zip(columns, carried, strict=True)
                    ]
                    earlier, carried = zip(*pairs, strict=True)
                    columns = [
                        (each - ratio * old) * scale
                        for each, old in zip(columns, earlier, strict=True)
                    ]
                yield places, columns, pin

    @cached_property
    def _gapless(self) -> bool:
        """Whether no frame is missing."""
        return self.filter_ is None or bool((self.filter_[1] > 0).all())

    @cached_property
    def _twice(self) -> tuple[Tensor, Tensor]:
        """Values and constant whose products with columns take shared errors out of these, too."""
        values, ones = (without_shared(each, self.basis) for each in (self.values, self.ones))
        return values, ones

    def _products(self, search: Sequence[Tensor], slopes: Sequence[bool] = ()) -> _Products:
        """Sums over doses of products of the columns with each other, the values, a constant."""
        if self._of_all(search) and not any(slopes):
            return self._products_of_all(search)
        values, ones = self._twice
        count = 1 + sum(slopes)
        errors = [] if self.basis is None else list(self.basis.unbind(1))
        nothing = values.new_zeros(())
        inner = [[nothing] * (i + 1) for i in range(count)]
        level, mean = [nothing] * count, [nothing] * count
        shared = [[nothing] * len(errors) for _ in range(count)]
        # Columns that all curves share, before each has weights of its own.
        common: list[list[Tensor]] = []
        taken = self.pin
        for places, columns, pin in self._columns(search, slopes):
            taken = pin
            alike = columns[0].shape[-1] == 1 < self.count and self.basis is None
            if alike:
                common.append([each[..., 0].movedim(0, -1) for each in columns])
            value, one = (beside(each[places], columns[0]) for each in (values, ones))
            for i, each in enumerate(columns):
                for j in range(i + 1):
                    inner[i][j] = _added(inner[i][j], each, columns[j])
                if not alike:
                    level[i] = _added(level[i], each, value)
                mean[i] = _added(mean[i], each, one)
                for number, error in enumerate(errors):
                    along = beside(error[places], each)
                    shared[i][number] = _added(shared[i][number], each, along)
        if common:
            level = [torch.cat(column, -1) @ values for column in zip(*common, strict=True)]
        return self._without_offset(inner, level, mean, shared, taken)

    def _of_all(self, search: Sequence[Tensor]) -> bool:
        """Whether the decays at nodes are those of all curves, which differ in weights alone."""
        alike = max(each.shape[-1] for each in search) == 1 < self.count
        return alike and self.filter_ is None and self.basis is None

    def _products_of_all(self, search: Sequence[Tensor]) -> _Products:
        """The same where the decays are those of all curves, a few nodes at a time.

        Sums are made frame by frame: products of matrices would be faster, but round by how many
        curves there are, and no curve may depend on those beside it.
        """
        whole = self.parameters.complete(search)
        along = [1] * max(each.ndim for each in whole)
        integrity, _ = curve(self.parameters.law, self.dose.reshape(-1, *along), whole)
        decay = integrity.flatten(1)[..., None]
        pin = self.pin
        if self.offset_free:
            pin = (decay[0] > 0.5).to(decay)
            decay = decay - pin
            pin = pin.reshape(*integrity.shape[1:-1], 1)
        weight = torch.ones_like(self.ones) if self.root_weight is None else self.root_weight
        square, by_value, by_one = weight * weight, weight * self.values, weight * self.ones
        # Without weights of their own, curves share what does not know the values.
        alike = square.shape[-1] == by_one.shape[-1] == 1 and self.offset_free
        inner, mean = decay.new_zeros(2, decay.shape[1], 1 if alike else self.count)
        level = decay.new_zeros(decay.shape[1], self.count)
        step = max(_AT_ONCE // self.count, 1)
        for first in range(0, decay.shape[1], step):
            part = slice(first, first + step)
            for frame, each in enumerate(decay[:, part]):
                column = each if self.offset_free else each - self.pin
                level[part].addcmul_(column, by_value[frame])
                inner[part].addcmul_(column.square(), square[frame])
                mean[part].addcmul_(column, by_one[frame])
        nodes = integrity.shape[1:-1]
        inner, level, mean = (each.reshape(*nodes, -1) for each in (inner, level, mean))
        return self._without_offset([[inner]], [level], [mean], [[]], pin)

    def _without_offset(
        self,
        inner: list[list[Tensor]],
        level: list[Tensor],
        mean: list[Tensor],
        shared: list[list[Tensor]],
        pin: Tensor | float,
    ) -> _Products:
        """Products with shared errors and the offset projected out."""
        size = inner[0][0].clone()
        if self.basis is not None:
            # (1 − B Bᵀ)² takes from products what columns have along the shared errors.
            for number, square in enumerate(self.basis.square().sum(0)):
                for i, row in enumerate(inner):
                    for j in range(i + 1):
                        row[j] = row[j] - (2 - square) * shared[i][number] * shared[j][number]
        if self.share is not None:
            part = self.share / self.weight_sum
            for i, row in enumerate(inner):
                for j in range(i + 1):
                    row[j] = torch.addcmul(row[j], mean[i] * part, mean[j], value=-1.0)
            if not isinstance(self.share, float):
                level = [a - part * self._level * b for a, b in zip(level, mean, strict=True)]
        return _Products(inner, level, mean, size, pin)

    def sums(self, search: Sequence[Tensor]) -> Sums:
        """Sums over doses at nodes.

        Parameters
        ----------
        search
            Free parameters on their scale of search; shapes that broadcast to ``(…, n)``.
        """
        found = self._products(search)
        ((norm,),), (product,), (mean,) = found.inner, found.level, found.mean
        # Extinct before the first frame, a curve is constant: nothing is left but rounding.
        visible = norm > (1e-24 if self.share is None else 1e-12 * found.size)
        amplitude = visible * product
        amplitude.div_(norm.clamp(min=1e-30))
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
            floor=self._floor,
            weigh_signal=self.parameters.informed,
        )
        density = self.log_constant - 0.5 * deviance
        if self.bounded:
            density = density + self._share_above_bound(sums, variance)
        return density

    def _share_above_bound(self, sums: Sums, variance: Tensor) -> Tensor:
        """Log of the probability that the smaller end of the curve is not negative."""
        end = (sums.amplitude < 0).to(sums.mean) - self.pin - sums.mean
        level = self.base + self._level / self.weight_sum + sums.amplitude * end
        spread = variance * (1 / self.weight_sum + end * end / sums.norm.clamp(min=1e-30))
        if self.softness is not None:
            spread = spread + self.softness**2
        # Few digits of a score are enough.
        score = level.float() * spread.float().rsqrt()
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
            hessian[row, row] += precision[place] + 1e-9
        return self.deviance_of(squares) + penalty, gradient, hessian

    def deviance_of(self, squares: Tensor) -> Tensor:
        """Deviance of sums of squares ``(…, n)``, without priors."""
        if self.noise == "given":
            return squares
        freedom = self.freedom.clamp(min=1)
        if self.noise == "free":
            return freedom * squares.log()
        above = freedom + freedom * (squares / freedom).log()
        return torch.where(squares < freedom, squares, above)

    def deviance_at(self, search: Sequence[Tensor]) -> Tensor:
        """Deviance at nodes ``(…, n)``, without priors."""
        return self.deviance_of(self.sums(search).squares)


def _added(total: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """A total with the sum over doses of products added to it, in place but at the first time."""
    if len(left) == 1 and total.ndim:
        return total.addcmul_(left[0], right[0])
    product = left[0] * right[0] if len(left) == 1 else (left * right).sum(0)
    return total.add_(product) if total.ndim else product


def log_sigma_integral(freedom: Tensor, noise: str) -> Tensor:
    """Log of what the integral over σ has beside the deviance, by degrees of freedom ``(n,)``."""
    if noise == "given":
        return torch.zeros_like(freedom)
    half = 0.5 * freedom.clamp(min=1)
    return torch.lgamma(half) + half * math.log(2.0)
