# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table under the live figure: texts only, so that nothing undetermined is sent as a number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
from hyperspy_dosekin.numerics.units import with_unit
from hyperspy_dosekin.signals.kinetics.law_names import SYMBOLS
from hyperspy_dosekin.signals.kinetics.notes import notes_of
from hyperspy_dosekin.signals.kinetics.result import DoseKinetics
from hyperspy_dosekin.signals.kinetics.table import (
    INTERVAL_MAY_BE_OPEN,
    bracket,
    interval_text,
    number,
)

NOT_DETERMINED = "not determined"
NO_ESTIMATE = "no estimate"
NO_CHANGE = (
    "{names}: no estimate; the area does not change with dose, or too few frames are numbers."
)
#: What the panels of the live figure show.
FIGURE = (
    "Panels: band, 95 % posterior interval of the fit a C + b; bar, that of D½, at the intensity "
    "at which it lies, dashed where D½ is not determined; circle, D½; black dashes, the network."
)
_HALF = "half_integrity_dose"


@dataclass(frozen=True)
class TableRow:
    """What is known of one window, in words.

    Parameters
    ----------
    window
        Its name.
    parameters
        Value and interval of each parameter of the law, by its name.
    half_dose, half_dose_interval
        D½ and its interval.
    identifiable
        Whether the data determine D½.
    """

    window: str
    parameters: Mapping[str, tuple[str, str]]
    half_dose: str
    half_dose_interval: str
    identifiable: str

    @property
    def cells(self) -> tuple[str, ...]:
        """All texts, in the order of `headers_of`."""
        values = [text for pair in self.parameters.values() for text in pair]
        return (
            self.window,
            *values,
            self.half_dose,
            self.half_dose_interval,
            self.identifiable,
        )


def headers_of(law: KineticLaw, dose_unit: str) -> tuple[str, ...]:
    """Headers of the columns of the table of a law."""
    symbols = (SYMBOLS.get(parameter.name, parameter.name) for parameter in law.parameters)
    values = (text for symbol in symbols for text in (symbol, "95 %"))
    return ("window", *values, with_unit("D½", dose_unit), "95 %", "determined?")


@dataclass(frozen=True, eq=False)
class Numbers:
    """The numbers of a result without space axes, arrays ``(n_window,)``; NaN where there is none.

    Signals of each would take most of the time there is to answer.

    Parameters
    ----------
    names
        Names of the windows.
    value
        The parameters of the law, ``"half_integrity_dose"`` in the unit of the doses,
        ``"amplitude"`` and ``"offset"``, by name.
    lower, upper
        Ends of the 95 % posterior intervals of the parameters and of D½.
    identifiable, reached, dead
        Flags of D½, and whether a window could not be fitted.
    """

    names: tuple[str, ...]
    value: Mapping[str, np.ndarray]
    lower: Mapping[str, np.ndarray]
    upper: Mapping[str, np.ndarray]
    identifiable: np.ndarray
    reached: np.ndarray
    dead: np.ndarray

    @classmethod
    def of(cls, result: DoseKinetics) -> Numbers:
        """Read them from a result of the exact estimator with intervals."""
        maps, dose_max = result.maps, result.dose_max
        scales = {**dict.fromkeys(maps.parameter_names, 1.0), _HALF: dose_max}
        half = np.asarray(result.estimate.mean_dose_at(0.5))
        value = {name: np.asarray(maps.field(name)) for name in maps.parameter_names}
        value |= {name: np.asarray(maps.field(name)) for name in ("amplitude", "offset")}
        lower, upper = (
            {name: np.asarray(maps.field(f"{name} {end}")) * scales[name] for name in scales}
            for end in ("lower", "upper")
        )
        with np.errstate(invalid="ignore"):
            reached = (half >= result.dose[0]) & (half <= dose_max)
        return cls(
            result.window_names,
            {**value, _HALF: half},
            lower,
            upper,
            identifiable=np.asarray(maps.field("identifiable")) == 1,
            reached=reached,
            dead=np.asarray(maps.field("dead")) != 0,
        )


def table_of(result: DoseKinetics) -> tuple[TableRow, ...]:
    """One row for each window of a result without space axes and with intervals."""
    numbers = Numbers.of(result)
    known = {"exponent"} if isinstance(result.options.exponent, int | float) else set()
    names = result.maps.parameter_names
    return tuple(_row(numbers, place, names, known) for place in range(len(numbers.names)))


def _row(numbers: Numbers, place: int, names: tuple[str, ...], known: set[str]) -> TableRow:
    window = numbers.names[place]
    if numbers.dead[place]:
        nothing = (NO_ESTIMATE, "")
        return TableRow(window, dict.fromkeys(names, nothing), *nothing, "NO")
    cells = {name: _cell(numbers, place, name) for name in (*names, _HALF)}
    for name in known & set(names):
        cells[name] = (cells[name][0], "known")
    half, interval = cells.pop(_HALF)
    determined = bool(numbers.identifiable[place])
    beyond = "" if numbers.reached[place] else ", beyond the doses"
    return TableRow(
        window,
        cells,
        half if determined else NOT_DETERMINED,
        interval,
        f"yes{beyond}" if determined else "NO",
    )


def _cell(numbers: Numbers, place: int, name: str) -> tuple[str, str]:
    value, lower, upper = (
        float(entry[name][place]) for entry in (numbers.value, numbers.lower, numbers.upper)
    )
    # Only a rate and what follows from it can be open; a plateau of 0 is a plateau.
    closed = name not in INTERVAL_MAY_BE_OPEN or name == "exponent"
    closed = closed and bool(np.isfinite([lower, upper]).all())
    interval = bracket(lower, upper) if closed else interval_text(lower, upper)
    return number(value) if np.isfinite(value) else NOT_DETERMINED, interval


def live_notes(result: DoseKinetics) -> tuple[str, ...]:
    """What has to be said beside the numbers of a result without space axes."""
    dead = np.asarray(result.maps.field("dead")) != 0
    names = ", ".join(n for n, one in zip(result.window_names, dead, strict=True) if one)
    no_estimate = (NO_CHANGE.format(names=names),) if names else ()
    return (*no_estimate, *notes_of(result.numbers), FIGURE)
