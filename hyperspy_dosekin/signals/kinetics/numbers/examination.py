# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the residuals of a fit over all pixels, eager or chunk by chunk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.kinetics.adequacy.all_pixels import law_of_all
from hyperspy_dosekin.kinetics.adequacy.blocks import (
    examination_fields,
    examine_block,
    fit_of_block,
)
from hyperspy_dosekin.kinetics.adequacy.examination import FittedCurves
from hyperspy_dosekin.kinetics.adequacy.scatter import pixel_scatter
from hyperspy_dosekin.lazy.blocks import map_blocks
from hyperspy_dosekin.numerics.threads import torch_threads
from hyperspy_dosekin.signals.kinetics.numbers.pixels import part_of, strides

if TYPE_CHECKING:
    from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
    from hyperspy_dosekin.kinetics.model.config import ExactConfig
    from hyperspy_dosekin.lazy.arrays import Array
    from hyperspy_dosekin.signals.kinetics.numbers.maps import ExactMaps


@dataclass(frozen=True, eq=False)
class _Pixels:
    """What the kernels know of all pixels beside their arrays."""

    shares: bool
    dose: np.ndarray
    window_names: tuple[str, ...]
    config: ExactConfig
    offset_free: bool
    dose_scale: float | None

    def _fit(
        self,
        scatter: np.ndarray,
        values: np.ndarray,
        estimates: np.ndarray,
        variance: np.ndarray | None,
        *errors: np.ndarray,
    ) -> FittedCurves:
        return fit_of_block(
            values,
            estimates,
            variance,
            *(np.broadcast_to(error, values.shape) for error in errors),
            scatter=scatter,
            dose=self.dose,
            window_names=self.window_names,
            config=self.config,
            offset_free=self.offset_free,
            dose_scale=self.dose_scale,
        )

    def in_common(self, values: np.ndarray, *arrays: np.ndarray) -> np.ndarray:
        """`pixel_scatter` and, of pixels that share something, `law_of_all`."""
        rows = np.asarray(values, dtype=np.float64).reshape(-1, *values.shape[-2:])
        variance = arrays[1]
        if variance is not None:
            variance = np.broadcast_to(variance, values.shape).reshape(rows.shape)
        scatter = pixel_scatter(rows, variance)
        of_all = np.ones(len(scatter))
        if self.shares:
            of_all = law_of_all(self._fit(scatter, values, *arrays))
        return np.concatenate([scatter, of_all[:, np.newaxis]], axis=1)

    def examine(self, common: np.ndarray, values: np.ndarray, *arrays: np.ndarray) -> np.ndarray:
        """The fields of every pixel."""
        scatter, of_all = common[:, :-1], common[:, -1]
        with torch_threads(1):
            found = examine_block(self._fit(scatter, values, *arrays), scatter, of_all)
        return found.reshape(*values.shape[:-2], *found.shape[1:])


def examined(maps: ExactMaps) -> Array:
    """Fields of the examination, ``(…space…, field, window)``; lazy where the maps are."""
    data, law = maps.data, maps.law
    rows = [maps.field(name) for name in (*maps.parameter_names, "amplitude", "offset")]
    estimates, errors = np.stack(rows, axis=-2), data.shared_errors.values()
    arrays = [data.values, estimates, data.variance, *errors]
    pixels = _Pixels(
        bool(maps.sharing), data.dose, data.window_names, maps.examined_config,
        maps.offset is None, data.dose_scale,
    )  # fmt: skip
    # What pixels have in common is that of some thousands of them, which arrive together.
    some = part_of(arrays, strides(data.space_shape))
    space = "".join(f"s{axis}," for axis in range(len(data.space_shape)))
    curves = f"({space}w,d)"
    common = map_blocks(
        pixels.in_common,
        ",".join([curves, f"({space}n,w)", *[curves] * (len(arrays) - 2)]) + "->(w,m)",
        *some,
        output_sizes={"m": len(data.window_names) + 2},
        method="adequate",
    )
    return map_blocks(
        pixels.examine,
        f"(w,m),(w,d),(n,w){',(w,d)' * (len(arrays) - 2)}->(f,w)",
        common,
        *arrays,
        output_sizes={"f": len(examination_fields(law))},
        method="adequate",
    )


def examined_field(law: KineticLaw, fields: Any, name: str) -> Any:
    """One of the fields, ``(…space…, window)``; NaN where an earlier file does not have it."""
    place = examination_fields(law).index(name)
    if place >= fields.shape[-2]:
        return np.full((*fields.shape[:-2], fields.shape[-1]), np.nan)
    return fields[..., place, :]
