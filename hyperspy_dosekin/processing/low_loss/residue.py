# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the mirror image of the gain side may leave of the zero-loss peak among the losses."""

from __future__ import annotations

import numpy as np

#: Widths from the peak between which its asymmetry is seen: nearer it has none, further are losses.
_ASYMMETRY = (0.5, 1.5)
#: Asymmetry that is believed at most: more are losses.
_MOST = 1.0
#: Widths from the peak at which the excess of the loss side is compared, the factor by which it
#: falls between them at least, and the share of the height of the peak that it is at least.
_EXCESS, _FALLS, _ASYMMETRIC = (1.0, 1.5), 2.0, 0.01
#: Channels at the end of the gain side, and share of it, of which the level there is the mean.
_FEWEST, _SHARE = 8, 0.25


def residue_of(
    gain_side: np.ndarray,
    near_gain: np.ndarray,
    near_loss: np.ndarray,
    fwhm: float,
    *,
    number: int,
    ended: bool,
) -> np.ndarray:
    """One standard deviation of what is left of a mirrored zero-loss peak, channel by channel.

    Where there is a gain side, the mirror image is wrong by as much as the peak is asymmetric near
    its top; where the loss side exceeds the gain side and falls there, as that of a field emitter
    does [1]_, it is taken to fall on in the same way. Beyond the end of the gain side it is a tail
    that falls as one over the energy from the level at the end on: so do vacuum spectra of two
    monochromated instruments that come with EELSfitter.

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

    Returns
    -------
    numpy.ndarray
        Shares of the area of the peak, not negative, shape ``(number,)``.

    References
    ----------
    .. [1] R. D. Young, Phys. Rev. 113, 110 (1959), doi:10.1103/PhysRev.113.110.
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
    residue = ratio * np.interp(distance, np.arange(end + 1), side, right=0.0)
    residue = np.maximum(residue, _falling_excess(near_gain, near_loss, fwhm, distance) / area)
    if ended:
        return residue
    several = max(_FEWEST, int(_SHARE * gain_side.size))
    level = max(float(gain_side[-several:].mean()), 0.0) / area
    return np.where(distance > end, level * end / np.maximum(distance, 1.0), residue)


def _falling_excess(
    near_gain: np.ndarray, near_loss: np.ndarray, fwhm: float, distance: np.ndarray
) -> np.ndarray:
    """What the loss side has more than the gain side, continued as an exponential.

    Zero unless it falls from one width of the peak to one and a half, and the gain side faster:
    losses rise there.
    """
    places = [np.clip(each * fwhm, 1.0, None) for each in _EXCESS]
    channel = np.arange(min(near_gain.size, near_loss.size))
    if channel[-1] < places[1]:
        return np.zeros(distance.size)
    gain, loss = (
        np.interp(places, channel, side[: channel.size]) for side in (near_gain, near_loss)
    )
    near, far = loss - gain
    if not (far > 0 and near > _FALLS * far and near > _ASYMMETRIC * near_gain[0]):
        return np.zeros(distance.size)
    # The gain side falls faster, and is not the same on another scale.
    if loss[1] * gain[0] < _FALLS * loss[0] * gain[1]:
        return np.zeros(distance.size)
    decay = (places[1] - places[0]) / np.log(near / far)
    return np.where(distance >= places[0], near * np.exp(-(distance - places[0]) / decay), 0.0)
