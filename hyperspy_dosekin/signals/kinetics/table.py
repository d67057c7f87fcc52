# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of a kinetics result, for a person to read and to paste into a paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from prettytable import PrettyTable

from hyperspy_dosekin.signals.kinetics.law_names import SYMBOLS
from hyperspy_dosekin.signals.kinetics.notes import notes_of

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal

    from hyperspy_dosekin.signals.kinetics.result import DoseKinetics

#: Header and attribute of the columns after the parameters of the law.
COLUMNS = {"a": "amplitude", "b": "offset", "D½ (e⁻/Å²)": "half_integrity_dose"}

#: Parameters whose interval may end in 0 or infinity because the data leave it open.
INTERVAL_MAY_BE_OPEN = ("rate", "exponent", "half_integrity_dose")


def kinetics_text(result: DoseKinetics) -> str:
    """Table and notes as plain text."""
    table = _table(result)
    notes = "\n".join(f"* {note}" for note in notes_of(result))
    return "\n".join([repr(result), *([table.get_string()] if table else []), notes])


def kinetics_html(result: DoseKinetics) -> str:
    """Table and notes as HTML."""
    table = _table(result)
    notes = "".join(f"<li>{note}</li>" for note in notes_of(result))
    return f"<div>{table.get_html_string() if table else ''}<ul>{notes}</ul></div>"


def _columns(result: DoseKinetics) -> dict[str, BaseSignal]:
    """Header and map of each column."""
    laws = {SYMBOLS.get(name, name): signal for name, signal in result.parameters.items()}
    return {**laws, **{header: getattr(result, name) for header, name in COLUMNS.items()}}


def _table(result: DoseKinetics) -> PrettyTable | None:
    if result.is_lazy:
        return None
    return _map_table(result) if result.space_shape else _window_table(result)


def _window_table(result: DoseKinetics) -> PrettyTable:
    """One row for each window, numbers with their intervals."""
    columns = _columns(result)
    headers_with_interval = {
        **{SYMBOLS.get(name, name): name for name in result.parameters},
        "D½ (e⁻/Å²)": "half_integrity_dose",
    }
    ends = {
        header: [end.data for end in result.interval(name)]
        for header, name in headers_with_interval.items()
        if result.has_intervals
    }
    spread = result.optimiser_spread
    headers = ["window", *columns]
    headers += ["D½ determined"] if result.has_intervals else []
    headers += ["D½ in range"]
    headers += ["optimiser spread of D½"] if spread else []
    table = PrettyTable(headers)
    table.align = "r"
    table.align["window"] = "l"
    for row, window in enumerate(result.window_names):
        cells = []
        for header, signal in columns.items():
            cell = number(signal.data[row])
            if COLUMNS.get(header) == "half_integrity_dose" and result.has_intervals:
                # Nobody can paste a number into a paper that is not there.
                cell = cell if result.identifiable.data[row] else ""
            if header in ends:
                lower, upper = (end[row] for end in ends[header])
                # Only a rate and what follows from it can be open; a plateau of 0 is a plateau.
                openable = headers_with_interval[header] in INTERVAL_MAY_BE_OPEN
                text = interval_text(lower, upper) if openable else bracket(lower, upper)
                cell = f"{cell} {text}".strip()
            cells.append(cell)
        if result.has_intervals:
            cells.append("yes" if result.identifiable.data[row] else "NO")
        cells.append("yes" if result.reached.data[row] else "no")
        if spread:
            cells.append(number(spread["half_integrity_dose"].data[row], digits=2))
        table.add_row([window, *cells])
    return table


def _map_table(result: DoseKinetics) -> PrettyTable:
    """Median and central 90 % of the pixels of each window."""
    columns = _columns(result)
    headers = ["window", *columns, "D½ determined", "D½ in range", "not fitted"]
    table = PrettyTable(headers)
    table.align = "r"
    table.align["window"] = "l"
    fitted = ~result.not_fitted.data
    for row, window in enumerate(result.window_names):
        good = fitted[row]
        cells = []
        for signal in columns.values():
            pixels = signal.data[row][good]
            pixels = pixels[np.isfinite(pixels)]
            if not pixels.size:
                cells.append("–")
                continue
            low, middle, high = np.quantile(pixels, [0.05, 0.5, 0.95])
            cells.append(f"{number(middle)} [{number(low)}, {number(high)}]")
        if result.has_intervals:
            cells.append(_share(result.identifiable.data[row][good]))
        else:
            cells.append("not examined")
        cells.append(_share(result.reached.data[row][good]))
        cells.append(f"{(~good).sum()} of {good.size}")
        table.add_row([window, *cells])
    return table


def _share(flags: np.ndarray) -> str:
    return f"{100 * flags.mean():.0f} %" if flags.size else "–"


def number(value: float, digits: int = 3) -> str:
    """A number as a person writes it: a few digits, thousands apart, no false precision."""
    if not np.isfinite(value):
        return "∞" if value > 0 else "–"
    if value == 0:
        return "0"
    magnitude = int(np.floor(np.log10(abs(value))))
    if magnitude >= 5 or magnitude < -3:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    rounded = round(value, digits - 1 - magnitude)
    return f"{rounded:,.{max(digits - 1 - magnitude, 0)}f}".replace(",", "\u202f")


def interval_text(lower: float, upper: float) -> str:
    """An interval in brackets, or the one side that it has.

    Examples
    --------
    >>> interval_text(810.2, 990.0), interval_text(1900.0, np.inf), interval_text(0.0, 0.4)
    ('[810, 990]', '> 1\u202f900', '< 0.400')
    """
    if not (np.isfinite(lower) or np.isfinite(upper)):
        return "(–)"
    if np.isinf(upper) and not lower > 0:
        return "(open)"
    if np.isinf(upper):
        return f"> {number(lower)}"
    if not lower > 0:
        return f"< {number(upper)}"
    return bracket(lower, upper)


def bracket(lower: float, upper: float) -> str:
    """Both ends of an interval."""
    return f"[{number(lower)}, {number(upper)}]"
