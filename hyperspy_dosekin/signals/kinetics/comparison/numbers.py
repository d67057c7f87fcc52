# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The numbers of several laws that were fitted to the same series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from hyperspy_dosekin.kinetics.model.dose_error import EXACT, DoseError
from hyperspy_dosekin.lazy.arrays import Array
from hyperspy_dosekin.lazy.blocks import compute, is_lazy
from hyperspy_dosekin.signals.kinetics.data.series_data import SeriesData
from hyperspy_dosekin.signals.progress import dask_progress

if TYPE_CHECKING:
    from typing_extensions import Self

    from hyperspy_dosekin.kinetics.comparison.comparison import ComparedLaws

#: Quantities of an average, and what the kernel calls them.
QUANTITIES = {"half_integrity_dose": "log_half_dose", "half_change_dose": "log_half_change"}


@dataclass(frozen=True, eq=False, repr=False)
class ComparisonNumbers:
    """What the kernel found for each law; fields as in `LawComparison`."""

    data: SeriesData
    laws: tuple[str, ...]
    fields: Array
    dose_error: DoseError = EXACT

    @property
    def is_lazy(self) -> bool:
        """Whether it has not been computed yet."""
        return is_lazy(self.fields)

    def computed(self, show_progressbar: bool | None = None) -> Self:
        """The same with everything in memory; itself where it is.

        Parameters
        ----------
        show_progressbar
            ``None`` takes HyperSpy's preference.

        Returns
        -------
        LawComparison
            In memory.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True).integrate_windows()
        >>> found = hyperspy_dosekin.compare_laws(s, ["power law", "first order"])
        >>> found.computed() is found
        True
        """
        if not self.is_lazy:
            return self
        with dask_progress(show_progressbar):
            return replace(self, fields=compute(self.fields)[0])

    @property
    def compared(self) -> ComparedLaws:
        """The numbers as arrays, computed."""
        from hyperspy_dosekin.kinetics.comparison.comparison import ComparedLaws

        return ComparedLaws(np.asarray(self.computed().fields), self.dose_error)

    @property
    def window_names(self) -> tuple[str, ...]:
        """Labels of the windows."""
        return self.data.window_names

    @property
    def verdict(self) -> Mapping[str, str | None]:
        """Name of the law for each window; ``None`` where the data cannot tell.

        With space axes it is the law of more than half of the pixels, if there is one.
        """
        place = self.compared.verdict
        found: dict[str, str | None] = {}
        for column, window in enumerate(self.window_names):
            values, counts = np.unique(place[..., column], return_counts=True)
            most = int(values[counts.argmax()])
            named = most >= 0 and counts.max() > 0.5 * counts.sum()
            found[window] = self.laws[most] if named else None
        return MappingProxyType(found)


def median_of_pixels(values: np.ndarray) -> np.ndarray:
    """Median over the pixels of ``(n_law, …, n_window)``, ``(n_law, n_window)``."""
    flat = values.reshape(values.shape[0], -1, values.shape[-1])
    # NumPy warns of what is NaN in every pixel.
    unknown = np.asarray(np.isnan(flat).all(axis=1))
    with np.errstate(invalid="ignore"):
        middle = np.nanmedian(np.where(unknown[:, np.newaxis], 0.0, flat), axis=1)
    return np.where(unknown, np.nan, middle)
