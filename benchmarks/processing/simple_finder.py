# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simple finder of spikes: the median of neighbouring spectra and of neighbouring channels.

What `hyperspy_dosekin.processing.spikes` has to be better than, see ``ablation.py``. It looks at
all spectra at once, which the processing of chunks could not do without reading their neighbours.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import median_filter

#: Standard deviation of a normal variable in units of the median of its magnitude.
SIGMA_PER_MAD = 1.4826
#: Channels on either side, without the one in the middle and the next to it.
_REACH = 6


def find_simply(
    spectra: np.ndarray,
    position: np.ndarray,
    fwhm: np.ndarray,
    *,
    gain: float = 1.0,
    threshold: float = 5.0,
) -> np.ndarray:
    """Channels that exceed the medians of their neighbours.

    Parameters
    ----------
    spectra
        Shape ``(…, n_channels)``, in the order of the data.
    position, fwhm
        Channel and width of the zero-loss peak, shape ``(…)``.
    gain
        Of counts; where they have none, their scatter says how large the noise is.
    threshold
        In standard deviations.

    Returns
    -------
    numpy.ndarray
        Boolean, shape of the spectra.
    """
    n_channels = spectra.shape[-1]
    shift = np.round(position - np.median(position)).astype(int)
    index = np.arange(n_channels) + shift[..., np.newaxis]
    inside = (index >= 0) & (index < n_channels)
    index = np.clip(index, 0, n_channels - 1)
    aligned = np.take_along_axis(spectra, index, axis=-1).astype(float)
    distance = np.abs(index - position[..., np.newaxis]) / fwhm[..., np.newaxis]
    usable = inside & (distance > 2.5)
    total = np.maximum((aligned * usable).sum(axis=-1, keepdims=True), 1e-9)
    share = aligned / total
    lead = spectra.ndim - 1
    size = (5,) if lead == 1 else (3,) * lead
    around = np.ones((*size, 1), dtype=bool)
    around[tuple(each // 2 for each in size)] = False
    expected = median_filter(share, footprint=around, mode="nearest") * total
    beside = np.ones(2 * _REACH + 1, dtype=bool)
    beside[_REACH - 1 : _REACH + 2] = False
    beside = beside.reshape((1,) * lead + (-1,))
    difference = aligned - expected
    expected = expected + median_filter(difference, footprint=beside, mode="nearest")
    noise = np.sqrt(gain * np.maximum(expected, 0.0) + 0.5 * gain**2)
    score = (aligned - expected) / noise
    scale = SIGMA_PER_MAD * np.median(np.abs(score), axis=-1, keepdims=True)
    score /= np.maximum(scale, 1e-9) if gain != 1.0 else np.maximum(scale, 1.0)
    # Structure that neighbours do not share scatters in all spectra alike.
    usual = SIGMA_PER_MAD * np.median(np.abs(score).reshape(-1, n_channels), axis=0)
    score /= np.maximum(median_filter(usual, 15), 1.0)
    found = (score > threshold) & usable
    touched = np.zeros(spectra.shape, dtype=bool)
    np.put_along_axis(touched, index, found & inside, axis=-1)
    return touched
