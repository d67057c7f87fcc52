# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measured curves as the posterior scans them: weighed, filtered, shared errors taken out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.curves.preparation import PreparedCurves
from hyperspy_dosekin.kinetics.model.parameters import Parameters
from hyperspy_dosekin.kinetics.model.shared_error import (
    basis_of,
    log_share,
    with_shared,
    without_shared,
)
from hyperspy_dosekin.numerics.batching import send
from hyperspy_dosekin.numerics.row_sums import row_sum

from .neighbours import filtered, last_present

if TYPE_CHECKING:
    from typing_extensions import Self

# What each curve has of its own, beside its values.
_BY_CURVE = (
    *("root_weight", "freedom", "share", "pin", "unit", "base", "extent", "softness"),
    *("errors", "basis", "third"),
)


@dataclass(frozen=True, eq=False)
class WhitenedCurves:
    """Curves to scan, whitened: doses first and curves last, float64.

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
    third
        The last parameter of the law on its scale of search, ``(n,)``, where each curve has its own
        and `parameters` hold it.
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
    third: Tensor | None = None

    @classmethod
    def of(
        cls,
        curves: PreparedCurves,
        index: np.ndarray,
        device: torch.device,
        parameters: Parameters,
        noise: str = "free",
    ) -> Self:
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

    def centred(self) -> Self:
        """The same with the mean of the values taken off; only where the offset is free."""
        mean = row_sum(self.ones * self.values) / self.weight_sum
        return replace(self, values=self.values - self.ones * mean, base=self.base + mean)

    def uncentred(self) -> Self:
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
        return row_sum(self.ones * self.ones)

    @cached_property
    def _level(self) -> Tensor:
        """Sum of values times the constant; 0 where they are centred."""
        return row_sum(self.ones * self.values)

    @cached_property
    def total(self) -> Tensor:
        """Sum of squares about the mean (or the known offset), ``(n,)``."""
        total = row_sum(self.values * self.values)
        if self.share is not None:
            total = total - self.share * self._level**2 / self.weight_sum
        return total

    def select(self, index: Tensor) -> Self:
        """Select some of the curves, each as often as it is named."""

        def chosen(array: Tensor | float | None) -> Tensor | float | None:
            if not isinstance(array, Tensor) or array.shape[-1] == 1:
                return array
            # On a processor a sixth of the time of `index_select`.
            return array[..., index]

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

    def with_correlation(self, correlation: float) -> Self:
        """The same for noise that has a correlation with that of the frame before."""
        if correlation == 0 or self.filter_ is not None:
            return self
        present = torch.ones_like(self.ones) if self.root_weight is None else self.root_weight
        present = present > 0
        last = last_present(present)
        gap = torch.arange(len(last), device=last.device)[:, None] - last
        power = torch.as_tensor(correlation, dtype=self.dose.dtype, device=last.device) ** gap
        ratio = torch.where(last < 0, 0.0, power)
        pair = ratio, torch.where(present, (1 - ratio * ratio).rsqrt(), 0.0)
        scale = torch.where(pair[1] > 0, pair[1], 1.0)
        # Shared errors are correlated otherwise: they go out after the correlation has.
        values, ones = (with_shared(each, self.basis) for each in (self.values, self.ones))
        values, ones = filtered(values, pair), filtered(ones, pair)
        errors = basis = None
        if self.errors is not None:
            errors = filtered(self.errors, pair)
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
