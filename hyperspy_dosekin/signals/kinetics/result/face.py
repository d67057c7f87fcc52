# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every part of a result's face has: the numbers, and how they become signals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hyperspy_dosekin.signals.axes.wrapping import make_dose_series, make_map
from hyperspy_dosekin.signals.kinetics.numbers.kinetics_numbers import KineticsNumbers
from hyperspy_dosekin.signals.kinetics.numbers.quantities import quantity_of

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal, Signal1D

    from hyperspy_dosekin.lazy.arrays import Array


@dataclass(frozen=True, eq=False, repr=False)
class Face:
    """Numbers that are shown as signals.

    Parameters
    ----------
    numbers
        The numbers.
    """

    numbers: KineticsNumbers

    def _signal(self, name: str) -> BaseSignal:
        """The map of a name."""
        return self._map(self.numbers.map(name), name)

    def _map(self, array: Array, name: str, quantity: str | None = None) -> BaseSignal:
        """A map as a signal, from an array ``(window, …space…)``."""
        data = self.numbers.data
        return make_map(
            array,
            data.space_axes,
            data.window_names,
            title=name.replace("_", " "),
            quantity=quantity or quantity_of(name, data.dose_unit),
        )

    def _series(self, array: Array, dose: np.ndarray, name: str) -> Signal1D:
        """A `DoseSeries` from an array ``(…space…, window, dose)``."""
        data = self.numbers.data
        return make_dose_series(
            array,
            dose,
            data.space_axes,
            data.window_names,
            title=name,
            quantity=quantity_of(name, data.dose_unit),
            dose_unit=data.dose_unit,
            dose_metadata=data.dose_metadata,
        )
