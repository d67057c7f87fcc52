# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of a kinetics result, for a person to read and to paste into a paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from prettytable import PrettyTable

if TYPE_CHECKING:
    from hyperspy_dosekin.signals.dose_kinetics import DoseKinetics

LABEL_NOTE = "Window names are labels of fixed energy ranges, not assignments of bonds."
SPREAD_NOTE = (
    "± is the optimiser spread (standard deviation over members): it is no uncertainty of the "
    "experiment. Whether the data determine these numbers was not examined."
)
MIXED_NOTE = (
    "{names}: mixed response (a < 0). The window grows while C falls, so C is a monotonic "
    "coordinate there, not a bond population."
)
REACHED_NOTE = (
    "{names}: D½ is not reached in the measured range of {low:.4g} to {high:.4g} e⁻/Å²; the "
    "number is an extrapolation of the law."
)
INCOMPLETE_NOTE = "The fit was interrupted: these are the numbers it had by then."


def kinetics_text(result: DoseKinetics) -> str:
    """Table and notes as plain text."""
    notes = "\n".join(f"* {note}" for note in _notes(result))
    return f"{result!r}\n{_table(result).get_string()}\n{notes}"


def kinetics_html(result: DoseKinetics) -> str:
    """Table and notes as HTML."""
    notes = "".join(f"<li>{note}</li>" for note in _notes(result))
    return f"<div>{_table(result).get_html_string()}<ul>{notes}</ul></div>"


def _table(result: DoseKinetics) -> PrettyTable:
    spread = result.optimiser_spread
    columns = {
        "k (per Φ_max)": "rate",
        "k (Å²/e⁻)": "rate_per_dose",
        "p": "exponent",
        "a": "amplitude",
        "b": "offset",
        "D½ (e⁻/Å²)": "half_integrity_dose",
    }
    table = PrettyTable(["window", *columns, "D½ in range"])
    table.align = "r"
    table.align["window"] = "l"
    reached = result.reached.data
    values = {name: getattr(result, name).data for name in columns.values()}
    for row, window in enumerate(result.window_names):
        cells = [
            _with_spread(values[name][row], spread[name].data[row] if name in spread else None)
            for name in columns.values()
        ]
        table.add_row([window, *cells, "yes" if reached[row] else "no"])
    return table


def _with_spread(value: float, spread: float | None) -> str:
    """A number with its spread, both to the second digit of the spread."""
    if not np.isfinite(value):
        return "not determined"
    if spread is None or not np.isfinite(spread) or spread <= 0:
        return f"{value:.4g}"
    digits = 1 - int(np.floor(np.log10(spread)))
    if abs(value) >= 1e5 or digits > 5:
        return f"{value:.4g} ± {spread:.2g}"
    digits = max(digits, 0)
    return f"{value:.{digits}f} ± {spread:.{digits}f}"


def _notes(result: DoseKinetics) -> list[str]:
    names = np.array(result.window_names)
    notes = [] if result.complete else [INCOMPLETE_NOTE]
    grows = result.amplitude.data < 0
    if grows.any():
        notes.append(MIXED_NOTE.format(names=", ".join(names[grows])))
    outside = ~result.reached.data
    if outside.any():
        notes.append(
            REACHED_NOTE.format(
                names=", ".join(names[outside]), low=result.dose[0], high=result.dose_max
            )
        )
    if result.optimiser_spread:
        notes.append(SPREAD_NOTE)
    return [*notes, LABEL_NOTE]
