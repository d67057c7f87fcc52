# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The noise that all pixels of a series show together, for fits of each by itself."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.kinetics.pooled_noise import FEWEST_PIXELS, least_variance, pooled_noise
from hyperspy_dosekin.kinetics.posterior.parts import is_correlated
from hyperspy_dosekin.lazy.blocks import map_blocks
from hyperspy_dosekin.numerics.threads import torch_threads
from hyperspy_dosekin.signals.kinetics.numbers.pixels import strides

if TYPE_CHECKING:
    from hyperspy_dosekin.kinetics.model.config import ExactConfig
    from hyperspy_dosekin.signals.kinetics.data.series_data import SeriesData

#: Pixels whose noise is pooled, at most about: the quartile of so many is known to 5 %.
_PIXELS = 512


def with_pooled_noise(data: SeriesData, config: ExactConfig, offset: Any) -> SeriesData:
    """The series with the least noise variance of each pixel, lazy where it is.

    Itself where there are too few pixels, or where the noise is not taken for a floor: where it is
    given or asked of the residuals alone, of outlying frames or of errors of doses, and in series
    that are long enough to tell the noise of each pixel.

    Parameters
    ----------
    data
        The series.
    config
        Options of the fit.
    offset
        Known offset, ``(…space…, window)``, or ``None``.
    """
    asks = config.noise == "floor" and config.loss is None and not config.dose_error.moves_frames
    if not asks or is_correlated(config, len(data.dose)):
        return data
    if math.prod(data.space_shape) < FEWEST_PIXELS:
        return data
    names = ["values"]
    arrays = [data.values]
    if data.variance is not None:
        names, arrays = [*names, "variance"], [*arrays, data.variance]
    if offset is not None:
        shape = (*data.space_shape, len(data.window_names))
        names, arrays = [*names, "offset"], [*arrays, np.broadcast_to(offset, shape)]
    arrays += data.shared_errors.values()
    # Some hundreds of them, which arrive together.
    some = strides(data.space_shape, _PIXELS)
    space = "".join(f"s{axis}," for axis in range(len(data.space_shape)))
    cores = [f"({space}w)" if name == "offset" else f"({space}w,d)" for name in names]
    cores += [f"({space}w,d)"] * len(data.shared_errors)
    pooled = map_blocks(
        _pooled,
        f"{','.join(cores)}->(w,m)",
        *(each[some] for each in arrays),
        output_sizes={"m": 3},
        method="fit_dose_pinn",
        names=tuple(names),
        kernel_of_all=partial(
            pooled_noise,
            dose=data.dose,
            window_names=data.window_names,
            config=config,
            dose_scale=data.dose_scale,
        ),
    )
    if data.variance is None:
        variance = map_blocks(
            least_variance, "(w,m),(w,d)->(w,d)", pooled, data.values, method="fit_dose_pinn"
        )
        return replace(data, variance=variance)
    # As where the residuals of a pixel say it: all that is claimed is so many times as large.
    factor = np.where(np.isfinite(pooled[:, :1]), pooled[:, :1], 1.0)
    errors = {name: error * factor**0.5 for name, error in data.shared_errors.items()}
    return replace(data, variance=data.variance * factor, shared_errors=errors)


def _pooled(*arrays: np.ndarray, names: tuple[str, ...], kernel_of_all: Any) -> np.ndarray:
    """Call the kernel with what is there in its places."""
    found = dict(zip(names, arrays, strict=False))
    rest = arrays[len(names) :]
    with torch_threads(1):
        return kernel_of_all(found["values"], found.get("variance"), found.get("offset"), *rest)
