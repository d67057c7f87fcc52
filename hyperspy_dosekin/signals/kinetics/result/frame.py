# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The numbers of a kinetics result as a tidy table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.numerics.units import inverse_unit
from hyperspy_dosekin.signals.results import as_frame

if TYPE_CHECKING:
    from pandas import DataFrame

    from hyperspy_dosekin.signals.kinetics.data.series_data import SeriesData
    from hyperspy_dosekin.signals.kinetics.numbers.kinetics_numbers import KineticsNumbers

#: Quantities that have an interval beside them, after the parameters of the law.
WITH_INTERVAL = ("rate_per_dose", "half_integrity_dose")


def result_frame(numbers: KineticsNumbers, level: float, method: str) -> DataFrame:
    """One row for each window, or for each pixel and window; see `DoseKinetics.to_dataframe`."""
    numbers = numbers.computed()
    columns = places_of(numbers.data)
    names = (*numbers.parameter_names, "rate_per_dose", "amplitude", "offset")
    names = tuple(name for name in names if name != "rate_per_dose" or "rate" in names)
    for name in (*names, "half_integrity_dose", "critical_dose"):
        columns[name] = _flat(numbers.map(name))
        if numbers.has_intervals and name in (*numbers.parameter_names, *WITH_INTERVAL):
            ends = numbers.interval(name, level, method)
            for side, end in zip(("lower", "upper"), ends, strict=True):
                columns[f"{name}_{side}"] = _flat(end)
    if numbers.has_intervals:
        columns["identifiable"] = _flat(numbers.map("identifiable"))
    columns["adequate"] = _flat(numbers.map("adequate"))
    columns["reached"] = _flat(numbers.map("reached"))
    columns["fitted"] = ~_flat(numbers.map("not_fitted"))
    if numbers.has_intervals:
        columns |= {"level": level, "interval_method": method}
    columns |= {
        "law": numbers.law.name,
        "dose_unit": numbers.dose_unit,
        "intensity": numbers.data.quantity,
    }
    frame = as_frame(columns, units=dose_units(numbers.dose_unit, numbers.dose_scale))
    frame.attrs["dose_max"] = numbers.dose_max
    return frame


def dose_units(unit: str, scale: float) -> dict[str, str]:
    """Units of the columns that have one, for doses in a unit and rates per dose scale."""
    known = {
        "half_integrity_dose": unit,
        "half_change_dose": unit,
        "critical_dose": unit,
        "rate_per_dose": inverse_unit(unit),
        "rate": f"1/({scale:g} {unit})".replace(" )", ")"),
    }
    sides = ("", "_lower", "_upper")
    return {f"{name}{side}": text for name, text in known.items() for side in sides if text}


def places_of(data: SeriesData) -> dict[str, object]:
    """Columns that say where a row belongs: the window, and the pixel by index and position."""
    shape = (len(data.window_names), *data.space_shape)
    indices = np.indices(shape).reshape(len(shape), -1)
    columns: dict[str, object] = {"window": np.array(data.window_names, dtype=object)[indices[0]]}
    if data.windows is not None:
        columns["window_left"] = np.array([each.left for each in data.windows])[indices[0]]
        columns["window_right"] = np.array([each.right for each in data.windows])[indices[0]]
    for place, axis in enumerate(data.space_axes):
        name = axis.get("name")
        name = name if isinstance(name, str) and name else f"axis_{place}"
        columns[f"{name}_index"] = indices[place + 1]
        if "scale" in axis:
            columns[name] = axis.get("offset", 0.0) + axis["scale"] * indices[place + 1]
        elif "axis" in axis:
            columns[name] = np.asarray(axis["axis"])[indices[place + 1]]
    return columns


def _flat(values: Any) -> np.ndarray:
    """A map ``(window, …space…)`` as a column."""
    return np.asarray(values).reshape(-1)
