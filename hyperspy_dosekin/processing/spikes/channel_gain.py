# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Channels whose gain differs from that of their neighbours."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import minimum_filter1d

from hyperspy_dosekin.processing.spikes.noise import SIGMA_PER_MAD
from hyperspy_dosekin.processing.spikes.polynomials import (
    FEWEST_CHANNELS,
    polynomial_weights,
    through,
)

#: Channels on either side that tell what belongs there.
_REACH = 3
#: Relative deviation, and standard deviations, that no band of a specimen has in one channel: gain
#: references of cameras leave less than 1 %.
_DEVIATION, _SIGNIFICANT = 0.02, 8
#: So many times what its neighbours deviate by once it is mended: bands of few channels, as on a
#: coarse axis, leave all of them as odd as they were.
_ALONE = 3


def odd_channels(total: np.ndarray, variance: np.ndarray, protected: np.ndarray) -> np.ndarray:
    """Channels whose gain differs from that of their neighbours, in the sum of many spectra.

    Parameters
    ----------
    total
        Sum of all spectra as recorded, shape ``(n_channels,)``.
    variance
        Noise variance of the sum, same shape.
    protected
        Channels that the zero-loss peak reaches, boolean, same shape.

    Returns
    -------
    numpy.ndarray
        Indices. A channel is listed if the sum deviates from a flexible prediction by more than
        2 % and by more than eight standard deviations, which no band of a specimen does.

    Examples
    --------
    >>> total = np.full(64, 1e6)
    >>> total[40] *= 0.95
    >>> odd_channels(total, total, np.zeros(64, dtype=bool))
    array([40])
    """
    if total.size < FEWEST_CHANNELS:
        return np.empty(0, dtype=np.intp)
    weights = polynomial_weights(1, reach=_REACH)
    with np.errstate(invalid="ignore", divide="ignore"):
        level = np.log(np.where(total > 0, total, np.nan))
        ratio = np.nan_to_num(level - through(np.nan_to_num(level), weights))
        deviation = np.nan_to_num(np.expm1(ratio))
        noise = np.nan_to_num(np.sqrt(np.maximum(variance, 0.0)) / total, posinf=np.inf, nan=np.inf)
        # Of few counts the logarithm has long tails, and neighbours know less than the channel.
        own = noise * np.sqrt(1 + (weights**2).sum())
        beside = np.hypot(noise, np.sqrt(through(np.minimum(noise, 1.0) ** 2, weights**2)))
        score = np.where(noise < 0.1, deviation / own, ratio / np.maximum(own, beside))
    usual = np.abs(score[~protected & np.isfinite(score)])
    scatter = max(float(np.median(usual)) * SIGMA_PER_MAD, 1.0) if usual.size else np.inf
    odd = (np.abs(deviation) > _DEVIATION) & (np.abs(score) > _SIGNIFICANT * scatter) & ~protected
    # What stands for the channels beyond the ends is no neighbour.
    odd[:_REACH] = odd[-_REACH:] = False
    # Nor are channels of nothing.
    odd &= np.asarray(minimum_filter1d(total, 2 * _REACH + 1)) > 0
    # The neighbours of an odd channel deviate too, their logarithms by less: only the first among
    # them is meant.
    size = np.where(odd, np.abs(ratio), 0.0)
    index = np.arange(total.size)[:, np.newaxis] + np.arange(-_REACH, _REACH + 1)
    largest = size[np.clip(index, 0, total.size - 1)].max(axis=-1)
    odd &= size >= largest
    mended = np.where(odd, through(np.nan_to_num(level), weights), np.nan_to_num(level))
    others = np.where(protected, 0.0, np.abs(mended - through(mended, weights)))
    others[:_REACH] = others[-_REACH:] = 0.0
    beside = others[np.clip(index, 0, total.size - 1)].max(axis=-1)
    return np.flatnonzero(odd & (size > _ALONE * beside))
