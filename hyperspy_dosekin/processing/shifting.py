# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Move spectra by fractions of a channel."""

from __future__ import annotations

from typing import Any

import numpy as np

from hyperspy_dosekin.numerics.arrays import astype, fast_length, irfft, namespace, rfft
from hyperspy_dosekin.processing.batches import run_in_batches

#: Channels appended to a spectrum, over which it runs from its last to its first value.
_JOINT = 64
#: Channels above this share of the highest are the top of a peak.
_TOP_SHARE = 0.02
#: Channels that differ by less are as well joined by a straight line.
_STEEP = 1.2


def shift_spectra(spectra: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Move spectra to higher channels by a phase in Fourier space.

    Exact for what the channels resolve, and independent noise stays independent. A peak narrower
    than about three channels is not resolved: it then rings, over the whole spectrum. What comes in
    at an end repeats the channel there.

    Parameters
    ----------
    spectra
        Shape ``(n_spectra, n_channels)``, float.
    shift
        Channels, shape ``(n_spectra,)``; a fraction, of either sign.

    Returns
    -------
    numpy.ndarray
        Shape ``(n_spectra, n_channels)``.

    Examples
    --------
    >>> channel = np.arange(64)
    >>> def peak(centre):
    ...     return np.exp(-0.5 * ((channel - centre) / 2) ** 2)
    >>> moved = shift_spectra(peak(20.0)[None], np.array([0.3]))
    >>> bool(abs(moved - peak(20.3)).max() < 1e-4)
    True
    """
    xp = namespace(spectra)
    whole = astype(xp.round(shift), xp.intp)
    moved = shift_whole(spectra, whole)
    fraction = shift - whole
    if not (xp.abs(fraction) > 1e-12).any():
        return moved
    n_channels = spectra.shape[-1]
    length = fast_length(n_channels + _JOINT)
    # The transform joins the end to the beginning: a cosine between them leaves no jump to ring.
    joint = float(length - n_channels)
    blend = 0.5 - 0.5 * xp.cos(np.pi * (xp.arange(joint) + 1) / joint)
    extended = xp.empty((len(spectra), length))
    extended[:, :n_channels] = moved
    first, last = _end_levels(moved)
    extended[:, n_channels:] = last + (first - last) * blend
    transform = rfft(extended)
    transform *= turns(-2 * np.pi / length * fraction, transform.shape[-1])
    return irfft(transform, length)[:, :n_channels]


def turns(angle: np.ndarray, number: int) -> np.ndarray:
    """Powers 0, 1, … of exp(i·angle), shape ``(n_spectra, number)``.

    Products of two shorter lists of powers: complex exponentials are slow.
    """
    xp, fine = namespace(angle), 32
    coarse = -(-number // fine)
    small = xp.exp(1j * angle[:, np.newaxis] * xp.arange(fine))
    large = xp.exp(1j * fine * angle[:, np.newaxis] * xp.arange(coarse))
    product = large[:, :, np.newaxis] * small[:, np.newaxis, :]
    return product.reshape(len(angle), -1)[:, :number]


def shift_linear(
    spectra: np.ndarray, shift: np.ndarray, factor: np.ndarray | float = 1.0
) -> np.ndarray:
    """Move spectra by straight lines between channels, which cannot ring.

    Areas stay what they are. A line is broadened: a fraction f of a channel adds f (1 - f) channel²
    to its variance, and noise of neighbouring channels becomes correlated.

    Parameters
    ----------
    spectra, shift
        As for `shift_spectra`.
    factor
        By which each spectrum is multiplied on the way, a number or shape ``(n_spectra,)``.

    Examples
    --------
    >>> shift_linear(np.array([[0.0, 4.0, 0.0, 0.0]]), np.array([0.25]))
    array([[0., 3., 1., 0.]])
    """
    xp = namespace(spectra)
    below = xp.floor(shift)
    fraction = shift - below
    kind = np.result_type(spectra, np.float32) if xp is np else spectra.dtype
    own, before = (
        astype(weight * factor, kind)[:, np.newaxis] for weight in (1 - fraction, fraction)
    )
    if xp is not np:
        wide = channels_of(spectra, -astype(below, xp.intp) - 1, spectra.shape[-1] + 1)
        return own * wide[:, 1:] + before * wide[:, :-1]
    moved = np.empty(spectra.shape, kind)
    for each in np.unique(below):
        rows = np.flatnonzero(below == each)
        # By one channel, back, spectra are moved on the way.
        back = int(each < 0)
        some = shift_whole(spectra[rows], np.full(rows.size, int(each) + back))
        inner, outer = (slice(None, -1), slice(1, None)), (slice(1), slice(-1, None))
        first, second = (before, own) if back else (own, before)
        mixed = some * first[rows]
        mixed[:, inner[1 - back]] += some[:, inner[back]] * second[rows]
        mixed[:, outer[back]] += some[:, outer[back]] * second[rows]
        moved[rows] = mixed
    return moved


def shift_cubic(
    spectra: np.ndarray, shift: np.ndarray, factor: np.ndarray | float = 1.0
) -> np.ndarray:
    """Move spectra by cubics through four neighbouring channels, which ring no further than those.

    Areas stay what they are, and curves of second order. Noise of neighbouring channels becomes
    correlated.

    Parameters
    ----------
    spectra, shift, factor
        As for `shift_linear`.

    Examples
    --------
    >>> shift_cubic(np.arange(6.0)[np.newaxis] ** 2, np.array([-0.5]))[0, 2:4]
    array([ 6.25, 12.25])
    """
    xp = namespace(spectra)
    below = xp.floor(shift)
    return _weighted(spectra, below, xp.stack(_cubic(shift - below)) * factor)


def _weighted(spectra: np.ndarray, shift: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Move spectra by whole channels, and add up neighbouring channels.

    Parameters
    ----------
    spectra, shift
        As for `shift_spectra`; shifts are whole numbers.
    weights
        Four for each spectrum, the last one that of the lowest channel, shape ``(4, n_spectra)``.
    """
    xp = namespace(spectra)
    number, n_channels = spectra.shape
    n_weights = len(weights)
    # By one channel, back, spectra are moved on the way.
    back = astype(xp.clip(shift, -1, 0), xp.intp)
    spectra = shift_whole(spectra, astype(shift, xp.intp) - back)
    if xp is not np:
        wide = channels_of(spectra, -back - n_weights // 2, n_channels + n_weights - 1)
        rows = astype(weights, spectra.dtype)[..., np.newaxis]
        moved = rows[-1] * wide[:, :n_channels]
        for place in range(1, n_weights):
            moved += rows[-1 - place] * wide[:, place : place + n_channels]
        return moved
    begin = n_weights // 2
    end = begin + n_channels
    wide = np.empty((number, n_channels + n_weights), np.result_type(spectra, np.float32))
    wide[:, begin:end] = spectra
    wide[:, :begin] = spectra[:, :1]
    wide[:, end:] = spectra[:, -1:]
    moved = np.empty((number, n_channels), wide.dtype)
    rows = weights[::-1].T.astype(wide.dtype)
    for row, first in enumerate((-back).tolist()):
        moved[row] = np.correlate(wide[row, first : first + n_channels + n_weights - 1], rows[row])
    return moved


def _cubic(f: Any) -> tuple[Any, Any, Any, Any]:
    """Weights of four values in the cubic through them, at `f` from the second to the third."""
    return (
        -f * (f - 1) * (f - 2) / 6,
        (f + 1) * (f - 1) * (f - 2) / 2,
        -(f + 1) * f * (f - 2) / 2,
        (f + 1) * f * (f - 1) / 6,
    )


def shift_peak(spectra: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Move peaks that few channels sample, by what is `between` neighbouring channels.

    Parameters
    ----------
    spectra, shift
        As for `shift_spectra`.

    Examples
    --------
    >>> channel = np.arange(24)
    >>> peak = np.exp(-0.5 * ((channel - 11.0) / 2) ** 2)[np.newaxis]
    >>> moved = shift_peak(peak, np.array([0.4]))
    >>> bool(abs(moved - np.exp(-0.5 * ((channel - 11.4) / 2) ** 2)).max() < 2e-3)
    True
    """
    below = np.floor(shift).astype(np.intp)
    moved = shift_whole(spectra, below)[:, ::-1]
    # From the last channel to the first, each of the four comes after the one above it. A copy:
    # NumPy is fast where numbers follow each other.
    wide = np.concatenate([moved[:, :1], moved, moved[:, -1:], moved[:, -1:]], axis=-1)
    fraction = (shift - below)[:, np.newaxis].astype(np.result_type(wide, np.float32))
    return between(wide, fraction)[:, ::-1]


def between(wide: np.ndarray, fraction: np.ndarray) -> np.ndarray:
    """Values of a peak between the middle two of each four neighbouring channels.

    A cubic through the fourth roots, in which a Gaussian has twice as many channels (logarithms,
    for which all Gaussians are alike, swing where a tail begins). Where the four do not fall or
    rise as a flank does, noise has the upper hand, and a straight line, which leaves its mean
    alone, takes over.

    Parameters
    ----------
    wide
        Intensities, shape ``(n_spectra, n_places + 3)``.
    fraction
        Of the way from the second to the third of four, 0 to 1, shape ``(n_spectra, 1)``.

    Returns
    -------
    numpy.ndarray
        Shape ``(n_spectra, n_places)``.
    """
    number = wide.shape[-1] - 3
    xp = namespace(wide)
    # As few passes and arrays as can be: of both neighbours, then of both pairs.
    low, high = xp.minimum(wide[:, :-1], wide[:, 1:]), xp.maximum(wide[:, :-1], wide[:, 1:])
    low, high = xp.minimum(low[:, :-2], low[:, 2:]), xp.maximum(high[:, :-2], high[:, 2:])
    rising = wide[:, 1:] > wide[:, :-1]
    alike = rising[:, 1:] == rising[:, :-1]
    used = high > _STEEP * low
    used &= alike[:, :-1]
    used &= alike[:, 1:]
    used |= low > _TOP_SHARE * xp.amax(wide, axis=-1, keepdims=True)
    used &= low > 0
    roots = xp.maximum(wide, 0.0)
    xp.sqrt(xp.sqrt(roots, out=roots), out=roots)
    weights = _cubic(fraction)
    cubic = weights[0] * roots[:, :number]
    for place in range(1, 4):
        cubic += weights[place] * roots[:, place : place + number]
    xp.maximum(cubic, 0.0, out=cubic)
    for _ in range(2):
        cubic *= cubic
    straight = (1 - fraction) * wide[:, 1:-2]
    straight += fraction * wide[:, 2:-1]
    return xp.where(used, cubic, straight)


def shift_variance(
    variance: np.ndarray, shift: np.ndarray, factor: np.ndarray | float = 1.0
) -> np.ndarray:
    """Move noise variances along with spectra, by straight lines between channels.

    Parameters
    ----------
    variance, shift, factor
        As for `shift_linear`.
    """
    return shift_linear(variance, shift, factor)


def shift_block(
    block: np.ndarray,
    shift: np.ndarray,
    *,
    start: int,
    stop: int,
    is_variance: bool = False,
    workers: int = 1,
) -> np.ndarray:
    """Move the spectra of a block by straight lines between channels, and crop them.

    Nothing rings, areas stay what they are, and counts stay positive.

    Parameters
    ----------
    block
        Shape ``(…, n_channels)``.
    shift
        Channels, shape ``(…)``.
    start, stop
        Channels to return.
    is_variance
        Whether the values are noise variances.

    Returns
    -------
    numpy.ndarray
        Shape ``(…, stop - start)``, float64.
    """

    def kernel(spectra: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray]:
        move = shift_variance if is_variance else shift_linear
        return (move(spectra.astype(np.float64), shift)[:, start:stop],)

    arrays = [block, np.broadcast_to(shift, block.shape[:-1])]
    return run_in_batches(kernel, arrays, [1, 0], [((stop - start,), np.float64)], workers=workers)[
        0
    ]


def channels_of(spectra: np.ndarray, first: np.ndarray, number: int) -> np.ndarray:
    """So many channels of each spectrum from its `first` on; what is at an end is repeated beyond.

    Parameters
    ----------
    spectra
        Shape ``(n_spectra, n_channels)``.
    first
        Channel, may be beyond the ends, shape ``(n_spectra,)``.
    number
        Of channels.

    Returns
    -------
    numpy.ndarray
        Shape ``(n_spectra, number)``.

    Examples
    --------
    >>> channels_of(np.arange(8).reshape(2, 4), np.array([-1, 2]), 3)
    array([[0, 0, 1],
           [6, 7, 7]])
    """
    xp, last = namespace(spectra), spectra.shape[-1] - 1
    if xp is np and first.size and first.min() >= 0 and first.max() + number <= last + 1:
        # Parts that lie together are copied many times faster than indices are looked up.
        windows = np.lib.stride_tricks.sliding_window_view(spectra, number, axis=-1)
        return windows[np.arange(len(first)), first]
    index = xp.clip(first[:, np.newaxis] + xp.arange(number), 0, last)
    if xp is np:
        return np.take_along_axis(spectra, index, axis=-1)
    return xp.gather(spectra, -1, index)


def _end_levels(spectra: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean of the first and of the last few channels, so that a noisy one does not set a level."""
    n_end = min(4, spectra.shape[-1])
    return (
        spectra[:, :n_end].mean(axis=-1, keepdims=True),
        spectra[:, -n_end:].mean(axis=-1, keepdims=True),
    )


def shift_whole(spectra: np.ndarray, shift: np.ndarray, kept: slice = slice(None)) -> np.ndarray:
    """Move spectra by whole channels; what comes in at an end repeats the channel there.

    Only the channels `kept` are returned; of spectra that do not move, a view.
    """
    n_channels = spectra.shape[-1]
    start, stop, _ = kept.indices(n_channels)
    number = stop - start
    if not shift.any():
        return spectra[:, kept]
    if namespace(spectra) is not np:
        return channels_of(spectra, start - shift, number)
    # Where they differ, windows are copied many times faster than indices are looked up; a few
    # spectra reach beyond the ends.
    if (shift == shift[0]).all():
        rows: list[int | slice] = [slice(None)]
        moved = np.empty((len(spectra), number), spectra.dtype)
    else:
        first = start - shift
        within = np.clip(first, 0, n_channels - number)
        rows = np.flatnonzero(first != within).tolist()
        moved = channels_of(spectra, within, number)
    for row in rows:
        by = int(shift[0] if isinstance(row, slice) else shift[row])
        # Where the first and the last channel of the spectrum come to lie.
        begin, end = (min(max(side + by - start, 0), number) for side in (0, n_channels))
        moved[row, begin:end] = spectra[row, begin + start - by : end + start - by]
        if begin:
            moved[row, :begin] = spectra[row, :1]
        if end < number:
            moved[row, end:] = spectra[row, -1:]
    return moved
