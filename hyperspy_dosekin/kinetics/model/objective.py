# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deviance of the power law with the readout projected out, for the batched minimiser.

For given (k, p) the readout a·C + b is linear, so that a and b have a closed form (variable
projection [1]_). What is left is the sum of squares S(k, p) of the residuals, and

* noise variance known: deviance S/σ², the weights holding 1/σ²;
* not known: σ marginalised under 1/σ gives the deviance ν·ln S, with ν frames less the
  coefficients of the readout that are free. This is least squares where there is no prior, and
  weighs a prior by the noise variance S/ν at the solution where there is one.

Priors add their squares. Arrays are laid out (dose, window, curve), curves last, because sums
over few doses are then sums of long contiguous rows.

References
----------
.. [1] G. H. Golub, V. Pereyra, Inverse Problems 19, R1 (2003), doi:10.1088/0266-5611/19/2/201.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.laws.prior import EXPONENT_BOX, HIERARCHY_WIDTH, LOG_RATE_BOX, Prior

# By type: a p keeps this distance from 1, which costs no digit of C …
_NEAREST_TO_ONE = {torch.float64: 1e-12, torch.float32: 1e-6}
# … and below this one the derivative by p comes from its series, for which the other is too near.
_SERIES_LIMIT = {torch.float64: 1e-5, torch.float32: 2e-3}
# Smallest ln C, of which the exponential is 0 exactly, and 1 + x, whose inverse times 0 is 0.
_SMALLEST_LOG = {torch.float64: -800.0, torch.float32: -120.0}
_EXTINCTION = {torch.float64: 1e-14, torch.float32: 1e-7}


def log_scale_derivatives(
    dose: Tensor, log_rate: Tensor, exponent: Tensor, *, by_exponent: bool = True
) -> tuple[Tensor, Tensor, Tensor | None]:
    """C, −dC/d ln k and −dC/d ln p, for speed rather than for the last digit.

    `torch.where` over (dose, curve) costs as much as a logarithm: there is none here. With
    ``t = kφ``, ``e = p − 1`` and ``x = et`` it is ``ln C = −log1p(x)/e``, ``C^p = C/(1 + x)`` and
    ``−dC/dp = (t/(1 + x) + ln C)·C/e``.

    Parameters
    ----------
    dose
        Normalised dose, ``(n_dose, 1, 1)``.
    log_rate, exponent
        ``(n_window, n_curve)``.
    by_exponent
        Whether the last is wanted; ``None`` otherwise.
    """
    dtype = log_rate.dtype
    t = dose * log_rate.exp()
    excess = exponent - 1.0
    nearest = _NEAREST_TO_ONE[dtype]
    excess = torch.where(excess.abs() < nearest, nearest, excess)
    shifted = (t * excess).clamp_(min=-1.0)
    logarithm = shifted.log1p().mul_(-excess.reciprocal()).clamp_(min=_SMALLEST_LOG[dtype])
    integrity = logarithm.exp()
    quotient = t / shifted.add_(1.0).clamp_(min=_EXTINCTION[dtype])
    if not by_exponent:
        return integrity, quotient.mul_(integrity), None
    slope = logarithm.add_(quotient).mul_(integrity).mul_(exponent / excess)
    by_rate = quotient.mul_(integrity)
    near = torch.nonzero((excess.abs() < _SERIES_LIMIT[dtype]).ravel())[:, 0]
    if near.numel():
        few = t.flatten(1)[:, near]
        by_series = (2 / 3 * few * excess.ravel()[near] - 0.5) * few * few
        by_series *= integrity.flatten(1)[:, near] * exponent.ravel()[near]
        slope.view(len(slope), -1)[:, near] = by_series
    return integrity, by_rate, slope


@dataclass(frozen=True)
class Layout:
    """Which parameters of a problem are free, and how they are laid out.

    The rows are the ln k of each window, then ln p of each window, one shared ln p, or none.

    Parameters
    ----------
    n_window
        Windows that are estimated together.
    exponent
        A fixed p, ``"free"``, ``"shared"``, or ``"given"`` for a fixed p of each curve.
    offset_free
        Whether b is estimated with a.
    prior
        Priors, or ``None``.
    hierarchy
        Pairs of windows (faster, slower), as indices.
    """

    n_window: int
    exponent: float | str
    offset_free: bool
    prior: Prior | None
    hierarchy: tuple[tuple[int, int], ...] = ()

    @property
    def n_exponent(self) -> int:
        """Free exponents."""
        return {"free": self.n_window, "shared": 1}.get(str(self.exponent), 0)

    @property
    def n_parameter(self) -> int:
        """Rows of the parameters."""
        return self.n_window + self.n_exponent

    def box(self, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """Lower and upper bound and largest step of each row."""
        log_exponent = [math.log(bound) for bound in EXPONENT_BOX]
        rows = [(*LOG_RATE_BOX, 1.5)] * self.n_window + [(*log_exponent, 1.0)] * self.n_exponent
        lower, upper, largest = torch.tensor(rows, dtype=dtype, device=device).T
        return lower, upper, largest

    def split(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Split rows into ln k and p, each ``(n_window, n_curve)``."""
        log_rate = parameters[: self.n_window]
        if self.n_exponent:
            return log_rate, parameters[self.n_window :].exp().expand_as(log_rate)
        if self.exponent == "given":
            raise ValueError("exponents that are given by curve are not in the parameters.")
        return log_rate, torch.full_like(log_rate, float(self.exponent))


@dataclass(frozen=True, eq=False)
class Deviance:
    """Deviance of a batch of curves, an objective of `minimise_batched`.

    Parameters
    ----------
    layout
        What is free.
    dose
        Normalised dose, ``(n_dose, 1, 1)``.
    values
        Scaled values times root weights, free of the offset (centred or known offset taken off),
        ``(n_dose, n_window, n_curve)``, 0 for missing frames.
    root_weight
        √weight of the same shape, 0 for missing frames, or ``None`` where all are equal.
    freedom
        ν, ``(n_window, n_curve)``: where the variance is not known; ``None`` where it is.
    alive
        1 for windows with data and 0 for others, ``(n_window, n_curve)``; ``None``: all have.
        A pair of the hierarchy counts only where both windows have data.
    given_exponent
        p of each curve, ``(n_window, n_curve)``, where the layout says ``"given"``.
    """

    layout: Layout
    dose: Tensor
    values: Tensor
    root_weight: Tensor | None
    freedom: Tensor | None
    alive: Tensor | None = None
    given_exponent: Tensor | None = None

    def select(self, index: Tensor) -> Deviance:
        """Select some of the curves."""
        return Deviance(
            self.layout,
            self.dose,
            self.values.index_select(-1, index),
            None if self.root_weight is None else self.root_weight.index_select(-1, index),
            None if self.freedom is None else self.freedom.index_select(-1, index),
            None if self.alive is None else self.alive.index_select(-1, index),
            None if self.given_exponent is None else self.given_exponent.index_select(-1, index),
        )

    def split(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Split rows into ln k and p, each ``(n_window, n_curve)``."""
        if self.given_exponent is not None:
            return parameters, self.given_exponent
        return self.layout.split(parameters)

    def project(self, columns: Tensor) -> Tensor:
        """Weigh, and take off the part that a free offset explains."""
        if self.root_weight is None:
            return columns - columns.mean(0) if self.layout.offset_free else columns
        columns = columns * self.root_weight
        if not self.layout.offset_free:
            return columns
        squared = (self.root_weight * self.root_weight).sum(0).clamp(min=1e-30)
        return columns - self.root_weight * ((self.root_weight * columns).sum(0) / squared)

    def squares_and_freedom(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Sum of squares and effective number of kinetic parameters, ``(n_window, n_curve)``.

        The latter is tr(H_data (H_data + H_prior)^{-1}): 2 where the data determine k and p, 0
        where they say nothing beyond the prior.
        """
        log_rate, exponent = self.split(parameters)
        squares, _, rate_rate, *rest = self._squares(log_rate, exponent)
        if self.freedom is None:
            factor = torch.ones_like(squares)
        else:
            factor = self.freedom / squares.clamp(min=torch.finfo(squares.dtype).tiny)
        blocks = [rate_rate * factor] + [block * factor for block in rest[1:]]
        prior = self.layout.prior
        first = 0.0 if prior is None else 1 / prior.log_rate[1] ** 2
        tiny = 1e-20
        if not rest:
            return squares, blocks[0] / (blocks[0] + first + tiny)
        second = 0.0 if prior is None else (exponent / prior.exponent[1]) ** 2
        a, b, c = blocks
        full_a, full_b = a + first + tiny, b + second + tiny
        determinant = (full_a * full_b - c * c).clamp(min=tiny)
        trace = (a * full_b + b * full_a - 2 * c * c) / determinant
        return squares, trace.clamp(0.0, 2.0)

    def _norm(self, column: Tensor) -> Tensor:
        floor = 1e-30 if column.dtype == torch.float64 else 1e-20
        return (column * column).sum(0).clamp(min=floor)

    def _squares(self, log_rate: Tensor, exponent: Tensor) -> tuple[Tensor, ...]:
        """Sum of squares, half gradient and half Hessian blocks in (ln k, ln p)."""
        integrity, by_rate, by_exponent = log_scale_derivatives(
            self.dose, log_rate, exponent, by_exponent=bool(self.layout.n_exponent)
        )
        column = self.project(integrity)
        norm = self._norm(column)
        amplitude = (column * self.values).sum(0) / norm
        residual = self.values - amplitude * column
        squares = (residual * residual).sum(0)
        first = self.project(by_rate)
        # The derivatives are those of −C: the signs of gradients follow.
        gradient_rate = amplitude * (first * residual).sum(0)
        first = first - column * ((first * column).sum(0) / norm)
        squared_amplitude = amplitude * amplitude
        rate_rate = squared_amplitude * (first * first).sum(0)
        if not self.layout.n_exponent:
            return squares, gradient_rate, rate_rate
        assert by_exponent is not None
        second = self.project(by_exponent)
        gradient_exponent = amplitude * (second * residual).sum(0)
        second = second - column * ((second * column).sum(0) / norm)
        exponent_exponent = squared_amplitude * (second * second).sum(0)
        rate_exponent = squared_amplitude * (first * second).sum(0)
        return (
            squares,
            gradient_rate,
            rate_rate,
            gradient_exponent,
            exponent_exponent,
            rate_exponent,
        )

    def evaluate(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Deviance of each curve with half its gradient and half its Hessian."""
        layout = self.layout
        log_rate, exponent = self.split(parameters)
        squares, *blocks = self._squares(log_rate, exponent)
        if self.freedom is None:
            deviance = squares
        else:
            # A perfect fit would send the logarithm to −inf; rounding sets the floor.
            floor = (2 * torch.finfo(squares.dtype).eps) ** 2 * self.dose.shape[0]
            deviance = self.freedom * torch.log(squares + floor)
            factor = self.freedom / (squares + floor)
            blocks = [block * factor for block in blocks]
        count, windows = layout.n_parameter, layout.n_window
        total = deviance.sum(0)
        gradient = torch.empty_like(parameters)
        hessian = parameters.new_zeros((count, count, parameters.shape[1]))
        rates = torch.arange(windows, device=parameters.device)
        gradient[:windows] = blocks[0]
        hessian[rates, rates] = blocks[1]
        if layout.exponent == "free":
            gradient[windows:] = blocks[2]
            hessian[rates + windows, rates + windows] = blocks[3]
            hessian[rates, rates + windows] = blocks[4]
            hessian[rates + windows, rates] = blocks[4]
        elif layout.exponent == "shared":
            gradient[windows] = blocks[2].sum(0)
            hessian[windows, windows] = blocks[3].sum(0)
            hessian[:windows, windows] = blocks[4]
            hessian[windows, :windows] = blocks[4]
        if layout.prior is not None:
            rows = parameters[windows:]
            total = _add_prior(layout.prior, total, gradient, hessian, log_rate, rows)
        for faster, slower in layout.hierarchy:
            excess = ((log_rate[slower] - log_rate[faster]) / HIERARCHY_WIDTH).clamp(min=0)
            if self.alive is not None:
                excess = excess * self.alive[slower] * self.alive[faster]
            total = total + excess * excess
            stiffness = (excess > 0) / HIERARCHY_WIDTH**2
            for row, sign in ((slower, 1.0), (faster, -1.0)):
                gradient[row] += sign * excess / HIERARCHY_WIDTH
                hessian[row, row] += stiffness
            hessian[slower, faster] -= stiffness
            hessian[faster, slower] -= stiffness
        return total, gradient, hessian


def _add_prior(
    prior: Prior,
    total: Tensor,
    gradient: Tensor,
    hessian: Tensor,
    log_rate: Tensor,
    rows: Tensor,
) -> Tensor:
    """Add the priors to gradient and Hessian in place; return the new total."""
    mean, width = prior.log_rate
    score = (log_rate - mean) / width
    windows = log_rate.shape[0]
    gradient[:windows] += score / width
    places = torch.arange(gradient.shape[0], device=gradient.device)
    hessian[places[:windows], places[:windows]] += 1.0 / width**2
    total = total + (score * score).sum(0)
    if rows.shape[0]:
        mean, width = prior.exponent
        value = rows.exp()
        score = (value - mean) / width
        slope = value / width
        gradient[windows:] += score * slope
        hessian[places[windows:], places[windows:]] += slope * slope
        total = total + (score * score).sum(0)
    return total
