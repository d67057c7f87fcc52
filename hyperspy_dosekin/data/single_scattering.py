# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single-scattering distribution of a metal–organic framework like MIL-101(Fe), below 200 eV.

The distribution is a sum of shapes of unit area: the rest (volume plasmon and iron M₂,₃ edge) and
one band in each window. A band ends at the limits of its window, so that the window's area is
affine in the integrity of that band alone, as the readout of arXiv:2605.01697 has it.
"""

from __future__ import annotations

import numpy as np
from scipy.integrate import quad

#: Energy up to which the distribution extends at least, in eV.
HIGHEST_ENERGY = 200.0

#: Energy and width of the volume plasmon, in eV; organic frameworks peak at 20–24.
PLASMON = (21.5, 15.0)
_IRON_EDGE = 54.0  # eV, Fe M2,3
_IRON_EDGE_ONSET = 1.5  # eV, width of the rise
_IRON_EDGE_SHARE = 0.012  # of the rest
# γ m v² of 300 keV electrons in eV: characteristic angle = energy loss / this.
_CHARACTERISTIC = 489.0e3
_COLLECTION_ANGLE = 20e-3  # rad


def _plasmon(energy: np.ndarray, peak: float, width: float) -> np.ndarray:
    """Drude loss function times the angular factor of a small aperture.

    R. F. Egerton, *Electron Energy-Loss Spectroscopy in the Electron Microscope*, chapter 3,
    doi:10.1007/978-1-4419-9583-4.
    """
    positive = np.maximum(energy, 1e-9)
    loss_function = (
        positive * width * peak**2 / ((positive**2 - peak**2) ** 2 + (positive * width) ** 2)
    )
    angular = np.log1p((_COLLECTION_ANGLE * _CHARACTERISTIC / positive) ** 2)
    return np.where(energy > 0, loss_function * angular, 0.0)


def _iron_edge(energy: np.ndarray) -> np.ndarray:
    positive = np.maximum(energy, 1.0)
    onset = 0.5 * (1 + np.tanh((energy - _IRON_EDGE) / _IRON_EDGE_ONSET))
    return np.where(energy > 0, onset * (positive / _IRON_EDGE) ** -2.5, 0.0)


def _band(energy: np.ndarray, left: float, right: float) -> np.ndarray:
    """``(1 − u⁴)²`` between the limits, of unit area, with a continuous derivative."""
    half_width = (right - left) / 2
    u = np.clip((energy - (left + right) / 2) / half_width, -1, 1)
    return 45 / (64 * half_width) * (1 - u**4) ** 2


class SingleScattering:
    """The shapes of which a single-scattering distribution is made.

    Parameters
    ----------
    windows
        Limits of the bands in eV, shape ``(n_window, 2)``.
    highest
        Energy in eV at which the distribution ends.
    plasmon
        Energy and width of the volume plasmon, in eV.
    """

    def __init__(
        self,
        windows: np.ndarray,
        highest: float = HIGHEST_ENERGY,
        plasmon: tuple[float, float] = PLASMON,
    ) -> None:
        self.windows = windows
        self.highest = highest
        self.plasmon = plasmon
        # Breakpoints keep the adaptive rule from missing the edge.
        points = [plasmon[0], _IRON_EDGE]
        area = quad(_plasmon, 0, highest, args=plasmon, points=points, limit=200)
        self._plasmon_area = area[0]
        self._edge_area = quad(_iron_edge, 0, highest, points=points, limit=200)[0]

    def rest(self, energy: np.ndarray) -> np.ndarray:
        """Plasmon and iron edge per eV, of unit area between 0 and `highest`."""
        shape = (1 - _IRON_EDGE_SHARE) * _plasmon(energy, *self.plasmon) / self._plasmon_area
        shape = shape + _IRON_EDGE_SHARE * _iron_edge(energy) / self._edge_area
        return np.where(energy <= self.highest, shape, 0.0)

    def shapes(self, energy: np.ndarray) -> np.ndarray:
        """Stack the rest and the bands per eV, shape ``(1 + n_window, n_energy)``."""
        bands = [_band(energy, left, right) for left, right in self.windows]
        return np.stack([self.rest(energy), *bands])

    def areas(self) -> np.ndarray:
        """Area of each shape in each window, shape ``(n_window, 1 + n_window)``."""
        rest = [quad(self.rest, left, right, limit=200)[0] for left, right in self.windows]
        return np.column_stack([rest, np.eye(len(self.windows))])
