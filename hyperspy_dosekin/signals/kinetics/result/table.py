# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of a kinetics result, for a person to read and to paste into a paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from prettytable import PrettyTable

from hyperspy_dosekin.dose.cross_section import cross_section_barn
from hyperspy_dosekin.numerics.units import with_unit
from hyperspy_dosekin.signals.kinetics.numbers.absorbed import (
    absorbed_per_fluence,
    cross_section,
    has_cross_section,
)
from hyperspy_dosekin.signals.kinetics.options.law_names import header

if TYPE_CHECKING:
    from hyperspy_dosekin.signals.kinetics.numbers.kinetics_numbers import KineticsNumbers

#: Parameters whose interval may end in 0 or infinity because the data leave it open.
INTERVAL_MAY_BE_OPEN = ("rate", "exponent", "half_integrity_dose")


def kinetics_line(numbers: KineticsNumbers) -> str:
    """One line: what was fitted, and how."""
    shape = "×".join(str(size) for size in numbers.space_shape)
    parts = [f"{shape} pixels"] if shape else []
    count = len(numbers.window_names)
    parts += [f"{count} windows" if count > 1 else f"window {numbers.window_names[0]}"]
    parts += [f"{numbers.dose.size} doses", numbers.estimate.description]
    parts += [] if numbers.complete else ["incomplete"]
    parts += ["lazy"] if numbers.is_lazy else []
    if not shape and not numbers.is_lazy and numbers.has_intervals:
        flags = zip(numbers.window_names, numbers.map("identifiable"), strict=True)
        undetermined = [name for name, flag in flags if not flag]
        if undetermined:
            parts.append(f"D½ not determined in {', '.join(undetermined)}")
    return f"<DoseKinetics, {', '.join(parts)}>"


def _columns(numbers: KineticsNumbers) -> dict[str, str]:
    """Header of each column and the name of its map."""
    scale = numbers.options.dose_scale
    laws = {header(name, scale): name for name in numbers.parameter_names}
    half = with_unit("D½", numbers.dose_unit)
    return {**laws, "a": "amplitude", "b": "offset", half: "half_integrity_dose"}


def kinetics_tables(numbers: KineticsNumbers) -> list[PrettyTable]:
    """The table of parameters; none where nothing has been computed yet."""
    if numbers.is_lazy:
        return []
    headers, rows = window_cells(numbers)
    table = PrettyTable(headers)
    table.align = "r"
    table.align["window"] = "l"
    table.add_rows(rows)
    return [table]


def window_cells(numbers: KineticsNumbers) -> tuple[list[str], list[list[str]]]:
    """Headers and cells of the table, a row for each window."""
    return _map_cells(numbers) if numbers.space_shape else _window_cells(numbers)


def _window_cells(numbers: KineticsNumbers) -> tuple[list[str], list[list[str]]]:
    """One row for each window, numbers with their intervals."""
    columns = _columns(numbers)
    values = {name: numbers.map(name) for name in columns.values()}
    examined = numbers.has_intervals
    with_interval = [*numbers.parameter_names, "half_integrity_dose"] if examined else []
    ends = {name: numbers.interval(name) for name in with_interval}
    identifiable = numbers.map("identifiable") if examined else None
    adequate = numbers.map("adequate")
    reached, spread = numbers.map("reached"), numbers.spread_of_maps
    absorbed = absorbed_per_fluence(numbers)
    headers = ["window", *columns]
    headers += ["D½ (MGy)"] if absorbed else []
    sigma = has_cross_section(numbers)
    headers += ["σ (barn)"] if sigma else []
    barns = [cross_section(numbers), *_cross_section_ends(numbers)] if sigma else []
    headers += ["D½ determined"] if examined else []
    headers += ["D½ in range"]
    headers += ["optimiser spread of D½"] if spread else []
    rows = []
    for row, window in enumerate(numbers.window_names):
        cells = []
        for name, value in values.items():
            cell = number(value[row])
            if name == "half_integrity_dose" and identifiable is not None:
                # Nobody can paste a number into a paper that is not there.
                cell = cell if identifiable[row] else ""
            if name in ends:
                lower, upper = (end[row] for end in ends[name])
                # Only a rate and what follows from it can be open; a plateau of 0 is a plateau.
                openable = name in INTERVAL_MAY_BE_OPEN
                text = interval_text(lower, upper) if openable else bracket(lower, upper)
                cell = f"{cell} {text}".strip()
            cells.append(cell)
        if absorbed:
            sure = identifiable is None or identifiable[row]
            cells.append(number(absorbed * values["half_integrity_dose"][row]) if sure else "")
        if sigma:
            value, *ends_in_barn = (each[row] for each in barns)
            sure = identifiable is None or identifiable[row]
            text = bracket(*ends_in_barn) if ends_in_barn else ""
            cells.append(f"{number(value) if sure else ''} {text}".strip())
        if identifiable is not None:
            sure = "yes" if adequate[row] else "doubtful"
            cells.append(sure if identifiable[row] else "NO")
        cells.append("yes" if reached[row] else "no")
        if spread:
            cells.append(number(spread["half_integrity_dose"][row], digits=2))
        rows.append([window, *cells])
    return headers, rows


def _cross_section_ends(numbers: KineticsNumbers) -> list[np.ndarray]:
    """Ends of the 95 % interval of the cross section, where intervals were computed."""
    if not numbers.has_intervals:
        return []
    return [cross_section_barn(end) for end in numbers.interval("rate_per_dose")]


def _map_cells(numbers: KineticsNumbers) -> tuple[list[str], list[list[str]]]:
    """Median and central 90 % of the pixels of each window."""
    columns = _columns(numbers)
    values = [numbers.map(name) for name in columns.values()]
    identifiable = numbers.map("identifiable") if numbers.has_intervals else None
    if identifiable is not None:
        identifiable = identifiable & numbers.map("adequate")
    reached, fitted = numbers.map("reached"), ~numbers.map("not_fitted")
    headers = ["window", *columns, "D½ determined", "D½ in range", "not fitted"]
    rows = []
    for row, window in enumerate(numbers.window_names):
        good = fitted[row]
        cells = []
        for value in values:
            pixels = value[row][good]
            pixels = pixels[np.isfinite(pixels)]
            if not pixels.size:
                cells.append("–")
                continue
            low, middle, high = np.quantile(pixels, [0.05, 0.5, 0.95])
            cells.append(f"{number(middle)} [{number(low)}, {number(high)}]")
        if identifiable is not None:
            cells.append(_share(identifiable[row][good]))
        else:
            cells.append("not examined")
        cells.append(_share(reached[row][good]))
        cells.append(f"{(~good).sum()} of {good.size}")
        rows.append([window, *cells])
    return headers, rows


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
