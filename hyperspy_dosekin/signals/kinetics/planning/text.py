# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of a planned dose series."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from prettytable import PrettyTable

from hyperspy_dosekin.signals.kinetics.planning.numbers import KNOWN, PlanNumbers
from hyperspy_dosekin.signals.results import as_frame

if TYPE_CHECKING:
    from pandas import DataFrame

#: How goals are written.
SYMBOLS = {"half_integrity_dose": "D½", "critical_dose": "D(1/e)", "rate": "k"}


def plan_table(numbers: PlanNumbers) -> PrettyTable:
    """The plan beside its alternatives."""
    symbol = SYMBOLS[numbers.goal]
    table = PrettyTable(["frames", f"sd of ln {symbol}", f"sd < {KNOWN}", "largest dose"])
    table.align = "r"
    table.align["frames"] = "l"
    for row in numbers.compared:
        table.add_row([row.name, f"{row.sd:.3f}", f"{row.share:.0%}", f"{row.dose[-1]:.4g}"])
    return table


def recommendation_of(numbers: PlanNumbers) -> str:
    """A sentence to follow."""
    unit = f" {numbers.dose_unit}" if numbers.dose_unit else ""
    doses = ", ".join(f"{dose:.3g}" for dose in numbers.dose[:12])
    more = "" if numbers.dose.size <= 12 else f", … {numbers.dose[-1]:.3g}"
    text = (
        f"{numbers.dose.size} frames that end at the cumulative doses {doses}{more}{unit}; expect "
        f"{SYMBOLS[numbers.goal]} ± {100 * math.expm1(numbers.expected_sd):.2g} %"
    )
    if numbers.n_simulated:
        text += f"; determined with probability {numbers.chance_determined:.2f}"
    return text + "."


def plan_frame(numbers: PlanNumbers) -> DataFrame:
    """One row for each frame of the plan and of each alternative; see `DosePlan.to_dataframe`."""
    rows = [
        (row.name, place + 1, dose, step, row.sd, row.share)
        for row in numbers.compared
        for place, (dose, step) in enumerate(
            zip(row.dose, np.diff(row.dose, prepend=0.0).tolist(), strict=True)
        )
    ]
    unit = numbers.dose_unit
    names = ["plan", "frame", "dose", "dose_of_frame", "sd", "share"]
    frame = as_frame(rows, names, units={"dose": unit, "dose_of_frame": unit})
    return frame.assign(goal=numbers.goal, dose_unit=unit)
