# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Zero-loss peaks with a flat top, as of a saturated camera, or with a channel that is odd."""

from __future__ import annotations

import numpy as np

from hyperspy_dosekin.numerics.arrays import namespace, on_host

#: As many channels of the largest value side by side are a flat, that is saturated, top.
_FLAT_TOP = 3
#: As many within a thousandth of it are one too, unless the peak has more channels than that.
_ALIKE_TOP, _FINE = 4, 30
#: Fewer counts are equal by chance, so that more channels in a row are asked for: as many as are
#: equal in one of so many peaks. Fewer are alike by chance.
_FEW_COUNTS, _BY_CHANCE, _MANY_COUNTS = 1e3, 1e-5, 1e5
#: Fewer counts say nothing.
_FEWEST_COUNTS = 30.0


#: Deviation of a logarithm from a cubic through those of the channels beside it, and standard
#: deviations, that no channel of a peak has; peaks of fewer channels bend more than a cubic does.
_ODD, _SURE, _FEWEST_WIDE = 0.4, 8.0, 2.5
#: Channels lower than this share of the top are not looked at, and widths from it.
_LOW, _REACH = 0.1, 1.5
_CUBIC = np.array([-1.0, 4.0, 4.0, -1.0]) / 6


def odd_in_peak(
    spectrum: np.ndarray, position: float, fwhm: float, gain: float, offset: float
) -> tuple[int, float] | None:
    """Channel of a zero-loss peak that is far from what its neighbours say, and its share of that.

    Its gain is another, or numbers have run over the largest of their type.

    Parameters
    ----------
    spectrum
        Shape ``(n_channels,)``.
    position, fwhm
        Of the peak, in channels.
    gain, offset
        Noise variance of an intensity y: `gain` y + `offset`.

    Examples
    --------
    >>> peak = 1e5 * np.exp(-0.5 * ((np.arange(64) - 30) / 2) ** 2)
    >>> odd_in_peak(peak, 30.0, 4.7, 1.0, 0.0)
    >>> peak[32] *= 0.5
    >>> channel, share = odd_in_peak(peak, 30.0, 4.7, 1.0, 0.0)
    >>> print(channel, round(share, 3))
    32 0.5
    """
    if not fwhm >= _FEWEST_WIDE:
        return None
    first, last = round(position - _REACH * fwhm), round(position + _REACH * fwhm)
    place = np.arange(max(first, 2), min(last + 1, spectrum.size - 2))
    if not place.size:
        return None
    own, beside = spectrum[place], spectrum[place[:, np.newaxis] + np.array([-2, -1, 1, 2])]
    least = _LOW * own.max()
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log(own) - np.log(beside) @ _CUBIC
        error = np.sqrt(
            (gain * own + offset) / own**2 + ((gain * beside + offset) / beside**2) @ _CUBIC**2
        )
        odd = (np.abs(ratio) > _ODD) & (np.abs(ratio) > _SURE * error)
        odd &= (np.exp(np.log(beside) @ _CUBIC) > least) & (beside > 0).all(axis=-1)
    if not odd.any():
        return None
    worst = int(np.where(odd, np.abs(np.nan_to_num(ratio, posinf=0.0, neginf=0.0)), 0.0).argmax())
    return int(place[worst]), float(np.exp(ratio[worst]))


def has_flat_top(around: np.ndarray, pedestal: np.ndarray, largest_value: float) -> np.ndarray:
    """Whether channels side by side are as high as the highest, closer than counting makes them."""
    xp = namespace(around)
    top = xp.amax(around, axis=-1)
    flat = top + pedestal >= largest_value
    # Hardly any peak has so many channels alike.
    number = xp.count_nonzero(around >= top[:, np.newaxis] * (1 - 1e-3), axis=-1)
    some = xp.flatnonzero(number >= _FLAT_TOP)
    if len(some):
        flat[some] |= xp.asarray(_is_flat(on_host(around[some])))
    return flat


def _is_flat(around: np.ndarray) -> np.ndarray:
    highest = around.max(axis=-1, keepdims=True)
    same = around >= highest * (1 - 1e-7)
    equal = same & (highest > _FEW_COUNTS)
    alike = (around >= highest * (1 - 1e-3)) & (highest > _MANY_COUNTS)
    flat = _in_a_row(equal, _FLAT_TOP) | _in_a_row(alike, _ALIKE_TOP)
    for row in np.flatnonzero((highest[:, 0] > _FEWEST_COUNTS) & (highest[:, 0] <= _FEW_COUNTS)):
        # Two numbers of Poisson are equal with a probability of 1 / √(4π·mean).
        often = np.log(_BY_CHANCE) / (-0.5 * np.log(4 * np.pi * highest[row, 0]))
        flat[row] = _in_a_row(same[row : row + 1], 1 + int(np.ceil(often)))[0]
    # A peak of many channels has a flat top by itself: no fewer channels are as high as its middle.
    half = (around >= 0.5 * highest).sum(axis=-1)
    flat &= ~(half > _FINE) | _in_a_row(equal, _FLAT_TOP)
    return flat


def _in_a_row(marked: np.ndarray, number: int) -> np.ndarray:
    together = marked[:, : marked.shape[-1] - number + 1].copy()
    for place in range(1, number):
        together &= marked[:, place : marked.shape[-1] - number + 1 + place]
    return together.any(axis=-1)
