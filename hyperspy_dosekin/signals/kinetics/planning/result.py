# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A planned dose series: its texts, its figure, its file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hyperspy_dosekin.numerics.text import printable
from hyperspy_dosekin.signals.drawing import FigureOptions, drawn, takes_figure_options
from hyperspy_dosekin.signals.kinetics.planning.file import save_plan
from hyperspy_dosekin.signals.kinetics.planning.numbers import PlanNumbers
from hyperspy_dosekin.signals.kinetics.planning.text import (
    SYMBOLS,
    plan_frame,
    plan_table,
    recommendation_of,
)
from hyperspy_dosekin.signals.results import SavedResult

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import FigureBase
    from pandas import DataFrame
    from prettytable import PrettyTable
    from typing_extensions import Unpack


@dataclass(frozen=True, eq=False, repr=False)
class DosePlan(PlanNumbers, SavedResult):
    """A plan of a dose series; made by `plan_dose_series`.

    Parameters
    ----------
    frames
        The recommended frames.
    compared
        The alternatives, the recommended ones first.
    goal
        What they make certain.
    dose_unit
        Unit of the doses; empty where it was not said.
    chance_determined
        Share of simulated experiments, fitted as real ones are, of which the result is called
        determined; NaN where nothing was simulated.
    simulated_ratio
        Spread of the error of the logarithm of the goal in those of which the bound is below 0.3,
        in units of the bound: about 1 where the plan keeps its promise. NaN where there are none.
    n_simulated
        Number of simulated experiments.
    curves
        Integrity of the expected curves at 2.5, 50 and 97.5 % and doses to draw them at.
    notes
        What has to be said beside the numbers.

    Examples
    --------
    >>> plan = hyperspy_dosekin.plan_dose_series(400.0, noise=0.01, dose_budget=1500.0)
    >>> plan
    <DosePlan, 9 frames up to 1500, sd of ln D½ ...>
    """

    @property
    def table(self) -> PrettyTable:
        """The plan beside its alternatives."""
        return plan_table(self)

    @property
    def recommendation(self) -> str:
        """A sentence to follow."""
        return recommendation_of(self)

    def to_dataframe(self) -> DataFrame:
        """Tidy pandas table, a row for each frame of the plan and of each alternative.

        Returns
        -------
        pandas.DataFrame
            ``dose`` is the cumulative one at the end of the frame, ``dose_of_frame`` its own; the
            recommended plan comes first. ``sd`` and ``share`` are those of `PlannedFrames`.

        Examples
        --------
        >>> plan = hyperspy_dosekin.plan_dose_series(400.0, noise=0.01, dose_budget=1500.0)
        >>> frame = plan.to_dataframe()
        >>> bool((frame.dose[:9] == plan.dose).all())
        True
        """
        return plan_frame(self)

    @takes_figure_options
    def plot(self, **options: Unpack[FigureOptions]) -> FigureBase:
        """Plot what is expected with the planned frames, and the alternatives.

        Returns
        -------
        matplotlib.figure.Figure
            On the left the expected curves and the doses of the frames, on the right the expected
            standard deviation of each alternative.

        Examples
        --------
        >>> plan = hyperspy_dosekin.plan_dose_series(400.0, noise=0.01, dose_budget=1500.0)
        >>> len(plan.plot().axes)
        2
        """
        from hyperspy_dosekin.plotting.kinetics.plans import PlanPicture, plot_plan

        return drawn(
            plot_plan,
            PlanPicture(
                dose=self.dose,
                curve_dose=self.curves["dose"],
                lower=self.curves["lower"],
                middle=self.curves["middle"],
                upper=self.curves["upper"],
                names=tuple(row.name for row in self.compared),
                sd=np.asarray([row.sd for row in self.compared]),
                symbol=SYMBOLS[self.goal],
                dose_unit=self.dose_unit,
            ),
            options,
        )

    def _write(self, path: str | Path, overwrite: bool | None) -> None:
        save_plan(self, path, overwrite=overwrite)

    def __repr__(self) -> str:
        """One line."""
        return printable(
            f"<DosePlan, {self.dose.size} frames up to {self.dose[-1]:.4g}"
            f"{' ' + self.dose_unit if self.dose_unit else ''}, sd of ln {SYMBOLS[self.goal]} "
            f"{self.expected_sd:.2g}>"
        )

    def _said(self) -> tuple[list[PrettyTable], tuple[str, ...]]:
        return [self.table], self.notes

    def _heading(self) -> str:
        return self.recommendation
