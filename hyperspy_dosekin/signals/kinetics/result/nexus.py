# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A result as a NeXus file, for archives and programs that read NeXus.

Groups and fields have the classes and names of the NeXus definitions for electron microscopy
(NXem, https://fairmat-nfdi.github.io/nexus_definitions): an NXprocess with program, version and
parameters for what was done to the spectra and one for the fit, and an NXdata for each quantity.
The definition NXem itself is claimed only where the user tells what it asks for and a result does
not know: the sample, and when the experiment began.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.numerics.arguments import short
from hyperspy_dosekin.numerics.units import with_unit
from hyperspy_dosekin.signals.axes.processed import processing_words
from hyperspy_dosekin.signals.kinetics.result.frame import dose_units

if TYPE_CHECKING:
    from pathlib import Path

    from h5py import Group

    from hyperspy_dosekin.signals.kinetics.numbers.kinetics_numbers import KineticsNumbers

#: In this order.
_UNITS = ((" e⁻/", "/"), ("e⁻/", "1/"), ("Å", "angstrom"), ("²", "^2"), ("−", "-"))
_FLAGS = ("identifiable", "adequate", "reached", "not_fitted")


#: What NXem wants to know of a sample; whether it is simulated has a default.
_OF_SAMPLE = ("atom_types", "preparation_date")


def write_nexus(
    numbers: KineticsNumbers,
    path: Path,
    methods: str,
    level: float,
    sample: Mapping[str, object] | None,
    start_time: str | None,
) -> None:
    """Write a result without lazy parts.

    Parameters
    ----------
    methods
        What was done, in words.
    level
        Probability of the intervals.
    sample, start_time
        What NXem asks for beside that, or `None` for both.
    """
    _check_experiment(sample, start_time)
    import h5py  # comes with HyperSpy's readers; loaded when it is needed

    with h5py.File(path, "w") as file:
        file.attrs.update({"default": "entry", "creator": "hyperspy_dosekin"})
        entry = _group(file, "entry", "NXentry", default="half_integrity_dose")
        entry["title"] = "Kinetics of degradation with electron dose"
        if sample is not None and start_time is not None:
            entry["definition"], entry["start_time"] = "NXem", start_time
            about = _group(entry, "sample", "NXsample")
            for name, value in {"is_simulation": False, **sample}.items():
                about[name] = value
        _processing(entry, numbers.data.processing)
        _process(entry, numbers, methods)
        for name, values, interval in _quantities(numbers, level):
            unit = dose_units(numbers.dose_unit, numbers.dose_scale).get(name, "")
            _map(entry, numbers, name, values, unit, interval, level)
        _curves(entry, numbers)


def _check_experiment(sample: Mapping[str, object] | None, start_time: str | None) -> None:
    if sample is None and start_time is None:
        return
    if not isinstance(sample, Mapping) or not isinstance(start_time, str):
        raise TypeError(
            f"NXem asks for both, and sample={short(sample)}, start_time={short(start_time)}; give "
            "sample={'atom_types': 'C, H, O', 'preparation_date': '2026-01-31T12:00:00+01:00'} and "
            "start_time='2026-02-01T09:00:00+01:00', or none of them."
        )
    missing = [name for name in _OF_SAMPLE if name not in sample]
    if missing:
        raise ValueError(
            f"sample={short(dict(sample))} does not say {' and '.join(missing)}, which NXem asks "
            "for; add it, or leave sample= and start_time= out."
        )
    for where, text in (
        ("start_time", start_time),
        ("preparation_date", sample["preparation_date"]),
    ):
        try:
            known = datetime.fromisoformat(str(text).replace("Z", "+00:00")).tzinfo is not None
        except ValueError:
            known = False
        if not known:
            raise ValueError(
                f"{where}={text!r} is no time of ISO 8601 with its zone; write it like "
                "'2026-02-01T09:00:00+01:00'."
            )


def _group(parent: Any, name: str, kind: str, **attributes: object) -> Group:
    group = parent.create_group(name)
    group.attrs.update({"NX_class": kind, **attributes})
    return group


def _process(entry: Group, numbers: KineticsNumbers, methods: str) -> None:
    process = _group(entry, "process", "NXprocess")
    process["sequence_index"] = 2 if "processing" in entry else 1
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
        parameters[name].attrs["units"] = _nexus_unit(numbers.dose_unit)


def _processing(entry: Group, record: Mapping[str, Any]) -> None:
    """What was done to the spectra before, each setting by its name and that of its step."""
    if not record:
        return
    process = _group(entry, "processing", "NXprocess")
    process["sequence_index"] = 1
    process["program"] = f"hyperspy_dosekin {record['chain']}".rstrip()
    process["version"] = record["version"]
    note = _group(process, "note", "NXnote")
    note["type"], note["description"] = "text/plain", processing_words(record)
    parameters = _group(process, "parameters", "NXparameters")
    parameters["steps"] = ", ".join(record["steps"])
    for step in record["steps"]:
        for name, value in record[step].items():
            # Endings such as "_offset" mean something else in NeXus.
            parameters[f"{name}_of_{step}"] = value


def _nexus_unit(unit: str) -> str:
    """The unit as NeXus and pint write it: electrons are counted, and have no unit."""
    for ours, theirs in _UNITS:
        unit = unit.replace(ours, theirs)
    return unit


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
        group["data"].attrs["units"] = _nexus_unit(unit)
        group["data"].attrs["long_name"] = f"{name.replace('_', ' ')} ({unit})"
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
        group["dose"].attrs["units"] = _nexus_unit(numbers.dose_unit)
        group["dose"].attrs["long_name"] = with_unit("dose", numbers.dose_unit)
        if name == "intensity" and data.variance is not None:
            group["data_errors"] = np.sqrt(np.maximum(np.asarray(data.variance), 0.0))
