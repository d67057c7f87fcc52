# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single channels of a zero-loss peak that are not as the other peaks of the data are there.

The logarithm of each channel is compared with a cubic through those of the four beside it. By how
much it differs depends on the shape of the peak and on the distance from its middle, and is the
same in all spectra of a data set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import correlate1d

from hyperspy_dosekin.processing.shifting import channels_of

#: Channels beside one that tell it, and their weights in a cubic.
_BESIDE, _CUBIC = np.array([-2, -1, 1, 2]), np.array([-1.0, 4.0, 4.0, -1.0]) / 6
_KERNEL = np.array([-1.0, 4.0, 0.0, 4.0, -1.0]) / 6
#: Widths from the peak in which no channel is taken for a spike otherwise.
_REACH = 2.5
#: Fewer spectra do not tell the shape, and then a cubic has to do, in peaks of more channels.
FEWEST, _FEWEST_WIDE = 5, 2.5
#: Nodes of the usual deviation by channel, and deviations next to each of which it is the median.
_NODES, _NEXT = 8, 7
#: Standard deviations, and deviation of the logarithm, with and without other spectra to compare
#: with, that are odd; and the part of the peak that has to be wrong.
_SURE, _ODD, _ODD_ALONE, _MATTERS = 8.0, 0.04, 0.4, 5e-4
#: Share of these standard deviations with which a spectrum is worth a look.
_LENIENT = 0.5
#: Share of both channels beside it that is a hole.
_HOLE = 0.5
#: Of a normal variable, its standard deviation by the median of its magnitude.
_SIGMA_PER_MAD = 1.4826
#: Width and place, before the oddest channel, of what else may be odd; and squares of standard
#: deviations that a channel more has to explain.
_ALSO, _PER_CHANNEL = ((1, 1), (1, -1), (2, 0), (2, 1), (2, 2), (2, -1)), 25.0
#: Channels with fewer electrons say nothing.
_FEWEST_ELECTRONS = 20.0


@dataclass(frozen=True, eq=False)
class Smoothness:
    """By how much channels of a peak differ from a cubic through those beside them.

    Parameters
    ----------
    distance
        From the peak in channels, ascending, shape ``(n,)``.
    usual, spread, noise
        Of the logarithms there; one standard deviation between spectra; and that of the noise of a
        typical one; shape ``(n,)``.
    least
        Deviation that is odd.
    """

    distance: np.ndarray
    usual: np.ndarray
    spread: np.ndarray
    noise: np.ndarray
    least: float

    def suspects(self, around: np.ndarray, distance: np.ndarray, near: np.ndarray) -> np.ndarray:
        """Spectra that are worth a look, in few passes; intensities as for `smoothness_of`."""
        node = np.rint((distance - self.distance[0]) * _NODES).astype(np.intp)
        node = np.clip(node, 0, self.distance.size - 1)
        limit = np.maximum(self.least, _LENIENT * _SURE * np.hypot(self.spread, self.noise))
        with np.errstate(invalid="ignore", divide="ignore"):
            logarithm = np.log(around)
            told = correlate1d(logarithm, _KERNEL, axis=-1)
            odd = ~(np.abs(logarithm - told - self.usual[node]) <= limit[node]) & near
        return np.flatnonzero((odd | (_holes(around) & near)).any(axis=-1))


def _logarithms(around: np.ndarray, gain: float, offset: float) -> tuple[np.ndarray, ...]:
    """Deviations from the cubic, their variance, and what the cubic says; NaN where it does not.

    Parameters
    ----------
    around
        Intensities near peaks, shape ``(n, m)``.
    gain, offset
        Noise variance of an intensity y: `gain` y + `offset`.
    """
    values = around.astype(np.float64)
    least = max(gain, 1e-12 * float(np.nanmax(values, initial=0.0)), np.finfo(float).tiny)
    logarithm = np.log(np.maximum(values, 0.5 * least))
    positive = np.maximum(values, least)
    noise = gain / positive + offset / positive**2
    told = np.full(values.shape, np.nan)
    variance = told.copy()
    inside = slice(2, values.shape[-1] - 2)
    sides = [slice(2 + step, values.shape[-1] - 2 + step) for step in _BESIDE]
    told[:, inside] = sum(w * logarithm[:, s] for w, s in zip(_CUBIC, sides, strict=True))
    variance[:, inside] = sum(w**2 * noise[:, s] for w, s in zip(_CUBIC, sides, strict=True))
    few = np.minimum.reduce([values[:, s] for s in sides]) < _FEWEST_ELECTRONS * gain
    told[:, inside][few] = np.nan
    # What is to be expected has the noise, not what is there.
    expected = np.exp(np.minimum(told, 600.0))
    variance += gain / expected + offset / expected**2
    return logarithm - told, variance, told


def smoothness_of(
    around: np.ndarray, position: np.ndarray, fwhm: float, gain: float, offset: float
) -> Smoothness | None:
    """What some spectra have in common.

    Parameters
    ----------
    around
        Intensities of the channels near peaks, NaN beyond the axis, shape ``(n_spectra, m)``.
    position
        Of each peak in these channels, shape ``(n_spectra,)``.
    fwhm
        Width of a typical peak in channels.
    gain, offset
        Noise variance of an intensity y: `gain` y + `offset`.

    Returns
    -------
    Smoothness or None
        ``None`` where there are too few channels to tell.
    """
    if len(around) < FEWEST:
        zero = np.zeros(1)
        return Smoothness(zero, zero, zero, zero, _ODD_ALONE if fwhm >= _FEWEST_WIDE else np.inf)
    away, variance, _ = _logarithms(around, gain, offset)
    distance = np.arange(around.shape[-1]) - position[:, np.newaxis]
    use = np.isfinite(away) & (np.abs(distance) <= _REACH * fwhm + 1)
    if np.count_nonzero(use) < _NEXT:
        return None
    order = np.argsort(distance[use], kind="stable")
    place, away, variance = (each[use][order] for each in (distance, away, variance))
    node = np.arange(place[0], place[-1] + 1 / _NODES, 1 / _NODES)
    first = np.clip(np.searchsorted(place, node) - _NEXT // 2, 0, place.size - _NEXT)
    near = first[:, np.newaxis] + np.arange(_NEXT)
    usual = np.median(away[near], axis=-1)
    apart = _SIGMA_PER_MAD * np.median(np.abs(away[near] - usual[:, np.newaxis]), axis=-1)
    noise = np.median(variance[near], axis=-1)
    between = np.sqrt(np.maximum(apart**2 - noise, 0.0))
    return Smoothness(node, usual, between, np.sqrt(noise), _ODD)


def odd_channels_of(
    around: np.ndarray,
    position: np.ndarray,
    fwhm: float,
    shape: Smoothness,
    gain: float,
    offset: float,
) -> tuple[np.ndarray, np.ndarray]:
    """The oddest channel of each peak, or the two beside each other, and what belongs there.

    Parameters
    ----------
    around, position, fwhm, gain, offset
        As for `smoothness_of`.
    shape
        What it returned.

    Returns
    -------
    channel : numpy.ndarray
        Of `around`, the first of the two, -1 where none is odd, shape ``(n_spectra,)``.
    values : numpy.ndarray
        What the channels beside let expect there and in the next one, NaN in the second where that
        is not odd, shape ``(n_spectra, 2)``.

    Examples
    --------
    >>> place = np.arange(25) - 12 - np.linspace(-0.4, 0.4, 9)[:, np.newaxis]
    >>> around = 1e6 * np.exp(-0.5 * (place / 1.3) ** 2) + 1e4
    >>> position = 12 + np.linspace(-0.4, 0.4, 9)
    >>> shape = smoothness_of(around, position, 3.1, 1.0, 0.0)
    >>> clean = around[4, 13]
    >>> around[4, 13] += 1e5
    >>> channel, values = odd_channels_of(around, position, 3.1, shape, 1.0, 0.0)
    >>> print(channel, (values[4] / clean).round(2))
    [-1 -1 -1 -1 13 -1 -1 -1 -1] [ 1. nan]
    """
    distance = np.arange(around.shape[-1]) - position[:, np.newaxis]
    near = np.abs(distance) <= _REACH * fwhm
    channel, values = np.full(len(around), -1), np.full((len(around), 2), np.nan)
    rows = shape.suspects(around, distance, near)
    around, distance, near = around[rows], distance[rows], near[rows]
    away, variance, told = _logarithms(around, gain, offset)
    usual, spread = (np.interp(distance, shape.distance, each) for each in
                     (shape.usual, shape.spread))  # fmt: skip
    value = np.exp(np.minimum(told + usual, 600.0))
    # Of what may be odd no more than what is expected.
    area = np.where(near, np.maximum(np.fmin(around, value), 0.0), 0.0)
    area = np.nansum(area, axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        score = np.abs(away - usual) / np.sqrt(variance + spread**2)
        odd = (np.abs(away - usual) > shape.least) | _holes(around)
        odd &= (score > _SURE) & near & np.isfinite(value)
        odd &= np.abs(around - value) > _MATTERS * area
    for row in np.flatnonzero(odd.any(axis=-1)):
        worst = int(np.where(odd[row], np.abs(away[row] - usual[row]), 0.0).argmax())
        channel[rows[row]], values[rows[row]] = _explained(
            np.maximum(around[row].astype(np.float64), 0.5 * gain), worst, usual[row],
            lambda y, row=row: (_logarithms(y[np.newaxis], gain, offset), usual[row], spread[row]),
        )  # fmt: skip
    return channel, values


def _explained(
    peak: np.ndarray,
    worst: int,
    usual: np.ndarray,
    look: Callable[[np.ndarray], tuple[tuple[np.ndarray, ...], np.ndarray, np.ndarray]],
) -> tuple[int, np.ndarray]:
    """One channel or two of a peak without which it is as the others are, and what belongs there.

    Parameters
    ----------
    peak
        Its intensities, positive, shape ``(m,)``.
    worst
        Its oddest channel.
    usual
        Usual deviation of the logarithm from the cubic, shape ``(m,)``.
    look
        Function of such a peak that returns what `_logarithms` does, the usual deviation and its
        spread.
    """
    best, found = np.inf, (-1, np.full(2, np.nan))
    for width, first in [(1, worst), *((w, worst - s) for w, s in _ALSO)]:
        if first < 4 or first + width + 4 > peak.size:
            continue
        logarithm = np.log(peak)
        # By how much a logarithm, without the channels in question, is beyond the cubic.
        logarithm[first : first + width] = 0.0
        told = np.convolve(logarithm, _KERNEL, mode="same")[first : first + width]
        told = told + usual[first : first + width]
        if width == 2:
            told = np.array([told[0] + told[1] * 2 / 3, told[1] + told[0] * 2 / 3]) * 9 / 5
        mended = peak.copy()
        with np.errstate(over="ignore", invalid="ignore"):
            mended[first : first + width] = np.exp(told)
            (away, variance, _), expected, spread = look(mended)
            here = slice(first - 2, first + width + 2)
            left = (away[0] - expected)[here] ** 2 / (variance[0] + spread**2)[here]
        misfit = float(np.nansum(left)) + _PER_CHANNEL * width
        if misfit < best:
            best, found = misfit, (first, np.append(mended[first : first + width], np.nan)[:2])
    return found


def _holes(around: np.ndarray) -> np.ndarray:
    """Channels with less than half of the lower one beside them, which no peak has."""
    least = np.minimum(around[:, :-2], around[:, 2:])
    return np.pad(around[:, 1:-1] < _HOLE * least, ((0, 0), (1, 1)))


def channels_near(
    block: np.ndarray, position: np.ndarray, *, reach: int, workers: int = 1
) -> np.ndarray:
    """Channels of each spectrum of a block around a channel, as far as `reach` on either side.

    Parameters
    ----------
    block
        Intensities, shape ``(…, n_channels)``.
    position
        Fraction of a channel, NaN where there is none, shape ``(…)``.
    reach
        Channels.
    workers
        Not used.

    Returns
    -------
    numpy.ndarray
        Shape ``(…, 2 * reach + 1)``; what is at an end is repeated beyond.
    """
    first = np.round(np.nan_to_num(position)).astype(np.intp).ravel() - reach
    rows = block.reshape(-1, block.shape[-1])
    return channels_of(rows, first, 2 * reach + 1).reshape(*block.shape[:-1], 2 * reach + 1)


def put_there(
    block: np.ndarray, channel: np.ndarray, *values: np.ndarray, workers: int = 1
) -> np.ndarray:
    """A block with other values in a channel of each spectrum and those behind it.

    Parameters
    ----------
    block
        Shape ``(…, n_channels)``.
    channel
        -1 where nothing is put, shape ``(…)``.
    *values
        Of the channel, the next one and so on, NaN where nothing is put, shape ``(…)`` each. They
        are rounded where the spectrum holds whole numbers.
    workers
        Not used.
    """
    result = block.copy()
    rows = result.reshape(-1, block.shape[-1])
    first = channel.ravel()
    for row in np.flatnonzero(first >= 0):
        whole = np.array_equal(rows[row], np.round(rows[row]))
        for step, each in enumerate(values):
            value = each.ravel()[row]
            if np.isfinite(value):
                rows[row, first[row] + step] = np.round(value) if whole else value
    return rows.reshape(block.shape)
