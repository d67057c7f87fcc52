# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table under the live figure: texts only, so that nothing undetermined is sent as a number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hyperspy_dosekin.kinetics.laws.power_law import dose_at
from hyperspy_dosekin.signals.kinetics.law_names import equation
from hyperspy_dosekin.signals.kinetics.notes import (
    LABEL,
    LAW,
    MIXED,
    NOT_REACHED,
    ORIGIN,
    UNDETERMINED,
)
from hyperspy_dosekin.signals.kinetics.result import DoseKinetics
from hyperspy_dosekin.signals.kinetics.table import bracket, interval_text, number

NOT_DETERMINED = "not determined"
NO_ESTIMATE = "no estimate"


class TableRow(NamedTuple):
    """What is known of one window, in words."""

    window: str
    rate: str
    rate_interval: str
    exponent: str
    exponent_interval: str
    half_dose: str
    half_dose_interval: str
    identifiable: str


#: Headers of the columns of a row.
HEADERS = TableRow(
    "window",
    "k (per Φ_max)",
    "95 %",
    "p",
    "95 %",
    "D½ (e⁻/Å²)",
    "95 %",
    "D½ determined?",
)


#: What the panels of the live figure show.
FIGURE = (
    "Panels: band, 95 % posterior interval of the fit a C + b; bar, that of D½, at the intensity "
    "at which it lies, dashed where D½ is not determined; circle, D½; black dashes, the network."
)


@dataclass(frozen=True, eq=False)
class Numbers:
    """The numbers of a result without space axes, arrays ``(n_window,)``; NaN where there is none.

    Signals of each would take most of the time there is to answer.

    Parameters
    ----------
    names
        Names of the windows.
    value
        ``"rate"``, ``"exponent"``, ``"half_integrity_dose"`` (e⁻/Å²) and ``"amplitude"``.
    lower, upper
        Ends of the 95 % posterior intervals of the first three.
    identifiable, reached, dead
        Flags of D½, and whether a window could not be fitted.
    """

    names: tuple[str, ...]
    value: dict[str, np.ndarray]
    lower: dict[str, np.ndarray]
    upper: dict[str, np.ndarray]
    identifiable: np.ndarray
    reached: np.ndarray
    dead: np.ndarray

    @classmethod
    def of(cls, result: DoseKinetics) -> Numbers:
        """Read them from a result of the exact estimator."""
        maps, dose_max = result.maps, result.dose_max
        value = {name: np.asarray(maps.field(name)) for name in ("rate", "exponent", "amplitude")}
        with np.errstate(all="ignore"):
            half = np.asarray(dose_at(0.5, value["rate"], value["exponent"])) * dose_max
        value["half_integrity_dose"] = np.where(np.isfinite(half), half, np.nan)
        ends = []
        for end in ("lower", "upper"):
            found = {
                name: np.asarray(maps.field(f"{name} {end}"))
                for name in ("rate", "exponent", "half_integrity_dose")
            }
            found["half_integrity_dose"] = found["half_integrity_dose"] * dose_max
            ends.append(found)
        with np.errstate(invalid="ignore"):
            reached = (half >= result.dose[0]) & (half <= dose_max)
        return cls(
            result.window_names,
            value,
            *ends,
            identifiable=np.asarray(maps.field("identifiable")) == 1,
            reached=reached,
            dead=np.asarray(maps.field("dead")) != 0,
        )

    def named(self, chosen: np.ndarray) -> str:
        """Names of some windows, with commas."""
        return ", ".join(name for name, one in zip(self.names, chosen, strict=True) if one)


def table_of(result: DoseKinetics) -> tuple[TableRow, ...]:
    """One row for each window of a result without space axes and with intervals."""
    numbers = Numbers.of(result)
    known_exponent = isinstance(result.options.exponent, (int, float))
    return tuple(_row(numbers, place, known_exponent) for place in range(len(numbers.names)))


def _row(numbers: Numbers, place: int, known_exponent: bool) -> TableRow:
    window = numbers.names[place]
    if numbers.dead[place]:
        return TableRow(window, *((NO_ESTIMATE, "") * 3), identifiable="NO")
    determined = bool(numbers.identifiable[place])
    cells: list[str] = []
    for name in ("rate", "exponent", "half_integrity_dose"):
        value, lower, upper = (
            float(entry[name][place]) for entry in (numbers.value, numbers.lower, numbers.upper)
        )
        text, interval = number(value), interval_text(lower, upper)
        if not np.isfinite(value) or (name == "half_integrity_dose" and not determined):
            text = NOT_DETERMINED
        if name == "exponent":
            finite = np.isfinite([lower, upper]).all()
            interval = "known" if known_exponent else bracket(lower, upper) if finite else interval
        cells += [text, interval]
    beyond = "" if numbers.reached[place] else ", beyond the doses"
    return TableRow(window, *cells, identifiable=f"yes{beyond}" if determined else "NO")


def live_notes(result: DoseKinetics) -> tuple[str, ...]:
    """What has to be said beside the numbers of a result without space axes."""
    numbers = Numbers.of(result)
    alive = ~numbers.dead
    notes = []
    if numbers.dead.any():
        notes.append(
            f"{numbers.named(numbers.dead)}: no estimate; the area does not change with dose, or "
            "too few frames are numbers."
        )
    undetermined = numbers.named(alive & ~numbers.identifiable)
    if undetermined:
        notes.append(UNDETERMINED.format(names=undetermined))
    with np.errstate(invalid="ignore"):
        grows = numbers.value["amplitude"] < 0
    if grows.any():
        notes.append(MIXED.format(names=numbers.named(grows)))
    outside = numbers.named(alive & numbers.identifiable & ~numbers.reached)
    if outside:
        notes.append(NOT_REACHED.format(names=outside, low=result.dose[0], high=result.dose_max))
    if "pre_exposure" not in result.dose_metadata and result.dose[0] > 0:
        notes.append(ORIGIN)
    law = f": {equation(result.kinetic_law)}"
    notes.append(LAW.format(name=result.law, equation=law, dose_max=result.dose_max))
    return (*notes, LABEL, FIGURE)
