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
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.curves.preparation import PreparedCurves
from hyperspy_dosekin.kinetics.laws.solution import curve, streams
from hyperspy_dosekin.kinetics.model.parameters import Parameters
from hyperspy_dosekin.kinetics.model.shared_error import (
    basis_of,
    log_share,
    with_shared,
    without_shared,
)
from hyperspy_dosekin.kinetics.posterior.marginal import ByFreedom, marginal_deviance
from hyperspy_dosekin.numerics.batching import send

# Rounding of a difference of sums, in units of what is subtracted: nothing below is told from a
# perfect fit.
_ROUNDING = 1e-13
# Numbers of an array that are worked on at once: arrays of this size stay in the cache.
_AT_ONCE = 2**14
# What each curve has of its own, beside its values.
_BY_CURVE = (
    *("root_weight", "freedom", "share", "pin", "unit", "base", "extent", "softness"),
    *("errors", "basis"),
)


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
        Mean of the decay, weighed.
    """

    squares: Tensor
    norm: Tensor
    amplitude: Tensor
    mean: Tensor


class _Products(NamedTuple):
    """Sums over doses of products, free of the offset.

    Of columns with each other (a triangle), the values and a constant; `size` is the first of them
    with the offset.
    """

    inner: list[list[Tensor]]
    level: list[Tensor]
    mean: list[Tensor]
    size: Tensor


@dataclass(frozen=True, eq=False)
class ScanData:
    """Curves to scan, doses first and curves last, float64.

    Parameters
    ----------
    parameters
        The law with its priors.
    dose
        ``(n_dose,)``.
    values
        Whitened, ``(n_dose, n)``.
    ones
        A constant, whitened, ``(n_dose, n)`` or ``(n_dose, 1)``.
    root_weight
        ``(n_dose, n)`` or ``None``.
    freedom
        Frames less free coefficients of the readout, ``(n,)``.
    share
        κ: 1.0 where the offset is free, ``(n,)`` where it is known to some error, ``None`` where it
        is known.
    pin
        What is taken off the integrity, 0 or 1: a + b is the offset where it is 1, ``(n,)`` or a
        number.
    noise
        ``"free"``, ``"given"`` or ``"floor"``.
    unit
        Unit of the values, ``(n,)``.
    base
        Level that was taken off the values, in these units, ``(n,)``.
    extent
        Largest value, in these units, ``(n,)``.
    filter_
        (ρ of a frame with the one before, 1/√(1 − ρ²)), each ``(n_dose, n)`` or ``(n_dose, 1)``;
        ``None`` for white noise.
    bounded
        Whether the offset, and a + b, cannot be negative.
    softness
        Standard deviation of that bound, in units of the values, ``(n,)``.
    log_constant
        Added to the log density, ``(n,)``.
    errors
        Errors that frames share, in standard deviations of the noise, the correlation of
        neighbours taken out, ``(n_dose, n_error, n)``; ``None`` where there are none.
    basis
        What takes them out, see `basis_of`, of the same shape.
    """

    parameters: Parameters
    dose: Tensor
    values: Tensor
    ones: Tensor
    root_weight: Tensor | None
    freedom: Tensor
    share: Tensor | float | None
    pin: Tensor | float
    noise: str
    unit: Tensor
    base: Tensor
    extent: Tensor
    filter_: tuple[Tensor, Tensor] | None = None
    bounded: bool = False
    softness: Tensor | None = None
    log_constant: Tensor | float = 0.0
    errors: Tensor | None = None
    basis: Tensor | None = None

    @classmethod
    def of(
        cls,
        curves: PreparedCurves,
        index: np.ndarray,
        device: torch.device,
        parameters: Parameters,
        noise: str = "free",
    ) -> ScanData:
        """Take some of the curves, given by their place in (n_curve · n_window)."""
        n_dose = curves.values.shape[-1]

        def rows(array: np.ndarray) -> Tensor:
            return send(np.ascontiguousarray(array.reshape(-1, n_dose)[index].T), device)

        def each(array: np.ndarray) -> Tensor:
            return send(np.ascontiguousarray(array.reshape(-1)[index]), device)

        root = None if curves.root_weight is None else rows(curves.root_weight)
        values = rows(curves.values)
        ones = torch.ones((n_dose, 1), dtype=values.dtype, device=values.device)
        values, ones = (values, ones) if root is None else (root * values, root)
        errors = basis = None
        if curves.shared is not None:
            each_error = curves.shared.reshape(-1, n_dose, curves.shared.shape[-1])[index]
            errors = send(np.ascontiguousarray(np.moveaxis(each_error, 0, -1)), device)
            basis = basis_of(errors)
            values, ones = without_shared(values, basis), without_shared(ones, basis)
        data = cls(
            parameters,
            send(curves.normalised_dose, device),
            values,
            ones,
            root,
            each(curves.freedom),
            None if curves.offset_known else 1.0,
            # C − 1 instead of C: more exact for small rates, and the same where b is free.
            0.0 if curves.offset_known else 1.0,
            noise,
            each(curves.unit),
            each(curves.centre / curves.unit),
            each(np.abs(curves.centre / curves.unit) + np.abs(curves.values).max(-1, initial=0.0)),
            errors=errors,
            basis=basis,
            log_constant=log_share(basis),
        )
        return data if curves.offset_known else data.centred()

    def centred(self) -> ScanData:
        """The same with the mean of the values taken off; only where the offset is free."""
        mean = (self.ones * self.values).sum(0) / self.weight_sum
        return replace(self, values=self.values - self.ones * mean, base=self.base + mean)

    def uncentred(self) -> ScanData:
        """The same with the values as they were measured."""
        values = self.values + self.ones * self.base
        return replace(self, values=values, base=torch.zeros_like(self.base))

    @property
    def offset_free(self) -> bool:
        """Whether nothing is known of the offset."""
        return isinstance(self.share, float)

    @property
    def count(self) -> int:
        """Curves."""
        return self.values.shape[1]

    @cached_property
    def weight_sum(self) -> Tensor:
        """W: sum of squares of the whitened constant, ``(n,)`` or ``(1,)``."""
        return (self.ones * self.ones).sum(0)

    @cached_property
    def _level(self) -> Tensor:
        """Sum of values times the constant; 0 where they are centred."""
        return (self.ones * self.values).sum(0)

    @cached_property
    def total(self) -> Tensor:
        """Sum of squares about the mean (or the known offset), ``(n,)``."""
        total = (self.values * self.values).sum(0)
        if self.share is not None:
            total = total - self.share * self._level**2 / self.weight_sum
        return total

    @cached_property
    def _floor(self) -> Callable[[Tensor], Tensor] | None:
        return ByFreedom("floor", self.freedom) if self.noise == "floor" else None

    @cached_property
    def _student(self) -> ByFreedom:
        return ByFreedom("student", self.freedom)

    def select(self, index: Tensor) -> ScanData:
        """Select some of the curves, each as often as it is named."""

        def chosen(array: Tensor | float | None) -> Tensor | float | None:
            if not isinstance(array, Tensor) or array.shape[-1] == 1:
                return array
            return array.index_select(-1, index)

        # A single curve is not a constant shared by all.
        if self.count == 1:
            index = index.clamp(max=0)
            wide = self.values.expand(-1, index.numel())
            alone = {
                name: value.expand(*value.shape[:-1], index.numel())
                for name in _BY_CURVE
                if isinstance(value := getattr(self, name), Tensor)
            }
            constant = self.log_constant
            if isinstance(constant, Tensor):
                constant = constant.expand(index.numel())
            return replace(self, values=wide, log_constant=constant, **alone)
        names = ("values", "ones", "log_constant", *_BY_CURVE)
        arrays = {name: chosen(getattr(self, name)) for name in names}
        pair = self.filter_
        if pair is not None:
            pair = (chosen(pair[0]), chosen(pair[1]))
        return replace(self, **arrays, filter_=pair)

    # Columns

    def _columns(
        self, search: Sequence[Tensor], slopes: Sequence[bool] = ()
    ) -> Iterator[tuple[slice, list[Tensor]]]:
        """The decay less its pin, and minus its slopes, weighed and filtered, of some doses.

        A few doses at once where there are many nodes, so that arrays stay in the cache; many where
        there are few nodes, for which a step of Python would take longer than the arithmetic.
        """
        whole = self.parameters.complete(search)
        law, number = self.parameters.law, self.dose.numel()
        wanted = iter(slopes)
        flags = [free and next(wanted, False) for free in self.parameters.is_free]
        size = math.prod(np.broadcast_shapes(*(each.shape for each in whole)))
        step = max(_AT_ONCE // max(size, 1), 1)
        known = step if streams(law) else number
        along = [1] * max(each.ndim for each in whole)
        carried: Sequence[Tensor | None] = ()
        for begin in range(0, number, known):
            dose = self.dose[begin : begin + known].reshape(-1, *along)
            integrity, changes = curve(law, dose, whole, slopes=flags)
            made = [integrity - self.pin, *(each for each in changes if each is not None)]
            for first in range(0, len(dose), step):
                columns = [each[first : first + step] for each in made]
                places = slice(begin + first, begin + first + len(columns[0]))
                if self.root_weight is not None:
                    weight = _beside(self.root_weight[places], columns[0])
                    columns = [each * weight for each in columns]
                if self.filter_ is not None:
                    ratio, scale = (_beside(each[places], columns[0]) for each in self.filter_)
                    carried = carried or [None] * len(columns)
                    pairs = [
                        _before(each, scale, last, self._gapless)
                        for each, last in zip(columns, carried, strict=True)
                    ]
                    before, carried = zip(*pairs, strict=True)
                    columns = [
                        (each - ratio * old) * scale
                        for each, old in zip(columns, before, strict=True)
                    ]
                yield places, columns

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
        values, ones = self._twice
        count = 1 + sum(slopes)
        errors = [] if self.basis is None else list(self.basis.unbind(1))
        nothing = values.new_zeros(())
        inner = [[nothing] * (i + 1) for i in range(count)]
        level, mean = [nothing] * count, [nothing] * count
        shared = [[nothing] * len(errors) for _ in range(count)]
        # Columns that all curves share, before each has weights of its own.
        common: list[list[Tensor]] = []
        for places, columns in self._columns(search, slopes):
            alike = columns[0].shape[-1] == 1 < self.count and self.basis is None
            if alike:
                common.append([each[..., 0].movedim(0, -1) for each in columns])
            value, one = (_beside(each[places], columns[0]) for each in (values, ones))
            for i, each in enumerate(columns):
                for j in range(i + 1):
                    inner[i][j] = _added(inner[i][j], each, columns[j])
                if not alike:
                    level[i] = _added(level[i], each, value)
                mean[i] = _added(mean[i], each, one)
                for number, error in enumerate(errors):
                    along = _beside(error[places], each)
                    shared[i][number] = _added(shared[i][number], each, along)
        if common:
            level = [torch.cat(column, -1) @ values for column in zip(*common, strict=True)]
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
        return _Products(inner, level, mean, size)

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
        amplitude = visible * product / norm.clamp(min=1e-30)
        squares = torch.maximum(self.total - amplitude * product, _ROUNDING * self.total)
        return Sums(squares, norm, amplitude, mean / self.weight_sum)

    def fitted(self, search: Sequence[Tensor]) -> Tensor:
        """Fitted values at one node of each curve, whitened as the values are, ``(n_dose, n)``.

        Parameters
        ----------
        search
            Free parameters on their scale of search, each ``(n,)``.
        """
        column = torch.cat([columns[0] for _, columns in self._columns(search)])
        column = without_shared(column, self.basis)
        sums = self.sums(search)
        share = 0.0 if self.share is None else self.share
        level = share * (self._level / self.weight_sum - sums.amplitude * sums.mean)
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
        freedom = self.freedom.clamp(min=1)
        noise = torch.ones_like(sums.squares) if self.noise == "given" else sums.squares / freedom
        if self.noise == "floor":
            noise = noise.clamp(min=1.0)
        share = 0.0 if self.share is None else self.share
        decay = integrity - self.pin - share * sums.mean
        mean = self.base + share * self._level / self.weight_sum + sums.amplitude * decay
        spread = decay.square() / sums.norm.clamp(min=1e-300) + share / self.weight_sum
        return mean, noise * spread

    def log_density(self, search: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Log posterior density on the scales of estimation, and S, at nodes ``(…, n)``."""
        sums = self.sums(search)
        explained = self.total - sums.squares
        informed = self.parameters.informed
        deviance, variance = marginal_deviance(
            sums.squares,
            explained,
            sums.norm,
            self.freedom.clamp(min=1),
            noise=self.noise,
            floor=self._floor,
            weigh_signal=informed,
        )
        density = -0.5 * deviance + self.parameters.log_prior(list(search)) + self.log_constant
        if self.bounded:
            density = density + self._share_above_bound(sums, variance)
        return density, sums.squares

    def _share_above_bound(self, sums: Sums, variance: Tensor) -> Tensor:
        """Log of the probability that the smaller end of the curve is not negative."""
        end = torch.where(sums.amplitude >= 0, 0.0, 1.0) - self.pin - sums.mean
        level = self.base + self._level / self.weight_sum + sums.amplitude * end
        spread = variance * (1 / self.weight_sum + end * end / sums.norm.clamp(min=1e-30))
        if self.softness is not None:
            spread = spread + self.softness**2
        score = level / spread.sqrt()
        if self.noise == "given":
            return torch.special.log_ndtr(score)
        return self._student(torch.asinh(score))

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

    # Variants

    def with_correlation(self, correlation: float) -> ScanData:
        """The same for noise that has a correlation with that of the frame before."""
        if correlation == 0 or self.filter_ is not None:
            return self
        present = torch.ones_like(self.ones) if self.root_weight is None else self.root_weight
        present = present > 0
        last = _last_present(present)
        gap = torch.arange(len(last), device=last.device)[:, None] - last
        power = torch.as_tensor(correlation, dtype=self.dose.dtype, device=last.device) ** gap
        ratio = torch.where(last < 0, 0.0, power)
        pair = ratio, torch.where(present, (1 - ratio * ratio).rsqrt(), 0.0)
        scale = torch.where(pair[1] > 0, pair[1], 1.0)
        # Shared errors are correlated otherwise: they go out after the correlation has.
        values, ones = (with_shared(each, self.basis) for each in (self.values, self.ones))
        values, ones = _filtered(values, pair), _filtered(ones, pair)
        errors = basis = None
        if self.errors is not None:
            errors = _filtered(self.errors, pair)
            basis = basis_of(errors)
            values, ones = without_shared(values, basis), without_shared(ones, basis)
        data = replace(
            self,
            values=values,
            ones=ones,
            errors=errors,
            basis=basis,
            filter_=pair,
            log_constant=self.log_constant
            + scale.log().sum(0)
            + (log_share(basis) - log_share(self.basis)),
        )
        return data.centred() if self.offset_free else data


def _beside(rows: Tensor, columns: Tensor) -> Tensor:
    """What each curve has at some doses, ``(d, n)``, beside columns ``(d, …, n)``."""
    return rows.reshape(len(rows), *[1] * (columns.ndim - 2), rows.shape[-1])


def _added(total: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """A total with the sum over doses of products added to it, in place but at the first time."""
    if len(left) == 1 and total.ndim:
        return total.addcmul_(left[0], right[0])
    product = left[0] * right[0] if len(left) == 1 else (left * right).sum(0)
    return total.add_(product) if total.ndim else product


def _before(
    columns: Tensor, scale: Tensor, carried: Tensor | None, gapless: bool
) -> tuple[Tensor, Tensor]:
    """What is in the frame before each, and what the last frame hands on.

    A missing frame, whose `scale` is 0, hands on the one before it.
    """
    last = torch.zeros_like(columns[0]) if carried is None else carried
    if gapless:
        return torch.cat([last[None], columns[:-1]]), columns[-1]
    rows = []
    for row, there in zip(columns, scale, strict=True):
        rows.append(last)
        last = torch.where(there == 0, last, row)
    return torch.stack(list(torch.broadcast_tensors(*rows))), last


def _last_present(present: Tensor) -> Tensor:
    """Place of the last frame before each that is not missing, −1 where none, ``(n_dose, n)``."""
    place = torch.arange(len(present), device=present.device)[:, None]
    last = torch.cummax(torch.where(present, place, -1), 0).values
    return torch.cat([torch.full_like(last[:1], -1), last[:-1]])


def _filtered(columns: Tensor, pair: tuple[Tensor, Tensor]) -> Tensor:
    ratio, scale = (_beside(each, columns) for each in pair)
    columns = columns + torch.zeros_like(scale)
    last = _beside(_last_present(pair[1] > 0).clamp(min=0), columns).expand_as(columns)
    return (columns - ratio * columns.gather(0, last)) * scale


def log_sigma_integral(freedom: Tensor, noise: str) -> Tensor:
    """Log of what the integral over σ has beside the deviance, by degrees of freedom ``(n,)``."""
    if noise == "given":
        return torch.zeros_like(freedom)
    half = 0.5 * freedom.clamp(min=1)
    return torch.lgamma(half) + half * math.log(2.0)
