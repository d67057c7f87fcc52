# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Areas of spectra in windows, and the noise of areas, in one pass over the data."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hyperspy_dosekin.numerics.device import tensors_on
from hyperspy_dosekin.numerics.threads import one_blas_thread
from hyperspy_dosekin.windows.weights import WindowWeights

if TYPE_CHECKING:
    import torch

#: Intensities that are converted to float64 at a time: half a MiB, which with the copy they are
#: converted from fits in the second-level cache of one core.
VALUES_AT_A_TIME = 2**16
#: Intensities of a product of float32 as it lies in memory: few enough for BLAS to keep to one
#: thread, which for reading memory is faster than several that wait for each other.
FLOAT32_VALUES_AT_A_TIME = 2**13
#: Widest window, in channels, that is summed in float32: its rounding stays below 1e-6.
FLOAT32_CHANNELS = 128
#: Portions that make a thread worth starting.
_PORTIONS_PER_WORKER = 4
#: Channels between two windows that are cheaper to read than to skip.
_BRIDGED_CHANNELS = 32


def integrate(
    block: np.ndarray,
    weights: WindowWeights,
    *,
    workers: int = 1,
    device: str | torch.device = "cpu",
) -> np.ndarray:
    """Return the area of each spectrum in each window.

    Parameters
    ----------
    block
        Intensities of the channels ``weights.channels``, shape ``(…, n_used)``, real, of any type,
        byte order and memory layout. It is read once and not changed.
    workers
        Threads that share the work, if there is enough of it.
    device
        As for `integrate_windows`; anywhere but for NumPy all is summed in float64.

    Returns
    -------
    numpy.ndarray
        Areas, float64, shape ``(…, n_window)``; float32 intensities are summed in float32 in
        windows of up to 128 channels, which rounds at 1e-7. An area is NaN where a channel of its
        window is; NaN elsewhere does not matter.

    Raises
    ------
    ValueError
        If the block and the weights have different numbers of channels, or a device is not there.

    Examples
    --------
    >>> from hyperspy_dosekin.windows.definitions import Window
    >>> from hyperspy_dosekin.windows.weights import window_weights
    >>> weights = window_weights([0, 1, 2, 3], [Window("w", 0.5, 2)])
    >>> integrate(np.array([[4, 4, 4], [0, 2, 4]], dtype=np.uint8), weights)
    array([[6.  ],
           [3.75]])
    """
    (areas,) = _pass_over(block, weights, workers, device, with_squares=False)
    return areas


def integrate_with_noise(
    block: np.ndarray,
    weights: WindowWeights,
    *,
    gain: float = 1.0,
    offset: float = 0.0,
    workers: int = 1,
    device: str | torch.device = "cpu",
) -> tuple[np.ndarray, np.ndarray]:
    r"""Return areas and their noise variance for channels of variance ``gain·max(y, 0) + offset``.

    Poisson noise of counts has gain 1 and offset 0. Channels are taken as independent, so the
    variance of an area is :math:`\sum_i w_i^2 \sigma_i^2`.

    Parameters
    ----------
    block, weights, workers, device
        As for `integrate`.
    gain, offset
        Noise variance of a channel: `gain` times its intensity, plus `offset`. Negative intensities
        count as zero.

    Returns
    -------
    areas, variance : numpy.ndarray
        Two arrays of float64, shape ``(…, n_window)``, from one pass over the data.

    Raises
    ------
    ValueError
        If the block and the weights have different numbers of channels, or a device is not there.

    Examples
    --------
    >>> from hyperspy_dosekin.windows.definitions import Window
    >>> from hyperspy_dosekin.windows.weights import window_weights
    >>> weights = window_weights([0, 1, 2, 3], [Window("w", 1, 2)], is_binned=True)
    >>> areas, variance = integrate_with_noise(np.array([0.0, 16.0, 48.0])[1:], weights)
    >>> areas, variance
    (array([32.]), array([16.]))
    """
    areas, variance = _pass_over(block, weights, workers, device, with_squares=True)
    variance *= gain
    variance += offset * (weights.weights**2).sum(axis=1)
    return areas, variance


def _pass_over(
    block: np.ndarray,
    weights: WindowWeights,
    workers: int,
    device: str | torch.device,
    *,
    with_squares: bool,
) -> list[np.ndarray]:
    """Sum up Σ w y and, `with_squares`, Σ w² max(y, 0) over the channels of each window."""
    block = np.asarray(block)
    n_used = block.shape[-1]
    if n_used != weights.weights.shape[1]:
        raise ValueError(
            f"a block of {n_used} channels does not fit weights of {weights.weights.shape[1]} "
            "channels; pass intensity[..., weights.channels]."
        )
    chosen = tensors_on(device)
    if chosen is not None:
        from hyperspy_dosekin.windows.on_device import sums_on_device

        return sums_on_device(block, weights, chosen, with_squares=with_squares)
    *lead, _ = block.shape
    n_spectra, n_window = math.prod(lead), len(weights.names)
    # Windows come first in memory, so that each matrix-vector product writes a contiguous row.
    outputs = [np.empty((n_window, n_spectra)) for _ in range(2 if with_squares else 1)]
    runs = _runs(weights)
    in_float32 = not with_squares and _fits_float32(block, runs)
    if in_float32:
        # With threads of our own BLAS is kept to one by other means, and the longer a product,
        # the less the threads wait for Python's lock.
        limit = max(
            FLOAT32_VALUES_AT_A_TIME // _widest_window(runs),
            n_spectra // (_PORTIONS_PER_WORKER * workers) if workers > 1 else 0,
        )
    else:
        limit = VALUES_AT_A_TIME // max(run.channels.stop - run.channels.start for run in runs)
    portions = list(_portions(tuple(lead), max(1, limit)))
    workers = max(1, min(workers, len(portions) // _PORTIONS_PER_WORKER))
    share = max(1, -(-len(portions) // workers))

    def work(start: int) -> None:
        some = portions[start : start + share]
        if in_float32:
            _integrate_float32(block, some, runs, outputs[0])
        else:
            _integrate_portions(block, some, runs, outputs)

    if workers == 1:
        work(0)
    else:
        # Copies and products release Python's lock. Threads of BLAS within them would compete.
        with one_blas_thread(), ThreadPoolExecutor(workers - 1) as pool:
            others = [pool.submit(work, start) for start in range(share, len(portions), share)]
            work(0)
            for other in others:
                other.result()
    return [np.moveaxis(output.reshape(n_window, *lead), 0, -1) for output in outputs]


def _widest_window(runs: list[_Run]) -> int:
    return max(span.stop - span.start for run in runs for _, span, _, _ in run.windows)


def _fits_float32(block: np.ndarray, runs: list[_Run]) -> bool:
    """Whether float32 intensities can be summed as they lie in memory, at twice the speed.

    What is lost against float64 is less than the rounding that the intensities have already.
    """
    return (
        block.dtype == np.float32
        and block.dtype.isnative
        and block.strides[-1] == block.itemsize
        and _widest_window(runs) <= FLOAT32_CHANNELS
    )


def _integrate_float32(
    block: np.ndarray, portions: list[_Portion], runs: list[_Run], output: np.ndarray
) -> None:
    """Fill `output`, ``(n_window, n_spectra)``, without a copy of the intensities."""
    windows, units = [], np.ones((len(output), 1))
    for run in runs:
        for number, span, weight, _ in run.windows:
            # Weights about 1: products of small intensities would round where float32 ends.
            units[number] = np.abs(weight).max()
            single = (weight / units[number]).astype(np.float32)
            windows.append((number, run.channels.start + span.start, weight, single))
    with np.errstate(over="ignore", invalid="ignore"):
        for portion in portions:
            part = block[(*portion.index, ...)]
            part = part.reshape(-1, part.shape[-1])
            found = output[:, portion.flat]
            for number, start, weight, single in windows:
                found[number] = part[:, start : start + weight.size] @ single
            found *= units
            if np.isfinite(found.sum()):
                continue
            # NaN among the intensities, or a sum that only float64 can hold.
            for number, start, weight, _ in windows:
                bad = ~np.isfinite(found[number])
                values = part[bad, start : start + weight.size]
                found[number, bad] = values.astype(np.float64) @ weight


def _integrate_portions(
    block: np.ndarray,
    portions: list[_Portion],
    runs: list[_Run],
    outputs: list[np.ndarray],
) -> None:
    """Fill `outputs`, arrays ``(n_window, n_spectra)``, for the spectra of `portions`."""
    widest = max(run.channels.stop - run.channels.start for run in runs)
    largest = max((portion.flat.stop - portion.flat.start for portion in portions), default=0)
    to_float64 = _Converter(block, largest * widest)
    clipped = np.empty(largest * widest if len(outputs) > 1 else 0)
    for portion in portions:
        for run in runs:
            values = to_float64(block[(*portion.index, ..., run.channels)])
            # Only the channels of each window: zero weight times NaN would be NaN.
            for number, span, weight, _ in run.windows:
                np.matmul(values[:, span], weight, out=outputs[0][number, portion.flat])
            if len(outputs) > 1:
                if block.dtype.kind not in "ub":
                    values = np.maximum(
                        values, 0.0, out=clipped[: values.size].reshape(values.shape)
                    )
                for number, span, _, squared in run.windows:
                    np.matmul(values[:, span], squared, out=outputs[1][number, portion.flat])


class _Converter:
    """Turns portions ``(…, n_run)`` of a block into float64 arrays ``(n_spectra, n_run)``.

    Each result is valid until the next one: all share one buffer.
    """

    def __init__(self, block: np.ndarray, size: int) -> None:
        # BLAS takes spectra that lie apart in memory, but not channels that do.
        self.as_it_is = block.dtype == np.float64 and block.strides[-1] == block.itemsize
        if not self.as_it_is:
            self.staged = np.empty(size, dtype=block.dtype.newbyteorder("="))
            is_float64 = self.staged.dtype == np.float64
            self.converted = self.staged if is_float64 else np.empty(size)

    def __call__(self, portion: np.ndarray) -> np.ndarray:
        two_dimensional = (math.prod(portion.shape[:-1]), portion.shape[-1])
        if self.as_it_is:
            return portion.reshape(two_dimensional)
        # Copying strided spectra and then converting what is contiguous is twice as fast as
        # converting strided spectra: each spectrum lies on memory pages of its own.
        staged = self.staged[: portion.size]
        np.copyto(staged.reshape(portion.shape), portion)
        converted = self.converted[: portion.size]
        if converted.dtype != staged.dtype:
            np.copyto(converted, staged)
        return converted.reshape(two_dimensional)


class _Run(NamedTuple):
    """A stretch of channels that is read at once, and the windows in it."""

    channels: slice
    #: For each its number, its channels of the run, their weights and the squares of those.
    windows: list[tuple[int, slice, np.ndarray, np.ndarray]]


def _runs(weights: WindowWeights) -> list[_Run]:
    """Return the stretches of channels to read: the windows, joined over small gaps."""
    stretches: list[slice] = []
    spans = weights.spans
    for span in sorted(spans, key=lambda span: span.start):
        if stretches and span.start - stretches[-1].stop <= _BRIDGED_CHANNELS:
            stretches[-1] = slice(stretches[-1].start, max(stretches[-1].stop, span.stop))
        else:
            stretches.append(span)
    runs = [_Run(stretch, []) for stretch in stretches]
    for number, (span, weight) in enumerate(zip(spans, weights.weights, strict=True)):
        (run,) = (run for run in runs if run.channels.start <= span.start < run.channels.stop)
        within = slice(span.start - run.channels.start, span.stop - run.channels.start)
        run.windows.append((number, within, weight[span], weight[span] ** 2))
    return runs


class _Portion(NamedTuple):
    """Some of the spectra: their index in the leading axes, and their range when flattened."""

    index: tuple[int | slice, ...]
    flat: slice


def _portions(shape: tuple[int, ...], limit: int) -> Iterator[_Portion]:
    """Yield portions, of at most `limit` spectra each, of an array with leading axes of `shape`.

    Cutting axes, rather than flattening them, needs no copy whatever the memory layout.
    """
    total = math.prod(shape)
    if total == 0:
        return
    axis, inner = len(shape), 1
    while axis and inner * shape[axis - 1] <= limit:
        axis -= 1
        inner *= shape[axis]
    if axis == 0:
        yield _Portion((), slice(0, total))
        return
    step = max(1, limit // inner)
    length = shape[axis - 1]
    for place, outer in enumerate(np.ndindex(shape[: axis - 1])):
        for start in range(0, length, step):
            stop = min(start + step, length)
            flat = slice((place * length + start) * inner, (place * length + stop) * inner)
            yield _Portion((*outer, slice(start, stop)), flat)
