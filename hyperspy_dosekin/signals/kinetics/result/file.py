# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results to files and back, without pickle.

A result is stored as the `DoseSeries` that was fitted, in HyperSpy's own format, so that any
HyperSpy opens the file; the rest lies in its metadata as plain numbers, texts and arrays.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.kinetics.laws.power_law import dose_at
from hyperspy_dosekin.kinetics.laws.prior import Prior
from hyperspy_dosekin.kinetics.laws.registry import KINETIC_LAWS
from hyperspy_dosekin.numerics.device import usable_device
from hyperspy_dosekin.signals.axes.processed import RECORD
from hyperspy_dosekin.signals.axes.shared_error import attach_shared_errors
from hyperspy_dosekin.signals.axes.wrapping import make_dose_series
from hyperspy_dosekin.signals.files import save_signal, seal
from hyperspy_dosekin.signals.kinetics.data.series_data import SeriesData, relative_errors
from hyperspy_dosekin.signals.kinetics.numbers.field_networks import (
    field_arrays,
    field_record,
    learned_arrays,
    learned_record,
    read_field_networks,
    read_learned,
)
from hyperspy_dosekin.signals.kinetics.numbers.joint_maps import JointMaps
from hyperspy_dosekin.signals.kinetics.numbers.kinetics_numbers import KineticsNumbers
from hyperspy_dosekin.signals.kinetics.numbers.maps import ExactMaps
from hyperspy_dosekin.signals.kinetics.numbers.shared import SharedMaps
from hyperspy_dosekin.signals.kinetics.options.configs import exact_config
from hyperspy_dosekin.signals.kinetics.options.fit_options import FitOptions
from hyperspy_dosekin.signals.kinetics.options.law_names import is_power_law, law_record

if TYPE_CHECKING:
    from os import PathLike

    from hyperspy.signals import Signal1D

    from hyperspy_dosekin.kinetics.field.network_fit import FieldNetworkFit
    from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
    from hyperspy_dosekin.kinetics.network.network_fit import NetworkFit
    from hyperspy_dosekin.lazy.arrays import Array

#: Where the result lies in the metadata of the series.
NODE = "Dosekin.kinetics"

#: What a person reads who opens the file with HyperSpy alone.
HOW_TO_LOAD = (
    "This file holds a fit of dose kinetics beside the fitted series: "
    "hyperspy_dosekin.load(path) gives the whole result."
)

#: Version of the layout below; to be raised when older readers would misread it.
FORMAT = 2

#: Options whose values are among the arrays, or written otherwise.
_BESIDE = {"offset": None, "law": None, "groups": None}

#: What files of format 1 hold after the parameters of the law, in that order.
_READOUT_OF_FORMAT_1 = (
    *("amplitude", "offset", "residual_sigma", "noise_sigma", "converged", "dead"),
)
_FLAGS_OF_FORMAT_1 = ("sd_log_half_dose", "profile_width", "identifiable")


def _fields_of_format_1(maps: ExactMaps) -> tuple[str, ...]:
    """Names of the fields of such a file; those of the power law were without its doses."""
    names = maps.parameter_names
    doses = () if is_power_law(maps.law) else ("half_integrity_dose", "critical_dose")
    ends = [f"{n} {end}" for n in (*names, "half_integrity_dose") for end in ("lower", "upper")]
    return (*names, *_READOUT_OF_FORMAT_1, *doses, *_FLAGS_OF_FORMAT_1, *ends)


def save(
    numbers: KineticsNumbers, path: str | PathLike[str], *, overwrite: bool | None = None
) -> None:
    """Write a result to a ``.hspy`` or ``.zspy`` file; see `DoseKinetics.save`."""
    save_signal(signal_of(numbers), path, "a result", overwrite=overwrite)


def signal_of(numbers: KineticsNumbers) -> Signal1D:
    """The fitted series with the result in its metadata."""
    numbers = numbers.computed()
    maps = numbers.maps
    # The tests of the residuals need the code of the law, which is not stored.
    whole = replace(numbers, shown=None).examination
    arrays = {"fields": maps.fields, "examination": np.asarray(whole)}
    if maps.offset is not None:
        arrays["known offset"] = maps.offset
    shared = None
    if isinstance(maps, SharedMaps):
        shared = maps.record()
        arrays["known before"] = maps.known
    joint = None
    if isinstance(maps, JointMaps):
        joint = maps.record()
        arrays |= maps.arrays()
    record = {
        # A known offset may be a signal or an array; its values are among the arrays.
        "options": _jsonable({**asdict_shallow(numbers.options), **_BESIDE}),
        "shared": shared,
        "joint": joint,
        "law": law_record(numbers.law),
        "maps complete": maps.complete,
        "fields": list(maps.field_names),
        "network": None,
        # All windows are stored: the network's are not to be taken apart.
        "shown": None if numbers.shown is None else list(numbers.shown),
    }
    if numbers.network is not None:
        of_field = numbers.field_network
        record["network"] = {"config": _jsonable(asdict(numbers.network.config))}
        if of_field is not None:
            record["network"]["field"] = field_record(of_field)
            arrays |= field_arrays(of_field)
        else:
            network = numbers.required_network()
            record["network"] |= learned_record(network)
            arrays |= learned_arrays(network)
    record["arrays"] = list(arrays)
    series, text = series_of(maps.data), json.dumps(record, ensure_ascii=False)
    series.metadata.set_item(
        NODE,
        {
            "format": FORMAT,
            "record": text,
            "checksum": seal(series, arrays, text),
            # Names of arrays hold dots, which are separators in HyperSpy's metadata.
            "arrays": {f"array_{i}": array for i, array in enumerate(arrays.values())},
        },
    )
    # For those who open the file with hyperspy.api.load.
    series.metadata.set_item("General.notes", HOW_TO_LOAD)
    return series


def read(
    series: Any, record: Mapping[str, Any], arrays: Mapping[str, np.ndarray], law: KineticLaw
) -> KineticsNumbers:
    """The numbers of a file, from the series in it and what lay beside."""
    data = SeriesData.of(series)
    offset = arrays.get("known offset")
    named = law.name if KINETIC_LAWS.get(law.name) is law else law
    # It may have been fitted on another machine.
    device = usable_device(record["options"].get("device", "auto"))
    known, shared = arrays.get("known before"), record.get("shared")
    if shared:
        groups = np.asarray(known)[..., 0, 0].astype(np.int64)
        record["options"]["groups"] = groups if shared["groups"] != {"0": ""} else None
    options = FitOptions(**{**record["options"], "offset": offset, "law": named, "device": device})
    data = replace(data, dose_scale=options.dose_scale)
    common = (
        data,
        exact_config(options, data.dose_metadata, by_network=bool(record["network"])),
        offset,
        None,
        record["maps complete"],
        options.intervals,
    )
    maps = ExactMaps(*common)
    if shared:
        maps = SharedMaps(*common, known=known).restored(shared)
    elif record.get("joint"):
        maps = JointMaps(*common).restored(record["joint"], arrays)
    maps = replace(maps, fields=_in_order(arrays["fields"], record.get("fields"), maps))
    network = None
    if record["network"]:
        network = _read_network(maps, arrays, record["network"])
    shown = record.get("shown")
    return KineticsNumbers(
        maps,
        options,
        network,
        None if shown is None else tuple(map(int, shown)),
        arrays.get("examination"),
    )


def _in_order(stored: np.ndarray, names: Sequence[str] | None, maps: ExactMaps) -> np.ndarray:
    """The fields of a file in the order of `ExactMaps.field_names`; NaN for what it has not."""
    wanted = maps.field_names
    names = _fields_of_format_1(maps) if names is None else names
    shape = (*maps.data.space_shape, len(names), len(maps.data.window_names))
    if stored.shape != shape:
        raise ValueError(f"its numbers have the shape {stored.shape}, not {shape}")
    rows = {name: stored[..., place, :] for place, name in enumerate(names)}
    if "exponent" in rows:
        for name, level in (("half_integrity_dose", 0.5), ("critical_dose", 1 / math.e)):
            if name in wanted and name not in rows:
                rows[name] = dose_at(level, rows["rate"], rows["exponent"])
    nothing = np.full(stored[..., 0, :].shape, np.nan)
    return np.stack([rows.get(name, nothing) for name in wanted], axis=-2)


def series_of(data: SeriesData) -> Signal1D:
    """The `DoseSeries` of arrays, with its noise variance."""

    def make(array: Array, title: str, quantity: str) -> Signal1D:
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
    attach_shared_errors(series, relative_errors(data))
    if data.processing:
        series.metadata.set_item(RECORD, dict(data.processing))
    return series


def _read_network(
    maps: ExactMaps, arrays: Mapping[str, np.ndarray], record: Mapping[str, Any]
) -> NetworkFit | FieldNetworkFit:
    from hyperspy_dosekin.kinetics.network.config import NetworkConfig
    from hyperspy_dosekin.kinetics.network.fit import check_network_problem
    from hyperspy_dosekin.kinetics.network.network_fit import NetworkFit

    config = NetworkConfig(**record["config"])
    if isinstance(maps, SharedMaps):
        return read_field_networks(maps, arrays, record["field"], config)
    problem = maps.of_networks()
    score = check_network_problem(problem, config)
    return NetworkFit(problem, config, score, *read_learned(arrays, record), record["complete"])


def asdict_shallow(options: FitOptions) -> dict[str, object]:
    """The fields of the options as they are; `dataclasses.asdict` would copy a whole signal."""
    return {name: getattr(options, name) for name in options.__dataclass_fields__}


def _jsonable(value: object) -> object:
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
