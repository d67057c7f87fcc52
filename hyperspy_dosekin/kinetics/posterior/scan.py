# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Curves and their sums of squares at many (ln k, p), on the device of the scan."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.curves.preparation import PreparedCurves
from hyperspy_dosekin.numerics.batching import send

#: Mean and standard deviation of ln(|a|/σ) where priors are used: about fifty, with a factor
#: of seven either way. Signals that the noise would hide, and ridges that end at absurd
#: amplitudes, are no more likely than that.
SIGNAL_TO_NOISE = (math.log(50.0), 2.0)


@dataclass(frozen=True, eq=False)
class ScanData:
    """Curves to scan, doses first and curves last, float64.

    Parameters
    ----------
    dose
        ``(n_dose,)``.
    values
        Weighed, free of the offset, ``(n_dose, n)``.
    root_weight
        ``(n_dose, n)`` or ``None``.
    freedom
        Frames less free coefficients of the readout, ``(n,)``.
    offset_free
        Whether the readout has a free offset.
    variance_known
        Whether squares are in units of the noise variance.
    """

    dose: Tensor
    values: Tensor
    root_weight: Tensor | None
    freedom: Tensor
    offset_free: bool
    variance_known: bool

    @classmethod
    def of(cls, curves: PreparedCurves, index: np.ndarray, device: torch.device) -> ScanData:
        """Take some of the curves, given by their place in (n_curve · n_window)."""
        n_dose = curves.values.shape[-1]

        def rows(array: np.ndarray) -> Tensor:
            chosen = np.ascontiguousarray(array.reshape(-1, n_dose)[index].T)
            return send(chosen, device)

        root = None if curves.root_weight is None else rows(curves.root_weight)
        data = cls(
            send(curves.normalised_dose, device),
            rows(curves.values) if root is None else root * rows(curves.values),
            root,
            send(curves.freedom.reshape(-1)[index], device),
            not curves.offset_known,
            curves.variance_known,
        )
        if root is None or not data.offset_free:
            return data
        total = (root * root).sum(0)
        mean = (root * data.values).sum(0) / total
        return cls(
            data.dose,
            data.values - root * mean,
            root,
            data.freedom,
            data.offset_free,
            data.variance_known,
        )

    @property
    def total(self) -> Tensor:
        """Sum of squares about the mean (or the known offset), ``(n,)``."""
        return (self.values * self.values).sum(0)

    def select(self, index: Tensor) -> ScanData:
        """Select some of the curves."""
        root = None if self.root_weight is None else self.root_weight[:, index]
        return ScanData(
            self.dose,
            self.values[:, index],
            root,
            self.freedom[index],
            self.offset_free,
            self.variance_known,
        )

    def squares(self, log_rate: Tensor, exponent: Tensor) -> Tensor:
        """Residual sum of squares alone; see `squares_and_norm`."""
        return self.squares_and_norm(log_rate, exponent)[0]

    def squares_and_norm(self, log_rate: Tensor, exponent: Tensor) -> tuple[Tensor, Tensor]:
        """Residual sum of squares with the readout projected out, and that of the decay itself.

        Parameters
        ----------
        log_rate, exponent
            Shapes that broadcast to ``(…, n)``.

        Returns
        -------
        squares
            ``(…, n)``.
        norm
            Sum of squares of C, weighed and free of the offset: (what is explained)/norm is a².
        """
        scaled, inverse = rate_and_inverse(log_rate, exponent)
        shape = torch.broadcast_shapes(scaled.shape, inverse.shape)
        sums = [torch.zeros(shape).to(scaled) for _ in range(3)]
        for place, dose in enumerate(self.dose.tolist()):
            column = (scaled * dose).clamp_(min=-1.0).log1p_().mul_(inverse)
            # 1 − C instead of C: exact for small rates, and the same where the offset is free.
            column = column.expm1_() if self.offset_free else column.exp_()
            if self.root_weight is not None:
                column = column * self.root_weight[place]
                if self.offset_free:
                    sums[2].add_(column * self.root_weight[place])
            elif self.offset_free:
                sums[2].add_(column)
            sums[0].addcmul_(column, column)
            sums[1].addcmul_(column, self.values[place].expand_as(column))
        norm, product, mean = sums
        if self.offset_free:
            if self.root_weight is None:
                number = float(self.dose.numel())
            else:
                number = (self.root_weight * self.root_weight).sum(0)
            size, norm = norm, norm - mean * mean / number
            # Extinct before the first frame, a curve is constant: nothing is left but rounding.
            visible = norm > 1e-12 * size
        else:
            visible = norm > 1e-24
        explained = visible * product * product / norm.clamp(min=1e-30)
        total = self.total
        # Rounding of the difference: nothing below is told from a perfect fit.
        return torch.maximum(total - explained, 1e-13 * total), norm

    def deviance(self, log_rate: Tensor, exponent: Tensor, *, weigh_signal: bool) -> Tensor:
        """−2 ln likelihood with a, b and (where not known) σ marginalised, up to a constant.

        b is flat and σ has 1/σ. The amplitude is flat in ln|a| but for values that the noise
        hides, ``1/√(a² + σ_a²)``: neither a unit nor the long ridge a → ∞, k → 0 is preferred.

        Parameters
        ----------
        log_rate, exponent
            As for `squares_and_norm`.
        weigh_signal
            Whether ln(|a|/σ) is also expected to be near `SIGNAL_TO_NOISE`.
        """
        squares, norm = self.squares_and_norm(log_rate, exponent)
        explained = self.total - squares
        if self.variance_known:
            noise = torch.ones_like(self.freedom)
            deviance = squares + torch.log(explained + 1.0)
        else:
            noise = squares / self.freedom
            deviance = self.freedom * torch.log(squares) + torch.log(explained + noise)
        if not weigh_signal:
            return deviance
        signal = 0.5 * torch.log(explained / (noise * norm.clamp(min=1e-30)) + 1e-12)
        mean, width = SIGNAL_TO_NOISE
        return deviance + ((signal - mean) / width) ** 2


# An exponent keeps this distance from 1, which changes C by less than a part in 1e7.
_NEAREST_TO_ONE = 1e-7


def rate_and_inverse(log_rate: Tensor, exponent: Tensor) -> tuple[Tensor, Tensor]:
    """(p − 1)·k and −1/(p − 1), with which ``ln C = inverse · log1p(scaled · dose)``.

    Beyond extinction, ``scaled · dose ≤ −1``, clamping the product to −1 gives C = 0.
    """
    excess = exponent - 1.0
    excess = torch.where(excess.abs() < _NEAREST_TO_ONE, _NEAREST_TO_ONE, excess)
    return log_rate.exp() * excess, -excess.reciprocal()
