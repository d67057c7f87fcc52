# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Noise of neighbouring channels that is alike: a detector that blurs counts, or interpolation.

A scintillator spreads an electron over several channels, and spectra that were aligned are means of
neighbours. The noise then has less power at high frequencies than at low ones, where features are:
channels count for less than their number.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.fft import dct
from scipy.optimize import nnls

#: Bins of the frequency, from this part of the highest one, where spectra have no features.
_BINS, _FROM = 16, 0.25
#: Blurs that are tried, standard deviation in channels: of larger ones nothing is left there.
_BLURS = np.linspace(0.1, 2.0, 39)
#: Power of the lowest quarter of the bins over that of the highest, from which it is looked for.
_FALLS = 1.25
#: Power at low frequencies, relative to the mean one, from which noise is taken for blurred.
_CLEAR = 1.15


def power(n_channels: int, blur: float, white: float) -> np.ndarray:
    """Power of noise at the frequencies of a cosine transform, of mean 1, ``(n_channels,)``.

    Parameters
    ----------
    n_channels
        Number of channels.
    blur
        Standard deviation of a Gaussian blur, channels.
    white
        Part of the power at frequency 0 that was added after the blur.
    """
    frequency = np.arange(n_channels) / (2 * n_channels)
    found = white + (1 - white) * np.exp(-((2 * np.pi * blur * frequency) ** 2))
    return found / found.mean()


def blurring(n_channels: int, blur: float, white: float) -> np.ndarray:
    """Matrix that gives white noise, a row of it from the left, that power."""
    waves = np.asarray(dct(np.eye(n_channels), norm="ortho", axis=1))
    return (waves * np.sqrt(power(n_channels, blur, white))) @ waves.T


def find_blur(white: np.ndarray) -> tuple[float, float]:
    """Blur and part of white noise of residuals in units of their standard deviation.

    Parameters
    ----------
    white
        What the principal components leave of spectra, ``(n, n_channels)``.

    Returns
    -------
    See `power`; (0, 1) where the noise is not clearly blurred.
    """
    n_channels = white.shape[1]
    waves = np.asarray(dct(white, norm="ortho", axis=1))
    place = np.arange(n_channels) / n_channels
    seen = (waves**2).mean(axis=0)
    edges = np.linspace(_FROM, 1, _BINS + 1)
    inside = [(place >= low) & (place < high) for low, high in pairwise(edges)]
    inside = [part for part in inside if part.any()]
    level = np.maximum(np.array([seen[part].mean() for part in inside]), 1e-12)
    quarter = max(len(level) // 4, 1)
    best, least = (0.0, 1.0), np.inf
    if level[:quarter].mean() < _FALLS * level[-quarter:].mean():
        return best
    for blur in _BLURS:
        curve = np.exp(-((np.pi * blur * place) ** 2))
        smooth = np.array([curve[part].mean() for part in inside])
        design = np.stack([smooth, np.ones_like(smooth)], axis=1) / level[:, None]
        amounts, misfit = nnls(design, np.ones_like(level))
        if misfit < least:
            best, least = (float(blur), float(amounts[1] / max(amounts.sum(), 1e-12))), misfit
    return best if power(n_channels, *best)[0] > _CLEAR else (0.0, 1.0)
