# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A planned dose series in a file, and out of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from hyperspy_dosekin.signals.axes.wrapping import make_dose_series
from hyperspy_dosekin.signals.files import save_signal, seal
from hyperspy_dosekin.signals.kinetics.planning.numbers import PlannedFrames, PlanNumbers

if TYPE_CHECKING:
    from pathlib import Path

    from hyperspy.signals import BaseSignal

#: Version of the layout of files.
FORMAT = 1
#: Where a plan lies in the metadata of the signal that it is saved with.
NODE = "Dosekin.dose_plan"
# What is kept of the expected curves, beside their doses.
_CURVES = ("lower", "middle", "upper")


def save_plan(numbers: PlanNumbers, path: str | Path, *, overwrite: bool | None) -> None:
    """Write the numbers with the expected curves; see `DosePlan.save`."""
    series = make_dose_series(
        np.stack([numbers.curves[name] for name in _CURVES]),
        numbers.curves["dose"],
        (),
        _CURVES,
        title="Expected integrity",
        quantity="integrity",
        dose_unit=numbers.dose_unit,
    )
    record = json.dumps(
        {
            "compared": [asdict(row) for row in numbers.compared],
            "goal": numbers.goal,
            "dose_unit": numbers.dose_unit,
            "chance_determined": numbers.chance_determined,
            "simulated_ratio": numbers.simulated_ratio,
            "n_simulated": numbers.n_simulated,
            "notes": numbers.notes,
        }
    )
    node = {"format": FORMAT, "record": record, "checksum": seal(series, {}, record)}
    series.metadata.set_item(NODE, node)
    save_signal(series, path, "a plan", overwrite=overwrite)


def stored_plan(series: BaseSignal) -> tuple[Callable[[], PlanNumbers], str | None, str]:
    """What makes the plan of a series from a file, its seal and what that should be."""
    node = series.metadata.get_item(NODE)
    text, checksum = node.record, node.get_item("checksum")
    expected = seal(series, {}, text)

    def make() -> PlanNumbers:
        record = json.loads(text)
        rows = tuple(
            PlannedFrames(row["name"], tuple(row["dose"]), row["sd"], row["share"])
            for row in record["compared"]
        )
        curves: dict[str, np.ndarray] = {"dose": np.asarray(series.dose)}
        curves.update(zip(_CURVES, np.asarray(series.data), strict=True))
        return PlanNumbers(
            rows[0],
            rows,
            record["goal"],
            record["dose_unit"],
            record["chance_determined"],
            record["simulated_ratio"],
            record["n_simulated"],
            curves,
            tuple(record["notes"]),
        )

    return make, checksum, expected
