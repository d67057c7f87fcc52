# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The noise that all pixels of a series show together, for fits of each by itself."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.kinetics.pooled_noise import FEWEST_PIXELS, least_variance, pooled_noise
from hyperspy_dosekin.kinetics.posterior.parts import is_correlated
from hyperspy_dosekin.lazy.blocks import map_blocks
from hyperspy_dosekin.numerics.threads import torch_threads
from hyperspy_dosekin.signals.kinetics.numbers.pixels import part_of, strides

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
    if offset is not None:
        offset = np.broadcast_to(offset, (*data.space_shape, len(data.window_names)))
    arrays = (data.values, data.variance, offset, *data.shared_errors.values())
    # Some hundreds of them, which arrive together.
    space = "".join(f"s{axis}," for axis in range(len(data.space_shape)))
    curves = f"({space}w,d)"
    pooled = map_blocks(
        _pooled,
        f"{curves},{curves},({space}w){f',{curves}' * len(data.shared_errors)}->(w,m)",
        *part_of(arrays, strides(data.space_shape, _PIXELS)),
        output_sizes={"m": 3},
        method="fit_dose_pinn",
        dose=data.dose,
        window_names=data.window_names,
        config=config,
        dose_scale=data.dose_scale,
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


def _pooled(*arrays: np.ndarray, **options: Any) -> np.ndarray:
    with torch_threads(1):
        return pooled_noise(*arrays, **options)
