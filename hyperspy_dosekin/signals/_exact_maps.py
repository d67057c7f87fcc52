# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The exact estimator over all pixels of a series, eager or chunk by chunk."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from dataclasses import fields as dataclass_fields
from functools import partial
from typing import Any

import numpy as np

from hyperspy_dosekin.kinetics.block import FIELDS, LEVEL, fit_block, interval_block
from hyperspy_dosekin.kinetics.exact import ExactConfig, ExactFit
from hyperspy_dosekin.kinetics.quantities import Quantity
from hyperspy_dosekin.numerics.progress import Progress, Stop, never_stop, no_progress
from hyperspy_dosekin.numerics.threads import torch_threads
from hyperspy_dosekin.signals._blockwise import is_lazy, map_blocks
from hyperspy_dosekin.signals._progress import dask_progress
from hyperspy_dosekin.signals._series_data import SeriesData

_logger = logging.getLogger(__name__)

#: Curves that are fitted between two reports of progress.
EAGER_BLOCK = 1024


@dataclass(frozen=True, eq=False)
class ExactMaps:
    """Exact fits of every pixel and window.

    Parameters
    ----------
    data
        The series.
    config
        Options of the estimator, without the offset.
    offset
        Known offset, ``(…space…, window)``, or ``None``.
    fields
        NumPy or dask array ``(…space…, field, window)``, see `FIELDS`.
    complete
        ``False`` if the fit was interrupted; what had not been fitted is NaN.
    with_intervals
        Whether the fields of intervals and flags were computed.
    """

    data: SeriesData
    config: ExactConfig
    offset: Any
    fields: Any
    complete: bool = True
    with_intervals: bool = True

    @classmethod
    def fit(
        cls,
        data: SeriesData,
        config: ExactConfig,
        offset: Any = None,
        *,
        with_intervals: bool = True,
        progress: Progress = no_progress,
        stop: Stop = never_stop,
    ) -> ExactMaps:
        """Fit all pixels; lazy data give lazy fields, of which nothing is computed."""
        kernel = partial(
            fit_block,
            dose_e_per_a2=data.dose_e_per_a2,
            window_names=data.window_names,
            config=config,
            with_intervals=with_intervals,
        )
        if is_lazy(data.values):
            fields = _call(kernel, data, offset, "f,w", {"f": len(FIELDS)})
            return cls(data, config, offset, fields, with_intervals=with_intervals)
        fields, complete = _fit_eagerly(kernel, data, offset, progress, stop)
        return cls(data, config, offset, fields, complete, with_intervals)

    def computed(self, show_progressbar: bool | None = None) -> ExactMaps:
        """The same with all fields in memory; itself where they are."""
        if not is_lazy(self.fields):
            return self
        with dask_progress(show_progressbar):
            return replace(self, fields=self.fields.compute())

    def field(self, name: str) -> Any:
        """One field of `FIELDS`, ``(…space…, window)``."""
        return self.fields[..., FIELDS.index(name), :]

    def as_fit(self) -> ExactFit:
        """The fit of a series without space axes, as one curve."""
        names = [entry.name for entry in dataclass_fields(ExactFit)]
        whole = {name: np.asarray(self.field(name))[np.newaxis] for name in names if name in FIELDS}
        whole["converged"] = whole["converged"] == 1
        whole["dead"] = whole["dead"] == 1
        return ExactFit(objective=np.full_like(whole["rate"], np.nan), **whole)

    def interval(self, quantity: Quantity, level: float, method: str) -> tuple[Any, Any]:
        """Lower and upper ends, ``(…space…, window, n_value)`` each."""
        with_fit = self.with_intervals and f"{quantity.name} lower" in FIELDS
        if with_fit and method == "posterior" and level == LEVEL:
            lower, upper = (self.field(f"{quantity.name} {end}") for end in ("lower", "upper"))
            return lower[..., np.newaxis], upper[..., np.newaxis]
        kernel = partial(
            interval_block,
            dose_e_per_a2=self.data.dose_e_per_a2,
            window_names=self.data.window_names,
            config=self.config,
            quantity=quantity,
            level=level,
            method=method,
        )
        sizes = {"e": 2, "v": quantity.n_value}
        ends = _call(kernel, self.data, self.offset, "e,w,v", sizes)
        return ends[..., 0, :, :], ends[..., 1, :, :]


def _call(
    kernel: Callable[..., np.ndarray],
    data: SeriesData,
    offset: Any,
    output: str,
    sizes: dict[str, int],
) -> Any:
    """Call a kernel of values, variance and offset on whole blocks, without the absent ones."""
    arrays, cores = [data.values], ["(w,d)"]
    if data.variance is not None:
        arrays, cores = [*arrays, data.variance], [*cores, "(w,d)"]
    if offset is not None:
        arrays, cores = [*arrays, offset], [*cores, "(w)"]
    return map_blocks(
        _present,
        f"{','.join(cores)}->({output})",
        *arrays,
        output_sizes=sizes,
        kernel_of_all=kernel,
        has_variance=data.variance is not None,
        has_offset=offset is not None,
    )


def _present(
    *arrays: np.ndarray,
    kernel_of_all: Callable[..., np.ndarray],
    has_variance: bool,
    has_offset: bool,
) -> np.ndarray:
    """Sort the arrays that are there into the places of the kernel."""
    rest = list(arrays)
    values = rest.pop(0)
    variance = rest.pop(0) if has_variance else None
    offset = rest.pop(0) if has_offset else None
    # Chunks are worked on by the threads of dask, so each keeps to one of Torch; and the arrays
    # of a block are too small for more than one to pay.
    with torch_threads(1):
        return kernel_of_all(values, variance, offset)


def _fit_eagerly(
    kernel: Callable[..., np.ndarray],
    data: SeriesData,
    offset: Any,
    progress: Progress,
    stop: Stop,
) -> tuple[np.ndarray, bool]:
    """Fit block after block, so that progress shows and Ctrl-C keeps what is there."""
    space, n_window = data.space_shape, len(data.window_names)
    core = data.values.shape[-2:]
    values = data.values.reshape(-1, *core)
    variance = None if data.variance is None else np.reshape(data.variance, (-1, *core))
    known = None
    if offset is not None:
        known = np.broadcast_to(offset, (*space, n_window)).reshape(-1, n_window)
    fields = np.full((len(values), len(FIELDS), n_window), np.nan)
    complete = True
    try:
        for start in range(0, len(values), EAGER_BLOCK):
            progress("pixels", start, len(values))
            if stop():
                complete = False
                break
            part = slice(start, start + EAGER_BLOCK)
            with torch_threads(1):
                fields[part] = kernel(
                    values[part],
                    None if variance is None else variance[part],
                    None if known is None else known[part],
                )
    except KeyboardInterrupt:
        complete = False
    if complete:
        progress("pixels", len(values), len(values))
    else:
        _logger.warning("The fit was interrupted; pixels that were not fitted are NaN.")
    return fields.reshape(*space, len(FIELDS), n_window), complete
