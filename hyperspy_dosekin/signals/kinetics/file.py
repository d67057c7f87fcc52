# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results to files and back, without pickle.

A result is stored as the `DoseSeries` that was fitted, in HyperSpy's own format, so that any
HyperSpy opens the file; the rest lies in its metadata as plain numbers, texts and arrays.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.kinetics.laws.prior import Prior
from hyperspy_dosekin.kinetics.laws.registry import KINETIC_LAWS
from hyperspy_dosekin.signals.axes.wrapping import make_dose_series
from hyperspy_dosekin.signals.kinetics.law_names import law_record
from hyperspy_dosekin.signals.kinetics.maps import ExactMaps
from hyperspy_dosekin.signals.kinetics.numbers import KineticsNumbers
from hyperspy_dosekin.signals.kinetics.options import FitOptions, exact_config
from hyperspy_dosekin.signals.kinetics.series_data import SeriesData

if TYPE_CHECKING:
    from hyperspy.signals import Signal1D

    from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
    from hyperspy_dosekin.kinetics.network.network_fit import NetworkFit

#: Where the result lies in the metadata of the series.
NODE = "Dosekin.kinetics"

#: Version of the layout below; to be raised when older readers would misread it.
FORMAT = 1


def save(numbers: KineticsNumbers, path: Any, *, overwrite: bool | None = None) -> None:
    """Write a result to a ``.hspy`` or ``.zspy`` file; see `DoseKinetics.save`."""
    numbers = numbers.computed()
    maps = numbers.maps
    # The tests of the residuals need the code of the law, which is not stored.
    whole = replace(numbers, shown=None).examination
    arrays = {"fields": maps.fields, "examination": np.asarray(whole)}
    if maps.offset is not None:
        arrays["known offset"] = maps.offset
    record = {
        # A known offset may be a signal or an array; its values are among the arrays.
        "options": _jsonable({**asdict_shallow(numbers.options), "offset": None, "law": None}),
        "law": law_record(numbers.law),
        "maps complete": maps.complete,
        "network": None,
        # All windows are stored: the network's are not to be taken apart.
        "shown": None if numbers.shown is None else list(numbers.shown),
    }
    if numbers.network is not None:
        record["network"] = _network_record(numbers.network)
        arrays |= _network_arrays(numbers.network)
    record["arrays"] = list(arrays)
    series = series_of(maps.data)
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


def read(
    series: Any, record: Mapping[str, Any], arrays: Mapping[str, np.ndarray], law: KineticLaw
) -> KineticsNumbers:
    """The numbers of a file, from the series in it and what lay beside."""
    data = SeriesData.of(series)
    offset = arrays.get("known offset")
    named = law.name if KINETIC_LAWS.get(law.name) is law else law
    options = FitOptions(**{**record["options"], "offset": offset, "law": named})
    maps = ExactMaps(
        data,
        exact_config(options),
        offset,
        arrays["fields"],
        record["maps complete"],
        options.intervals,
    )
    network = record["network"] and _read_network(data, arrays, record["network"])
    shown = record.get("shown")
    return KineticsNumbers(
        maps,
        options,
        network or None,
        None if shown is None else tuple(map(int, shown)),
        arrays.get("examination"),
    )


def series_of(data: SeriesData) -> Signal1D:
    """The `DoseSeries` of arrays, with its noise variance."""

    def make(array: Any, title: str, quantity: str) -> Signal1D:
        return make_dose_series(
            array,
            data.dose,
            data.space_axes,
            data.window_names,
            title=title,
            quantity=quantity,
            dose_unit=data.dose_unit,
            dose_metadata=data.dose_metadata,
        )

    series = make(data.values, data.title, data.quantity)
    if data.variance is not None:
        series.set_noise_variance(make(data.variance, "Noise variance", ""))
    return series


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
