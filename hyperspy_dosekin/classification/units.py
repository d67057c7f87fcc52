# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units in which the network sees spectra: centred, and whitened by the noise of each channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

#: Signal-to-noise ratio beyond which reconstruction asks for no more precision.
_LARGEST_RATIO = 30.0


@dataclass(frozen=True, eq=False)
class NetworkUnits:
    """Affine change of unit, ``network = (spectrum − centre) / spread``.

    Parameters
    ----------
    centre, spread
        By channel, ``(n_channels,)``, float32. The spread is proportional to the noise.
    signal_to_noise
        Standard deviation of all spectra in units of the noise: a difference of one network unit
        is so many standard deviations of the noise, limited for data that are nearly noise-free.
    """

    centre: np.ndarray
    spread: np.ndarray
    signal_to_noise: float

    @classmethod
    def of(cls, spectra: np.ndarray, noise_variance: np.ndarray) -> NetworkUnits:
        """Units for spectra ``(n, n_channels)`` with the given noise variance by channel."""
        centre = spectra.mean(axis=0, dtype=np.float64)
        sigma = np.sqrt(noise_variance)
        ratio = float(np.sqrt(np.mean(((spectra - centre) / sigma) ** 2)))
        ratio = max(ratio, np.finfo(np.float32).tiny)
        return cls(
            centre.astype(np.float32),
            (sigma * ratio).astype(np.float32),
            float(min(ratio, _LARGEST_RATIO)),
        )

    def apply(self, spectra: Any) -> Any:
        """Spectra ``(…, n_channels)``, NumPy arrays, in network units."""
        return (spectra - self.centre) / self.spread

    def undo(self, spectra: Any) -> Any:
        """Back from network units."""
        return spectra * self.spread + self.centre
