# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The numbers of several dose series under conditions: effects, doses, tests and their draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hyperspy_dosekin.kinetics.conditions.effects import Condition, Design
from hyperspy_dosekin.kinetics.conditions.fit import law_values, log_half_dose
from hyperspy_dosekin.kinetics.conditions.regression import Draws
from hyperspy_dosekin.kinetics.conditions.shapes import quantiles_of, ratio_ends
from hyperspy_dosekin.kinetics.laws.solution import dose_at_level
from hyperspy_dosekin.kinetics.model.parameters import Parameters, is_determined
from hyperspy_dosekin.numerics.text import printable
from hyperspy_dosekin.signals.results import as_frame

if TYPE_CHECKING:
    import pandas as pd

    from hyperspy_dosekin.kinetics.laws.contract import KineticLaw

ENDS = (0.025, 0.5, 0.975)
# Standard deviations that an effect must have to be found in four of five experiments at 5 %.
_DETECTABLE = 2.80


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


@dataclass(frozen=True, eq=False, repr=False)
class ConditionNumbers:
    """Draws of the effects and shapes of several series; fields as in `ConditionKinetics`."""

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
    offset_angles: tuple[np.ndarray, ...] = ()
    offset_p_values: tuple[float, ...] = ()

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
                rows.append((effect, window, *summary(values), _sign_p(values)))
        return as_frame(rows, ["effect", "window", "estimate", "lower", "upper", "p"])

    @property
    def half_integrity_dose(self) -> pd.DataFrame:
        """D½ of each series and window, with 95 % intervals, in the unit of the doses."""
        rows = []
        for place, name in enumerate(self.names):
            for column, window in enumerate(self.window_names):
                half = np.exp(self._log_dose_of(column, place))
                reached = bool(np.median(half) <= self.largest_dose[place])
                rows.append((name, window, *summary(half), reached))
        return as_frame(rows, ["series", "window", "estimate", "lower", "upper", "reached"])

    @property
    def specimen_spread(self) -> pd.DataFrame:
        """Standard deviation of ln D½ between specimens of one condition; NaN where unknown."""
        rows = []
        for window, draws in zip(self.window_names, self.draws, strict=True):
            values = summary(draws.spread) if self.design.freedom > 0 else (np.nan,) * 3
            rows.append((window, *values))
        return as_frame(rows, ["window", "estimate", "lower", "upper"])

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
        for window, draws, shapes in zip(self.window_names, self.draws, self.shapes, strict=True):
            for parameter, row in zip(free if self.shared else (), shapes, strict=self.shared):
                on_scale = np.log(row) if parameter.logarithmic else row
                share = np.bincount(draws.shape, minlength=row.size) / draws.shape.size
                ends = np.clip(quantiles_of(on_scale, share, ENDS), *parameter.free_box)
                low, middle, high = np.exp(ends) if parameter.logarithmic else ends
                known = is_determined(parameter, prior, np.array(low), np.array(high))
                name, unit = parameter.name, 1.0
                alike = name in law.per and same >= set(law.inputs)
                if alike and (law.needs_series or not self.offset_known):
                    known = np.bool_(False)
                if name in law.per:
                    unit = float(reference[law.per[name]])
                    name = f"{name} × {law.per[name]}"
                rows.append((name, window, unit * middle, unit * low, unit * high, bool(known)))
        return as_frame(rows, ["parameter", "window", "estimate", "lower", "upper", "determined"])

    @property
    def offset_ratio(self) -> pd.DataFrame:
        """The ratio b/a that all series of a window share; without rows where each has its own.

        Columns ``window``, ``estimate``, ``lower``, ``upper``, and ``p``, the probability of ratios
        as unlike as those of the series if they were the same. Where not even the sign of a is
        known the ends are infinite.
        """
        rows = []
        for place, (angles, p) in enumerate(
            zip(self.offset_angles, self.offset_p_values, strict=True)
        ):
            window, draws = self.window_names[place], self.draws[place]
            share = np.bincount(draws.shape, minlength=angles.size) / draws.shape.size
            low, middle, high = ratio_ends(angles, share)
            rows.append((window, middle, low, high, p))
        return as_frame(rows, ["window", "estimate", "lower", "upper", "p"])

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

    def _at(
        self, conditions: Mapping[str, object]
    ) -> tuple[dict[str, object], KineticLaw, list[str]]:
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

    def _log_dose_of(self, column: int, which: object) -> np.ndarray:
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
                rows.append((series, window, *summary(np.exp(self._log_dose(column, rate, law)))))
        return as_frame(rows, ["series", "window", "estimate", "lower", "upper"])


def summary(values: np.ndarray) -> tuple[float, float, float]:
    """Median and ends of the 95 % interval; a dose that is never reached is infinite."""
    values = values[~np.isnan(values)]
    if not values.size:
        return float("nan"), float("nan"), float("nan")
    # Between infinite values nothing can be interpolated.
    method = "linear" if np.all(np.isfinite(values)) else "inverted_cdf"
    low, middle, high = np.quantile(values, ENDS, method=method)
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
