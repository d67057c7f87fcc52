# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Likelihood of curves in bins."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.posterior.scan import ScanData, Sums

# Rounding of a difference of sums.
_ROUNDING = 1e-13


@dataclass(frozen=True, eq=False)
class BinnedScan(ScanData):
    """Curves in bins, whose frames scatter within them, too.

    Parameters
    ----------
    inner
        Sum of squares within the bins, ``(n,)``.
    decay
        C at the bins and the nodes that are looked at, ``(n_dose, …, n)`` or ``(n_dose, …, 1)``.
    found
        The sums over bins, where they are known already.
    """

    inner: Tensor | None = None
    decay: Tensor | None = None
    found: Sums | None = None

    @property
    def total(self) -> Tensor:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Sum of squares about the mean (or the known offset), and within the bins, ``(n,)``."""
        assert self.inner is not None
        centred = (self.values * self.values).sum(0)
        if self.share is not None:
            centred = centred - self.share * self._level**2 / self.weight_sum
        return centred + self.inner

    def sums(self, search: object) -> Sums:
        """Sums over all bins at once, with the decay that is held."""
        if self.found is not None:
            return self.found
        decay = self.decay
        assert decay is not None
        weight = self.ones * self.ones
        seen = self.ones * self.values
        common = "o" if decay.shape[-1] == 1 and self.count > 1 else "n"
        if common == "n" and decay.shape[-1] != self.count:
            decay = decay.expand(*decay.shape[:-1], self.count)
        shared = "o" if weight.shape[-1] == 1 and self.count > 1 else "n"
        to = "o" if common == shared == "o" else "n"
        over = f"d...{common},d{shared}->...{to}"
        mean = torch.einsum(over, decay, weight)
        size = torch.einsum(over, decay * decay, weight)
        product = torch.einsum(f"d...{common},dn->...n", decay, seen)
        pin = self.pin
        norm = size - 2 * pin * mean + pin * pin * self.weight_sum
        product = product - pin * self._level
        mean = mean - pin * self.weight_sum
        if self.share is None:
            visible = norm > 1e-24
        else:
            before = norm
            norm = norm - self.share * mean * mean / self.weight_sum
            product = product - self.share * mean * self._level / self.weight_sum
            visible = norm > 1e-12 * torch.maximum(before, size)
        amplitude = visible * product / norm.clamp(min=1e-30)
        squares = torch.maximum(self.total - amplitude * product, _ROUNDING * self.total)
        return Sums(squares, norm, amplitude, mean / self.weight_sum)
