# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What several dose series say of their conditions: effects, tests, ratios and predictions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from prettytable import PrettyTable

from hyperspy_dosekin.kinetics.conditions.effects import Condition, Design
from hyperspy_dosekin.kinetics.conditions.fit import law_values, log_half_dose
from hyperspy_dosekin.kinetics.conditions.regression import Draws
from hyperspy_dosekin.kinetics.laws.prior import Prior
from hyperspy_dosekin.kinetics.laws.solution import dose_at_level
from hyperspy_dosekin.kinetics.model.parameters import Parameters, is_determined
from hyperspy_dosekin.numerics.arguments import real_numbers
from hyperspy_dosekin.numerics.html import report
from hyperspy_dosekin.numerics.text import printable
from hyperspy_dosekin.numerics.units import with_unit
from hyperspy_dosekin.signals.axes.wrapping import make_dose_series, make_map
from hyperspy_dosekin.signals.files import save_signal, seal
from hyperspy_dosekin.signals.kinetics.law_names import law_of_record, law_record
from hyperspy_dosekin.signals.kinetics.table import interval_text, number

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from hyperspy.signals import BaseSignal, Signal1D
    from matplotlib.figure import Figure

    from hyperspy_dosekin.kinetics.laws.contract import KineticLaw

#: Version of the layout of files.
FORMAT = 1
#: Where the result lies in the metadata of the signal that it is saved with.
NODE = "Dosekin.conditions"
_ARRAYS = ("effects", "spread", "shape", "log_rate", "shape_mass")
_ENDS = (0.025, 0.5, 0.975)
# Standard deviations that an effect must have to be found in four of five experiments at 5 %.
_DETECTABLE = 2.80
# Effective draws below which intervals are coarse.
_FEW_DRAWS = 100
NO_REPLICATES = (
    "There are no more series than effects: what specimens of one condition differ by is NOT "
    "determined, and is in none of the intervals. Repeat a condition with another specimen."
)
ONE_SERIES_EACH = (
    "The spread between specimens is what the series differ by beyond their conditions; without "
    "repeats of a condition it may also be a wrong form of an effect."
)
OF_LAW = "The {name} enters the law {law!r} itself, and has no effect beside what that says."
UNKNOWN_SHAPE = (
    "{window}: the data do NOT determine {name}; its interval is nearly what was assumed before "
    "them.{why}"
)
COMMON_SHAPE = "All series of a window share the shape of the law {law!r}; k and D½ differ."
OWN_SHAPE = "Each series has a shape of its own; the effects are those on 1/D½."


@dataclass(frozen=True)
class EffectTest:
    """Test of one effect in one window.

    Parameters
    ----------
    effect, window
        What was tested.
    p
        Twice the posterior probability of the other sign; of several levels of a factor, the
        probability of a distance from 0 at least as large (chi-square).
    detectable
        Size of an effect that an experiment like this one finds four times out of five, at 5 %;
        NaN for several levels.
    """

    effect: str
    window: str
    p: float
    detectable: float

    def __str__(self) -> str:
        """In words."""
        found = "an effect" if self.p < 0.05 else "no effect seen"
        least = f"; effects from {self.detectable:.2g} would be found 4 times out of 5"
        return printable(
            f"{self.effect}, {self.window}: {found} (p = {self.p:.2g}"
            f"{least if np.isfinite(self.detectable) else ''})"
        )


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
class ConditionKinetics:
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

    Examples
    --------
    >>> import hyperspy_dosekin
    >>> simulate = hyperspy_dosekin.data.dose_series
    >>> series = [simulate(processed=True, seed=n).integrate_windows() for n in range(4)]
    >>> found = hyperspy_dosekin.fit_dose_conditions(
    ...     series, conditions={"gas": ["air", "air", "none", "none"]}, windows="C–O"
    ... )
    >>> found
    <ConditionKinetics, 4 series, 1 windows, first order, effects of gas[none]>
    """

    design: Design
    parameters: Parameters
    shared: bool
    window_names: tuple[str, ...]
    names: tuple[str, ...]
    dose_scale: float
    dose_unit: str
    largest_dose: tuple[float, ...]
    draws: tuple[Draws, ...]
    shapes: tuple[np.ndarray, ...]
    taken: tuple[str, ...] = ()
    inputs: tuple[Condition, ...] = ()
    offset_known: bool = False

    # Tables

    @property
    def effects(self) -> pd.DataFrame:
        """Effects with 95 % intervals, one row for each effect and window.

        Columns ``effect``, ``window``, ``estimate``, ``lower``, ``upper``, ``p``: the exponent of
        the dose rate; the activation energy in eV; ln of the ratio of k (or of 1/D½) between a
        level of a factor and the reference; ln of the ratio per unit of any other number. ``p`` is
        that of `test`.
        """
        rows = []
        for place, effect in enumerate(self.design.effects):
            for window, draws in zip(self.window_names, self.draws, strict=True):
                values = draws.effects[:, 1 + place]
                rows.append((effect, window, *_summary(values), _sign_p(values)))
        return _frame(rows, ["effect", "window", "estimate", "lower", "upper", "p"])

    @property
    def half_integrity_dose(self) -> pd.DataFrame:
        """D½ of each series and window, with 95 % intervals, in the unit of the doses."""
        rows = []
        for place, name in enumerate(self.names):
            for column, window in enumerate(self.window_names):
                half = np.exp(self._log_dose_of(column, place))
                reached = bool(np.median(half) <= self.largest_dose[place])
                rows.append((name, window, *_summary(half), reached))
        return _frame(rows, ["series", "window", "estimate", "lower", "upper", "reached"])

    @property
    def specimen_spread(self) -> pd.DataFrame:
        """Standard deviation of ln D½ between specimens of one condition; NaN where unknown."""
        rows = []
        for window, draws in zip(self.window_names, self.draws, strict=True):
            values = _summary(draws.spread) if self.design.freedom > 0 else (np.nan,) * 3
            rows.append((window, *values))
        return _frame(rows, ["window", "estimate", "lower", "upper"])

    def test(self, name: str, window: str | None = None) -> EffectTest | list[EffectTest]:
        """Test whether a condition has an effect.

        Parameters
        ----------
        name
            Of an effect, or of a condition; all levels of a factor are tested together.
        window
            One window; all of them by default.

        Returns
        -------
        EffectTest, or a list with one for each window

        Raises
        ------
        ValueError
            If there is no such condition or window.

        Examples
        --------
        >>> import hyperspy_dosekin
        >>> simulate = hyperspy_dosekin.data.dose_series
        >>> series = [simulate(processed=True, seed=n).integrate_windows() for n in range(4)]
        >>> found = hyperspy_dosekin.fit_dose_conditions(
        ...     series, conditions={"gas": ["air", "air", "none", "none"]}, windows="C–O"
        ... )
        >>> found.test("gas").p < 0.05
        False
        """
        effects = [place for place, effect in enumerate(self.design.effects) if effect == name]
        if not effects:
            effects = [
                place
                for place, effect in enumerate(self.design.effects)
                if effect.startswith(f"{name}[")
            ]
        if not effects:
            raise ValueError(f"{name!r} is none of the effects {list(self.design.effects)}.")
        if window is not None and window not in self.window_names:
            raise ValueError(f"{window!r} is none of the windows {list(self.window_names)}.")
        found = []
        for label, draws in zip(self.window_names, self.draws, strict=True):
            values = draws.effects[:, [1 + place for place in effects]]
            if len(effects) == 1:
                p, least = _sign_p(values[:, 0]), _DETECTABLE * float(values.std())
            else:
                p, least = _joint_p(values), float("nan")
            found.append(EffectTest(name, label, p, least))
        if window is not None:
            return found[self.window_names.index(window)]
        return found[0] if len(found) == 1 else found

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
        >>> import hyperspy_dosekin
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
            rows.append((window, *_summary(np.exp(over))))
        return _frame(rows, ["window", "estimate", "lower", "upper"])

    def predict(self, dose: Any = None, **conditions: Any) -> ConditionPrediction:
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
        >>> import hyperspy_dosekin
        >>> simulate = hyperspy_dosekin.data.dose_series
        >>> series = [simulate(processed=True, seed=n).integrate_windows() for n in range(4)]
        >>> found = hyperspy_dosekin.fit_dose_conditions(
        ...     series, conditions={"gas": ["air", "air", "none", "none"]}, windows="C–O"
        ... )
        >>> found.predict([0, 500, 1000], gas="none").integrity
        <DoseSeries, title: Predicted integrity, dimensions: (1|3)>
        """
        from hyperspy_dosekin.kinetics.laws.solution import trajectories

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
            rows.append((window, *_summary(np.exp(self._log_dose(column, log_rate, law)))))
            values = law_values(parameters, self.shapes[column])[:, draws.shape].clone()
            values[0] = values.new_tensor(np.exp(log_rate))
            found = trajectories(law, values.new_tensor(grid / self.dose_scale), values)
            curves.append(np.quantile(found.numpy(), _ENDS, axis=0))
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
            _frame(rows, ["window", "estimate", "lower", "upper"]),
            tuple(notes),
        )

    def _at(self, conditions: Mapping[str, Any]) -> tuple[dict[str, Any], KineticLaw, list[str]]:
        """What of some conditions are effects, the law under the others, and what is outside."""
        effects, reference = dict(conditions), {each.name: each.reference for each in self.inputs}
        found, outside = {}, []
        for each in self.inputs:
            found[each.name], beyond = each.checked(effects.pop(each.name, each.reference))
            outside += [each.name] * beyond
        return effects, self.parameters.law.at(found, reference, self.dose_scale), outside

    def _own_law(self, place: int) -> KineticLaw:
        """The law under the conditions of a series."""
        return self._at({each.name: each.values[place] for each in self.inputs})[1]

    def _log_dose(self, column: int, log_rate: np.ndarray, law: KineticLaw) -> np.ndarray:
        """Ln D½, in the unit of the doses, of draws of ln k under a law."""
        scale = np.log(self.dose_scale)
        if not self.shared:
            return scale - log_rate
        parameters, shape = replace(self.parameters, law=law), self.draws[column].shape
        if law.scales:
            return log_half_dose(parameters, self.shapes[column])[shape] - log_rate + scale
        values = law_values(parameters, self.shapes[column])[:, shape].clone()
        values[0] = values.new_tensor(np.exp(log_rate))
        return dose_at_level(law, values, 0.5).log().numpy() + scale

    def _log_dose_of(self, column: int, which: Any) -> np.ndarray:
        """Draws of ln D½ of a series, or of the middle of some conditions."""
        draws = self.draws[column]
        if isinstance(which, Mapping):
            effects, law, _ = self._at(which)
            return self._log_dose(column, draws.effects @ self.design.row(effects)[0], law)
        if isinstance(which, str):
            if which not in self.names:
                raise ValueError(f"{which!r} is none of the series {list(self.names)}.")
            which = self.names.index(which)
        if isinstance(which, bool) or not isinstance(which, int | np.integer):
            raise ValueError(
                f"{which!r} is no series: give its name, its place from 0, or conditions."
            )
        if not -len(self.names) <= which < len(self.names):
            raise ValueError(f"there is no series {which}; there are {len(self.names)}.")
        return self._log_dose(column, draws.log_rate[:, which], self._own_law(int(which)))

    @property
    def law_parameters(self) -> pd.DataFrame:
        """Parameters of the shape of the law, which all series of a window share.

        Columns ``parameter``, ``window``, ``estimate``, ``lower``, ``upper``, ``determined``. The
        recovery of the reversible law is r/k, in the unit of the dose rate. What the law takes for
        the work of a condition that is the same in all series cannot be told from an offset, and is
        not determined where that is free.
        """
        same = {each.name for each in self.inputs if len(set(each.values)) < 2}
        free, rows = self.parameters.free[1:], []
        law, prior = self.parameters.law, self.parameters.prior_of_law
        reference = {each.name: each.reference for each in self.inputs}
        random = np.random.default_rng(0)
        for window, draws, shapes in zip(self.window_names, self.draws, self.shapes, strict=True):
            for parameter, row in zip(free if self.shared else (), shapes, strict=self.shared):
                on_scale = np.log(row) if parameter.logarithmic else row
                nodes = np.unique(on_scale)
                step = nodes[1] - nodes[0] if nodes.size > 1 else 0.0
                # Between nodes: draws on them alone would lie in heaps.
                value = on_scale[draws.shape] + step * random.uniform(-0.5, 0.5, draws.shape.size)
                value = np.clip(value, *parameter.free_box)
                value = np.exp(value) if parameter.logarithmic else value
                middle, low, high = _summary(value)
                known = is_determined(parameter, prior, np.array(low), np.array(high))
                name, unit = parameter.name, 1.0
                if law.per.get(name) in same and not self.offset_known:
                    known = np.bool_(False)
                if name in law.per:
                    unit = float(reference[law.per[name]])
                    name = f"{name} × {law.per[name]}"
                rows.append((name, window, unit * middle, unit * low, unit * high, bool(known)))
        return _frame(rows, ["parameter", "window", "estimate", "lower", "upper", "determined"])

    # Texts and figures

    @property
    def notes(self) -> list[str]:
        """What has to be said beside the numbers."""
        notes = list(self.taken)
        law = self.parameters.law
        if not self.shared:
            notes.append(OWN_SHAPE)
        elif len(self.parameters.free) > 1:
            notes.append(COMMON_SHAPE.format(law=law.name))
        for each in self.inputs:
            notes.append(OF_LAW.format(name=each.name, law=law.name))
        table = self.law_parameters
        for name, window, *_, known in table.to_numpy().tolist():
            if known:
                continue
            one = [each.name for each in self.inputs if len(set(each.values)) < 2]
            why = (
                f" All series have the same {', '.join(one)}: others would tell it." if one else ""
            )
            notes.append(UNKNOWN_SHAPE.format(window=window, name=name, why=why))
        if self.design.freedom <= 0:
            notes.append(NO_REPLICATES)
        elif len(np.unique(self.design.matrix, axis=0)) == self.design.n_series:
            notes.append(ONE_SERIES_EACH)
        for condition in (*self.design.conditions, *self.inputs):
            notes.append(f"Reference: {condition.name} = {_shown(condition.reference)}.")
        few = [
            window
            for window, draws in zip(self.window_names, self.draws, strict=True)
            if draws.effective < _FEW_DRAWS
        ]
        if few:
            notes.append(f"{', '.join(few)}: few effective draws, the intervals are coarse.")
        return notes

    @property
    def table(self) -> PrettyTable:
        """The effects as a table."""
        table = PrettyTable(["effect", "window", "estimate", "95 % interval", "p", "4 of 5 find"])
        table.align = "r"
        table.align["effect"] = table.align["window"] = "l"
        for effect, window, estimate, lower, upper, p in self.effects.to_numpy().tolist():
            test = self.test(effect, window)
            assert isinstance(test, EffectTest)
            span, least = f"{lower:.3g} … {upper:.3g}", f"±{test.detectable:.2g}"
            table.add_row([effect, window, f"{estimate:.3g}", span, f"{p:.2g}", least])
        return table

    @property
    def dose_table(self) -> PrettyTable:
        """D½ of each series and window as a table."""
        table = PrettyTable(["series", "window", with_unit("D½", self.dose_unit)])
        table.align = "l"
        for series, window, middle, low, high, _ in self.half_integrity_dose.to_numpy().tolist():
            table.add_row([series, window, f"{number(middle)} {interval_text(low, high)}"])
        return table

    def plot(self) -> Figure:
        """Plot the effects of all windows with their 95 % intervals (forest plot).

        Returns
        -------
        matplotlib.figure.Figure
            A panel for each effect, a row for each window.

        Examples
        --------
        >>> import hyperspy_dosekin
        >>> simulate = hyperspy_dosekin.data.dose_series
        >>> series = [simulate(processed=True, seed=n).integrate_windows() for n in range(4)]
        >>> found = hyperspy_dosekin.fit_dose_conditions(
        ...     series, conditions={"gas": ["air", "air", "none", "none"]}, windows="C–O"
        ... )
        >>> len(found.plot().axes)
        1
        """
        from hyperspy_dosekin.plotting.kinetics.conditions import plot_effects

        return plot_effects(self.effects, self.window_names, self.design.effects)

    def plot_condition(self, name: str) -> Figure:
        """Plot D½ of all series against one condition, with the fitted dependence.

        Parameters
        ----------
        name
            Of the condition. The others are at their reference: what they do to D½ of the series is
            taken off.

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
        >>> import hyperspy_dosekin
        >>> simulate = hyperspy_dosekin.data.dose_series
        >>> series = [simulate(processed=True, seed=n).integrate_windows() for n in range(4)]
        >>> found = hyperspy_dosekin.fit_dose_conditions(
        ...     series, conditions={"gas": ["air", "air", "none", "none"]}, windows="C–O"
        ... )
        >>> len(found.plot_condition("gas").axes)
        1
        """
        from hyperspy_dosekin.plotting.kinetics.conditions import plot_condition

        every = (*self.design.conditions, *self.inputs)
        found = [each for each in every if each.name == name]
        if not found:
            names = [each.name for each in every]
            raise ValueError(f"{name!r} is none of the conditions {names}.")
        condition = found[0]
        if condition.kind == "factor":
            grid: list[Any] = list(dict.fromkeys(condition.values))
        else:
            numbers = np.asarray(condition.values, dtype=np.float64)
            space = np.geomspace if condition.kind == "dose_rate" else np.linspace
            grid = space(numbers.min(), numbers.max(), 41).tolist()
        bands = []
        for column in range(len(self.window_names)):
            doses = [np.exp(self._log_dose_of(column, {name: value})) for value in grid]
            summaries = np.array([_summary(dose) for dose in doses])
            bands.append(summaries[:, [1, 0, 2]].T)
        return plot_condition(
            condition,
            grid,
            np.array(bands),
            self._moved_doses(name),
            self.window_names,
            self.dose_unit,
        )

    def _moved_doses(self, name: str) -> pd.DataFrame:
        """D½ of each series with all conditions but one at their reference."""
        rows = []
        for place, series in enumerate(self.names):
            every = {
                each.name: each.values[place] for each in (*self.design.conditions, *self.inputs)
            }
            effects, law, _ = self._at({name: every[name]})
            away = self.design.matrix[place] - self.design.row(effects)[0]
            for column, window in enumerate(self.window_names):
                draws = self.draws[column]
                rate = draws.log_rate[:, place] - draws.effects @ away
                rows.append((series, window, *_summary(np.exp(self._log_dose(column, rate, law)))))
        return _frame(rows, ["series", "window", "estimate", "lower", "upper"])

    def save(self, path: str | Path, *, overwrite: bool | None = None) -> None:
        """Save to a ``.hspy`` or ``.zspy`` file, which HyperSpy opens as D½ of the series.

        Parameters
        ----------
        path
            File name; ``.hspy`` is added where there is no extension.
        overwrite
            As for `hyperspy.signals.BaseSignal.save`.

        Raises
        ------
        ValueError
            If the file name has the extension of another format.

        Examples
        --------
        >>> import hyperspy_dosekin
        >>> simulate = hyperspy_dosekin.data.dose_series
        >>> series = [simulate(processed=True, seed=n).integrate_windows() for n in range(4)]
        >>> found = hyperspy_dosekin.fit_dose_conditions(
        ...     series, conditions={"gas": ["air", "air", "none", "none"]}, windows="C–O"
        ... )
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     found.save(f"{folder}/gas.hspy")
        ...     same = hyperspy_dosekin.load(f"{folder}/gas.hspy")
        >>> same.names == found.names
        True
        """
        arrays = {}
        for place, (draws, shapes) in enumerate(zip(self.draws, self.shapes, strict=True)):
            arrays |= {f"{name}_{place}": getattr(draws, name) for name in _ARRAYS}
            arrays[f"shapes_{place}"] = shapes
        prior = self.parameters.prior_of_law
        record = json.dumps(
            {
                "conditions": [asdict(condition) for condition in self.design.conditions],
                "law": law_record(self.parameters.law),
                "prior": None if prior is None else asdict(prior),
                "held": self.parameters.held,
                "shared": self.shared,
                "names": self.names,
                "window_names": self.window_names,
                "dose_scale": self.dose_scale,
                "dose_unit": self.dose_unit,
                "largest_dose": self.largest_dose,
                "effective": [draws.effective for draws in self.draws],
                "taken": self.taken,
                "inputs": [asdict(condition) for condition in self.inputs],
                "offset_known": self.offset_known,
            }
        )
        table = self.half_integrity_dose.estimate.to_numpy()
        signal = make_map(
            table.reshape(len(self.names), -1).T,
            [{"name": "series", "size": len(self.names), "offset": 0, "scale": 1}],
            self.window_names,
            title="D½",
            quantity="half_integrity_dose",
        )
        node = {"format": FORMAT, "record": record, "arrays": arrays}
        node["checksum"] = seal(signal, arrays, record)
        signal.metadata.set_item(NODE, node)
        save_signal(signal, path, "a comparison of conditions", overwrite=overwrite)

    def __repr__(self) -> str:
        """One line."""
        return printable(
            f"<ConditionKinetics, {len(self.names)} series, {len(self.window_names)} windows, "
            f"{self.parameters.law.name}, effects of "
            f"{', '.join([*self.design.effects, *(each.name for each in self.inputs)])}>"
        )

    @property
    def _tables(self) -> list[PrettyTable]:
        """Tables that have rows."""
        shape = PrettyTable(["parameter", "window", "estimate", "95 % interval", "determined"])
        shape.align = "l"
        rows = self.law_parameters.to_numpy().tolist() if self.inputs else []
        for name, window, middle, low, high, known in rows:
            span = f"{low:.3g} … {high:.3g}"
            shape.add_row([name, window, f"{middle:.3g}", span, "yes" if known else "NO"])
        return [each for each in (self.table, shape, self.dose_table) if each.rows]

    def __str__(self) -> str:
        """Tables with the notes that apply."""
        notes = [f"* {note}" for note in self.notes]
        tables = [each.get_string() for each in self._tables]
        return printable("\n".join([repr(self), *tables, *notes]))

    def _repr_html_(self) -> str:
        return report(repr(self), self._tables, self.notes)


def stored_conditions(
    signal: BaseSignal, law: str | KineticLaw | None
) -> tuple[ConditionKinetics, str | None, str]:
    """The result that a signal from a file holds, its seal and what that should be."""
    node = signal.metadata.get_item(NODE)
    record = json.loads(node.record)
    windows = range(len(record["window_names"]))
    names = [f"{name}_{place}" for place in windows for name in (*_ARRAYS, "shapes")]
    arrays = {name: np.asarray(node.arrays.get_item(name)) for name in names}
    expected = seal(signal, arrays, node.record)
    conditions, inputs = (
        tuple(
            Condition(each["name"], each["kind"], tuple(each["values"]), each["reference"])
            for each in record.get(kind, ())
        )
        for kind in ("conditions", "inputs")
    )
    prior = record["prior"] and Prior(**{name: tuple(v) for name, v in record["prior"].items()})
    result = ConditionKinetics(
        Design(conditions, len(record["names"]), len(inputs)),
        Parameters(
            law_of_record(record["law"], law), prior, tuple((n, v) for n, v in record["held"])
        ),
        record["shared"],
        tuple(record["window_names"]),
        tuple(record["names"]),
        record["dose_scale"],
        record["dose_unit"],
        tuple(record["largest_dose"]),
        tuple(
            Draws(**{name: arrays[f"{name}_{place}"] for name in _ARRAYS}, effective=effective)
            for place, effective in zip(windows, record["effective"], strict=True)
        ),
        tuple(arrays[f"shapes_{place}"] for place in windows),
        tuple(record["taken"]),
        inputs,
        bool(record.get("offset_known", False)),
    )
    return result, node.get_item("checksum"), expected


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"


def _summary(values: np.ndarray) -> tuple[float, float, float]:
    """Median and ends of the 95 % interval; a dose that is never reached is infinite."""
    values = values[~np.isnan(values)]
    if not values.size:
        return float("nan"), float("nan"), float("nan")
    # Between infinite values nothing can be interpolated.
    method = "linear" if np.all(np.isfinite(values)) else "inverted_cdf"
    low, middle, high = np.quantile(values, _ENDS, method=method)
    return float(middle), float(low), float(high)


def _sign_p(values: np.ndarray) -> float:
    """Twice the probability of the other sign, as fine as the draws allow."""
    less = float((values < 0).mean())
    return max(2 * min(less, 1 - less), 2 / (values.size + 1))


def _joint_p(values: np.ndarray) -> float:
    from scipy import stats

    mean = values.mean(axis=0)
    distance = mean @ np.linalg.solve(np.cov(values.T), mean)
    return float(stats.chi2.sf(distance, values.shape[1]))


def _frame(rows: list[Any], columns: list[str]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(rows, columns=columns)
