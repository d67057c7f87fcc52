# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The area of a mirrored zero-loss peak of few channels.

Between channels nothing is recorded, and what is drawn there of a peak of two channels is wrong by
a percent of its area, with the fraction of a channel at which it lies. A Gaussian of the same width
at the same fraction is wrong by nearly as much, and its area is known.
"""

from __future__ import annotations

import numpy as np

from hyperspy_dosekin.numerics.arrays import astype, namespace, normal_distribution
from hyperspy_dosekin.processing.low_loss.peak_shape import reflect
from hyperspy_dosekin.processing.low_loss.zero_loss import SIGMA_PER_FWHM, find_zero_loss

#: Of wider peaks, in channels, the area is right within a thousandth.
WIDEST = 4.0
#: Widths are told by so much, and one spectrum more or less does not change all others.
_STEP = 0.05
#: Widths that are tried, and places of peaks that are looked at, at most.
_WIDTHS, _PLACES = np.linspace(1.0, WIDEST, 31), 32
#: Largest share of the area that is put right: below 1.5 channels nothing is known.
_MOST = 0.1


def _gaussian(width: np.ndarray | float, fraction: np.ndarray, reach: int) -> np.ndarray:
    """Contents of channels of Gaussians of area 1, shape ``(n, 2 reach + 1)``.

    `width` is a number or shape ``(n, 1)``.
    """
    xp = namespace(fraction)
    edge = xp.arange(-reach, reach + 2) - 0.5 - fraction[:, np.newaxis]
    return xp.diff(normal_distribution(edge / (SIGMA_PER_FWHM * width)), axis=-1)


def width_of_core(position: np.ndarray, fwhm: float) -> float | None:
    """Width of the peak behind that which few channels show, in channels.

    Parameters
    ----------
    position
        Channels of the peaks, fractions, shape ``(n,)``.
    fwhm
        Median of their widths as `find_zero_loss` gives them.

    Returns
    -------
    float or None
        ``None`` where the peak has so many channels that it does not matter.
    """
    if not 0 < fwhm < WIDEST:
        return None
    few = position[np.linspace(0, position.size - 1, min(position.size, _PLACES)).astype(int)]
    fraction = np.tile(few - np.round(few), _WIDTHS.size)
    models = _gaussian(np.repeat(_WIDTHS, few.size)[:, np.newaxis], fraction, 16)
    shown = find_zero_loss(models, widest=16).fwhm.reshape(_WIDTHS.size, few.size)
    middle = np.maximum.accumulate(np.nan_to_num(np.median(shown, axis=-1), posinf=0.0))
    return _STEP * round(float(np.interp(fwhm, middle, _WIDTHS)) / _STEP)


def with_its_area(mirrored: np.ndarray, centre: np.ndarray, width: float) -> np.ndarray:
    """Mirrored peaks whose area is put right, in the channels of the mirror image.

    Parameters
    ----------
    mirrored
        From `reflect`, shape ``(n, n_channels)``.
    centre
        Channel of each, shape ``(n,)``.
    width
        From `width_of_core`.

    Examples
    --------
    >>> peak = np.array([0.0, 0.0, 0.1, 0.5, 0.4, 0.1, 0.0, 0.0])[np.newaxis]
    >>> with_its_area(peak, np.array([3.0]), 2.0).sum().round(3)
    np.float64(1.1)
    """
    xp, reach = namespace(mirrored), int(np.ceil(4 * width)) + 2
    fraction = centre - xp.round(centre)
    seen = reflect(_gaussian(width, fraction, reach), reach + fraction).sum(axis=-1)
    missing = xp.clip(1 / seen - 1, -_MOST, _MOST)
    beyond = xp.arange(mirrored.shape[-1]) > centre[:, np.newaxis]
    weight = xp.where(beyond, xp.maximum(mirrored, 0.0), 0.0) ** 2
    total = weight.sum(axis=-1, keepdims=True)
    share = weight / xp.where(total > 0, total, 1.0)
    added = missing[:, np.newaxis] * mirrored.sum(axis=-1, keepdims=True) * share
    return astype(mirrored + added, mirrored.dtype)
