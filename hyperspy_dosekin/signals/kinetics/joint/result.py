# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinetics of several series of one specimen that were fitted together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hyperspy_dosekin.numerics.html import Html, element
from hyperspy_dosekin.numerics.text import printable
from hyperspy_dosekin.signals.drawing import FigureOptions, takes_figure_options
from hyperspy_dosekin.signals.kinetics.joint.file import save_joint
from hyperspy_dosekin.signals.kinetics.joint.numbers import ENDS, JointNumbers, log_doses
from hyperspy_dosekin.signals.kinetics.joint.text import GAIN, check_table
from hyperspy_dosekin.signals.kinetics.numbers.joint_maps import JointMaps
from hyperspy_dosekin.signals.kinetics.result.result import DoseKinetics
from hyperspy_dosekin.signals.kinetics.result.side_by_side import ResultComparison, compare_results
from hyperspy_dosekin.signals.results import SavedResult

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from matplotlib.figure import FigureBase
    from prettytable import PrettyTable
    from typing_extensions import Unpack

#: Draws with which a ratio is found.
_DRAWS = 8000


@dataclass(frozen=True, eq=False, repr=False)
class JointKinetics(JointNumbers, SavedResult, Mapping):
    """Kinetics of several series that were fitted together; made by `fit_dose_jointly`.

    A mapping of the names of the series to `DoseKinetics`, each of which has what the others say
    of it in its estimates, intervals and flags.

    Parameters
    ----------
    results
        By name of the series.
    shared
        The shared parameters.
    p_value
        Probability of shapes as unlike as found if all windows had the same; NaN where nothing is
        shared.
    p_by_window
        The same of each window against all others, by (series, window).
    alone
        The likeliest value of the first shared parameter of each window by itself.
    gain
        Standard deviation of the gain that the windows of a frame have in common, by series.
    gain_by_frame
        The gain of each frame and its standard deviation, ``(2, n_dose)``, by series.
    tests
        Probability of what was found if what is shared beside the shape is so, by its name; NaN
        where nothing could speak against it.
    alone_interval
        95 % interval of `alone`, all values being as likely before. What lies within the intervals
        of all windows no test can find.

    Examples
    --------
    >>> simulate = hyperspy_dosekin.data.dose_series
    >>> series = {str(n): simulate(processed=True, seed=n).integrate_windows() for n in (1, 2)}
    >>> hyperspy_dosekin.fit_dose_jointly(series)
    <JointKinetics, 2 series, 8 windows, common exponent>
    """

    def __getitem__(self, name: str) -> DoseKinetics:
        """The result of a series."""
        if not isinstance(name, str) or name not in self.results:
            raise KeyError(f"there is no series {name!r} among {', '.join(map(repr, self))}.")
        return self.results[name]

    def __iter__(self) -> Iterator[str]:
        """Names of the series."""
        return iter(self.results)

    def __len__(self) -> int:
        """Number of series."""
        return len(self.results)

    def check(self) -> PrettyTable:
        """Tests of what was shared, and of the residuals of each series.

        Returns
        -------
        prettytable.PrettyTable
            A row for all windows together and one for each against the others, with the p value of
            a common shape; then the tests of residuals of each window.

        Examples
        --------
        >>> simulate = hyperspy_dosekin.data.dose_series
        >>> series = {str(n): simulate(processed=True, seed=n).integrate_windows() for n in (1, 2)}
        >>> hyperspy_dosekin.fit_dose_jointly(series).check().field_names
        ['series', 'window', 'test', 'value', 'p', 'a small p says']
        """
        return check_table(self)

    def ratio(self, a: tuple[str, str], b: tuple[str, str]) -> tuple[float, float, float]:
        """Ratio of the half-integrity doses of two windows.

        Parameters
        ----------
        a, b
            D½ of `a` over that of `b`, each (name of the series, name of the window).

        Returns
        -------
        estimate, lower, upper : float
            Median and ends of the 95 % interval. What both have in common, such as an error of the
            dose scale, is not in it.

        Raises
        ------
        KeyError
            If there is no such series or window.
        ValueError
            If their doses are in different units.

        Examples
        --------
        >>> simulate = hyperspy_dosekin.data.dose_series
        >>> series = {str(n): simulate(processed=True, seed=n).integrate_windows() for n in (1, 2)}
        >>> found = hyperspy_dosekin.fit_dose_jointly(series)
        >>> middle, lower, upper = found.ratio(("1", "C–O"), ("2", "C–O"))
        >>> lower < middle < upper
        True
        """
        units = {self[name].dose_unit for name, _ in (a, b)}
        if len(units) > 1:
            raise ValueError(
                f"the doses of {a} and {b} are in different units, {sorted(units)}; convert them."
            )
        pair = [self._place(name, window) for name, window in (a, b)]
        if a == b:
            return 1.0, 1.0, 1.0
        random = np.random.default_rng(0)
        uniform = random.uniform(size=_DRAWS)
        over, under = (log_doses(maps, place, uniform, random) for maps, place in pair)
        difference = over - under
        low, middle, high = np.exp(np.quantile(difference, ENDS))
        return float(middle), float(low), float(high)

    def _place(self, name: str, window: str) -> tuple[JointMaps, int]:
        result = self[name]
        if window not in result.window_names:
            raise KeyError(f"series {name!r} has no window {window!r}.")
        maps = result.maps
        assert isinstance(maps, JointMaps)
        return maps, result.window_names.index(window)

    @property
    def comparison(self) -> ResultComparison:
        """D½ of all series side by side."""
        return compare_results(list(self.values()), names=list(self))

    def to_dataframe(self) -> pd.DataFrame:
        """Tidy pandas table: a row for each series and window.

        Returns
        -------
        pandas.DataFrame
            The tables of the series, with a column ``series`` before them.

        Examples
        --------
        >>> simulate = hyperspy_dosekin.data.dose_series
        >>> series = {str(n): simulate(processed=True, seed=n).integrate_windows() for n in (1, 2)}
        >>> len(hyperspy_dosekin.fit_dose_jointly(series).to_dataframe())
        8
        """
        import pandas as pd

        frames = [result.to_dataframe().assign(series=name) for name, result in self.items()]
        found = pd.concat(frames, ignore_index=True)
        return found.reindex(columns=["series", *found.columns.drop("series")])

    def _tables(self) -> Sequence[PrettyTable]:
        return self.comparison._tables()

    @takes_figure_options
    def plot(self, **options: Unpack[FigureOptions]) -> FigureBase:
        """Draw D½ of all windows of all series with their 95 % intervals (forest plot).

        Returns
        -------
        Figure
            A Matplotlib figure.

        Examples
        --------
        >>> simulate = hyperspy_dosekin.data.dose_series
        >>> series = {str(n): simulate(processed=True, seed=n).integrate_windows() for n in (1, 2)}
        >>> figure = hyperspy_dosekin.fit_dose_jointly(series).plot()
        """
        return self.comparison.plot(**options)

    @property
    def notes(self) -> list[str]:
        """What has to be said of the joint fit."""
        first = next(iter(self.values()))
        own = GAIN.partition("{")[0]
        notes = [note for note in first.maps.notes if not note.startswith(own)]
        for name, spread in self.gain.items():
            notes += [f"{name}: {GAIN.format(percent=100 * spread)}"] if spread > 0 else []
        return notes

    def _write(self, path: str | Path, overwrite: bool | None) -> None:
        save_joint(self, path, overwrite=overwrite)

    def __repr__(self) -> str:
        """One line."""
        windows = sum(len(result.window_names) for result in self.values())
        what = f", common {', '.join(each.name for each in self.shared)}" if self.shared else ""
        return printable(f"<JointKinetics, {len(self)} series, {windows} windows{what}>")

    def _said(self) -> tuple[list[PrettyTable], list[str]]:
        return [], self.notes

    def __str__(self) -> str:
        """The notes that apply, and what is to be said of each series."""
        each = [f"{name}: {result}" for name, result in self.items()]
        return printable("\n".join([super().__str__(), "", *each]))

    def _repr_html_(self) -> str:
        head = super()._repr_html_()
        parts = [
            element("div", element("b", name), Html(result._repr_html_()))
            for name, result in self.items()
        ]
        return element("div", Html(head), *parts)
