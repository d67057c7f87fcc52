# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deviance in ln k alone, on rows of constant exponent, from sums over the doses.

The objective of the estimator keeps residuals, so that it can hold several windows and robust
weights in either precision. On rows there is one parameter in float64, and seven sums say all:
half of the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.laws.prior import Prior
from hyperspy_dosekin.kinetics.posterior.scan import rate_and_inverse

if TYPE_CHECKING:
    from .scan import ScanData

# Smallest 1 + (p − 1)kφ: below it a curve is extinct.
_EXTINCT = 1e-300
# Rounding of a difference of sums, in units of what is subtracted.
_ROUNDING = 1e-13


@dataclass(frozen=True, eq=False)
class RowObjective:
    """Deviance of a batch of rows, an objective of `minimise_batched` with one parameter.

    Parameters
    ----------
    dose
        Normalised doses, ``(n_dose, 1)``.
    values
        Weighed, free of the offset, ``(n_dose, n)``.
    total
        Their sum of squares, ``(n,)``.
    root_weight
        ``(n_dose, n)`` or ``None``.
    weight_sum
        Sum of the weights, ``(n,)``, where the offset is free; ``None`` where it is known.
    freedom
        ``(n,)`` where the variance is not known, ``None`` where it is.
    exponent
        p, ``(n,)``.
    prior
        Prior of ln k that takes part, or ``None``.
    """

    dose: Tensor
    values: Tensor
    total: Tensor
    root_weight: Tensor | None
    weight_sum: Tensor | None
    freedom: Tensor | None
    exponent: Tensor
    prior: Prior | None

    @classmethod
    def of(cls, data: ScanData, exponent: Tensor, prior: Prior | None) -> RowObjective:
        """All rows ``(n_row, n)`` of some curves, one after the other."""
        n_row = exponent.shape[0]
        root = None if data.root_weight is None else data.root_weight.repeat(1, n_row)
        total = None
        if data.offset_free:
            number = float(data.dose.numel())
            total = exponent.new_full((n_row * exponent.shape[1],), number)
            if root is not None:
                total = (root * root).sum(0)
        return cls(
            data.dose[:, None],
            data.values.repeat(1, n_row),
            data.total.repeat(n_row),
            root,
            total,
            None if data.variance_known else data.freedom.clamp(min=1).repeat(n_row),
            exponent.reshape(-1),
            prior,
        )

    def select(self, index: Tensor) -> RowObjective:
        """Select some of the rows."""

        def chosen(array: Tensor | None) -> Tensor | None:
            return None if array is None else array.index_select(-1, index)

        return RowObjective(
            self.dose,
            self.values.index_select(-1, index),
            self.total.index_select(-1, index),
            chosen(self.root_weight),
            chosen(self.weight_sum),
            chosen(self.freedom),
            self.exponent.index_select(-1, index),
            self.prior,
        )

    def evaluate(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Deviance of each row with half its gradient and half its Hessian in ln k."""
        log_rate = parameters[0]
        scaled, inverse = rate_and_inverse(log_rate, self.exponent)
        shifted = (scaled * self.dose).clamp_(min=_EXTINCT - 1.0)
        logarithm = torch.log1p(shifted).mul_(inverse)
        # −dC/d ln k = kφ C/u
        slope = logarithm.exp().mul_(log_rate.exp()).mul_(self.dose)
        slope.div_(shifted.add_(1.0).clamp_(min=_EXTINCT))
        # 1 − C has the same derivative as −C, and is as good a column where b is free.
        column = logarithm.exp_() if self.weight_sum is None else logarithm.expm1_()
        if self.root_weight is not None:
            column, slope = column.mul_(self.root_weight), slope.mul_(self.root_weight)
        product, by_product = (column * self.values).sum(0), (slope * self.values).sum(0)
        by_norm, by_column = (slope * slope).sum(0), (slope * column).sum(0)
        norm = (column * column).sum(0)
        if self.weight_sum is not None:
            if self.root_weight is not None:
                column, slope = column.mul_(self.root_weight), slope.mul_(self.root_weight)
            mean, by_mean = column.sum(0), slope.sum(0)
            norm = norm - mean * mean / self.weight_sum
            by_norm = by_norm - by_mean * by_mean / self.weight_sum
            by_column = by_column - by_mean * mean / self.weight_sum
        norm = norm.clamp(min=1e-30)
        amplitude = product / norm
        squares = torch.maximum(self.total - amplitude * product, _ROUNDING * self.total)
        gradient = amplitude * (by_product - amplitude * by_column)
        hessian = amplitude * amplitude * (by_norm - by_column * by_column / norm).clamp(min=0.0)
        deviance = squares
        if self.freedom is not None:
            # Curves that are constant to rounding are dead; this keeps the logarithm finite.
            squares = squares.clamp(min=1e-300)
            deviance = self.freedom * squares.log()
            factor = self.freedom / squares
            gradient, hessian = gradient * factor, hessian * factor
        if self.prior is not None:
            centre, width = self.prior.log_rate
            score = (log_rate - centre) / width
            deviance = deviance + score * score
            gradient = gradient + score / width
            hessian = hessian + 1.0 / width**2
        return deviance, gradient[None], hessian[None, None]
