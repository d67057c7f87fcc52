# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said and shown beside the numbers of several series: notes and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from prettytable import PrettyTable

from hyperspy_dosekin.numerics.units import with_unit
from hyperspy_dosekin.signals.kinetics.conditions.numbers import EffectTest
from hyperspy_dosekin.signals.kinetics.result.table import interval_text, number

if TYPE_CHECKING:
    from hyperspy_dosekin.signals.kinetics.conditions.numbers import ConditionNumbers

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
COMMON_RATIO = "{window}: b/a is the same in all series, {value} {interval}."
FALSE_RATIO = (
    "{window}: the series may NOT have the same b/a (p = {p:.2g}), and what was found with it may "
    'be wrong. Compare with offset_ratio="each".'
)
OWN_SHAPE = "Each series has a shape of its own; the effects are those on 1/D½."


def notes_of(numbers: ConditionNumbers) -> list[str]:
    """What has to be said beside the numbers."""
    from hyperspy_dosekin.kinetics.joint.agreement import SMALLEST_P

    notes = list(numbers.taken)
    law = numbers.parameters.law
    if not numbers.shared:
        notes.append(OWN_SHAPE)
    elif len(numbers.parameters.free) > 1:
        notes.append(COMMON_SHAPE.format(law=law.name))
    for window, middle, low, high, p in numbers.offset_ratio.to_numpy().tolist():
        value, interval = number(middle), interval_text(low, high)
        notes.append(COMMON_RATIO.format(window=window, value=value, interval=interval))
        if p < SMALLEST_P:
            notes.append(FALSE_RATIO.format(window=window, p=p))
    for each in numbers.inputs:
        notes.append(OF_LAW.format(name=each.name, law=law.name))
    table = numbers.law_parameters
    for name, window, *_, known in table.to_numpy().tolist():
        if known:
            continue
        one = [each.name for each in numbers.inputs if len(set(each.values)) < 2]
        why = f" All series have the same {', '.join(one)}: others would tell it." if one else ""
        notes.append(UNKNOWN_SHAPE.format(window=window, name=name, why=why))
    if numbers.design.freedom <= 0:
        notes.append(NO_REPLICATES)
    elif len(np.unique(numbers.design.matrix, axis=0)) == numbers.design.n_series:
        notes.append(ONE_SERIES_EACH)
    for condition in (*numbers.design.conditions, *numbers.inputs):
        notes.append(f"Reference: {condition.name} = {_shown(condition.reference)}.")
    few = [
        window
        for window, draws in zip(numbers.window_names, numbers.draws, strict=True)
        if draws.effective < _FEW_DRAWS
    ]
    if few:
        notes.append(f"{', '.join(few)}: few effective draws, the intervals are coarse.")
    return notes


def effect_table(numbers: ConditionNumbers) -> PrettyTable:
    """The effects as a table."""
    table = PrettyTable(["effect", "window", "estimate", "95 % interval", "p", "4 of 5 find"])
    table.align = "r"
    table.align["effect"] = table.align["window"] = "l"
    for effect, window, estimate, lower, upper, p in numbers.effects.to_numpy().tolist():
        test = numbers.test(effect, window)
        assert isinstance(test, EffectTest)
        span, least = f"{lower:.3g} … {upper:.3g}", f"±{test.detectable:.2g}"
        table.add_row([effect, window, f"{estimate:.3g}", span, f"{p:.2g}", least])
    return table


def dose_table(numbers: ConditionNumbers) -> PrettyTable:
    """D½ of each series and window as a table."""
    table = PrettyTable(["series", "window", with_unit("D½", numbers.dose_unit)])
    table.align = "l"
    for series, window, middle, low, high, _ in numbers.half_integrity_dose.to_numpy().tolist():
        table.add_row([series, window, f"{number(middle)} {interval_text(low, high)}"])
    return table


def shape_table(numbers: ConditionNumbers) -> PrettyTable:
    """Parameters of a law that knows conditions itself; without rows for other laws."""
    shape = PrettyTable(["parameter", "window", "estimate", "95 % interval", "determined"])
    shape.align = "l"
    rows = numbers.law_parameters.to_numpy().tolist() if numbers.inputs else []
    for name, window, middle, low, high, known in rows:
        span = f"{low:.3g} … {high:.3g}"
        shape.add_row([name, window, f"{middle:.3g}", span, "yes" if known else "NO"])
    return shape


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"
