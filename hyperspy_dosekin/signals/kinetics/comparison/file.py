# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several laws in a file, and out of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.kinetics.model.dose_error import DoseError
from hyperspy_dosekin.numerics.arguments import short
from hyperspy_dosekin.signals.axes.wrapping import make_dose_series
from hyperspy_dosekin.signals.files import Stored, save_signal, seal
from hyperspy_dosekin.signals.kinetics.comparison.numbers import ComparisonNumbers

if TYPE_CHECKING:
    from pathlib import Path

    from hyperspy.signals import BaseSignal

    from hyperspy_dosekin.signals.kinetics.dose_series import DoseSeries

#: Version of the layout of files.
FORMAT = 3
#: Where a comparison lies in the metadata of the series that it is saved with.
NODE = "Dosekin.law_comparison"


def save_comparison(
    numbers: ComparisonNumbers, path: str | Path, *, overwrite: bool | None
) -> None:
    """Write the numbers with the series; see `LawComparison.save`."""
    numbers = numbers.computed()
    data = numbers.data
    series = make_dose_series(
        data.values,
        data.dose,
        data.space_axes,
        data.window_names,
        title=data.title,
        quantity=data.quantity,
        dose_unit=data.dose_unit,
        dose_metadata=data.dose_metadata,
    )
    laws, fields = json.dumps(list(numbers.laws)), np.asarray(numbers.fields)
    error = json.dumps(numbers.dose_error.record)
    node = {"format": FORMAT, "laws": laws, "fields": fields, "dose_error": error}
    node["checksum"] = seal(series, {"fields": fields}, laws + error)
    series.metadata.set_item(NODE, node)
    save_signal(series, path, "a comparison of laws", overwrite=overwrite)


def stored_comparison(series: BaseSignal) -> Stored:
    """What lies beside a series from a file."""
    node = series.metadata.get_item(NODE)
    error, arrays = node.get_item("dose_error", ""), {"fields": np.asarray(node.fields)}
    expected = seal(series, arrays, node.laws + error)
    record = {"laws": json.loads(node.laws), "dose_error": json.loads(error or "{}")}
    return Stored(record, arrays, node.get_item("checksum"), expected)


def comparison_fields(
    series: DoseSeries, record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """The fields of a comparison but its data by name, from a series and what lies beside it."""
    from hyperspy_dosekin.kinetics.comparison.comparison import LAW_FIELDS

    laws, fields = tuple(record["laws"]), arrays["fields"]
    found = fields.shape[-3:-2]
    if not all(isinstance(law, str) for law in laws) or found != (len(laws),):
        raise ValueError(f"numbers of {found} laws are there, and the names {short(laws)}")
    version = series.metadata.get_item(f"{NODE}.format")
    if version < 3:
        # Nothing was kept of the offset at its bound.
        missing = len(LAW_FIELDS) - fields.shape[-2]
        pad = [(0, 0)] * (fields.ndim - 2) + [(0, missing), (0, 0)]
        fields = np.pad(fields, pad, constant_values=np.nan)
    if version < 2:
        # Doses were in units of the largest one.
        in_doses = np.char.startswith(np.array(LAW_FIELDS), "log_half")
        fields = fields + np.log(series.dose[-1]) * in_doses[:, np.newaxis]
    return {"laws": laws, "fields": fields, "dose_error": DoseError.of(record["dose_error"])}
