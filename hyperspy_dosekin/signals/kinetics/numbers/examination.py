# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the residuals of a fit over all pixels, eager or chunk by chunk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.kinetics.adequacy.examination import examination_fields, examine_block
from hyperspy_dosekin.lazy.blocks import map_blocks
from hyperspy_dosekin.numerics.threads import torch_threads

if TYPE_CHECKING:
    from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
    from hyperspy_dosekin.lazy.arrays import Array
    from hyperspy_dosekin.signals.kinetics.numbers.maps import ExactMaps


def examined(maps: ExactMaps) -> Array:
    """Fields of the examination, ``(…space…, field, window)``; lazy where the maps are."""
    data, law = maps.data, maps.law
    rows = [maps.field(name) for name in (*maps.parameter_names, "amplitude", "offset")]
    rest = [] if data.variance is None else [data.variance]
    rest += list(data.shared_errors.values())
    return map_blocks(
        _examine,
        f"(w,d),(n,w){',(w,d)' * len(rest)}->(f,w)",
        data.values,
        np.stack(rows, axis=-2),
        *rest,
        has_variance=data.variance is not None,
        output_sizes={"f": len(examination_fields(law))},
        method="adequate",
        dose=data.dose,
        window_names=data.window_names,
        config=maps.examined_config,
        offset_free=maps.offset is None,
        dose_scale=data.dose_scale,
    )


def _examine(*arrays: np.ndarray, has_variance: bool, **options: Any) -> np.ndarray:
    values, estimates, *rest = arrays
    variance = rest.pop(0) if has_variance else None
    shared = [np.broadcast_to(error, values.shape) for error in rest]
    with torch_threads(1):
        return examine_block(values, estimates, variance, *shared, **options)


def examined_field(law: KineticLaw, fields: Any, name: str) -> Any:
    """One of the fields, ``(…space…, window)``; NaN where an earlier file does not have it."""
    place = examination_fields(law).index(name)
    if place >= fields.shape[-2]:
        return np.full((*fields.shape[:-2], fields.shape[-1]), np.nan)
    return fields[..., place, :]
