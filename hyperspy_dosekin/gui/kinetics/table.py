# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table under the live figure: texts only, so that nothing undetermined is sent as a number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
from hyperspy_dosekin.numerics.units import with_unit
from hyperspy_dosekin.signals.kinetics.numbers.kinetics_numbers import KineticsNumbers
from hyperspy_dosekin.signals.kinetics.options.law_names import SYMBOLS
from hyperspy_dosekin.signals.kinetics.result.notes import notes_of
from hyperspy_dosekin.signals.kinetics.result.table import (
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
    "Panels: data without the errors that frames share, and with them small grey points, as "
    "measured; band, 95 % posterior interval of the fit a C + b; bar, that of D½, at the intensity "
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


def table_of(numbers: KineticsNumbers) -> tuple[TableRow, ...]:
    """One row for each window of an exact fit without space axes and with intervals."""
    names = numbers.parameter_names
    columns = {
        name: np.stack([numbers.map(name), *numbers.interval(name)], axis=1)
        for name in (*names, _HALF)
    }
    known = {"exponent"} if isinstance(numbers.options.exponent, int | float) else set()
    flags = zip(
        numbers.window_names,
        *(numbers.map(name) for name in ("not_fitted", "identifiable", "reached")),
        strict=True,
    )
    rows = []
    for place, (window, dead, determined, reached) in enumerate(flags):
        if dead:
            nothing = (NO_ESTIMATE, "")
            rows.append(TableRow(window, dict.fromkeys(names, nothing), *nothing, "NO"))
            continue
        cells = {name: _cell(name, *column[place]) for name, column in columns.items()}
        for name in known & set(names):
            cells[name] = (cells[name][0], "known")
        half, interval = cells.pop(_HALF)
        if determined:
            told = "yes" if reached else "yes, beyond the doses"
        else:
            half, told = NOT_DETERMINED, "NO"
        rows.append(TableRow(window, cells, half, interval, told))
    return tuple(rows)


def _cell(name: str, value: float, lower: float, upper: float) -> tuple[str, str]:
    """Text of a number and of its interval."""
    # Only a rate and what follows from it can be open; a plateau of 0 is a plateau.
    closed = name not in INTERVAL_MAY_BE_OPEN or name == "exponent"
    closed = closed and bool(np.isfinite([lower, upper]).all())
    interval = bracket(lower, upper) if closed else interval_text(lower, upper)
    return number(value) if np.isfinite(value) else NOT_DETERMINED, interval


def live_notes(numbers: KineticsNumbers) -> tuple[str, ...]:
    """What has to be said beside the numbers of a result without space axes."""
    dead = zip(numbers.window_names, numbers.map("not_fitted"), strict=True)
    names = ", ".join(name for name, flag in dead if flag)
    no_estimate = (NO_CHANGE.format(names=names),) if names else ()
    return (*no_estimate, *notes_of(numbers), FIGURE)
