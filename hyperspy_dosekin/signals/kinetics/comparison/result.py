# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What several laws say of a dose series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from hyperspy_dosekin.numerics.arguments import real_number
from hyperspy_dosekin.numerics.text import printable
from hyperspy_dosekin.plotting.kinetics.laws import plot_laws
from hyperspy_dosekin.signals.drawing import FigureOptions, drawn, takes_figure_options
from hyperspy_dosekin.signals.kinetics.comparison.averaged import AveragedKinetics, law_map
from hyperspy_dosekin.signals.kinetics.comparison.file import save_comparison
from hyperspy_dosekin.signals.kinetics.comparison.numbers import ComparisonNumbers
from hyperspy_dosekin.signals.kinetics.comparison.picture import law_picture
from hyperspy_dosekin.signals.kinetics.comparison.text import (
    comparison_frame,
    comparison_notes,
    comparison_table,
)
from hyperspy_dosekin.signals.results import SavedResult

if TYPE_CHECKING:
    from pathlib import Path

    from hyperspy.signals import BaseSignal
    from matplotlib.figure import FigureBase
    from pandas import DataFrame
    from prettytable import PrettyTable
    from typing_extensions import Unpack


@dataclass(frozen=True, eq=False, repr=False)
class LawComparison(ComparisonNumbers, SavedResult):
    """What several laws say of a dose series; made by `compare_laws`.

    Parameters
    ----------
    data
        The series.
    laws
        Names of the laws.
    fields
        What the kernel found, ``(…space…, law, field, window)``; lazy where the series is.
    dose_error
        How well the doses are known.

    Examples
    --------
    >>> s = hyperspy_dosekin.data.dose_series(processed=True).integrate_windows()
    >>> hyperspy_dosekin.compare_laws(s, ["power law", "first order"])
    <LawComparison, 2 laws, 4 windows>
    """

    @property
    def weights(self) -> Mapping[str, BaseSignal]:
        """A map for each law: its probability if one of the laws is right."""
        found = self.compared.weights
        return MappingProxyType(
            {
                law: law_map(self.data, row, "weight")
                for law, row in zip(self.laws, found, strict=True)
            }
        )

    @property
    def verdict_map(self) -> BaseSignal:
        """Place of the law in `laws` for each window and pixel, −1 where the data cannot tell."""
        return law_map(self.data, self.compared.verdict, "verdict")

    def average(self) -> AveragedKinetics:
        """Average over the laws, each weighed by its evidence.

        Returns
        -------
        AveragedKinetics
            Doses with intervals of the mixture.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True).integrate_windows()
        >>> found = hyperspy_dosekin.compare_laws(s, ["power law", "first order"])
        >>> found.average().half_integrity_dose.data.shape
        (4,)
        """
        return AveragedKinetics(self.compared, self.data)

    @property
    def table(self) -> PrettyTable:
        """One row for each window and law; medians over the pixels where there are any."""
        return comparison_table(self)

    @property
    def notes(self) -> list[str]:
        """What has to be said beside the numbers."""
        return comparison_notes(self)

    def __repr__(self) -> str:
        """One line."""
        lazy = ", lazy" if self.is_lazy else ""
        return printable(
            f"<LawComparison, {len(self.laws)} laws, {len(self.window_names)} windows{lazy}>"
        )

    def to_dataframe(self, level: float = 0.95) -> DataFrame:
        """Tidy pandas table, a row for each law, window and pixel.

        Parameters
        ----------
        level
            Probability of the intervals.

        Returns
        -------
        pandas.DataFrame
            ``log_evidence`` is relative to the best law, ``named`` says which one the data name,
            and doses with the ends of their intervals are those of the law by itself.

        Raises
        ------
        ValueError
            If the level does not lie between 0 and 1.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True).integrate_windows()
        >>> found = hyperspy_dosekin.compare_laws(s, ["power law", "first order"])
        >>> found.to_dataframe().shape[0]
        8
        """
        remedy = "give a probability, such as 0.95"
        return comparison_frame(self, real_number("level", level, remedy, above=0, below=1))

    def _tables(self) -> list[PrettyTable]:
        return [comparison_table(self.computed())]

    def _said(self) -> tuple[list[PrettyTable], list[str]]:
        return [self.table], self.notes

    def __str__(self) -> str:
        """Table with the notes that apply."""
        if self.is_lazy:
            return f"{self!r}\n* Nothing has been computed yet: see computed()."
        return super().__str__()

    @takes_figure_options
    def plot(self, **options: Unpack[FigureOptions]) -> FigureBase:
        """Plot what each law says of D½, and the average, for each window.

        Returns
        -------
        matplotlib.figure.Figure
            Medians with 95 % intervals; over the pixels their medians.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True).integrate_windows()
        >>> found = hyperspy_dosekin.compare_laws(s, ["power law", "first order"])
        >>> len(found.plot().axes)
        4
        """
        return drawn(plot_laws, law_picture(self), options)

    def _write(self, path: str | Path, overwrite: bool | None) -> None:
        save_comparison(self, path, overwrite=overwrite)
