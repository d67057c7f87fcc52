# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Areas of spectra in windows: the trapezoidal rule with ends inside channels, and its noise."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hyperspy_dosekin.windows.definitions import CHANNEL_TOLERANCE, Window, validate

#: Intensities that are converted to float64 at a time: half a MiB, which with the copy they are
#: converted from fits in the second-level cache of one core.
VALUES_AT_A_TIME = 2**16
#: Portions that make a thread worth starting.
_PORTIONS_PER_WORKER = 4
#: Channels between two windows that are cheaper to read than to skip.
_BRIDGED_CHANNELS = 32


@dataclass(frozen=True, eq=False)
class WindowWeights:
    """The areas of windows as sums of weighted channels.

    Parameters
    ----------
    names
        One label for each window.
    channels
        The channels that any window needs, a slice of the whole axis.
    weights
        Weight of each of those channels in each window, shape ``(n_window, n_used)``. The areas
        are ``intensity[..., channels] @ weights.T``.

    See Also
    --------
    window_weights : makes one from windows and an axis.
    """

    names: tuple[str, ...]
    channels: slice
    weights: np.ndarray

    @property
    def spans(self) -> tuple[slice, ...]:
        """For each window the slice of `channels` in which its weights are not zero."""
        spans = []
        for weight in self.weights:
            used = np.flatnonzero(weight)
            spans.append(slice(int(used[0]), int(used[-1]) + 1))
        return tuple(spans)

    def squared(self) -> WindowWeights:
        """Return the weights that turn variances of independent channels into those of areas."""
        return WindowWeights(self.names, self.channels, self.weights**2)


def window_weights(
    axis: npt.ArrayLike, windows: Iterable[Window], *, is_binned: bool = False
) -> WindowWeights:
    r"""Return the weights of the channels in the area of each window.

    The area is the exact integral of the straight lines that join the intensities of neighbouring
    channels, from the left limit of the window to the right one. For limits on channels it is the
    trapezoidal rule; between channels it changes continuously with the limits. It is linear in the
    intensities,

    .. math:: A = \int_l^r \sum_i y_i h_i(E)\,dE = \sum_i w_i y_i,

    where :math:`h_i` is 1 on channel *i* and falls to 0 on its neighbours.

    Parameters
    ----------
    axis
        Axis values of the channels, shape ``(n_channels,)``, ascending or descending, evenly spaced
        or not.
    windows
        Windows in the units of the axis.
    is_binned
        Whether intensities are the contents of bins, such as counts per channel. They are divided
        by the width of their channel to give a density, so areas have the unit of the contents.

    Returns
    -------
    WindowWeights
        Weights in the units of the axis, or without unit if `is_binned`.

    Raises
    ------
    ValueError
        If a window is not inside the axis or narrower than one channel.

    Examples
    --------
    >>> window_weights([0, 1, 2, 3], [Window("w", 0.5, 2)]).weights
    array([[0.125, 0.875, 0.5  ]])
    """
    axis = np.asarray(axis, dtype=np.float64)
    windows = tuple(windows)
    validate(windows, axis)
    if axis[0] > axis[-1]:
        # Area does not depend on the direction in which the detector counts its channels.
        ascending = window_weights(axis[::-1], windows, is_binned=is_binned)
        channels = slice(axis.size - ascending.channels.stop, axis.size - ascending.channels.start)
        return WindowWeights(ascending.names, channels, ascending.weights[:, ::-1])
    width = np.gradient(axis)
    weights = _hat_integrals(axis, _on_channels(axis, width, windows))
    if is_binned:
        weights /= width
    used = np.flatnonzero(weights.any(axis=0))
    channels = slice(int(used[0]), int(used[-1]) + 1)
    return WindowWeights(tuple(window.name for window in windows), channels, weights[:, channels])


def _on_channels(axis: np.ndarray, width: np.ndarray, windows: tuple[Window, ...]) -> np.ndarray:
    """Limits of the windows, shape ``(n_window, 2)``, on a channel where they almost are."""
    limits = np.array([(window.left, window.right) for window in windows])
    nearest = np.abs(limits[..., np.newaxis] - axis).argmin(axis=-1)
    near = np.abs(limits - axis[nearest]) <= CHANNEL_TOLERANCE * width[nearest]
    return np.where(near, axis[nearest], limits)


def _hat_integrals(axis: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Integral of each channel's hat function between limits, shape ``(n_window, n_channels)``."""
    # Of each stretch between two channels the part inside the window; the intensity at its middle
    # is a mean of the two channels, weighted by their distance.
    inside = np.clip(limits[:, np.newaxis, :], axis[:-1, np.newaxis], axis[1:, np.newaxis])
    share = (inside[..., 1] - inside[..., 0]) / np.diff(axis)
    middle = inside.mean(axis=-1)
    integrals = np.zeros((len(limits), axis.size))
    integrals[:, :-1] += share * (axis[1:] - middle)
    integrals[:, 1:] += share * (middle - axis[:-1])
    return integrals


def integrate(block: np.ndarray, weights: WindowWeights, *, workers: int = 1) -> np.ndarray:
    """Return the area of each spectrum in each window.

    Parameters
    ----------
    block
        Intensities of the channels ``weights.channels``, shape ``(…, n_used)``, real, of any type,
        byte order and memory layout. It is read once and not changed.
    weights
        The windows.
    workers
        Threads that share the work, if there is enough of it.

    Returns
    -------
    numpy.ndarray
        Areas, float64, shape ``(…, n_window)``. An area is NaN where a channel of its window is;
        NaN elsewhere does not matter.

    Raises
    ------
    ValueError
        If the block and the weights have different numbers of channels.

    Examples
    --------
    >>> weights = window_weights([0, 1, 2, 3], [Window("w", 0.5, 2)])
    >>> integrate(np.array([[4, 4, 4], [0, 2, 4]], dtype=np.uint8), weights)
    array([[6.  ],
           [3.75]])
    """
    (areas,) = _pass_over(block, weights, None, workers)
    return areas


def integrate_with_noise(
    block: np.ndarray,
    weights: WindowWeights,
    *,
    gain: float = 1.0,
    offset: float = 0.0,
    workers: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    r"""Return areas and their noise variance for channels of variance ``gain·max(y, 0) + offset``.

    Poisson noise of counts has gain 1 and offset 0. Channels are taken as independent, so the
    variance of an area is :math:`\sum_i w_i^2 \sigma_i^2`.

    Parameters
    ----------
    block, weights, workers
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
        If the block and the weights have different numbers of channels.

    Examples
    --------
    >>> weights = window_weights([0, 1, 2, 3], [Window("w", 1, 2)], is_binned=True)
    >>> areas, variance = integrate_with_noise(np.array([0.0, 16.0, 48.0])[1:], weights)
    >>> areas, variance
    (array([32.]), array([16.]))
    """
    areas, variance = _pass_over(block, weights, (gain, offset), workers)
    return areas, variance


def _pass_over(
    block: np.ndarray, weights: WindowWeights, noise: tuple[float, float] | None, workers: int
) -> list[np.ndarray]:
    """Areas and, where `noise` gives the gain and offset of the channels, their variance."""
    block = np.asarray(block)
    *lead, n_used = block.shape
    if n_used != weights.weights.shape[1]:
        raise ValueError(
            f"a block of {n_used} channels does not fit weights of {weights.weights.shape[1]} "
            "channels; pass intensity[..., weights.channels]."
        )
    # Windows come first in memory, so that each matrix-vector product writes a contiguous row.
    outputs = [np.empty((len(weights.names), *lead)) for _ in range(1 if noise is None else 2)]
    runs = _runs(weights.spans)
    widest = max(run.stop - run.start for run in runs)
    portions = list(_portions(tuple(lead), max(1, VALUES_AT_A_TIME // widest)))
    workers = max(1, min(workers, len(portions) // _PORTIONS_PER_WORKER))
    share = max(1, -(-len(portions) // workers))

    def work(start: int) -> None:
        _integrate_portions(block, portions[start : start + share], runs, weights, noise, outputs)

    if workers == 1:
        work(0)
    else:
        # Copies and products release Python's lock.
        with ThreadPoolExecutor(workers - 1) as pool:
            others = [pool.submit(work, start) for start in range(share, len(portions), share)]
            work(0)
            for other in others:
                other.result()
    return [np.moveaxis(output, 0, -1) for output in outputs]


def _integrate_portions(
    block: np.ndarray,
    portions: list[tuple[int | slice, ...]],
    runs: list[slice],
    weights: WindowWeights,
    noise: tuple[float, float] | None,
    outputs: list[np.ndarray],
) -> None:
    """Fill `outputs`, arrays ``(n_window, …)``, at the indices `portions` of the leading axes."""
    widest = max(run.stop - run.start for run in runs)
    largest = max((math.prod(block[index].shape[:-1]) for index in portions), default=0)
    to_float64 = _Converter(block, largest * widest)
    products = [
        # Only the channels of each window: zero weight times NaN would be NaN.
        [
            (number, slice(span.start - run.start, span.stop - run.start), weight[span])
            for number, (span, weight) in enumerate(
                zip(weights.spans, weights.weights, strict=True)
            )
            if run.start <= span.start < run.stop
        ]
        for run in runs
    ]
    for index in portions:
        shape = block[index].shape[:-1]
        for run, windows in zip(runs, products, strict=True):
            values = to_float64(block[(*index, ..., run)])
            variance = None if noise is None else _channel_variance(values, *noise)
            for number, span, weight in windows:
                outputs[0][(number, *index)] = (values[:, span] @ weight).reshape(shape)
                if variance is not None:
                    propagated = variance[:, span] @ weight**2
                    outputs[1][(number, *index)] = propagated.reshape(shape)


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


def _channel_variance(values: np.ndarray, gain: float, offset: float) -> np.ndarray:
    variance = np.maximum(values, 0.0)
    variance *= gain
    variance += offset
    return variance


def _runs(spans: tuple[slice, ...]) -> list[slice]:
    """Stretches of channels to read: the windows, joined over small gaps."""
    runs: list[slice] = []
    for span in sorted(spans, key=lambda span: span.start):
        if runs and span.start - runs[-1].stop <= _BRIDGED_CHANNELS:
            runs[-1] = slice(runs[-1].start, max(runs[-1].stop, span.stop))
        else:
            runs.append(span)
    return runs


def _portions(shape: tuple[int, ...], limit: int) -> Iterator[tuple[int | slice, ...]]:
    """Yield indices that cut an array of `shape` into portions of at most `limit` elements.

    Cutting axes, rather than flattening them, needs no copy whatever the memory layout.
    """
    if math.prod(shape) == 0:
        return
    axis, inner = len(shape), 1
    while axis and inner * shape[axis - 1] <= limit:
        axis -= 1
        inner *= shape[axis]
    if axis == 0:
        yield ()
        return
    step = max(1, limit // inner)
    for outer in np.ndindex(shape[: axis - 1]):
        for start in range(0, shape[axis - 1], step):
            yield (*outer, slice(start, start + step))
