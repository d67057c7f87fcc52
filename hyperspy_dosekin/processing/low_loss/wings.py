# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a slowly falling tail may leave under the losses, whatever its law."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.optimize import nnls

#: Widths from the peak at which its flank has ended.
_BEGIN = 1.6
#: Decay, in widths, of what the flank still has there, which may be too much or too little.
_FLANK = 0.2
#: Channels without which nothing is told.
_FEWEST = 5
#: Tails that are tried: exponentials, decays in widths of the peak, and powers of the energy.
_DECAYS = np.geomspace(0.25, 3.0, 10)
_EXPONENTS = np.array([1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0])
#: Losses that are tried beside it, powers of the energy, up to so many times the energy of the
#: lowest intensity.
_RISES, _PAST = np.array([1.0, 2.0, 4.0, 8.0]), 1.25
#: Rise above the lowest intensity that is a loss: a factor, and a share of the first one.
_RISEN, _NOTHING = 1.1, 1e-3
#: Degrees of freedom that count at most: the losses beside it have other shapes than those.
_MOST_SURE = 4
#: Widths from the peak between which the ratio of two wings is looked at, twice; its change that is
#: none; and by how much one is higher at most.
_TWO_PLACES, _AS_IT_IS, _MOST_LOPSIDED = ((1.6, 2.1), (2.4, 3.0)), (0.7, 1.4), 3.0
#: Standard errors above which a level on the gain side is a tail, and channels of a mean there.
_CLEAR, _TOGETHER = 3.0, 8


def left_by_wings(
    seen: np.ndarray, loss_side: np.ndarray, fwhm: float, model: np.ndarray
) -> np.ndarray:
    """One standard deviation of what a tail leaves, from where losses have no part yet.

    Between the flank of the peak and the lowest intensity before the losses, what is seen is fitted
    with a tail that falls and losses that rise. How the tail falls is not known:
    exponentials and powers of the energy are tried, and each has a say by its likelihood, the size
    of the noise being unknown.

    Parameters
    ----------
    seen
        Mean loss side, or what is left of it, from the peak outward, shape ``(n,)``.
    loss_side
        The mean loss side, same shape.
    fwhm
        Width of the peak in channels.
    model
        What of `seen` is taken for the peak, in the channels that are wanted, shape ``(number,)``.

    Returns
    -------
    numpy.ndarray
        In the unit of the intensities, not negative, same shape; 0 where too few channels show it.

    Examples
    --------
    >>> channel = np.arange(60.0)
    >>> tail, losses = 50 / np.maximum(channel, 1) ** 2, 1e-6 * channel**2
    >>> nothing, all_of_it = np.zeros(60), tail + losses
    >>> print(left_by_wings(all_of_it, all_of_it, 4.0, nothing)[[20, 40]].round(3))
    [0.125 0.031]
    >>> print(left_by_wings(all_of_it, all_of_it, 4.0, tail)[[20, 40]].round(3))
    [0. 0.]
    """
    number = model.size
    begin = max(int(np.ceil(_BEGIN * fwhm)), 1)
    size = max(round(fwhm), 1)
    distance = np.maximum(np.arange(number, dtype=float), begin)
    if loss_side.size < begin + _FEWEST:
        return np.zeros(number)
    smooth = np.asarray(uniform_filter1d(loss_side, size))[begin:]
    last = int(_PAST * (begin + _first_minimum(smooth)))
    used = np.arange(begin, min(last + 1, seen.size), dtype=float)
    if used.size < _FEWEST:
        return np.zeros(number)
    ceiling = np.maximum(np.asarray(uniform_filter1d(seen, size))[begin : begin + used.size], 0.0)
    seen = seen[begin : begin + used.size]
    level = np.maximum(smooth[: used.size], 1e-3 * smooth[: used.size].max())
    if not level.max() > 0:
        return np.zeros(number)
    weight = 1 / np.sqrt(level)
    tails = [lambda x, d=d * fwhm: np.exp(-(x - begin) / d) for d in _DECAYS]
    tails += [lambda x, n=n: (begin / x) ** n for n in _EXPONENTS]
    flank = np.exp(-(used - begin) / (_FLANK * fwhm))
    others = [flank, -flank, *(used / used[-1]) ** _RISES[:, np.newaxis]]
    misfit, squares = np.empty(len(tails)), np.empty((len(tails), number))
    for place, tail in enumerate(tails):
        columns = np.stack([tail(used), *others], axis=1)
        found, norm = nnls(columns * weight[:, np.newaxis], seen * weight)
        # Losses are not negative.
        height = min(found[0], float((ceiling / tail(used)).min()))
        misfit[place], squares[place] = norm**2, (height * tail(distance) - model) ** 2
    freedom = min(max(used.size - 3, 1), _MOST_SURE)
    least = max(misfit.min(), np.finfo(float).tiny)
    likely = np.exp(-0.5 * freedom * np.log(np.maximum(misfit, least) / least))
    left = np.sqrt(likely @ squares / likely.sum())
    return np.where(np.arange(number) < begin, 0.0, left)


def asymmetry_of_wings(near_gain: np.ndarray, near_loss: np.ndarray, fwhm: float) -> float:
    """By how much, at most, the wings of both sides differ, as a share of those of the gain side.

    Seen where the loss side is lowest; losses that are there make it larger than it is.

    Parameters
    ----------
    near_gain, near_loss
        Both sides of the mean peak, from its middle outward, shape ``(n,)``.
    fwhm
        Width of the peak in channels.

    Returns
    -------
    float
        Not negative; infinite where nothing is seen.
    """
    begin, size = max(int(np.ceil(_BEGIN * fwhm)), 1), max(round(fwhm), 1)
    if min(near_gain.size, near_loss.size) < begin + size:
        return np.inf
    gain, loss = (
        np.asarray(uniform_filter1d(side, size))[begin:] for side in (near_gain, near_loss)
    )
    lowest = _first_minimum(loss[: gain.size])
    if not gain[lowest] > 0:
        return np.inf
    return abs(float(loss[lowest] - gain[lowest])) / float(gain[lowest])


def lopsided_wings(near_gain: np.ndarray, near_loss: np.ndarray, fwhm: float) -> float:
    """By how much the wing of the loss side is higher where both fall together, as a share.

    Losses rise where wings fall, so that a ratio that stays as it is over a width is one of wings.

    Parameters
    ----------
    near_gain, near_loss, fwhm
        As for `asymmetry_of_wings`.

    Returns
    -------
    float
        Not negative; 0 where the ratio changes, or nothing is seen.

    Examples
    --------
    >>> wing = 1 / (1 + np.arange(60.0) ** 2)
    >>> print(round(lopsided_wings(wing, 3 * wing, 8.0), 2))
    2.0
    >>> lopsided_wings(wing, 3 * wing + 1e-5 * np.arange(60.0) ** 2, 8.0)
    0.0
    """
    ratios = []
    for first, last in _TWO_PLACES:
        part = slice(int(np.ceil(first * fwhm)), max(round(last * fwhm), int(first * fwhm) + 3))
        gain, loss = near_gain[part], near_loss[part]
        if part.stop > min(near_gain.size, near_loss.size):
            return 0.0
        # A gain side that is noise has no ratio.
        if not gain.mean() > _CLEAR * gain.std(ddof=1) / np.sqrt(gain.size):
            return 0.0
        ratios.append(float(loss.mean() / gain.mean()))
    if not _AS_IT_IS[0] < ratios[1] / ratios[0] < _AS_IT_IS[1]:
        return 0.0
    return float(np.clip(min(ratios) - 1, 0.0, _MOST_LOPSIDED))


def _first_minimum(side: np.ndarray) -> int:
    """Place of the lowest of what comes before the first loss."""
    low = np.minimum.accumulate(side)
    risen = side > _RISEN * np.maximum(low, 0.0) + _NOTHING * abs(side[0])
    end = int(risen.argmax()) if risen.any() else side.size
    return int(side[:end].argmin()) if end else 0


def beyond_noise(side: np.ndarray, first: int) -> np.ndarray:
    """Means of pieces of one side of the peak, or of what two sides differ by.

    Parameters
    ----------
    side
        From the peak outward to the end of the axis, shape ``(n,)``.
    first
        Channel from which on there are pieces, longer ones further away.

    Returns
    -------
    numpy.ndarray
        Shape ``(n,)``; 0 where it is within noise.

    Examples
    --------
    >>> side = np.where(np.arange(32) < 16, 3.0, 0.0) + 0.1 * (-1.0) ** np.arange(32)
    >>> print(beyond_noise(side, 8)[[4, 8, 15, 16]].round(2))
    [0. 3. 3. 0.]
    """
    left = np.zeros(side.size)
    begin = first
    while begin + _TOGETHER <= side.size:
        # A tail changes less there.
        end = begin + max(_TOGETHER, begin // 4)
        end = side.size if side.size - end < _TOGETHER else end
        piece = side[begin:end]
        error = piece.std(ddof=1) / np.sqrt(piece.size)
        if abs(piece.mean()) > _CLEAR * error:
            left[begin:end] = piece.mean()
        begin = end
    return left
