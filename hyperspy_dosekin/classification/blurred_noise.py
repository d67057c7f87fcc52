# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Noise of neighbouring channels that is alike: a detector that blurs counts, or interpolation.

A scintillator spreads an electron over several channels, spectra that were aligned are means of
neighbours, and read noise may hum. The noise then has less power at high frequencies than at low
ones, where features are. A filter makes it white again: spectra and references go through the same,
and channels are independent from then on.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.fft import dct
from scipy.optimize import nnls
from scipy.stats import chi2

#: Blurs that the noise may be a sum of, standard deviation in channels, beside none at all.
_BLURS = np.geomspace(0.2, 8.0, 19)
#: Bins of the frequency, so many evenly and so many in its logarithm.
_BINS = 24
#: Part of a frequency that the principal components may hold, for its rest to say something.
_HELD = 0.6
#: Bins in which the power of single spectra is compared, at most, the frequencies in one, at least,
#: and how much its logarithm scatters, beyond chance, where it is not the same in all spectra.
_WIDE_BINS, _IN_BIN, _UNSTEADY = 16, 8, 0.25
#: Power at some frequency, relative to the mean one, from which noise is taken for blurred.
_CLEAR = 1.15
#: Power at the highest frequencies, relative to the mean one, below which the counts themselves
#: were blurred, and the lines with them. Where references may not be, the filter must not amplify
#: what they differ by; it makes up for this power at least.
_COUNTS, _LEAST = 0.4, 1.0


def blurring(colour: np.ndarray) -> np.ndarray:
    """Matrix that gives white noise, a row of it from the left, a power ``(n_channels,)``."""
    return _filter(np.sqrt(colour))


def whitening(colour: np.ndarray, reach: float = 1.0) -> np.ndarray:
    """Matrix that makes noise of a power ``(n_channels,)`` white, but for weak frequencies.

    Parameters
    ----------
    colour
        Power of the noise.
    reach
        Part of the frequencies, from the lowest, that is kept.
    """
    kept = np.arange(colour.size) < reach * colour.size
    least = _LEAST if colour.min() < _COUNTS else 0.0
    return _filter(kept / np.sqrt(np.maximum(colour, least)))


def _filter(factor: np.ndarray) -> np.ndarray:
    waves = np.asarray(dct(np.eye(factor.size), norm="ortho", axis=1))
    return (waves * factor) @ waves.T


def find_colour(white: np.ndarray, components: np.ndarray) -> tuple[np.ndarray, float] | None:
    """Power of noise at the frequencies of a cosine transform, by what components leave.

    Where each spectrum was moved by its own part of a channel, the highest frequencies are weak in
    some and not in others: they say nothing, and are left out.

    Parameters
    ----------
    white
        What the principal components leave of spectra, in units of its standard deviation,
        ``(n, n_channels)``.
    components
        The components, ``(n_components, n_channels)``: what they hold of a frequency is missing.

    Returns
    -------
    Power of mean 1, ``(n_channels,)``, and the part of the frequencies, from the lowest, at which
    it is that of all spectra; ``None`` where the noise is not clearly blurred.
    """
    n_channels = white.shape[1]
    held = (np.asarray(dct(components, norm="ortho", axis=1)) ** 2).sum(axis=0)
    squares = np.asarray(dct(white, norm="ortho", axis=1)) ** 2
    even, low = np.linspace(0, n_channels, _BINS + 1), np.geomspace(1, n_channels, _BINS + 1) - 1
    edges = np.unique(np.round(np.concatenate([even, low[:-1]])).astype(int))
    curves = np.exp(-((np.pi * _BLURS[:, None] * np.arange(n_channels) / n_channels) ** 2))
    curves = np.concatenate([np.ones((1, n_channels)), curves])
    level, design, weight = [], [], []
    for low, high in pairwise(edges):
        number = high - low
        part = 1 - held[low:high].mean()
        if part < 1 - _HELD:
            continue
        # The median over spectra, so that single ones with features of their own do not count.
        power = squares[:, low:high].mean(axis=1)
        middle = np.median(power)
        level.append(middle * number / chi2.median(number) / part)
        design.append(curves[:, low:high].mean(axis=1))
        weight.append(np.sqrt(number * part))
    seen = np.maximum(np.array(level), 1e-12)
    fitted = seen
    for _ in range(3):
        pull = np.array(weight) / fitted
        amounts, _ = nnls(np.array(design) * pull[:, None], seen * pull)
        fitted = np.maximum(np.array(design) @ amounts, 1e-3 * seen.max())
    colour = amounts @ curves
    colour = np.maximum(colour / colour.mean(), 1e-4)
    return (colour, _steady(squares)) if colour.max() > _CLEAR else None


def _steady(squares: np.ndarray) -> float:
    """Part of the frequencies up to which spectra have the same power, but for a factor each."""
    n_channels = squares.shape[1]
    bins = min(_WIDE_BINS, n_channels // _IN_BIN)
    if bins < 4:
        return 1.0
    edges = np.linspace(0, n_channels, bins + 1).astype(int)
    scatter = []
    for low, high in pairwise(edges):
        few, many = np.quantile(squares[:, low:high].mean(axis=1), [0.1, 0.9])
        less, more = chi2.ppf([0.1, 0.9], high - low)
        wide = np.log(max(many / max(few, 1e-12), 1.0)) ** 2 - np.log(more / less) ** 2
        scatter.append(wide / 2.5631**2)
    # Of whole spectra, whose noise may differ: the usual one of the lower half.
    unsteady = np.array(scatter) - np.median(scatter[: bins // 2]) > _UNSTEADY**2
    unsteady[: bins // 4] = False
    return float(edges[int(unsteady.argmax())] / n_channels) if unsteady.any() else 1.0
