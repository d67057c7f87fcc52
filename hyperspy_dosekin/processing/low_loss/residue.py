# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the mirror image of the gain side may leave of the zero-loss peak among the losses."""

from __future__ import annotations

import numpy as np

#: Widths from the peak between which its asymmetry is seen: nearer it has none, further are losses.
_ASYMMETRY = (0.5, 1.5)
#: Asymmetry that is believed at most: more are losses.
_MOST = 1.0
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
    its top. Beyond its end it is a tail that falls as one over the energy from the level at the end
    on: so do vacuum spectra of two monochromated instruments that come with EELSfitter.

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
    if ended:
        return residue
    several = max(_FEWEST, int(_SHARE * gain_side.size))
    level = max(float(gain_side[-several:].mean()), 0.0) / area
    return np.where(distance > end, level * end / np.maximum(distance, 1.0), residue)
