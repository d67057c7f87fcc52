# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What several dose series say of their conditions: effects, tests, ratios and predictions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.kinetics.conditions.fit import law_values
from hyperspy_dosekin.kinetics.laws.solution import trajectories
from hyperspy_dosekin.numerics.arguments import real_numbers
from hyperspy_dosekin.numerics.text import printable
from hyperspy_dosekin.plotting.kinetics.conditions import plot_condition, plot_effects
from hyperspy_dosekin.signals.axes.wrapping import make_dose_series
from hyperspy_dosekin.signals.drawing import FigureOptions, framed, takes_figure_options
from hyperspy_dosekin.signals.kinetics.conditions.file import save_conditions
from hyperspy_dosekin.signals.kinetics.conditions.numbers import (
    ENDS,
    ConditionNumbers,
    summary,
)
from hyperspy_dosekin.signals.kinetics.conditions.text import (
    NO_REPLICATES,
    dose_table,
    effect_table,
    notes_of,
    shape_table,
)
from hyperspy_dosekin.signals.results import SavedResult, as_frame
from hyperspy_dosekin.signals.signatures import did_you_mean

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt
    import pandas as pd
    from hyperspy.signals import Signal1D
    from matplotlib.figure import FigureBase
    from prettytable import PrettyTable
    from typing_extensions import Unpack

#: What can be asked for as a table.
TABLES = ("effects", "half_integrity_dose", "law_parameters", "specimen_spread")


@dataclass(frozen=True, eq=False)
class ConditionPrediction:
    """What is expected of a new specimen under some conditions.

    Parameters
    ----------
    integrity, lower, upper
        `DoseSeries` ``(window | dose)``: median and ends of the 95 % interval of C.
    half_integrity_dose
        Table with one row for each window.
    notes
        What has to be said.
    """

    integrity: Signal1D
    lower: Signal1D
    upper: Signal1D
    half_integrity_dose: pd.DataFrame
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False, repr=False)
class ConditionKinetics(ConditionNumbers, SavedResult):
    """Kinetics of several series under different conditions; made by `fit_dose_conditions`.

    Parameters
    ----------
    design
        The conditions.
    parameters
        The law with its priors.
    shared
        Whether the shape of the law is common to all series of a window.
    window_names, names
        Of windows and of series.
    dose_scale, dose_unit
        Dose that counts as 1, and unit of all doses.
    largest_dose
        Of each series.
    draws
        Posterior draws, one for each window.
    shapes
        Shapes of the law that they point at, one array for each window.
    taken
        What was read from metadata, in words.
    inputs
        Conditions that the law itself knows.
    offset_known
        Whether the offsets of all series are known.
    offset_angles, offset_p_values
        Angles θ with tan θ = b/a of the shapes, and the probability of series as unlike as found if
        they have b/a in common, for each window; empty where each series has its own.

    Examples
    --------
    >>> simulate = hyperspy_dosekin.data.dose_series
    >>> series = [simulate(processed=True, seed=n).integrate_windows() for n in range(4)]
    >>> found = hyperspy_dosekin.fit_dose_conditions(
    ...     series, conditions={"gas": ["air", "air", "none", "none"]}, windows="C–O"
    ... )
    >>> found
    <ConditionKinetics, 4 series, 1 windows, first order, effects of gas[none]>
    """

    @property
    def notes(self) -> list[str]:
        """What has to be said beside the numbers."""
        return notes_of(self)

    @property
    def table(self) -> PrettyTable:
        """The effects as a table."""
        return effect_table(self)

    @property
    def dose_table(self) -> PrettyTable:
        """D½ of each series and window as a table."""
        return dose_table(self)

    def to_dataframe(self, table: str = "effects") -> pd.DataFrame:
        """One of the tables, with the units of its doses.

        Parameters
        ----------
        table
            ``"effects"``, ``"half_integrity_dose"``, ``"law_parameters"`` or
            ``"specimen_spread"``: the attribute of that name.

        Returns
        -------
        pandas.DataFrame
            The table; ``attrs["units"]`` says the unit of the doses.

        Raises
        ------
        ValueError
            If there is no such table.

        Examples
        --------
        >>> simulate = hyperspy_dosekin.data.dose_series
        >>> series = [simulate(processed=True, seed=n).integrate_windows() for n in range(4)]
        >>> found = hyperspy_dosekin.fit_dose_conditions(
        ...     series, conditions={"gas": ["air", "air", "none", "none"]}, windows="C–O"
        ... )
        >>> found.to_dataframe("half_integrity_dose").shape[0]
        4
        """
        if table not in TABLES:
            raise ValueError(
                f"table={table!r} is not one of {', '.join(map(repr, TABLES))}"
                f"{did_you_mean(table, TABLES)}"
            )
        frame = getattr(self, table).copy()
        if table == "half_integrity_dose":
            frame.attrs["units"] = dict.fromkeys(["estimate", "lower", "upper"], self.dose_unit)
        return frame

    def ratio(self, a: Any, b: Any) -> pd.DataFrame:
        """Ratio of two half-integrity doses, with 95 % intervals, one row for each window.

        Parameters
        ----------
        a, b
            D½ of `a` over that of `b`: each a series, by its name or place, or conditions, such as
            ``{"temperature": 100}``, with the reference for those left out. Of conditions it is the
            ratio of their middles, without the spread between specimens.

        Returns
        -------
        pandas.DataFrame
            Columns ``window``, ``estimate``, ``lower``, ``upper``.

        Raises
        ------
        ValueError
            If there is no such series or condition, or it is far outside what was measured.

        Examples
        --------
        >>> simulate = hyperspy_dosekin.data.dose_series
        >>> series = [simulate(processed=True, seed=n).integrate_windows() for n in range(4)]
        >>> found = hyperspy_dosekin.fit_dose_conditions(
        ...     series, conditions={"gas": ["air", "air", "none", "none"]}, windows="C–O"
        ... )
        >>> ratio = found.ratio({"gas": "air"}, {"gas": "none"})
        >>> bool(ratio.lower[0] < 1 < ratio.upper[0])
        True
        """
        rows = []
        for column, window in enumerate(self.window_names):
            with np.errstate(invalid="ignore"):  # of two doses that are never reached
                over = self._log_dose_of(column, a) - self._log_dose_of(column, b)
            rows.append((window, *summary(np.exp(over))))
        return as_frame(rows, ["window", "estimate", "lower", "upper"])

    def predict(self, dose: npt.ArrayLike | None = None, **conditions: Any) -> ConditionPrediction:
        """Predict the integrity and D½ of a new specimen.

        Parameters
        ----------
        dose
            Doses, ascending, from 0 to the largest measured one by default.
        **conditions
            Values of the conditions; the reference for those left out.

        Returns
        -------
        ConditionPrediction
            Its intervals hold the spread between specimens, where that is known.

        Raises
        ------
        ValueError
            If a condition is unknown or far outside what was measured, or the doses are not
            ascending from 0 or more, or each series has a shape of its own.

        Examples
        --------
        >>> simulate = hyperspy_dosekin.data.dose_series
        >>> series = [simulate(processed=True, seed=n).integrate_windows() for n in range(4)]
        >>> found = hyperspy_dosekin.fit_dose_conditions(
        ...     series, conditions={"gas": ["air", "air", "none", "none"]}, windows="C–O"
        ... )
        >>> found.predict([0, 500, 1000], gas="none").integrity
        <DoseSeries, title: Predicted integrity, dimensions: (1|3)>
        """
        if not self.shared:
            raise ValueError(
                'curves cannot be predicted where each series has its own shape; fit with shape="'
                'shared".'
            )
        grid = np.linspace(0, max(self.largest_dose), 101) if dose is None else dose
        grid = np.atleast_1d(real_numbers("dose", grid, "give doses, ascending from 0 or more"))
        if grid.ndim != 1 or not grid.size or np.any(grid < 0) or np.any(np.diff(grid) <= 0):
            raise ValueError("the doses must be finite, not negative and ascending.")
        effects, law, outside = self._at(conditions)
        row, further = self.design.row(effects)
        outside = outside + further
        parameters = replace(self.parameters, law=law)
        random = np.random.default_rng(0)
        curves, rows = [], []
        for column, window in enumerate(self.window_names):
            draws = self.draws[column]
            log_rate = draws.effects @ row + draws.spread * random.normal(size=draws.spread.size)
            rows.append((window, *summary(np.exp(self._log_dose(column, log_rate, law)))))
            values = law_values(parameters, self.shapes[column])[:, draws.shape].clone()
            values[0] = values.new_tensor(np.exp(log_rate))
            found = trajectories(law, values.new_tensor(grid / self.dose_scale), values)
            curves.append(np.quantile(found.numpy(), ENDS, axis=0))
        lower, middle, upper = np.moveaxis(np.array(curves), 1, 0)
        notes = [f"{name} lies outside the range that was measured." for name in outside]
        notes += [] if self.design.freedom > 0 else [NO_REPLICATES]

        def series(values: np.ndarray, end: str) -> Signal1D:
            return make_dose_series(
                values,
                grid,
                (),
                self.window_names,
                title=f"Predicted integrity{end}",
                quantity="integrity",
                dose_unit=self.dose_unit,
            )

        return ConditionPrediction(
            series(middle, ""),
            series(lower, ", lower end"),
            series(upper, ", upper end"),
            as_frame(rows, ["window", "estimate", "lower", "upper"]),
            tuple(notes),
        )

    @takes_figure_options
    def plot(self, **options: Unpack[FigureOptions]) -> FigureBase:
        """Plot the effects of all windows with their 95 % intervals (forest plot).

        Returns
        -------
        matplotlib.figure.Figure
            A panel for each effect, a row for each window.

        Examples
        --------
        >>> simulate = hyperspy_dosekin.data.dose_series
        >>> series = [simulate(processed=True, seed=n).integrate_windows() for n in range(4)]
        >>> found = hyperspy_dosekin.fit_dose_conditions(
        ...     series, conditions={"gas": ["air", "air", "none", "none"]}, windows="C–O"
        ... )
        >>> len(found.plot().axes)
        1
        """
        names = self.window_names, self.design.effects
        return framed(partial(plot_effects, self.effects, *names), options)

    @takes_figure_options
    def plot_condition(self, name: str, **options: Unpack[FigureOptions]) -> FigureBase:
        """Plot D½ of all series against one condition, with the fitted dependence.

        Parameters
        ----------
        name
            Of the condition. The others are at their reference: what they do to D½ of the series is
            taken off.
        **options
            Of the figure.

        Returns
        -------
        matplotlib.figure.Figure
            A panel for each window.

        Raises
        ------
        ValueError
            If there is no such condition.

        Examples
        --------
        >>> simulate = hyperspy_dosekin.data.dose_series
        >>> series = [simulate(processed=True, seed=n).integrate_windows() for n in range(4)]
        >>> found = hyperspy_dosekin.fit_dose_conditions(
        ...     series, conditions={"gas": ["air", "air", "none", "none"]}, windows="C–O"
        ... )
        >>> len(found.plot_condition("gas").axes)
        1
        """
        every = (*self.design.conditions, *self.inputs)
        found = [each for each in every if each.name == name]
        if not found:
            names = [each.name for each in every]
            raise ValueError(f"{name!r} is none of the conditions {names}.")
        condition = found[0]
        if condition.kind == "factor":
            grid: list[object] = list(dict.fromkeys(condition.values))
        else:
            numbers = np.asarray(condition.values, dtype=np.float64)
            space = np.geomspace if condition.kind == "dose_rate" else np.linspace
            grid = space(numbers.min(), numbers.max(), 41).tolist()
        bands = []
        for column in range(len(self.window_names)):
            doses = [np.exp(self._log_dose_of(column, {name: value})) for value in grid]
            summaries = np.array([summary(dose) for dose in doses])
            bands.append(summaries[:, [1, 0, 2]].T)
        table = self._moved_doses(name)
        shown = condition, grid, np.array(bands), table, self.window_names, self.dose_unit
        return framed(partial(plot_condition, *shown), options)

    def _write(self, path: str | Path, overwrite: bool | None) -> None:
        save_conditions(self, path, overwrite=overwrite)

    def __repr__(self) -> str:
        """One line."""
        return printable(
            f"<ConditionKinetics, {len(self.names)} series, {len(self.window_names)} windows, "
            f"{self.parameters.law.name}, effects of "
            f"{', '.join([*self.design.effects, *(each.name for each in self.inputs)])}>"
        )

    def _said(self) -> tuple[list[PrettyTable], list[str]]:
        tables = (self.table, shape_table(self), self.dose_table)
        return [each for each in tables if each.rows], self.notes
