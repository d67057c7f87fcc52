# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Standard scores that survive constant channels and large offsets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Below this spread, relative to the size of the values, a channel is constant to rounding.
CONSTANT_SPREAD = 1e-12


@dataclass(frozen=True, eq=False)
class StandardScore:
    """An affine change of unit, ``score = (value - mean) / spread``, along the last axis.

    Parameters
    ----------
    mean, spread
        Arrays of the shape of the values without their last axis.
    constant
        ``True`` where a channel does not change, so that its spread was replaced by 1.
    """

    mean: np.ndarray
    spread: np.ndarray
    constant: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> StandardScore:
        """Standard score of the finite values along the last axis, computed in float64."""
        values = np.asarray(values, dtype=np.float64)
        finite = np.isfinite(values)
        number = np.maximum(finite.sum(axis=-1), 1)
        mean = np.where(finite, values, 0.0).sum(axis=-1) / number
        deviation = np.where(finite, values - mean[..., None], 0.0)
        spread = np.sqrt((deviation**2).sum(axis=-1) / number)
        constant = spread <= CONSTANT_SPREAD * np.maximum(np.abs(mean), np.finfo(float).tiny)
        return cls(mean, np.where(constant, 1.0, spread), constant)

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Scores of `values`, float64, of the same shape."""
        return (np.asarray(values, dtype=np.float64) - self.mean[..., None]) / self.spread[
            ..., None
        ]
