# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A planned dose series: its texts, its figure, its file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from prettytable import PrettyTable

from hyperspy_dosekin.numerics.arguments import check_fields, real_numbers, short
from hyperspy_dosekin.numerics.text import printable
from hyperspy_dosekin.signals.axes.wrapping import make_dose_series
from hyperspy_dosekin.signals.drawing import FigureOptions, drawn, takes_figure_options
from hyperspy_dosekin.signals.files import save_signal, seal
from hyperspy_dosekin.signals.kinetics.planning.power import check_spread, number_that_shows
from hyperspy_dosekin.signals.results import SavedResult

if TYPE_CHECKING:
    from pathlib import Path

    from hyperspy.signals import BaseSignal
    from matplotlib.figure import FigureBase
    from typing_extensions import Unpack

#: Version of the layout of files.
FORMAT = 1
#: Where a plan lies in the metadata of the signal that it is saved with.
NODE = "Dosekin.dose_plan"
#: Standard deviation of ln D½ below which a window counts as known.
KNOWN = 0.2
# What is kept of the expected curves, beside their doses.
_CURVES = ("lower", "middle", "upper")


@dataclass(frozen=True)
class PlannedFrames:
    """One way to spread the frames, and what can be expected of it.

    Parameters
    ----------
    name
        What it is.
    dose
        Cumulative doses of the frames.
    sd
        Expected standard deviation of the logarithm of the goal: the geometric mean of the
        Cramér–Rao bound over what is expected.
    share
        Share of what is expected of which the bound is below 0.2.
    """

    name: str
    dose: tuple[float, ...]
    sd: float
    share: float

    def __post_init__(self) -> None:
        check_fields(self)
        doses = real_numbers("dose", self.dose, "give cumulative doses")
        if doses.ndim != 1 or not doses.size or not (np.diff(doses, prepend=0.0) > 0).all():
            raise ValueError(f"dose={short(self.dose)} must be positive and ascending doses.")


@dataclass(frozen=True, eq=False, repr=False)
class DosePlan(SavedResult):
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
    >>> import hyperspy_dosekin
    >>> plan = hyperspy_dosekin.plan_dose_series(400.0, noise=0.01, dose_budget=1500.0)
    >>> plan
    <DosePlan, 9 frames up to 1500, sd of ln D½ ...>
    """

    frames: PlannedFrames
    compared: tuple[PlannedFrames, ...]
    goal: str
    dose_unit: str
    chance_determined: float
    simulated_ratio: float
    n_simulated: int
    curves: Mapping[str, np.ndarray]
    notes: tuple[str, ...]

    @property
    def dose(self) -> np.ndarray:
        """Cumulative dose at the end of each frame, ascending, ``(n_frame,)``."""
        return np.asarray(self.frames.dose)

    @property
    def expected_sd(self) -> float:
        """Expected standard deviation of the logarithm of the goal, a relative error."""
        return self.frames.sd

    @property
    def table(self) -> PrettyTable:
        """The plan beside its alternatives."""
        symbol = _symbol(self.goal)
        table = PrettyTable(["frames", f"sd of ln {symbol}", f"sd < {KNOWN}", "largest dose"])
        table.align = "r"
        table.align["frames"] = "l"
        for row in self.compared:
            table.add_row([row.name, f"{row.sd:.3f}", f"{row.share:.0%}", f"{row.dose[-1]:.4g}"])
        return table

    @property
    def recommendation(self) -> str:
        """A sentence to follow."""
        unit = f" {self.dose_unit}" if self.dose_unit else ""
        doses = ", ".join(f"{dose:.3g}" for dose in self.dose[:12])
        more = "" if self.dose.size <= 12 else f", … {self.dose[-1]:.3g}"
        text = (
            f"{self.dose.size} frames that end at the cumulative doses {doses}{more}{unit}; expect "
            f"{_symbol(self.goal)} ± {100 * math.expm1(self.expected_sd):.2g} %"
        )
        if self.n_simulated:
            text += f"; determined with probability {self.chance_determined:.2f}"
        return text + "."

    def specimens(
        self,
        ratio: float = 1.3,
        *,
        between: float = 0.0,
        power: float = 0.8,
        level: float = 0.05,
    ) -> int:
        """Number of specimens of each kind that show a ratio of two goals.

        Parameters
        ----------
        ratio
            The ratio of D½ between the two kinds that is to be found.
        between
            Standard deviation of ln D½ between specimens of one kind.
        power
            Probability of finding it.
        level
            Probability of finding a difference where there is none.

        Returns
        -------
        int
            Specimens of each kind, two at least: one says nothing of the spread between them.

        Raises
        ------
        ValueError
            If a number is out of range, or no number of specimens up to a thousand is enough.

        Examples
        --------
        >>> import hyperspy_dosekin
        >>> plan = hyperspy_dosekin.plan_dose_series(400.0, noise=0.01, dose_budget=1500.0)
        >>> plan.specimens(1.3, between=0.1) <= plan.specimens(1.3, between=0.3)
        True
        """
        if not (math.isfinite(ratio) and ratio > 0 and ratio != 1):
            raise ValueError(f"ratio={ratio} must be positive and not 1, such as 1.3.")
        check_spread(between, power, level)
        found = number_that_shows(
            math.hypot(self.expected_sd, between),
            lambda number: abs(math.log(ratio)) * math.sqrt(number / 2),
            lambda number: 2 * number - 2,
            power,
            level,
        )
        if found is None:
            spread = math.hypot(self.expected_sd, between)
            raise ValueError(
                f"a ratio of {ratio} cannot be found with 1000 specimens of a spread of "
                f"{spread:.2g} in ln D½; look for a larger one."
            )
        return found

    def dose_rates(
        self,
        exponent: float,
        *,
        span: float = 25.0,
        n_rates: int = 3,
        between: float = 0.0,
        power: float = 0.8,
        level: float = 0.05,
    ) -> int:
        """Number of specimens at each of some dose rates that show a dependence on it.

        The plan is recorded at each dose rate, and the exponent β of D½ ∝ J^−β is found by
        `fit_dose_conditions`: a straight line through the ln D½ of all specimens.

        Parameters
        ----------
        exponent
            The β that is to be found.
        span
            Largest dose rate over the smallest.
        n_rates
            Number of dose rates, evenly spaced in their logarithm.
        between
            Standard deviation of ln D½ between specimens.
        power, level
            As for `specimens`.

        Returns
        -------
        int
            Specimens at each dose rate.

        Raises
        ------
        ValueError
            If a number is out of range, or no number of specimens up to a thousand is enough.

        Examples
        --------
        >>> import hyperspy_dosekin
        >>> plan = hyperspy_dosekin.plan_dose_series(400.0, noise=0.01, dose_budget=1500.0)
        >>> plan.dose_rates(0.3, between=0.1) <= plan.dose_rates(0.3, between=0.1, span=4.0)
        True
        """
        if not (math.isfinite(exponent) and exponent != 0):
            raise ValueError(f"exponent={exponent} must be a number that is not 0, such as 0.2.")
        if not (math.isfinite(span) and span > 1):
            raise ValueError(f"span={span} must be above 1: the largest over the smallest rate.")
        if isinstance(n_rates, bool) or int(n_rates) != n_rates or n_rates < 2:
            raise ValueError(f"n_rates={n_rates} must be a whole number, 2 or more.")
        check_spread(between, power, level)
        places = np.linspace(0, math.log(span), int(n_rates))
        size = float(((places - places.mean()) ** 2).sum())
        found = number_that_shows(
            math.hypot(self.expected_sd, between),
            lambda number: abs(exponent) * math.sqrt(number * size),
            lambda number: int(n_rates) * number - 2,
            power,
            level,
        )
        if found is None:
            raise ValueError(
                f"a dependence with an exponent of {exponent} cannot be found with 1000 specimens "
                "at each dose rate; look for a larger one, or spread the dose rates further."
            )
        return found

    @takes_figure_options
    def plot(self, **options: Unpack[FigureOptions]) -> FigureBase:
        """Plot what is expected with the planned frames, and the alternatives.

        Parameters
        ----------
        **options
            Of the figure.

        Returns
        -------
        matplotlib.figure.Figure
            On the left the expected curves and the doses of the frames, on the right the expected
            standard deviation of each alternative.

        Examples
        --------
        >>> import hyperspy_dosekin
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
                symbol=_symbol(self.goal),
                dose_unit=self.dose_unit,
            ),
            options,
        )

    def _write(self, path: str | Path, overwrite: bool | None) -> None:
        series = make_dose_series(
            np.stack([self.curves[name] for name in _CURVES]),
            self.curves["dose"],
            (),
            _CURVES,
            title="Expected integrity",
            quantity="integrity",
            dose_unit=self.dose_unit,
        )
        record = json.dumps(
            {
                "compared": [asdict(row) for row in self.compared],
                "goal": self.goal,
                "dose_unit": self.dose_unit,
                "chance_determined": self.chance_determined,
                "simulated_ratio": self.simulated_ratio,
                "n_simulated": self.n_simulated,
                "notes": self.notes,
            }
        )
        node = {"format": FORMAT, "record": record, "checksum": seal(series, {}, record)}
        series.metadata.set_item(NODE, node)
        save_signal(series, path, "a plan", overwrite=overwrite)

    def __repr__(self) -> str:
        """One line."""
        return printable(
            f"<DosePlan, {self.dose.size} frames up to {self.dose[-1]:.4g}"
            f"{' ' + self.dose_unit if self.dose_unit else ''}, sd of ln {_symbol(self.goal)} "
            f"{self.expected_sd:.2g}>"
        )

    def _said(self) -> tuple[list[PrettyTable], tuple[str, ...]]:
        return [self.table], self.notes

    def _heading(self) -> str:
        return self.recommendation


def _symbol(goal: str) -> str:
    return {"half_integrity_dose": "D½", "critical_dose": "D(1/e)", "rate": "k"}[goal]


def stored_plan(series: BaseSignal) -> tuple[DosePlan, str | None, str]:
    """The plan that a series from a file holds, its seal and what that should be."""
    node = series.metadata.get_item(NODE)
    text, checksum = node.record, node.get_item("checksum")
    expected = seal(series, {}, text)
    record = json.loads(text)
    rows = tuple(
        PlannedFrames(row["name"], tuple(row["dose"]), row["sd"], row["share"])
        for row in record["compared"]
    )
    curves: dict[str, np.ndarray] = {"dose": np.asarray(series.dose)}
    curves.update(zip(_CURVES, np.asarray(series.data), strict=True))
    plan = DosePlan(
        rows[0],
        rows,
        record["goal"],
        record["dose_unit"],
        record["chance_determined"],
        record["simulated_ratio"],
        record["n_simulated"],
        curves,
        tuple(record["notes"]),
    )
    return plan, checksum, expected
