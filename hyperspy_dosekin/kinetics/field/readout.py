# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Likelihood of the kinetic parameters of pixels whose readout belongs to a population.

Amplitude a and offset b of a pixel are normal over the pixels, N(m, T), and are integrated out:
y ~ N(X m, σ²/w + X T Xᵀ) with X = [C, 1]. To project them out pixel by pixel instead, while k and p
are shared, is inconsistent (Neyman and Scott): smooth maps made so are biased.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from .curves import SharedCurves


@dataclass(frozen=True, eq=False)
class Shared:
    """What the pixels of a window have in common, in the units of its `CommonScale`.

    Parameters
    ----------
    mean
        Mean of the kinetic parameters on their scale of estimation, ``(d,)``.
    factor
        Lower triangular factor of their covariance, ``(d, d)``.
    readout
        Mean of a and b of a pixel with mean kinetic parameters, ``(2,)``.
    slope
        Change of these means with the kinetic parameters, ``(2, d)``.
    readout_cov
        Covariance of a and b at given kinetic parameters, ``(2, 2)``.
    sigma
        Standard deviation of the noise of weight 1.
    """

    mean: Tensor
    factor: Tensor
    readout: Tensor
    slope: Tensor
    readout_cov: Tensor
    sigma: Tensor

    @property
    def precision(self) -> Tensor:
        """Inverse of the covariance of the kinetic parameters."""
        return torch.cholesky_inverse(self.factor)

    def expected(self, free: Tensor) -> tuple[Tensor, Tensor]:
        """Means of a and b at kinetic parameters ``(d, …)``."""
        lead = [1] * (free.ndim - 2)
        away = free - self.mean.reshape(len(free), *lead, -1)
        a, b = self.readout.unbind()
        for by_a, by_b, row in zip(*self._slopes, away, strict=True):
            a, b = torch.addcmul(a, by_a, row), torch.addcmul(b, by_b, row)
        return a, b

    @cached_property
    def _slopes(self) -> list[tuple[Tensor, ...]]:
        """The slopes of a and of b, number by number."""
        return [row.unbind() for row in self.slope.unbind()]

    @cached_property
    def spread(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Variance of a, covariance, variance of b, and the determinant of the three."""
        (taa, tab), (_, tbb) = (row.unbind() for row in self.readout_cov.unbind())
        return taa, tab, tbb, taa * tbb - tab * tab

    @cached_property
    def pull(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Noise variance σ², and the elements of σ² T⁻¹: aa, ab and bb."""
        taa, tab, tbb, det = self.spread
        noise = self.sigma**2
        return noise, noise * tbb / det, noise * -tab / det, noise * taa / det


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums over the doses, all that the likelihood needs of curves and trajectories.

    Parameters
    ----------
    c1, c2, cy
        Weighed sums of C, C² and C·y, ``(…, n)``.
    s0, sy, syy
        Weighed sums of 1, y and y², ``(n,)``.
    count
        Usable frames, ``(n,)``.
    """

    c1: Tensor
    c2: Tensor
    cy: Tensor
    s0: Tensor
    sy: Tensor
    syy: Tensor
    count: Tensor

    @classmethod
    def of(cls, curves: SharedCurves, integrity: Tensor) -> Sums:
        """Sums of curves with trajectories ``(n_dose, …, n)``."""
        weight = curves.weight
        return cls(
            torch.einsum("m...n,mn->...n", integrity, weight),
            torch.einsum("m...n,m...n,mn->...n", integrity, integrity, weight),
            torch.einsum("m...n,mn->...n", integrity, curves.weighed),
            *curves.sums,
        )


@dataclass(frozen=True, eq=False)
class _Readout:
    """Normal distribution of a and b of a pixel after its data, of covariance σ² G⁻¹."""

    log_likelihood: Tensor
    amplitude: Tensor
    offset: Tensor
    noise: Tensor
    gaa: Tensor
    gab: Tensor
    gbb: Tensor
    det: Tensor

    @property
    def var_a(self) -> Tensor:
        return self.noise * self.gbb / self.det

    @property
    def cov_ab(self) -> Tensor:
        return -self.noise * self.gab / self.det

    @property
    def var_b(self) -> Tensor:
        return self.noise * self.gaa / self.det


def readout_after(curves: SharedCurves, sums: Sums, free: Tensor, shared: Shared) -> _Readout:
    """Likelihood, and amplitude and offset after the data, in the units of the scale.

    Parameters
    ----------
    sums
        Their sums at the nodes, ``(…, n)``.
    free
        The nodes on the scale of estimation, ``(d, …, n)``.
    """
    mean_a, mean_b = shared.expected(free)
    found = _after(sums, mean_a, mean_b, shared)
    if not curves.nonnegative:
        return found
    bounded = _bounded(curves, found, mean_a, mean_b, shared)
    return replace(found, log_likelihood=found.log_likelihood + bounded)


def _after(sums: Sums, mean_a: Tensor, mean_b: Tensor, shared: Shared) -> _Readout:
    """The same without a bound, from the means of a and b before the data."""
    noise, waa, wab, wbb = shared.pull
    # G = XᵀX + σ² T⁻¹ and h = Xᵀy + σ² T⁻¹ m: a and b are G⁻¹ h, and what is left of the squares
    # is yᵀy + σ² mᵀ T⁻¹ m − hᵀ G⁻¹ h.
    gaa, gab, gbb = sums.c2 + waa, sums.c1 + wab, sums.s0 + wbb
    det = torch.addcmul(gaa * gbb, gab, gab, value=-1)
    pull_a = torch.addcmul(waa * mean_a, wab, mean_b)
    pull_b = torch.addcmul(wab * mean_a, wbb, mean_b)
    squares = torch.addcmul(torch.addcmul(sums.syy, mean_a, pull_a), mean_b, pull_b)
    pull_a, pull_b = pull_a + sums.cy, pull_b + sums.sy
    a = torch.addcmul(gbb * pull_a, gab, pull_b, value=-1) / det
    b = torch.addcmul(gaa * pull_b, gab, pull_a, value=-1) / det
    squares = torch.addcmul(torch.addcmul(squares, a, pull_a, value=-1), b, pull_b, value=-1)
    same = (sums.count - 2) * noise.log() + shared.spread[3].log()
    log_likelihood = -0.5 * (squares / noise + det.log() + same)
    return _Readout(log_likelihood, a, b, noise, gaa, gab, gbb, det)


def likelihood_by_curve(
    curves: SharedCurves, after: _Readout, integrity: Tensor, free: Tensor, shared: Shared
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Ln likelihood and its derivatives by C ``(n_dose, …, n)`` and by the means of a and b.

    The derivative is the mean of that with a and b known, over a and b after the data (Fisher).

    Parameters
    ----------
    curves, free, shared
        As for `readout_after`.
    after
        What it has found.
    integrity
        C at the nodes, ``(n_dose, …, n)``.
    """
    taa, tab, tbb, det_t = shared.spread
    lead = [1] * (integrity.ndim - 2)
    values, weight = (each.reshape(len(each), *lead, -1) for each in (curves.values, curves.weight))
    a, b = after.amplitude, after.offset
    left = torch.addcmul(values - b, a, integrity, value=-1)
    by_curve = torch.addcmul(a * left - after.cov_ab, after.var_a, integrity, value=-1)
    by_curve *= weight / after.noise
    mean_a, mean_b = shared.expected(free)
    away_a, away_b = a - mean_a, b - mean_b
    by_a = (tbb * away_a - tab * away_b) / det_t
    by_b = (taa * away_b - tab * away_a) / det_t
    if curves.nonnegative:
        more, more_a, more_b = _bound_by_curve(curves, after, integrity, mean_a, mean_b, shared)
        by_curve, by_a, by_b = by_curve + more, by_a + more_a, by_b + more_b
    return after.log_likelihood, by_curve, (by_a, by_b)


def _bound(
    curves: SharedCurves, found: _Readout, mean_a: Tensor, mean_b: Tensor, shared: Shared
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Whether the window grows; b (a + b) above zero and its variance, after and before."""
    scale = curves.scale
    zero = -scale.centre / scale.unit
    softness = (scale.zero_error / scale.unit) ** 2
    taa, tab, tbb, _ = shared.spread
    grows = (shared.readout[0] < 0).to(mean_a)
    after = found.offset + grows * found.amplitude - zero
    var_after = found.var_b + grows * (found.var_a + 2 * found.cov_ab) + softness
    before = mean_b + grows * mean_a - zero
    var_before = tbb + grows * (taa + 2 * tab) + softness
    return grows, after, var_after, before, var_before


def _bounded(
    curves: SharedCurves, found: _Readout, mean_a: Tensor, mean_b: Tensor, shared: Shared
) -> Tensor:
    """Ln of the share of a normal b (a + b where the window grows) above zero, after and before."""
    _, after, var_after, before, var_before = _bound(curves, found, mean_a, mean_b, shared)
    inside = torch.special.log_ndtr(after * var_after.rsqrt())
    return inside - torch.special.log_ndtr(before * var_before.rsqrt())


def _bound_by_curve(
    curves: SharedCurves,
    found: _Readout,
    integrity: Tensor,
    mean_a: Tensor,
    mean_b: Tensor,
    shared: Shared,
) -> tuple[Tensor, Tensor, Tensor]:
    """Derivatives of `_bounded` by C and by the means of a and b."""
    grows, after, var_after, before, var_before = _bound(curves, found, mean_a, mean_b, shared)
    lead = [1] * (integrity.ndim - 2)
    values, weight = (each.reshape(len(each), *lead, -1) for each in (curves.values, curves.weight))
    # G⁻¹ times the direction (grows, 1), of which "after" is the component of h.
    za = (grows * found.gbb - found.gab) / found.det
    zb = (found.gaa - grows * found.gab) / found.det
    taa, tab, tbb, det_t = shared.spread
    unit = found.noise / det_t
    a, b = found.amplitude, found.offset
    along = torch.addcmul(zb, za, integrity)
    by_after = za * torch.addcmul(values - b, a, integrity, value=-1) - a * along
    by_variance = -2 * found.noise * za * along
    pull = _mills(after, var_after)
    by_curve = weight * (by_after - 0.5 * after / var_after * by_variance) * pull
    push = _mills(before, var_before)
    by_a = pull * unit * (za * tbb - zb * tab) - grows * push
    by_b = pull * unit * (zb * taa - za * tab) - push
    return by_curve, by_a, by_b


def _mills(value: Tensor, variance: Tensor) -> Tensor:
    """Derivative of ln Φ(value/√variance) by the value."""
    scaled = value * variance.rsqrt()
    log_density = -0.5 * scaled**2 - torch.special.log_ndtr(scaled)
    return (log_density.exp() * variance.rsqrt()) / (2 * torch.pi) ** 0.5
