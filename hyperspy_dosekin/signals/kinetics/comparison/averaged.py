# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Doses averaged over several laws, and their maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hyperspy_dosekin.numerics.arguments import real_number
from hyperspy_dosekin.numerics.text import printable
from hyperspy_dosekin.signals.axes.wrapping import make_map
from hyperspy_dosekin.signals.kinetics.comparison.numbers import QUANTITIES
from hyperspy_dosekin.signals.kinetics.comparison.text import average_table, flagged
from hyperspy_dosekin.signals.kinetics.data.series_data import SeriesData
from hyperspy_dosekin.signals.results import Result

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal
    from prettytable import PrettyTable

    from hyperspy_dosekin.kinetics.comparison.comparison import ComparedLaws


_MIXTURE = "Medians and 95 % intervals of the mixture of all laws, each weighed by its evidence."


def law_map(data: SeriesData, array: np.ndarray, name: str) -> BaseSignal:
    """A map of an array ``(…space…, window)``."""
    array = np.moveaxis(array, -1, 0)
    return make_map(array, data.space_axes, data.window_names, title=name, quantity=name)


@dataclass(frozen=True, eq=False, repr=False)
class AveragedKinetics(Result):
    """Doses averaged over several laws; made by `LawComparison.average`.

    Parameters
    ----------
    compared
        The numbers of the laws.
    data
        The series.
    """

    compared: ComparedLaws
    data: SeriesData

    def __repr__(self) -> str:
        """One line."""
        laws, windows = len(self.compared.weights), len(self.data.window_names)
        return printable(f"<AveragedKinetics, {laws} laws, {windows} windows>")

    def _said(self) -> tuple[list[PrettyTable], list[str]]:
        notes = flagged(self.compared, self.data.window_names)
        return [average_table(self.compared, self.data)], [_MIXTURE, *notes]

    def _dose(self, name: str, probability: float) -> np.ndarray:
        return np.exp(self.compared.average(QUANTITIES[name], probability))

    def _map(self, array: np.ndarray, name: str) -> BaseSignal:
        return law_map(self.data, array, name)

    @property
    def half_integrity_dose(self) -> BaseSignal:
        """Median of D½ over the laws, in the unit of the series; NaN where most never fall to ½."""
        dose = self._dose("half_integrity_dose", 0.5)
        return self._map(np.where(np.isinf(dose), np.nan, dose), "half_integrity_dose")

    @property
    def half_change_dose(self) -> BaseSignal:
        """Dose at which half of the change within the measured range is done.

        There C is halfway between 1 and its last value. It lies between measured frames and hardly
        depends on the law, but on the largest dose.
        """
        return self._map(self._dose("half_change_dose", 0.5), "half_change_dose")

    def interval(
        self, name: str = "half_integrity_dose", level: float = 0.95
    ) -> tuple[BaseSignal, BaseSignal]:
        """Interval of the mixture of all laws.

        Parameters
        ----------
        name
            ``"half_integrity_dose"`` or ``"half_change_dose"``.
        level
            Its probability.

        Raises
        ------
        ValueError
            If the name is unknown or the level does not lie between 0 and 1.
        """
        if not isinstance(name, str) or name not in QUANTITIES:
            raise ValueError(f"name={name!r} is not one of {tuple(QUANTITIES)}.")
        level = real_number("level", level, "give a probability, such as 0.95", above=0, below=1)
        low, high = (self._dose(name, p) for p in ((1 - level) / 2, (1 + level) / 2))
        return self._map(low, name), self._map(high, name)

    @property
    def adequate(self) -> BaseSignal:
        """Whether one of the laws that survive describes the data."""
        return self._map(self.compared.described, "adequate")

    @property
    def identifiable(self) -> BaseSignal:
        """Whether 90 % of the mixture of ln D½ lies within 0.2 of its median."""
        return self._map(self.compared.identifiable, "identifiable")

    @property
    def reached(self) -> BaseSignal:
        """Whether D½ lies inside the measured range of doses."""
        dose = self._dose("half_integrity_dose", 0.5)
        range_ = self.data.dose
        return self._map((dose >= range_[0]) & (dose <= range_[-1]), "reached")
