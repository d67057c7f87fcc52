# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Conditions as columns of a regression of ln k: each kind of condition and its effect."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

#: Boltzmann constant in eV/K (CODATA 2018, exact).
BOLTZMANN = 8.617333262e-5
#: Standard deviation of the prior of ln k at the reference, per dose scale: D½ within a factor of
#: 50 of it. It only matters where the data say next to nothing.
INTERCEPT_SD = 2.0

Kind = Literal["dose_rate", "temperature", "factor", "number"]
#: Standard deviations of the priors of the effects: an exponent, eV, ln of a ratio, and for other
#: numbers ln of the ratio between the ends of their range.
PRIOR_SD: Mapping[str, float] = {
    "dose_rate": 2.0,
    "temperature": 2.0,
    "factor": 3.0,
    "number": 3.0,
}
# Conditions with an effect of their own, and their units.
_UNITS = {"dose_rate": "e⁻/Å²/s", "temperature": "kelvin"}
# Share of the range of a condition by which a prediction may lie outside it.
_BEYOND = 1.0


@dataclass(frozen=True)
class Condition:
    """One condition of all series.

    Parameters
    ----------
    name
        What it is.
    kind
        How it enters: the power of a dose rate, the Arrhenius law of a temperature, a ratio for
        each level of a factor, or a straight line in ln k.
    values
        One for each series.
    reference
        The value at which it has no effect.
    """

    name: str
    kind: Kind
    values: tuple[float | str, ...]
    reference: float | str

    @classmethod
    def of(
        cls,
        name: str,
        values: Sequence[object],
        reference: object | None = None,
        *,
        must_vary: bool = True,
    ) -> Condition:
        """Recognise the kind of a condition by its name and values.

        Raises
        ------
        ValueError
            If a value is not possible, they do not vary, or the reference is none of the levels.
        """
        given = [value.item() if isinstance(value, np.generic) else value for value in values]
        missing = [
            str(place + 1)
            for place, value in enumerate(given)
            if value is None or (isinstance(value, float) and math.isnan(value))
        ]
        if missing:
            raise ValueError(
                f"condition {name!r} has no value for series {', '.join(missing)}: it is {given}. "
                "Give one for each, or leave these series out."
            )
        if any(isinstance(value, str | bool) for value in given):
            if name in _UNITS:
                raise ValueError(
                    f"condition {name!r} has the values {given}; it is a number in {_UNITS[name]}, "
                    "without its unit. For levels take another name."
                )
            return cls._factor(name, [str(value) for value in given], reference, must_vary)
        try:
            numbers = [float(value) for value in given]  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"condition {name!r} has the values {given}; give a number for each series, or a "
                "text for each."
            ) from error
        wrong = [value for value in numbers if not math.isfinite(value)]
        positive = name in _UNITS
        wrong += [value for value in numbers if positive and value <= 0]
        if wrong:
            unit = f" (in {_UNITS[name]})" if name in _UNITS else ""
            raise ValueError(
                f"condition {name!r} has the values {wrong}; they must be finite"
                f"{' and positive' + unit if positive else ''}."
            )
        if must_vary and len(set(numbers)) < 2:
            raise ValueError(
                f"condition {name!r} is {numbers[0]:g} in every series: its effect cannot be "
                "known. Leave it out, or add series with another value."
            )
        kind: Kind = name if name in _UNITS else "number"  # type: ignore
        if reference is None:
            array = np.asarray(numbers)
            middle = {
                "dose_rate": lambda: np.exp(np.log(array).mean()),
                "temperature": lambda: 1 / (1 / array).mean(),
            }.get(kind, array.mean)
            reference = float(middle())
        try:
            at = float(reference)  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            raise ValueError(f"reference {name}={reference!r} must be a number.") from error
        if not math.isfinite(at) or (positive and at <= 0):
            raise ValueError(f"reference {name}={reference!r} must be finite, and positive.")
        return cls(name, kind, tuple(numbers), at)

    @classmethod
    def _factor(
        cls, name: str, values: list[str], reference: object | None, must_vary: bool
    ) -> Condition:
        if must_vary and len(set(values)) < 2:
            raise ValueError(
                f"condition {name!r} is {values[0]!r} in every series: its effect cannot be known. "
                "Leave it out, or add series with another level."
            )
        at = values[0] if reference is None else str(reference)
        if at not in values:
            raise ValueError(
                f"reference {name}={at!r} is none of the levels {sorted(set(values))}."
            )
        return cls(name, "factor", tuple(values), at)

    @property
    def levels(self) -> tuple[str, ...]:
        """Levels of a factor other than the reference, in the order of the series."""
        return tuple(str(v) for v in dict.fromkeys(self.values) if v != self.reference)

    @property
    def effects(self) -> tuple[str, ...]:
        """Names of its effects."""
        if self.kind == "factor":
            return tuple(f"{self.name}[{level}]" for level in self.levels)
        return (self.name,)

    @property
    def prior_sd(self) -> tuple[float, ...]:
        """Standard deviations of the priors of its effects."""
        width = PRIOR_SD[self.kind]
        if self.kind == "number":
            numbers = self._numbers
            width /= float(numbers.max() - numbers.min())
        return (width,) * len(self.effects)

    @property
    def _numbers(self) -> np.ndarray:
        return np.asarray(self.values, dtype=np.float64)

    def columns(self, values: Sequence[float | str]) -> np.ndarray:
        """Columns of the design at some values, ``(n, n_effect)``."""
        if self.kind == "factor":
            return np.array([[float(value == level) for level in self.levels] for value in values])
        numbers, at = np.asarray(values, dtype=np.float64), float(self.reference)
        if self.kind == "dose_rate":
            column = np.log(numbers / at)
        elif self.kind == "temperature":
            column = (1 / at - 1 / numbers) / BOLTZMANN
        else:
            column = numbers - at
        return column[:, None]

    def checked(self, value: object) -> tuple[float | str, bool]:
        """A value to predict at, and whether it lies outside the range that was measured.

        Raises
        ------
        ValueError
            If it is no level of the factor, no number, or far outside.
        """
        if self.kind == "factor":
            if str(value) not in self.values:
                raise ValueError(
                    f"{self.name}={value!r} was not measured; it is one of "
                    f"{sorted(set(map(str, self.values)))}."
                )
            return str(value), False
        try:
            number = float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            raise ValueError(f"{self.name}={value!r} must be a number.") from error
        if not math.isfinite(number) or (self.kind != "number" and number <= 0):
            raise ValueError(f"{self.name}={value!r} must be finite, and positive.")
        at, measured = self.columns([number])[0, 0], self.columns(self.values)[:, 0]
        low, high = measured.min(), measured.max()
        outside = max(low - at, at - high)
        if outside > _BEYOND * (high - low):
            raise ValueError(
                f"{self.name}={number:g} lies further outside the measured range "
                f"{self._numbers.min():g}–{self._numbers.max():g} than that is wide; nothing that "
                "was measured says what happens there."
            )
        return number, bool(outside > 1e-9 * (high - low))


@dataclass(frozen=True)
class Design:
    """All conditions of all series.

    Parameters
    ----------
    conditions
        The conditions.
    n_series
        Number of series.
    n_of_law
        Conditions that enter the law, and tell its parameters instead of the spread.

    Raises
    ------
    ValueError
        If effects cannot be told apart, naming them, or there are more of them than series.
    """

    conditions: tuple[Condition, ...]
    n_series: int
    n_of_law: int = 0

    def __post_init__(self) -> None:
        matrix = self.matrix
        scaled = matrix / np.linalg.norm(matrix, axis=0)
        for place in range(1, matrix.shape[1]):
            before, column = scaled[:, :place], scaled[:, place]
            solved = np.linalg.lstsq(before, column, rcond=None)[0]
            if np.linalg.norm(column - before @ solved) < 1e-6:
                names = ("the level of all series", *self.effects)
                others = [names[i] for i in np.flatnonzero(np.abs(solved) > 1e-6)]
                raise ValueError(
                    f"the effect of {names[place]!r} cannot be told from that of "
                    f"{', '.join(map(repr, others))}: over the {self.n_series} series they change "
                    "together. Leave one out, or add series in which they differ."
                )

    @property
    def effects(self) -> tuple[str, ...]:
        """Names of the effects."""
        return tuple(name for condition in self.conditions for name in condition.effects)

    @property
    def matrix(self) -> np.ndarray:
        """A constant and the columns of all effects, ``(n_series, 1 + n_effect)``."""
        columns = [condition.columns(condition.values) for condition in self.conditions]
        return np.concatenate([np.ones((self.n_series, 1)), *columns], axis=1)

    @property
    def prior_sd(self) -> np.ndarray:
        """Standard deviations of the priors, ``(1 + n_effect,)``."""
        widths = [width for condition in self.conditions for width in condition.prior_sd]
        return np.array([INTERCEPT_SD, *widths])

    @property
    def freedom(self) -> int:
        """Series beyond those that the effects need: what tells the spread between specimens."""
        return self.n_series - self.matrix.shape[1] - self.n_of_law

    def row(self, values: Mapping[str, object]) -> tuple[np.ndarray, list[str]]:
        """A row of the matrix for conditions that need not have been measured.

        Parameters
        ----------
        values
            By name; the reference where one is left out.

        Returns
        -------
        row : numpy.ndarray
            Shape ``(1 + n_effect,)``.
        outside : list of str
            Names of those outside the measured range.
        """
        names = [condition.name for condition in self.conditions]
        unknown = sorted(set(values) - set(names))
        if unknown:
            raise ValueError(f"{unknown} are no conditions of this fit; it has {names}.")
        row, outside = [np.ones(1)], []
        for condition in self.conditions:
            value, beyond = condition.checked(values.get(condition.name, condition.reference))
            row.append(condition.columns([value])[0])
            outside += [condition.name] * beyond
        return np.concatenate(row), outside
