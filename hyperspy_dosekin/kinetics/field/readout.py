# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Likelihood of the kinetic parameters of pixels whose readout belongs to a population.

Amplitude a and offset b of a pixel are normal over the pixels, N(m, T), and are integrated out:
y ~ N(X m, σ²/w + X T Xᵀ) with X = [C, 1]. To project them out pixel by pixel instead, while k and p
are shared, is inconsistent (Neyman and Scott): smooth maps made so are biased.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

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
        for k, row in enumerate(away):
            a, b = (torch.addcmul(m, s[k], row) for m, s in zip((a, b), self.slope, strict=True))
        return a, b

    def detached(self) -> Shared:
        """The same without a record of gradients."""
        return replace(self, **{n: getattr(self, n).detach() for n in self.__dataclass_fields__})


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
        weight, values = curves.weight, curves.values
        weighed = weight * values
        return cls(
            torch.einsum("m...n,mn->...n", integrity, weight),
            torch.einsum("m...n,m...n,mn->...n", integrity, integrity, weight),
            torch.einsum("m...n,mn->...n", integrity, weighed),
            weight.sum(0),
            weighed.sum(0),
            (weighed * values).sum(0),
            (weight > 0).sum(0).to(values),
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
    curves
        The pixels.
    sums
        Their sums at the nodes, ``(…, n)``.
    free
        The nodes on the scale of estimation, ``(d, …, n)``.
    shared
        What the pixels have in common.
    """
    mean_a, mean_b = shared.expected(free)
    (taa, tab), (_, tbb) = shared.readout_cov
    det_t = taa * tbb - tab * tab
    noise = shared.sigma**2
    # G = XᵀX + σ² T⁻¹ and h = Xᵀy + σ² T⁻¹ m: a and b are G⁻¹ h, and what is left of the squares
    # is yᵀy + σ² mᵀ T⁻¹ m − hᵀ G⁻¹ h.
    waa, wab, wbb = (noise * each / det_t for each in (tbb, -tab, taa))
    gaa, gab, gbb = sums.c2 + waa, sums.c1 + wab, sums.s0 + wbb
    det = torch.addcmul(gaa * gbb, gab, gab, value=-1)
    pull_a = torch.addcmul(waa * mean_a, wab, mean_b)
    pull_b = torch.addcmul(wab * mean_a, wbb, mean_b)
    squares = torch.addcmul(torch.addcmul(sums.syy, mean_a, pull_a), mean_b, pull_b)
    pull_a, pull_b = pull_a + sums.cy, pull_b + sums.sy
    a = torch.addcmul(gbb * pull_a, gab, pull_b, value=-1) / det
    b = torch.addcmul(gaa * pull_b, gab, pull_a, value=-1) / det
    squares = torch.addcmul(torch.addcmul(squares, a, pull_a, value=-1), b, pull_b, value=-1)
    same = (sums.count - 2) * noise.log() + det_t.log()
    log_likelihood = -0.5 * (squares / noise + det.log() + same)
    found = _Readout(log_likelihood, a, b, noise, gaa, gab, gbb, det)
    if not curves.nonnegative:
        return found
    return replace(
        found, log_likelihood=log_likelihood + _bounded(curves, found, mean_a, mean_b, shared)
    )


def _bounded(
    curves: SharedCurves, found: _Readout, mean_a: Tensor, mean_b: Tensor, shared: Shared
) -> Tensor:
    """Ln of the share of a normal b (a + b where the window grows) above zero, after and before."""
    scale = curves.scale
    zero = -scale.centre / scale.unit
    softness = (scale.zero_error / scale.unit) ** 2
    (taa, tab), (_, tbb) = shared.readout_cov
    grows = (shared.readout[0] < 0).to(mean_a)
    after = found.offset + grows * found.amplitude
    var_after = found.var_b + grows * (found.var_a + 2 * found.cov_ab)
    before = mean_b + grows * mean_a
    var_before = tbb + grows * (taa + 2 * tab)
    inside = torch.special.log_ndtr((after - zero) * (var_after + softness).rsqrt())
    return inside - torch.special.log_ndtr((before - zero) * (var_before + softness).rsqrt())
