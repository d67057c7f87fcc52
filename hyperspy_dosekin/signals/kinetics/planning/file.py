# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A planned dose series in a file, and out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.signals.axes.wrapping import make_dose_series
from hyperspy_dosekin.signals.files import plain_fields, put_beside, save_signal
from hyperspy_dosekin.signals.kinetics.planning.numbers import PlannedFrames, PlanNumbers

if TYPE_CHECKING:
    from pathlib import Path

    from hyperspy_dosekin.signals.kinetics.dose_series import DoseSeries

#: Version of the layout of files.
FORMAT = 1
#: Where a plan lies in the metadata of the signal that it is saved with.
NODE = "Dosekin.dose_plan"
# What is kept of the expected curves, beside their doses.
_CURVES = ("lower", "middle", "upper")
# What is kept as it is, by its name.
_PLAIN = ("goal", "dose_unit", "chance_determined", "simulated_ratio", "n_simulated", "notes")


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
    record = {name: getattr(numbers, name) for name in _PLAIN}
    record["compared"] = [asdict(row) for row in numbers.compared]
    put_beside(series, NODE, FORMAT, record, {})
    save_signal(series, path, "a plan", overwrite=overwrite)


def plan_fields(series: DoseSeries, record: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a plan by name, from the series of a file and the record beside it."""
    rows = tuple(PlannedFrames(**{**row, "dose": tuple(row["dose"])}) for row in record["compared"])
    curves = dict(zip(_CURVES, np.asarray(series.data), strict=True))
    return {
        **plain_fields(record, _PLAIN),
        "frames": rows[0],
        "compared": rows,
        "curves": {"dose": np.asarray(series.dose), **curves},
    }
