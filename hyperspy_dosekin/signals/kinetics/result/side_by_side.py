# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several results side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from prettytable import PrettyTable

from hyperspy_dosekin.numerics.arguments import short
from hyperspy_dosekin.numerics.text import printable
from hyperspy_dosekin.numerics.units import with_unit
from hyperspy_dosekin.plotting.kinetics.forest import ForestPicture, plot_forest
from hyperspy_dosekin.signals.drawing import FigureOptions, drawn, takes_figure_options
from hyperspy_dosekin.signals.kinetics.result.frame import dose_units
from hyperspy_dosekin.signals.kinetics.result.table import interval_text, number
from hyperspy_dosekin.signals.results import TabledResult, as_frame

if TYPE_CHECKING:
    from hyperspy.signal import BaseSignal
    from matplotlib.figure import FigureBase
    from pandas import DataFrame
    from typing_extensions import Unpack

NOTE = (
    "Brackets: 95 % intervals of each fit by itself, without what differs between specimens. "
    "Intervals that overlap do not prove that doses are alike; for effects of conditions with "
    "their uncertainty use a fit of several series."
)


class WithHalfDose(Protocol):
    """What is read of a result."""

    @property
    def window_names(self) -> tuple[str, ...]:
        """Labels of the windows."""
        ...

    @property
    def half_integrity_dose(self) -> BaseSignal:
        """Map of D½."""
        ...

    @property
    def identifiable(self) -> BaseSignal:
        """Map of the flag."""
        ...

    def interval(self, name: str) -> tuple[BaseSignal, BaseSignal]:
        """Ends of an interval."""
        ...


@dataclass(frozen=True, eq=False, repr=False)
class ResultComparison(TabledResult):
    """Half-integrity doses of several results, made by `compare_results`.

    Parameters
    ----------
    names
        Names of the results.
    window_names
        All windows that any result has.
    value, lower, upper
        D½ and the ends of its 95 % interval, ``(n_result, n_window)``; NaN where a result has no
        such window.
    identifiable
        Whether the data determine it.
    dose_unit
        Unit of the doses.

    Examples
    --------
    >>> s = hyperspy_dosekin.data.dose_series(processed=True)
    >>> result = s.fit_dose_pinn(estimator="exact", law="first order")
    >>> hyperspy_dosekin.compare_results([result, result["C–O"]]).window_names
    ('π–π*', 'C–C', 'C–O', 'M–O')
    """

    names: tuple[str, ...]
    window_names: tuple[str, ...]
    value: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    identifiable: np.ndarray
    dose_unit: str

    @property
    def table(self) -> DataFrame:
        """Tidy pandas table, a row for each result and window.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        result, window = np.nonzero(~np.isnan(self.lower))
        columns = {
            "result": [self.names[place] for place in result],
            "window": [self.window_names[place] for place in window],
            "half_integrity_dose": self.value[result, window],
            "half_integrity_dose_lower": self.lower[result, window],
            "half_integrity_dose_upper": self.upper[result, window],
            "identifiable": self.identifiable[result, window],
            "dose_unit": self.dose_unit,
        }
        return as_frame(columns, units=dose_units(self.dose_unit, 1.0))

    def to_dataframe(self) -> DataFrame:
        """The same as `table`, with units in ``attrs``.

        Returns
        -------
        pandas.DataFrame
            A row for each result and window.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> result = s.fit_dose_pinn(estimator="exact", law="first order")
        >>> len(hyperspy_dosekin.compare_results([result, result["C–O"]]).to_dataframe())
        5
        """
        return self.table

    @takes_figure_options
    def plot(self, **options: Unpack[FigureOptions]) -> FigureBase:
        """Draw a forest plot: D½ with its interval by window and result.

        Returns
        -------
        Figure
            A Matplotlib figure.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> result = s.fit_dose_pinn(estimator="exact", law="first order")
        >>> figure = hyperspy_dosekin.compare_results([result, result["C–O"]]).plot()
        """
        picture = ForestPicture(
            window_names=self.window_names,
            names=self.names,
            value=self.value,
            lower=self.lower,
            upper=self.upper,
            identifiable=self.identifiable,
            dose_unit=self.dose_unit,
        )
        return drawn(plot_forest, picture, options)

    def _pretty(self) -> PrettyTable:
        heading = with_unit("D½", self.dose_unit)
        table = PrettyTable([f"window, {heading}", *self.names])
        table.align = "r"
        table.align[f"window, {heading}"] = "l"
        for place, window in enumerate(self.window_names):
            table.add_row([window, *(self._cell(row, place) for row in range(len(self.names)))])
        return table

    def _cell(self, result: int, window: int) -> str:
        ends = self.lower[result, window], self.upper[result, window]
        if np.isnan(ends).any():
            return "–"
        known = self.identifiable[result, window]
        value = number(self.value[result, window]) if known else ""
        return f"{value} {interval_text(*ends)}".strip()

    def __repr__(self) -> str:
        """One line: what was compared."""
        return printable(
            f"<ResultComparison, {len(self.names)} results, {len(self.window_names)} windows>"
        )

    def _said(self) -> tuple[list[PrettyTable], list[str]]:
        return [self._pretty()], [NOTE]


def compare_results(
    results: Sequence[WithHalfDose], *, names: Sequence[str] | None = None
) -> ResultComparison:
    """Put half-integrity doses of several results side by side.

    Parameters
    ----------
    results
        Results of fits without space axes: of other specimens, laws, offsets or estimators. Windows
        are matched by their names.
    names
        One name for each result, by default "1", "2", ….

    Returns
    -------
    ResultComparison
        ``print`` gives a table, ``table`` a pandas table, ``plot()`` a forest plot.

    Raises
    ------
    TypeError
        If it is no list of results.
    ValueError
        If there is no result, the names do not fit, results are maps, have no intervals, or their
        doses are in different units.

    Examples
    --------
    >>> s = hyperspy_dosekin.data.dose_series(processed=True)
    >>> free = s.fit_dose_pinn(estimator="exact")
    >>> known = s.fit_dose_pinn(estimator="exact", law="first order")
    >>> both = hyperspy_dosekin.compare_results([free, known], names=["power law", "first order"])
    >>> both
    <ResultComparison, 2 results, 4 windows>
    >>> figure = both.plot()
    """
    if not isinstance(results, Sequence) or not all(hasattr(r, "window_names") for r in results):
        raise TypeError(f"results={short(results)} must be a list of results of fits.")
    names = [str(place + 1) for place in range(len(results))] if names is None else list(names)
    if not results or len(names) != len(results) or len(set(names)) != len(names):
        raise ValueError(
            f"names={names} must be {len(results)} different names, one for each of at least one "
            "result."
        )
    units = {str(getattr(each, "dose_unit", "")) for each in results}
    if len(units) > 1:
        raise ValueError(
            f"the doses of the results are in different units ({', '.join(sorted(units))}); "
            "convert the dose axes first, see hyperspy_dosekin.dose.convert."
        )
    windows = tuple(dict.fromkeys(name for each in results for name in each.window_names))
    shape = (len(results), len(windows))
    value, lower, upper = (np.full(shape, np.nan) for _ in range(3))
    flags = np.zeros(shape, dtype=bool)
    for row, (name, result) in enumerate(zip(names, results, strict=True)):
        doses = np.asarray(result.half_integrity_dose.data)
        if doses.ndim != 1:
            raise ValueError(
                f"the result {name!r} is a map of {doses.shape[1:]} pixels; compare fits of the "
                'mean, spatial="mean", or tables of pixels with to_dataframe().'
            )
        places = [windows.index(each) for each in result.window_names]
        value[row, places] = doses
        low, high = result.interval("half_integrity_dose")
        lower[row, places], upper[row, places] = np.asarray(low.data), np.asarray(high.data)
        flags[row, places] = np.asarray(result.identifiable.data)
    return ResultComparison(tuple(names), windows, value, lower, upper, flags, units.pop())
