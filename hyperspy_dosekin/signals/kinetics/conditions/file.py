# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several series under conditions in a file, and out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.kinetics.conditions.effects import Condition, Design
from hyperspy_dosekin.kinetics.conditions.regression import Draws
from hyperspy_dosekin.kinetics.laws.prior import Prior
from hyperspy_dosekin.kinetics.model.parameters import Parameters
from hyperspy_dosekin.signals.axes.wrapping import make_map
from hyperspy_dosekin.signals.files import plain_fields, put_beside, save_signal
from hyperspy_dosekin.signals.kinetics.options.law_names import law_of_record, law_record

if TYPE_CHECKING:
    from pathlib import Path

    from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
    from hyperspy_dosekin.signals.kinetics.conditions.numbers import ConditionNumbers

#: Version of the layout of files.
FORMAT = 1
#: Where the result lies in the metadata of the signal that it is saved with.
NODE = "Dosekin.conditions"
_ARRAYS = ("effects", "spread", "shape", "log_rate", "shape_mass")
# What is kept as it is, by its name.
_PLAIN = (
    *("shared", "names", "window_names", "dose_scale", "dose_unit", "largest_dose", "taken"),
    *("offset_known", "offset_p_values"),
)


def save_conditions(numbers: ConditionNumbers, path: str | Path, *, overwrite: bool | None) -> None:
    """Write the numbers with D½ of the series; see `ConditionKinetics.save`."""
    arrays = {}
    for place, (draws, shapes) in enumerate(zip(numbers.draws, numbers.shapes, strict=True)):
        arrays |= {f"{name}_{place}": getattr(draws, name) for name in _ARRAYS}
        arrays[f"shapes_{place}"] = shapes
    for place, angles in enumerate(numbers.offset_angles):
        arrays[f"offset_angles_{place}"] = angles
    prior = numbers.parameters.prior_of_law
    record = {
        **{name: getattr(numbers, name) for name in _PLAIN},
        "conditions": [asdict(condition) for condition in numbers.design.conditions],
        "inputs": [asdict(condition) for condition in numbers.inputs],
        "law": law_record(numbers.parameters.law),
        "prior": None if prior is None else asdict(prior),
        "held": numbers.parameters.held,
        "effective": [draws.effective for draws in numbers.draws],
    }
    table = numbers.half_integrity_dose.estimate.to_numpy()
    signal = make_map(
        table.reshape(len(numbers.names), -1).T,
        [{"name": "series", "size": len(numbers.names), "offset": 0, "scale": 1}],
        numbers.window_names,
        title="D½",
        quantity="half_integrity_dose",
    )
    put_beside(signal, NODE, FORMAT, record, arrays)
    save_signal(signal, path, "a comparison of conditions", overwrite=overwrite)


def condition_fields(
    record: Mapping[str, Any], arrays: Mapping[str, np.ndarray], law: str | KineticLaw | None
) -> dict[str, Any]:
    """The fields of a result by name, from the record and the arrays of a file."""
    conditions, inputs = (
        tuple(Condition(**{**e, "values": tuple(e["values"])}) for e in record.get(kind, ()))
        for kind in ("conditions", "inputs")
    )
    held = tuple((name, value) for name, value in record["held"])
    prior = record["prior"] and Prior(**record["prior"])
    plain, windows = plain_fields(record, _PLAIN), range(len(record["window_names"]))
    return {
        **plain,
        "design": Design(conditions, len(record["names"]), len(inputs)),
        "parameters": Parameters(law_of_record(record["law"], law), prior, held),
        "inputs": inputs,
        "draws": tuple(
            Draws(**{name: arrays[f"{name}_{place}"] for name in _ARRAYS}, effective=effective)
            for place, effective in zip(windows, record["effective"], strict=True)
        ),
        "shapes": tuple(arrays[f"shapes_{place}"] for place in windows),
        "offset_angles": tuple(
            arrays[f"offset_angles_{place}"] for place in windows if plain.get("offset_p_values")
        ),
    }
