# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all spectra have in common and is no spike: structure of the specimen, and odd channels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hyperspy_dosekin.processing.spikes.prediction import (
    REACH,
    SpikeTests,
    fewest_channels,
    logarithm,
    predictor,
)

#: Variance added to that of counting, in electrons: few counts are not normally distributed.
SPARE = 0.8
#: Variances of noise that a deviation of the median spectrum exceeds to be structure.
_SIGNIFICANT = 6.0
#: Spectra that tell the structure of all from a spike in one.
_FEWEST_FOR_STRUCTURE = 5
#: Standard deviation of a normal number, in units of the median of its magnitude.
SIGMA_PER_MEDIAN = 1.4826


def structure_of(
    spectra: np.ndarray, position: np.ndarray, *, gain: float, offset: float
) -> np.ndarray | None:
    """Find what all spectra have that the flexible predictions do not follow.

    Parameters
    ----------
    spectra
        Some of the spectra, shape ``(n_spectra, n_channels)``.
    position
        Channel of the zero-loss peak of each, shape ``(n_spectra,)``.
    gain, offset
        As for `remove_spikes`.

    Returns
    -------
    numpy.ndarray or None
        Relative deviation of the median spectrum for one channel and for two, shape
        ``(2, 2 * n_channels)``, with the zero-loss peak at channel ``n_channels``. ``None`` if
        there are too few spectra.
    """
    number, n_channels = spectra.shape
    if number < _FEWEST_FOR_STRUCTURE:
        return None
    start = n_channels - np.round(position).astype(np.intp)
    aligned = np.full((number, 2 * n_channels), np.nan)
    index = np.clip(start[:, np.newaxis] + np.arange(n_channels), 0, 2 * n_channels - 1)
    np.put_along_axis(aligned, index, spectra, axis=-1)
    covered = np.flatnonzero(np.isfinite(aligned).all(axis=0))
    found = np.zeros((2, 2 * n_channels))
    if covered.size < fewest_channels():
        return None
    part = slice(int(covered[0]), int(covered[-1]) + 1)
    median = np.median(aligned[:, part], axis=0)
    tests = SpikeTests.of(median.size)
    floor = 4 * np.sqrt(gain**2 + offset)
    level = logarithm(median[np.newaxis], floor)
    sigma = np.sqrt(gain * np.maximum(median, 0.0) + offset + SPARE * gain**2)
    for row, (test, width) in enumerate(((tests.single_flexible, 1), (tests.double_flexible, 2))):
        expected = np.exp(test(level)[0]) - floor
        excess = median - expected
        if width == 2:
            excess[:-1] = 0.5 * (median[:-1] + median[1:]) - expected[:-1]
        # A median is noisy too, 1.57 times as much as a mean.
        noise = (1 / width + test.variance) * 1.57 / number * sigma**2
        significant = np.sqrt(np.maximum(excess**2 - _SIGNIFICANT * noise, 0.0))
        deviation = np.where(median > 0, significant / np.maximum(median, 1e-300), 0.0)
        # Between channels it may be larger.
        around = np.stack([np.roll(deviation, step) for step in (-1, 0, 1)])
        found[row, part] = around.max(axis=0)
    return found


@dataclass(frozen=True, eq=False)
class KnownStructure:
    """Structure of all spectra, and where it lies in some of them.

    Parameters
    ----------
    deviation
        From `structure_of`.
    start
        Its entry for the first channel of each spectrum, shape ``(n_spectra,)``.
    """

    deviation: np.ndarray
    start: np.ndarray

    def of(self, rows: np.ndarray, n_channels: int) -> np.ndarray:
        """Deviation for one channel and for two, shape ``(2, n_rows, n_channels)``."""
        index = self.start[rows, np.newaxis] + np.arange(n_channels)
        return self.deviation[:, np.clip(index, 0, self.deviation.shape[-1] - 1)]


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
    if total.size < fewest_channels():
        return np.empty(0, dtype=np.intp)
    maker = predictor(total.size, (0,), 3, 5)
    with np.errstate(invalid="ignore", divide="ignore"):
        level = np.log(np.where(total > 0, total, np.nan))
        deviation = np.nan_to_num(np.expm1(level - maker(np.nan_to_num(level))))
        noise = np.nan_to_num(np.sqrt(np.maximum(variance, 0.0)) / total, posinf=np.inf, nan=np.inf)
        score = deviation / (noise * np.sqrt(1 + maker.variance))
    usual = np.abs(score[~protected & np.isfinite(score)])
    scatter = max(float(np.median(usual)) * SIGMA_PER_MEDIAN, 1.0) if usual.size else np.inf
    odd = (np.abs(deviation) > 0.02) & (np.abs(score) > 8 * scatter) & ~protected
    odd[:REACH] = odd[-REACH:] = False
    # The neighbours of an odd channel deviate too, by less: only the first among them is meant.
    size = np.where(odd, np.abs(deviation), 0.0)
    index = np.arange(total.size)[:, np.newaxis] + np.arange(-3, 4)
    largest = size[np.clip(index, 0, total.size - 1)].max(axis=-1)
    return np.flatnonzero(odd & (size >= largest))
