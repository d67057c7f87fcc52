# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A kernel over all pixels of a series, block by block or chunk by chunk."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.lazy.blocks import CPU_COUNT, cpu_count, is_lazy, map_blocks
from hyperspy_dosekin.lazy.merging import merge_chunks
from hyperspy_dosekin.numerics.progress import Progress, Stop, no_progress
from hyperspy_dosekin.numerics.threads import granted_threads, torch_threads
from hyperspy_dosekin.signals.kinetics.data.series_data import SeriesData

if TYPE_CHECKING:
    from hyperspy_dosekin.lazy.arrays import Array

_logger = logging.getLogger(__name__)

#: Lazy blocks of fewer pixels are joined, as long as so many are left for each core, or they are
#: smaller than this share.
_BLOCKS_PER_CORE, _SMALLEST_SHARE = 4, 8
#: Pixels from which is learned what they have in common, at most about.
PIXELS_TO_LEARN_FROM = 4096


def strides(space_shape: Sequence[int], number: int = PIXELS_TO_LEARN_FROM) -> tuple[slice, ...]:
    """Every so manieth pixel along each axis, about a number of them at most."""
    ratio = max(math.prod(space_shape) / number, 1.0)
    step = math.ceil(ratio ** (1 / max(len(space_shape), 1)))
    return (slice(None, None, step),) * len(space_shape)


def joined_blocks(data: SeriesData, wanted: int) -> SeriesData:
    """The same lazy series with small blocks joined up to a number of pixels, variance alike."""
    number = math.prod(data.space_shape)
    fair = -(-number // (_BLOCKS_PER_CORE * CPU_COUNT))
    wanted = min(wanted, max(fair, wanted // _SMALLEST_SHARE))
    return data.each_array(
        lambda array: merge_chunks(array, 2, wanted) if is_lazy(array) else array
    )


def over_pixels(
    kernel: Callable[..., np.ndarray],
    data: SeriesData,
    offset: Any,
    output: str,
    sizes: dict[str, int],
    step: int,
    progress: Progress = no_progress,
) -> Array:
    """Call a kernel of values, variance and offset on whole blocks.

    Parameters
    ----------
    kernel
        ``kernel(values, variance, offset, *shared errors)`` of some pixels, arrays or
        ``None``.
    data, offset
        The series, and its known offset.
    output, sizes
        Core dimensions of what the kernel returns, and the sizes of the new ones.
    step
        Pixels at a time.
    progress
        Told of pixels, where the series is in memory.

    Returns
    -------
    Lazy where the series is.
    """
    return map_blocks(
        _in_parts,
        f"(w,d),(w,d),(w){',(w,d)' * len(data.shared_errors)}->({output})",
        data.values,
        data.variance,
        offset,
        *data.shared_errors.values(),
        output_sizes=sizes,
        method="fit_dose_pinn",
        kernel_of_all=kernel,
        step=step,
        eager_options={"progress": progress, "workers": cpu_count()},
    )


def by_pixel(values: np.ndarray, *rest: np.ndarray | None) -> list[np.ndarray | None]:
    """Arrays with their leading axes flattened: values, variance, offset, and any others."""
    lead, flat = values.shape[:-2], []
    for place, array in enumerate((values, *rest)):
        if array is not None:
            # All but the offset have two core axes.
            core = np.shape(array)[-1 if place == 2 else -2 :]
            array = np.broadcast_to(array, (*lead, *core)).reshape(-1, *core)
        flat.append(array)
    return flat


def part_of(arrays: Sequence[Any], part: Any) -> list[Any]:
    """A part of the pixels of arrays, where there are any."""
    return [None if array is None else array[part] for array in arrays]


def _in_parts(
    *arrays: np.ndarray,
    kernel_of_all: Callable[..., np.ndarray],
    step: int,
    progress: Progress = no_progress,
    workers: int = 1,
) -> np.ndarray:
    """Call the kernel on a part of the block at a time.

    A block may hold so many pixels that the work arrays of the kernel would not fit in memory.
    """
    lead, flat = arrays[0].shape[:-2], by_pixel(*arrays)
    number = math.prod(lead)
    found: list[np.ndarray] = []
    # Chunks are worked on by the threads of dask, so each keeps to one of Torch; and the arrays
    # of a block are too small for more than one to pay.
    with torch_threads(1), granted_threads(workers):
        for start in range(0, max(number, 1), step):
            if number > 1:
                progress("pixels", start, number)
            found.append(kernel_of_all(*part_of(flat, slice(start, start + step))))
    if number > 1:
        progress("pixels", number, number)
    whole = found[0] if len(found) == 1 else np.concatenate(found)
    return whole.reshape(*lead, *whole.shape[1:])


def fit_eagerly(
    kernel: Callable[..., np.ndarray],
    n_field: int,
    step: int,
    data: SeriesData,
    offset: Any,
    progress: Progress,
    stop: Stop,
) -> tuple[np.ndarray, bool]:
    """Fit block after block, so that progress shows and Ctrl-C keeps what is there."""
    space, n_window = data.space_shape, len(data.window_names)
    flat = by_pixel(data.values, data.variance, offset, *data.shared_errors.values())
    number = math.prod(space)
    fields = np.full((number, n_field, n_window), np.nan)
    complete, workers = True, cpu_count()
    try:
        for start in range(0, number, step):
            # The bar of a single curve would not move.
            if number > 1:
                progress("pixels", start, number)
            if stop():
                complete = False
                break
            part = slice(start, start + step)
            with torch_threads(1), granted_threads(workers):
                fields[part] = kernel(*part_of(flat, part))
    except KeyboardInterrupt:
        complete = False
    if complete and number > 1:
        progress("pixels", number, number)
    if not complete:
        _logger.warning("The fit was interrupted; pixels that were not fitted are NaN.")
    return fields.reshape(*space, n_field, n_window), complete
