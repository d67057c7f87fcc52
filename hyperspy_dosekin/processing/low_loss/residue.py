# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the loss side of the zero-loss peak has more than the gain side, and what stays unknown."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from hyperspy_dosekin.processing.low_loss.wings import (
    asymmetry_of_wings,
    beyond_noise,
    left_by_wings,
    lopsided_wings,
)

#: Widths from the peak between which its asymmetry is seen: nearer it has none, further are losses.
_ASYMMETRY = (0.5, 1.5)
#: Asymmetry that is believed at most: more are losses.
_MOST = 1.0
#: Widths from the peak at which the excess of the loss side is compared, the factor by which it
#: falls between them at least, and the share of the height of the peak that it is at least.
_EXCESS, _FALLS, _ASYMMETRIC = (1.0, 1.5), 2.0, 0.01
#: The same factor for what may be a tail, and may be losses: it stays, and is claimed.
_MAY_FALL = 1.05
#: What may be wrong with its continuation, as a share of it, and how many decays it is continued.
_UNSURE, _DECAYS = 0.5, 12.0
#: Widths from the peak beyond which there is no flank, but a tail; and one standard deviation of it
#: at most, as a share, with which an interval has that the other side has none.
_WINGS, _ALL_OF_IT = 2.0, 0.6
#: It is fitted up to so many widths, to so many channels at least, with decays in widths of these.
_FITTED, _FEWEST_FITTED = 2.5, 4
_DECAY_RANGE = np.geomspace(0.08, 1.5, 120)
#: Channels at the end of the gain side, and share of it, of which the level there is the mean.
_FEWEST, _SHARE = 8, 0.25
#: The same in widths of the peak, where its flank ends there.
_AT_END = 0.25
#: Means of the loss side are taken from so much of the distance on.
_MEAN_OVER = 0.8


def residue_of(
    gain_side: np.ndarray,
    near_gain: np.ndarray,
    near_loss: np.ndarray,
    fwhm: float,
    *,
    number: int,
    ended: bool,
    reach: int | None = None,
    loss_side: np.ndarray | None = None,
    continued: np.ndarray | float = 0.0,
) -> np.ndarray:
    """One standard deviation of what is left of a mirrored zero-loss peak, channel by channel.

    Where there is a gain side, the mirror image is wrong by as much as the peak is asymmetric near
    its top; where the loss side exceeds the gain side, by a share of what `excess_of` continues,
    and by the tail that `left_by_wings` finds. Where the gain side is longer than what is mirrored,
    by what is there. Beyond the end of the gain side it is at least a tail that falls as one over
    the energy from the level at the end on: so do vacuum spectra of two monochromated instruments
    that come with EELSfitter.

    Parameters
    ----------
    gain_side
        Mean intensities from the peak outward to the end of the axis, shape ``(n,)``.
    near_gain, near_loss
        The same on both sides of the mean of aligned peaks, as far as that goes.
    fwhm
        Width of the peak in channels.
    number
        Channels from the peak on that are wanted.
    ended
        Whether the tail has ended before the gain side does.
    reach
        Channels that are mirrored; by default all.
    loss_side
        As `gain_side`, from the peak to the other end of the axis: no tail is higher.
    continued
        Shares of the peak that were put beyond the end of the gain side, and may be wrong,
        shape ``(number,)``.

    Returns
    -------
    numpy.ndarray
        Shares of the area of the peak, not negative, shape ``(number,)``.
    """
    area = float(2 * near_gain.sum() - near_gain[0])
    if not area > 0:
        return np.zeros(number)
    first = int(np.ceil(_ASYMMETRY[0] * fwhm))
    last = max(int(np.ceil(_ASYMMETRY[1] * fwhm)), first + 1) + 1
    left, right = near_gain[first:last].sum(), near_loss[first:last].sum()
    ratio = min(abs(right - left) / left, _MOST) if left > 0 else _MOST
    distance = np.arange(number, dtype=float)
    end = gain_side.size - 1
    # Noise about zero is no tail.
    side = np.maximum(gain_side, 0.0) / area
    mirrored = np.interp(distance, np.arange(end + 1), side, right=0.0)
    size = min(near_gain.size, near_loss.size)
    # Further away nobody sees whether the tail of the loss side is that of the gain side.
    share = min(asymmetry_of_wings(near_gain[:size], near_loss[:size], fwhm), _ALL_OF_IT)
    share = np.where(distance < _WINGS * fwhm, ratio, max(ratio, share))
    residue = share * mirrored
    leftover = near_loss[:size] - near_gain[:size]
    excess = excess_of(near_gain, near_loss, fwhm)
    if excess is not None:
        leftover = leftover - np.interp(np.arange(size), np.arange(excess.size), excess, right=0.0)
    falls = _falling(near_gain, near_loss, fwhm, _MAY_FALL)
    if falls is not None:
        near, decay, begin = falls
        if excess is None:
            # Too few channels: nothing has been taken off.
            continued = near * np.exp(-(distance - begin) / decay)
        else:
            continued = _UNSURE * np.interp(distance, np.arange(excess.size), excess, right=0.0)
        residue = np.maximum(residue, np.where(distance < begin, 0.0, continued) / area)
    # Wings that fall together, and one is higher, differ further away, too.
    lopsided = lopsided_wings(near_gain[:size], near_loss[:size], fwhm)
    if lopsided > _ALL_OF_IT:
        seen = lopsided * beyond_noise(gain_side, int(np.ceil(_WINGS * fwhm))) / area
        residue = np.maximum(residue, np.interp(distance, np.arange(end + 1), seen, right=0.0))
    if loss_side is not None:
        # Where losses have less than is mirrored, that is too much.
        last = min(end if reach is None else min(reach, end), loss_side.size - 1) + 1
        less = beyond_noise(gain_side[:last] - loss_side[:last], int(np.ceil(_WINGS * fwhm)))
        less = np.maximum(less, 0.0) / area
        residue = np.maximum(residue, np.interp(distance, np.arange(last), less, right=0.0))
    wings = left_by_wings(leftover, near_loss[:size], fwhm, np.zeros(number))
    residue = np.maximum(residue, wings / area)
    if reach is not None and reach < end:
        beyond = (1 + lopsided) * np.abs(beyond_noise(gain_side, reach + 1)) / area
        residue = np.maximum(residue, np.interp(distance, np.arange(end + 1), beyond, right=0.0))
    if ended:
        return residue
    # A flank is lower at its end than in the mean of more channels.
    several = max(_FEWEST, int(_SHARE * gain_side.size)), max(round(_AT_END * fwhm), 2)
    level = max(min(float(gain_side[-each:].mean()) for each in several), 0.0) / area
    tail = np.where(distance > end, level * end / np.maximum(distance, 1.0), 0.0)
    if loss_side is not None:
        tail = np.minimum(tail, np.maximum(_most_at(loss_side, fwhm, number) / area, continued))
    return np.maximum(residue, tail)


def _most_at(loss_side: np.ndarray, fwhm: float, number: int) -> np.ndarray:
    """What a tail has at most: it falls, and losses are not negative, shape ``(number,)``.

    Means over a fifth of the distance, so that noise has no say.
    """
    total = np.concatenate([[0.0], np.cumsum(loss_side)])
    place = np.arange(min(loss_side.size, number))
    first = np.minimum(np.floor(_MEAN_OVER * place).astype(int), place)
    mean = (total[place + 1] - total[first]) / (place + 1 - first)
    mean[: int(np.ceil(_EXCESS[0] * fwhm))] = np.inf
    least = np.maximum(np.minimum.accumulate(mean), 0.0)
    return np.pad(least, (0, number - least.size), mode="edge")


def residue_of_model(
    model: np.ndarray,
    place: float,
    fwhm: float,
    near_gain: np.ndarray,
    near_loss: np.ndarray,
    *,
    loss_side: np.ndarray,
) -> np.ndarray:
    """One standard deviation of what is left of a fitted zero-loss peak, channel by channel.

    Where losses have a part, one width from the peak and beyond, the model is not fitted but
    continued, and as unsure as the continued excess of a mirrored one. What the loss side of an
    asymmetric peak has more may be in the model or not.

    Parameters
    ----------
    model
        The model of area 1, shape ``(n_channels,)``.
    place
        Its channel.
    fwhm, near_gain, near_loss
        As for `residue_of`.
    loss_side
        As for `left_by_wings`, in units of the area of the peak.

    Examples
    --------
    >>> model, side = np.array([0.1, 0.5, 0.2, 0.1, 0.05]), np.array([0.5, 0.1])
    >>> print(residue_of_model(model, 1.0, 1.2, side, side, loss_side=model))
    [0.    0.    0.    0.05  0.025]
    """
    distance = np.arange(model.size) - place
    residue = _UNSURE * np.maximum(model, 0.0)
    falls = _falling(near_gain, near_loss, fwhm, _MAY_FALL)
    area = float(2 * near_gain.sum() - near_gain[0])
    if falls is not None and area > 0:
        near, decay, begin = falls
        residue = np.maximum(residue, near / area * np.exp(-(distance - begin) / decay))
    # Where a gain side is, it shows by how much the model misses a flank.
    height = float(near_loss[0])
    if height > 0:
        gain = near_gain * (loss_side[0] / height)
        before = np.interp(place - np.arange(gain.size), np.arange(model.size), model, left=0.0)
        misses = np.where(np.arange(gain.size) <= place, np.abs(gain - before), 0.0)
        residue = np.maximum(residue, np.interp(distance, np.arange(gain.size), misses, right=0.0))
    after = np.interp(np.arange(model.size) + place, np.arange(model.size), model, right=0.0)
    wings = left_by_wings(loss_side, loss_side, fwhm, after)
    residue = np.maximum(residue, np.interp(distance, np.arange(model.size), wings))
    return np.where(distance > _EXCESS[0] * fwhm, residue, 0.0)


def _falling(
    near_gain: np.ndarray, near_loss: np.ndarray, fwhm: float, least: float = _FALLS
) -> tuple[float, ...] | None:
    """Excess of the loss side one width from the peak, how fast it falls, and where that is.

    ``None`` where it does not fall by the factor `least` over half a width.
    """
    places = [np.clip(each * fwhm, 1.0, None) for each in _EXCESS]
    channel = np.arange(min(near_gain.size, near_loss.size))
    if channel[-1] < places[1]:
        return None
    gain, loss = (
        np.interp(places, channel, side[: channel.size]) for side in (near_gain, near_loss)
    )
    near, far = loss - gain
    if not (far > 0 and near > least * far and near > _ASYMMETRIC * near_gain[0]):
        return None
    # The gain side falls faster, and is not the same on another scale.
    if loss[1] * gain[0] < least * loss[0] * gain[1]:
        return None
    return float(near), float((places[1] - places[0]) / np.log(near / far)), float(places[0])


def excess_of(near_gain: np.ndarray, near_loss: np.ndarray, fwhm: float) -> np.ndarray | None:
    """What the loss side of an asymmetric zero-loss peak has more than the gain side.

    As measured up to one width of the peak, where losses have no part yet, and from there on as an
    exponential, as in the peak of a field emitter [1]_: it is fitted with losses that rise as the
    energy beside it. There is none unless the excess falls, slower than the gain side, and some
    channels show how fast.

    Parameters
    ----------
    near_gain, near_loss, fwhm
        As for `residue_of`.

    Returns
    -------
    numpy.ndarray or None
        By the distance from the peak in channels, in the unit of the intensities.

    References
    ----------
    .. [1] R. D. Young, Phys. Rev. 113, 110 (1959), doi:10.1103/PhysRev.113.110.

    Examples
    --------
    >>> channel = np.arange(40.0)
    >>> gain = 1e4 * np.exp(-0.5 * (channel / 2) ** 2)
    >>> tail = 1e3 * (1 - np.exp(-channel)) * np.exp(-channel / 3)
    >>> print(excess_of(gain, gain + tail, 4.7)[[8, 12]].round(), tail[[8, 12]].round())
    [69. 18.] [69. 18.]
    >>> print(excess_of(gain, gain, 4.7))
    None
    """
    if _falling(near_gain, near_loss, fwhm) is None:
        return None
    begin, size = max(_EXCESS[0] * fwhm, 1.0), min(near_gain.size, near_loss.size)
    used = np.arange(int(np.ceil(begin)), min(int(_FITTED * fwhm), size - 1) + 1)
    if used.size < _FEWEST_FITTED:
        return None
    excess = near_loss[:size] - near_gain[:size]
    weight = 1 / np.sqrt(np.maximum(near_loss[used], 1e-3 * near_loss[used].max()))
    best, fitted = np.inf, (0.0, fwhm)
    for decay in fwhm * _DECAY_RANGE:
        columns = np.stack([np.exp(-(used - begin) / decay), used.astype(float)], axis=1)
        coefficients, misfit = nnls(columns * weight[:, np.newaxis], excess[used] * weight)
        if misfit < best:
            best, fitted = misfit, (coefficients[0], decay)
    height, decay = fitted
    distance = np.arange(int(np.ceil(begin + _DECAYS * decay)))
    measured = np.zeros(distance.size)
    number = min(size, distance.size)
    measured[:number] = excess[:number]
    falling = height * np.exp(-(distance - begin) / decay)
    return np.where(distance < begin, measured, falling)
