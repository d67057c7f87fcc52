# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results to files and back, without pickle.

A result is stored as the `DoseSeries` that was fitted, in HyperSpy's own format, so that any
HyperSpy opens the file; the rest lies in its metadata as plain numbers, texts and arrays.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from hyperspy_dosekin.signals._estimates import Estimate, NetworkEstimate
from hyperspy_dosekin.signals._series_data import SeriesData
from hyperspy_dosekin.signals.dose_fit import FitOptions
from hyperspy_dosekin.signals.dose_kinetics import DoseKinetics

#: Where the result lies in the metadata of the series.
NODE = "Dosekin.kinetics"

#: Version of the layout below; raised when old files could not be read any more.
FORMAT = 1


def save(result: DoseKinetics, path: Any, *, overwrite: bool | None = None) -> None:
    """Write a result to a ``.hspy`` or ``.zspy`` file; see `DoseKinetics.save`."""
    arrays = result.estimate.to_arrays()
    record = {
        "estimate": type(result.estimate).__name__,
        "description": result.estimate.to_json(),
        "options": _jsonable(asdict(result.options)),
        "complete": result.complete,
        "arrays": list(arrays),
    }
    series = result.data
    series.metadata.set_item(
        NODE,
        {
            "format": FORMAT,
            "record": json.dumps(record, ensure_ascii=False),
            # Names of arrays hold dots, which are separators in HyperSpy's metadata.
            "arrays": {f"array_{i}": array for i, array in enumerate(arrays.values())},
        },
    )
    path = Path(path)
    series.save(path if path.suffix else path.with_suffix(".hspy"), overwrite=overwrite)


def load(path: Any) -> DoseKinetics:
    """Load a result that `DoseKinetics.save` wrote.

    Parameters
    ----------
    path
        A ``.hspy`` or ``.zspy`` file.

    Raises
    ------
    ValueError
        If the file holds no such result, or one of a later version of this package.
    """
    import hyperspy.api as hs

    series = hs.load(path)
    node = getattr(series, "metadata", None)
    if node is None or not node.has_item(NODE):
        raise ValueError(
            f"{path} holds no result of a kinetics fit; it must have been written by "
            "DoseKinetics.save."
        )
    node = node.get_item(NODE)
    if node.format > FORMAT:
        raise ValueError(
            f"{path} has format {node.format}, this version reads up to {FORMAT}; update "
            "hyperspy_dosekin."
        )
    record = json.loads(node.record)
    arrays = {
        name: np.asarray(node.arrays.get_item(f"array_{i}"))
        for i, name in enumerate(record["arrays"])
    }
    del series.metadata.Dosekin
    data = SeriesData.of(series)
    estimate = ESTIMATES[record["estimate"]].from_arrays(data, arrays, record["description"])
    options = FitOptions(**record["options"])
    return DoseKinetics(data, estimate, options, complete=record["complete"])


#: Kinds of estimate that can be read back, by the name in the file.
ESTIMATES: Mapping[str, type[Estimate]] = {kind.__name__: kind for kind in (NetworkEstimate,)}


def _jsonable(value: Any) -> Any:
    """The same with arrays as lists and mappings as dictionaries."""
    if isinstance(value, Mapping):
        return {str(key): _jsonable(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, tuple | list):
        return [_jsonable(entry) for entry in value]
    return value
