# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Some of the windows of what a fit found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.signals.kinetics.numbers.estimates import Estimate

if TYPE_CHECKING:
    from hyperspy_dosekin.lazy.arrays import Array


def window_first(array: Any) -> Any:
    """``(window, …space…)`` of an array ``(…space…, window)``."""
    return np.moveaxis(array, -1, 0)


def taken(array: Any, places: tuple[int, ...] | None, axis: int) -> Any:
    """Some windows of an array; all where there are no places.

    Parameters
    ----------
    array
        The array.
    places
        Places of the windows, or ``None``.
    axis
        Its axis that counts windows.
    """
    if places is None:
        return array
    return np.take(array, list(places), axis=axis)


class ShownEstimate(Estimate):
    """An estimate of some of the windows."""

    def __init__(self, whole: Estimate, places: tuple[int, ...]) -> None:
        self.whole, self.places = whole, places
        self.description = whole.description

    @property
    def labels(self) -> tuple[str, ...]:
        """One label for each member."""
        return self.whole.labels

    def parameter(self, name: str) -> Any:
        """A parameter, ``(n_member, …space…, window)``."""
        return taken(self.whole.parameter(name), self.places, -1)

    def integrity(self, dose: np.ndarray) -> Any:
        """Integrity at some doses, ``(n_member, …space…, window, n_dose)``."""
        return taken(self.whole.integrity(dose), self.places, -2)

    def intensity(self, dose: np.ndarray) -> Array:
        """Modelled intensity, ``(n_member, …space…, window, n_dose)``."""
        return taken(self.whole.intensity(dose), self.places, -2)

    def dose_at(self, level: float) -> Any:
        """Dose at which integrity falls to a level, ``(n_member, …space…, window)``."""
        return taken(self.whole.dose_at(level), self.places, -1)

    def mean_dose_at(self, level: float) -> Array:
        """Mean of the doses at a level, ``(…space…, window)``."""
        return taken(self.whole.mean_dose_at(level), self.places, -1)

    def change_dose(self, largest: float) -> Array:
        """Dose at which half of the change up to a largest dose is done."""
        return taken(self.whole.change_dose(largest), self.places, -1)
