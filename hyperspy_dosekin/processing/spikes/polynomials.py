# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Spikes that the neighbouring channels of the same spectrum betray."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.ndimage import correlate1d

from hyperspy_dosekin.processing.spikes.found import (
    EACH,
    ROUNDS,
    Outliers,
    limit,
    next_of,
    pairs_of,
)
from hyperspy_dosekin.processing.spikes.lines import BESIDE, line_height
from hyperspy_dosekin.processing.spikes.noise import Noise, local_scale, of_few_counts

#: Channels on either side, and order, of the polynomial: of those tried, 4 to 6 and 3 or 5, the
#: one that removes most without taking the tail of the zero-loss peak for spikes.
_REACH, _ORDER = 6, 5
#: Channels at either end that stand for those beyond.
_END = 5
#: Fewer channels cannot be searched.
FEWEST_CHANNELS = 24
#: Part of its excess by which a spike exceeds the four channels beside it too, what noise may take
#: from that in standard deviations, and the weights of these in a cubic, for one channel and two.
_STANDS_OUT, _NOISE_OF_CUBIC = 0.6, 2.5
_CUBIC = {1: np.array([-1.0, 4.0, 4.0, -1.0]) / 6, 2: np.array([-9.0, 25.0, 25.0, -9.0]) / 32}
#: Standard deviations of the noise at which the logarithm ends.
_FLOOR = 4.0


def remove_by_channels(
    spectra: np.ndarray,
    noise: Noise,
    closed: np.ndarray,
    threshold: float,
    fwhm: float = np.nan,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Replace what exceeds a polynomial through the neighbouring channels.

    The polynomial is fitted by least squares to the logarithm of the intensities, in which the
    flanks of the zero-loss peak are smooth; the channels in question are left out. The scale of the
    noise is that of the spectrum itself.

    Parameters
    ----------
    spectra
        Shape ``(n_spectra, n_channels)``, with `FEWEST_CHANNELS` at least.
    noise
        Of these spectra.
    closed
        Channels that must not be touched, boolean, same shape.
    threshold
        In standard deviations.
    fwhm
        Width of the zero-loss peak in channels. What is as wide is a line and no spike; NaN where
        lines are to be found too.

    Returns
    -------
    Cleaned spectra, replaced channels and their noise variance, all of that shape.
    """
    cleaned = spectra.copy()
    touched = np.zeros(spectra.shape, dtype=bool)
    replaced = np.zeros(spectra.shape)
    rows = np.arange(len(spectra))
    for _ in range(ROUNDS):
        if not rows.size:
            break
        found = _judge(
            cleaned[rows], noise.part(rows), closed[rows] | touched[rows], threshold, fwhm
        ).strongest()
        found.replace(rows, (cleaned, touched, replaced))
        rows = rows[np.unique(found.row)]
    return cleaned, touched, replaced


def scatter(spectra: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Deviations from the polynomials, in units of those of single channels, and what they say.

    The third array is true where the size of the deviations tells the noise: not of few counts.
    """
    weights = polynomial_weights(1)
    predicted = through(spectra, weights)
    deviation = (spectra - predicted) / np.sqrt(1 + (weights**2).sum())
    return deviation, predicted, ~of_few_counts(spectra)


def _judge(
    spectra: np.ndarray, noise: Noise, closed: np.ndarray, threshold: float, fwhm: float
) -> Outliers:
    """Single channels and pairs that exceed the limit."""
    quietest = noise.variance(np.zeros(1))
    floor = _FLOOR * np.sqrt(quietest.min(axis=-1, keepdims=True))
    logarithm = np.log(np.maximum(spectra, -0.75 * floor) + floor)
    # The level of the noise comes from more channels than the prediction does, which a few low
    # ones would lower.
    level = np.exp(through(logarithm, polynomial_weights(1, order=1))) - floor
    variance = noise.variance(level)
    sigma = np.sqrt(variance)
    found, scale = [], np.ones(1)
    for width in (1, 2):
        weights = polynomial_weights(width)
        expected = np.exp(through(logarithm, weights)) - floor
        of_prediction = (weights**2).sum()
        first = (spectra - expected) / sigma
        if width == 1:
            score = first / np.sqrt(1 + of_prediction)
            scale = local_scale(score)
            shut = closed
        else:
            second = (next_of(spectra) - expected) / next_of(sigma)
            score = 0.5 * (first + second) / np.sqrt(1 / width + of_prediction)
            shut = pairs_of(closed) | (np.minimum(first, second) < EACH * scale)
        score /= scale
        score -= limit(width, threshold)
        score[shut] = 0.0
        row, channel = np.divmod(np.flatnonzero(score > 0), score.shape[-1])
        excess = score[row, channel]
        if row.size and np.isfinite(fwhm):
            base = np.exp(through(logarithm, polynomial_weights(width + 2 * BESIDE, order=3)))
            one_electron = noise.electron_in(row) / sigma[row, channel]
            without = _without_line(
                (spectra, base - floor, sigma), width, row, channel, one_electron, fwhm
            )
            excess = np.minimum(excess, without / scale[row, channel] - limit(width, threshold))
        values = expected[row, channel]
        excess = np.where(
            _stands_out(
                (logarithm, floor), spectra, width, row, channel, values,
                sigma[row, channel] * scale[row, channel],
            ),
            excess, 0.0,
        )  # fmt: skip
        uncertainty = of_prediction * variance[row, channel] * scale[row, channel] ** 2
        both = (np.stack([each, each], axis=-1) for each in (values, uncertainty))
        found.append(Outliers(row, channel, np.full(row.size, width), excess, *both))
    return Outliers.joined(found)


def _stands_out(
    beside: tuple[np.ndarray, np.ndarray],
    spectra: np.ndarray,
    width: int,
    row: np.ndarray,
    channel: np.ndarray,
    expected: np.ndarray,
    sigma: np.ndarray,
) -> np.ndarray:
    """Whether channels exceed a cubic through the four nearest too, by a half of their excess.

    A polynomial through twelve channels does not follow every bend of a spectrum, and without noise
    what it misses is many standard deviations.

    Parameters
    ----------
    beside
        Logarithms of all intensities, and their floor.
    spectra, width, row, channel
        As for `_without_line`.
    expected, sigma
        By the polynomial, and the standard deviation of the noise, shape ``(n,)``.
    """
    logarithm, floor = beside
    last = logarithm.shape[-1] - 1
    place = channel[:, np.newaxis] + np.array([-2, -1, width, width + 1])
    near = logarithm[row[:, np.newaxis], np.clip(place, 0, last)]
    cubic = np.exp(near @ _CUBIC[width]) - np.broadcast_to(floor, (len(spectra), 1))[row, 0]
    own = 0.5 * (spectra[row, channel] + spectra[row, np.minimum(channel + width - 1, last)])
    enough = own - cubic + _NOISE_OF_CUBIC * sigma >= _STANDS_OUT * (own - expected)
    return enough | (place[:, 0] < 0) | (place[:, -1] > last)


def _without_line(
    spectra: tuple[np.ndarray, np.ndarray, np.ndarray],
    width: int,
    row: np.ndarray,
    channel: np.ndarray,
    one_electron: np.ndarray,
    fwhm: float,
) -> np.ndarray:
    """What channels have beyond a line as wide as the zero-loss peak; infinite without a line.

    Parameters
    ----------
    spectra
        Intensities, what channels farther away say of those between, and the standard deviation.
    width, row, channel, fwhm
        As for `line_height`.
    one_electron
        What an electron adds, in standard deviations, shape ``(n,)``.

    Returns
    -------
    In standard deviations, shape ``(n,)``.
    """
    intensity, base, sigma = spectra
    last = intensity.shape[-1] - 1
    place = np.clip(channel[:, np.newaxis] + np.arange(-BESIDE, width + BESIDE), 0, last)
    # The prediction is for the channels from this one on.
    below = base[row, place[:, 0]][:, np.newaxis]
    residual = (intensity[row[:, np.newaxis], place] - below) / sigma[row[:, np.newaxis], place]
    every = np.arange(row.size)
    height, spread = line_height(residual, width, every, np.full(row.size, BESIDE), fwhm)
    mean = residual[:, BESIDE : BESIDE + width].mean(axis=-1)
    of_base = (polynomial_weights(width + 2 * BESIDE, order=3) ** 2).sum()
    shot = 1.0 + one_electron * height
    score = (mean - height) / np.sqrt(shot * (1 / width + spread**2) + of_base)
    return np.where(height > 0, score, np.inf)


def through(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Predict every channel of ``(…, n_channels)`` from its neighbours."""
    # Beyond the ends the median of the last channels: of two that a spike has, it does not know.
    beyond = weights.size // 2
    ends = (values[..., :_END], values[..., -_END:])
    left, right = (np.repeat(_middle(end), beyond, axis=-1) for end in ends)
    padded = np.concatenate([left, values, right], axis=-1)
    return correlate1d(padded, weights, axis=-1)[..., beyond:-beyond]


def _middle(five: np.ndarray) -> np.ndarray:
    """Median of five numbers, shape ``(…, 1)``, by comparisons: NumPy's takes longer for so few."""
    first, second, third, fourth, last = np.split(five, _END, axis=-1)
    low = np.maximum(np.minimum(first, second), np.minimum(third, fourth))
    high = np.minimum(np.maximum(first, second), np.maximum(third, fourth))
    return np.maximum(np.minimum(low, high), np.minimum(np.maximum(low, high), last))


@lru_cache
def polynomial_weights(width: int, reach: int = _REACH, order: int = _ORDER) -> np.ndarray:
    """Weights of neighbouring channels in a polynomial of least squares.

    Parameters
    ----------
    width
        Channels, from the predicted one on, that have no say; the prediction is for their mean.
    reach
        Channels used beyond them on either side.
    order
        Of the polynomial.

    Returns
    -------
    numpy.ndarray
        Shape ``(2 * (reach + width) + 1,)``, with the predicted channel in the middle.
    """
    offset = np.arange(-reach - width, reach + width + 1)
    within = (offset >= 0) & (offset < width)
    used = (offset >= -reach) & (offset < reach + width) & ~within
    powers = np.arange(order + 1)
    # In units of the reach, for the sake of the condition number.
    centred = (offset[:, np.newaxis] - 0.5 * (width - 1)) / reach
    weights = np.zeros(offset.size)
    wanted = (centred[within] ** powers).mean(axis=0)
    weights[used] = wanted @ np.linalg.pinv(centred[used] ** powers)
    weights.setflags(write=False)
    return weights
