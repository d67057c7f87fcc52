# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a frame comes down to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class FrameAreas:
    """Areas of a frame, ``(…space…, window)``.

    Parameters
    ----------
    values, variance
        The areas and their variance.
    thickness
        The t/λ of spectra that `process_low_loss` divided by their zero-loss peak, ``(…space…)``;
        ``None`` of all others.
    """

    values: np.ndarray
    variance: np.ndarray | None
    thickness: np.ndarray | None = None

    def averaged(self) -> FrameAreas:
        """The mean over the pixels that have a value, ``(window,)``, with its variance."""
        axes = tuple(range(self.values.ndim - 1))
        present = np.isfinite(self.values)
        number = np.maximum(present.sum(axis=axes), 1)
        mean = np.where(present, self.values, 0.0).sum(axis=axes) / number
        if self.variance is None:
            return FrameAreas(mean, None)
        return FrameAreas(mean, np.where(present, self.variance, 0.0).sum(axis=axes) / number**2)
