# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A result as a NeXus file, for archives and programs that read NeXus.

Groups and fields have the classes and names of the NeXus definitions for electron microscopy
(NXem, https://fairmat-nfdi.github.io/nexus_definitions): an NXprocess with program, version and
parameters, and an NXdata for each quantity. The definition NXem itself is not claimed: it asks for
things that a result does not know, such as the user and the instrument.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.signals.kinetics.frame import units_of

if TYPE_CHECKING:
    from pathlib import Path

    from h5py import Group

    from hyperspy_dosekin.signals.kinetics.numbers import KineticsNumbers

_FLAGS = ("identifiable", "adequate", "reached", "not_fitted")


def write_nexus(numbers: KineticsNumbers, path: Path, methods: str, level: float) -> None:
    """Write a result without lazy parts.

    Parameters
    ----------
    numbers
        The numbers.
    path
        File to write.
    methods
        What was done, in words.
    level
        Probability of the intervals.
    """
    import h5py  # comes with HyperSpy's readers; loaded when it is needed

    with h5py.File(path, "w") as file:
        file.attrs.update({"default": "entry", "creator": "hyperspy_dosekin"})
        entry = _group(file, "entry", "NXentry", default="half_integrity_dose")
        entry["title"] = "Kinetics of degradation with electron dose"
        _process(entry, numbers, methods)
        for name, values, interval in _quantities(numbers, level):
            unit = units_of(numbers, [name]).get(name, "")
            _map(entry, numbers, name, values, unit, interval, level)
        _curves(entry, numbers)


def _group(parent: Any, name: str, kind: str, **attributes: Any) -> Group:
    group = parent.create_group(name)
    group.attrs.update({"NX_class": kind, **attributes})
    return group


def _process(entry: Group, numbers: KineticsNumbers, methods: str) -> None:
    process = _group(entry, "process", "NXprocess")
    process["program"] = "hyperspy_dosekin"
    process["version"] = version("hyperspy_dosekin")
    process["date"] = datetime.now(timezone.utc).isoformat(timespec="seconds")
    note = _group(process, "note", "NXnote")
    note["type"], note["description"] = "text/plain", methods
    parameters = _group(process, "parameters", "NXparameters")
    parameters["law"] = numbers.law.name
    for name, value in numbers.options.given().items():
        if name not in parameters:
            parameters[name] = str(value)
    for name, value in (("largest_dose", numbers.dose_max), ("scale_of_dose", numbers.dose_scale)):
        parameters[name] = value
        parameters[name].attrs["units"] = numbers.dose_unit


def _quantities(numbers: KineticsNumbers, level: float) -> Iterator[tuple[str, Any, Any]]:
    """Name, values ``(window, …space…)`` and ends of the interval of all quantities."""
    names = (*numbers.parameter_names, "amplitude", "offset", "half_integrity_dose")
    known = {*numbers.parameter_names, "half_integrity_dose"} if numbers.has_intervals else set()
    for name in names:
        yield name, numbers.map(name), numbers.interval(name, level) if name in known else None
    for name in _FLAGS:
        if name != "identifiable" or numbers.has_intervals:
            yield name, np.asarray(numbers.map(name)).astype(np.uint8), None


def _map(
    entry: Group,
    numbers: KineticsNumbers,
    name: str,
    values: Any,
    unit: str,
    interval: Any,
    level: float,
) -> None:
    axes = [f"axis_{place}" for place in range(len(numbers.space_shape))]
    group = _group(entry, name, "NXdata", signal="data", axes=["window", *axes])
    group["data"] = np.asarray(values)
    if unit:
        group["data"].attrs["units"] = unit
    if interval is not None:
        for side, end in zip(("lower", "upper"), interval, strict=True):
            group[f"data_{side}"] = np.asarray(end)
            text = f"{side} end of the {100 * level:g} % interval"
            group[f"data_{side}"].attrs["long_name"] = text
        group.attrs["auxiliary_signals"] = ["data_lower", "data_upper"]
    group["window"] = list(numbers.window_names)
    for place, axis in enumerate(numbers.data.space_axes):
        size = numbers.space_shape[place]
        positions = axis.get("axis")
        if positions is None:
            positions = axis.get("offset", 0.0) + axis.get("scale", 1.0) * np.arange(size)
        axis_name = f"axis_{place}"
        group[axis_name] = np.asarray(positions, dtype=float)
        group[axis_name].attrs.update(
            {"units": str(axis.get("units") or ""), "long_name": str(axis.get("name") or "")}
        )


def _curves(entry: Group, numbers: KineticsNumbers) -> None:
    """The measured intensities and the integrity on the measured doses."""
    data = numbers.data
    axes = [f"axis_{place}" for place in range(len(numbers.space_shape))]
    curves = {
        "intensity": np.asarray(data.values),
        "integrity": np.asarray(numbers.estimate.mean_integrity(data.dose)),
    }
    for name, values in curves.items():
        group = _group(entry, name, "NXdata", signal="data", axes=[*axes, "window", "dose"])
        group["data"] = values
        group["data"].attrs["long_name"] = data.quantity if name == "intensity" else name
        group["window"] = list(numbers.window_names)
        group["dose"] = data.dose
        group["dose"].attrs["units"] = numbers.dose_unit
        if name == "intensity" and data.variance is not None:
            group["data_errors"] = np.sqrt(np.maximum(np.asarray(data.variance), 0.0))
