# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several series under conditions in a file, and out of it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.kinetics.conditions.effects import Condition, Design
from hyperspy_dosekin.kinetics.conditions.regression import Draws
from hyperspy_dosekin.kinetics.laws.prior import Prior
from hyperspy_dosekin.kinetics.model.parameters import Parameters
from hyperspy_dosekin.signals.axes.wrapping import make_map
from hyperspy_dosekin.signals.files import save_signal, seal
from hyperspy_dosekin.signals.kinetics.options.law_names import law_of_record, law_record

if TYPE_CHECKING:
    from pathlib import Path

    from hyperspy.signals import BaseSignal

    from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
    from hyperspy_dosekin.signals.kinetics.conditions.numbers import ConditionNumbers

#: Version of the layout of files.
FORMAT = 1
#: Where the result lies in the metadata of the signal that it is saved with.
NODE = "Dosekin.conditions"
_ARRAYS = ("effects", "spread", "shape", "log_rate", "shape_mass")


def save_conditions(numbers: ConditionNumbers, path: str | Path, *, overwrite: bool | None) -> None:
    """Write the numbers with D½ of the series; see `ConditionKinetics.save`."""
    arrays = {}
    for place, (draws, shapes) in enumerate(zip(numbers.draws, numbers.shapes, strict=True)):
        arrays |= {f"{name}_{place}": getattr(draws, name) for name in _ARRAYS}
        arrays[f"shapes_{place}"] = shapes
    for place, angles in enumerate(numbers.offset_angles):
        arrays[f"offset_angles_{place}"] = angles
    prior = numbers.parameters.prior_of_law
    record = json.dumps(
        {
            "conditions": [asdict(condition) for condition in numbers.design.conditions],
            "law": law_record(numbers.parameters.law),
            "prior": None if prior is None else asdict(prior),
            "held": numbers.parameters.held,
            "shared": numbers.shared,
            "names": numbers.names,
            "window_names": numbers.window_names,
            "dose_scale": numbers.dose_scale,
            "dose_unit": numbers.dose_unit,
            "largest_dose": numbers.largest_dose,
            "effective": [draws.effective for draws in numbers.draws],
            "taken": numbers.taken,
            "inputs": [asdict(condition) for condition in numbers.inputs],
            "offset_known": numbers.offset_known,
            "offset_p_values": numbers.offset_p_values,
        }
    )
    table = numbers.half_integrity_dose.estimate.to_numpy()
    signal = make_map(
        table.reshape(len(numbers.names), -1).T,
        [{"name": "series", "size": len(numbers.names), "offset": 0, "scale": 1}],
        numbers.window_names,
        title="D½",
        quantity="half_integrity_dose",
    )
    node = {"format": FORMAT, "record": record, "arrays": arrays}
    node["checksum"] = seal(signal, arrays, record)
    signal.metadata.set_item(NODE, node)
    save_signal(signal, path, "a comparison of conditions", overwrite=overwrite)


def stored_conditions(
    signal: BaseSignal, law: str | KineticLaw | None
) -> tuple[tuple[Any, ...], str | None, str]:
    """The fields of a result that a file holds, its seal and what that should be."""
    node = signal.metadata.get_item(NODE)
    record = json.loads(node.record)
    windows = range(len(record["window_names"]))
    p_values = tuple(float(p) for p in record.get("offset_p_values", ()))
    stored = (*_ARRAYS, "shapes", *["offset_angles"] * bool(p_values))
    names = [f"{name}_{place}" for place in windows for name in stored]
    arrays = {name: np.asarray(node.arrays.get_item(name)) for name in names}
    expected = seal(signal, arrays, node.record)
    conditions, inputs = (
        tuple(
            Condition(each["name"], each["kind"], tuple(each["values"]), each["reference"])
            for each in record.get(kind, ())
        )
        for kind in ("conditions", "inputs")
    )
    prior = record["prior"] and Prior(**{name: tuple(v) for name, v in record["prior"].items()})
    fields = (
        Design(conditions, len(record["names"]), len(inputs)),
        Parameters(
            law_of_record(record["law"], law), prior, tuple((n, v) for n, v in record["held"])
        ),
        record["shared"],
        tuple(record["window_names"]),
        tuple(record["names"]),
        record["dose_scale"],
        record["dose_unit"],
        tuple(record["largest_dose"]),
        tuple(
            Draws(**{name: arrays[f"{name}_{place}"] for name in _ARRAYS}, effective=effective)
            for place, effective in zip(windows, record["effective"], strict=True)
        ),
        tuple(arrays[f"shapes_{place}"] for place in windows),
        tuple(record["taken"]),
        inputs,
        bool(record.get("offset_known", False)),
        tuple(arrays[f"offset_angles_{place}"] for place in windows) if p_values else (),
        p_values,
    )
    return fields, node.get_item("checksum"), expected
