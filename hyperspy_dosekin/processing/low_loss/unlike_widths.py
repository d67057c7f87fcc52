# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Zero-loss peaks that are wider or narrower than the others of the data."""

from __future__ import annotations

import numpy as np

#: Widths from the peak up to which it has a say.
_REACH = 2.5
#: Fewer spectra do not tell what is usual.
_FEWEST = 5
#: Logarithm of the mean square width by which a peak is unlike the others, and how many times as
#: far as they are from each other.
_UNLIKE, _SURELY_UNLIKE = 0.15, 10.0
#: Of a normal variable, its standard deviation by the median of its magnitude.
_SIGMA_PER_MAD = 1.4826


def unlike_others(around: np.ndarray, position: np.ndarray, fwhm: float) -> np.ndarray:
    """By which factor the mean square width of peaks is that of the others; 1 where it is alike.

    Whatever the place in its channel, it is the same within a percent where peaks have one shape.

    Parameters
    ----------
    around
        Intensities of the channels near peaks, NaN beyond the axis, shape ``(n_spectra, m)``.
    position
        Of each peak in these channels, shape ``(n_spectra,)``.
    fwhm
        Width of a typical peak in channels.

    Returns
    -------
    numpy.ndarray
        Shape ``(n_spectra,)``.

    Examples
    --------
    >>> place = np.arange(25) - 12 - np.linspace(-0.4, 0.4, 9)[:, np.newaxis]
    >>> around = np.exp(-0.5 * (place / 1.3) ** 2)
    >>> around[4] = np.minimum(around[4], 0.6)
    >>> print(unlike_others(around, 12 + np.linspace(-0.4, 0.4, 9), 3.1).round(2))
    [1.  1.  1.  1.  1.2 1.  1.  1.  1. ]
    """
    same = np.ones(len(around))
    if len(around) < _FEWEST:
        return same
    distance = np.arange(around.shape[-1]) - position[:, np.newaxis]
    weight = np.where(np.abs(distance) <= _REACH * fwhm, np.fmax(around, 0.0), 0.0)
    distance *= distance
    total, square = np.einsum("ij->i", weight), np.einsum("ij,ij->i", weight, distance)
    with np.errstate(invalid="ignore", divide="ignore"):
        width = np.log(square / total)
        away = width - np.nanmedian(width)
        spread = _SIGMA_PER_MAD * np.nanmedian(np.abs(away))
        return np.where(np.abs(away) > max(_UNLIKE, _SURELY_UNLIKE * spread), np.exp(away), same)
