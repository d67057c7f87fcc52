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
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.kinetics.laws.prior import Prior
from hyperspy_dosekin.signals.kinetics.law_names import law_record
from hyperspy_dosekin.signals.kinetics.options import FitOptions
from hyperspy_dosekin.signals.kinetics.result import DoseKinetics
from hyperspy_dosekin.signals.kinetics.series_data import SeriesData

if TYPE_CHECKING:
    from hyperspy_dosekin.kinetics.network.network_fit import NetworkFit

#: Where the result lies in the metadata of the series.
NODE = "Dosekin.kinetics"

#: Version of the layout below; to be raised when older readers would misread it.
FORMAT = 1


def save(result: DoseKinetics, path: Any, *, overwrite: bool | None = None) -> None:
    """Write a result to a ``.hspy`` or ``.zspy`` file; see `DoseKinetics.save`."""
    maps = result.maps.computed()
    arrays = {"fields": maps.fields}
    if maps.offset is not None:
        arrays["known offset"] = maps.offset
    record = {
        # A known offset may be a signal or an array; its values are among the arrays.
        "options": _jsonable({**asdict_shallow(result.options), "offset": None, "law": None}),
        "law": law_record(result.kinetic_law),
        "maps complete": maps.complete,
        "network": None,
    }
    if result.has_network:
        record["network"] = _network_record(result.network)
        arrays |= _network_arrays(result.network)
    record["arrays"] = list(arrays)
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


def _network_record(network: NetworkFit) -> dict[str, Any]:
    return {
        "config": _jsonable(asdict(network.config)),
        "n_adam": network.history.n_adam,
        "complete": network.complete,
    }


def _network_arrays(network: NetworkFit) -> dict[str, np.ndarray]:
    history = network.history
    return {
        **{f"parameter {name}": array for name, array in network.parameters.items()},
        **{f"term {name}": array for name, array in history.terms.items()},
        "iteration": history.iteration,
        "learning rate": history.learning_rate,
    }


def _read_network(
    data: SeriesData, arrays: Mapping[str, np.ndarray], record: Mapping[str, Any]
) -> NetworkFit:
    from hyperspy_dosekin.kinetics.network.config import NetworkConfig
    from hyperspy_dosekin.kinetics.network.fit import check_network_problem
    from hyperspy_dosekin.kinetics.network.history import History
    from hyperspy_dosekin.kinetics.network.network_fit import NetworkFit

    def group(prefix: str) -> dict[str, np.ndarray]:
        return {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}

    problem, config = data.problem(), NetworkConfig(**record["config"])
    history = History(
        arrays["iteration"], arrays["learning rate"], group("term "), record["n_adam"]
    )
    return NetworkFit(
        problem,
        config,
        check_network_problem(problem, config),
        group("parameter "),
        history,
        record["complete"],
    )


def asdict_shallow(options: FitOptions) -> dict[str, Any]:
    """The fields of the options as they are; `dataclasses.asdict` would copy a whole signal."""
    return {name: getattr(options, name) for name in options.__dataclass_fields__}


def _jsonable(value: Any) -> Any:
    """Return the same value with arrays as lists and mappings as dictionaries."""
    if isinstance(value, Prior):
        return asdict(value)
    if isinstance(value, Mapping):
        return {str(key): _jsonable(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, tuple | list):
        return [_jsonable(entry) for entry in value]
    return value
