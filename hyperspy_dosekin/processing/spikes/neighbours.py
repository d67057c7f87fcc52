# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Spikes that the neighbouring channels of the same spectrum betray."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hyperspy_dosekin.processing.spikes.prediction import (
    REACH,
    Predictor,
    SpikeTests,
    logarithm,
    predict_all,
)
from hyperspy_dosekin.processing.spikes.structure import SIGMA_PER_MEDIAN, SPARE, KnownStructure

#: … and the flexible prediction, which structure of the specimen cannot fool, by so many fewer;
_LENIENCE = 1.1
#: or the flexible prediction alone by so many more.
_STRICTNESS = 0.5
#: A pair stands out more than a channel does, so that more can be asked of it.
_PAIR, _PAIR_LENIENCE = 0.8, 0.6
#: Standard deviations by which each channel of a pair has to exceed the prediction.
_EACH = 2.3


@dataclass(frozen=True, eq=False)
class Found:
    """Spikes in some spectra.

    Parameters
    ----------
    row, channel, width
        Spectrum, first channel and number of channels of each, shape ``(n_spike,)``.
    value, variance
        What belongs there and how well that is known, shape ``(n_spike, most channels)``.
    again
        Spectra that may have more of them.
    """

    row: np.ndarray
    channel: np.ndarray
    width: np.ndarray
    value: np.ndarray
    variance: np.ndarray
    again: np.ndarray


@dataclass(frozen=True, eq=False)
class OwnNeighbours:
    """Finds what exceeds the polynomials through the neighbouring channels.

    Parameters
    ----------
    gain, offset, structure, threshold
        As for `remove_spikes`.
    """

    gain: float
    offset: float | np.ndarray
    structure: KnownStructure | None
    threshold: float

    def suspicious(self, spectra: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
        """Rows that may have a spike outside the channels from `first` to `last`."""
        return _suspicious(spectra, self.gain, self.offset, first, last, self.threshold)

    def strongest(
        self, spectra: np.ndarray, rows: np.ndarray, protected: np.ndarray, touched: np.ndarray
    ) -> Found:
        """Spikes that no stronger one is near to.

        Parameters
        ----------
        spectra
            Some of them, shape ``(n_rows, n_channels)``.
        rows
            Which they are, shape ``(n_rows,)``.
        protected, touched
            Channels that must not be touched, and those that have been; boolean, shape of
            `spectra`.
        """
        known = np.zeros((2, 1, 1))
        if self.structure is not None:
            known = self.structure.of(rows, spectra.shape[-1])
        offset = self.offset
        if np.ndim(offset) > 1:
            offset = np.asarray(offset)[rows]
        closed = protected | touched
        return _strongest(spectra, self.gain, offset, protected, closed, known, self.threshold)


def _suspicious(
    spectra: np.ndarray,
    gain: float,
    offset: float | np.ndarray,
    first: np.ndarray,
    last: np.ndarray,
    threshold: float,
) -> np.ndarray:
    """Rows that may have a spike: a quick look that misses none, since most rows have none.

    For what exceeds a prediction, the difference of the logarithms times the intensity is more
    than the excess. Single precision is enough to tell where to look again.
    """
    tests = SpikeTests.of(spectra.shape[-1])
    floor = np.asarray(4 * np.sqrt(gain**2 + offset), dtype=np.float32)
    score = spectra.astype(np.float32)
    np.maximum(score, -0.75 * floor, out=score)
    score += floor
    level = np.log(score)
    sigma, *differences = predict_all(
        (tests.level, tests.single, tests.single_flexible, tests.double, tests.double_flexible),
        level,
    )
    for each in differences:
        np.subtract(level, each, out=each)
    np.exp(sigma, out=sigma)
    sigma -= floor
    np.maximum(sigma, 0.0, out=sigma)
    sigma *= np.float32(gain)
    sigma += np.asarray(offset + SPARE * gain**2, dtype=np.float32)
    np.sqrt(sigma, out=sigma)
    score /= sigma
    rows = []
    for smooth, flexible, margin, lenience in (
        (tests.single, tests.single_flexible, 0.0, _LENIENCE),
        (tests.double, tests.double_flexible, _PAIR, _PAIR_LENIENCE),
    ):
        own = 1.0 if smooth is tests.single else 0.5
        strict = _STRICTNESS if own == 1.0 else 0.0
        limits = (threshold + margin, threshold - lenience, threshold + margin + strict)
        noise = [np.sqrt(own + test.variance) for test in (smooth, flexible)]
        difference = differences[:2] if own == 1.0 else differences[2:]
        scaled = [
            (limit * by).astype(np.float32)
            for limit, by in zip(limits, (noise[0], noise[1], noise[1]), strict=True)
        ]
        bound, bound_flexible = (_bound(each, level, score, own) for each in difference)
        row, column = np.nonzero(
            ((bound > scaled[0]) & (bound_flexible > scaled[1])) | (bound_flexible > scaled[2])
        )
        open_ = (column < first[row, 0]) | (column > last[row, 0])
        row, column = row[open_], column[open_]
        # The few that are left are looked at without the approximation.
        exact = []
        for each, by in zip(difference, noise, strict=True):
            expected = np.exp(level[row, column] - each[row, column]) - _at(floor, row, column)
            excess = (spectra[row, column] - expected) / sigma[row, column]
            if own == 0.5:
                after = np.minimum(column + 1, spectra.shape[-1] - 1)
                excess += (spectra[row, after] - expected) / sigma[row, after]
                excess *= 0.5
            # What single precision has lost.
            exact.append(excess / by[column] + 0.01)
        spiky = (exact[0] > limits[0]) & (exact[1] > limits[1])
        rows.append(row[spiky | (exact[1] > limits[2])])
    return np.unique(np.concatenate(rows))


def _bound(difference: np.ndarray, level: np.ndarray, score: np.ndarray, own: float) -> np.ndarray:
    """At least the excess of each channel, or of it and the next one, in standard deviations."""
    if own == 1.0:
        return difference * score
    bound = level[:, 1:] - level[:, :-1]
    bound += difference[:, :-1]
    bound *= score[:, 1:]
    whole = difference * score
    whole[:, :-1] += bound
    whole *= np.float32(0.5)
    whole[:, -1] = 0.0
    return whole


def _at(value: Any, row: np.ndarray, column: np.ndarray) -> Any:
    """Entries of an array of the shape of the spectra; a number is the same for all."""
    return value[row, column] if np.ndim(value) > 1 else value


def _widened(
    expected: np.ndarray, sigma: np.ndarray, structure: np.ndarray, factor: np.ndarray
) -> np.ndarray:
    """Factor by which known structure widens the scatter around a prediction."""
    relative = structure * np.maximum(expected, 0.0) / sigma
    return np.sqrt(1 + relative**2 / factor)


def _nanmedian(values: np.ndarray) -> np.ndarray:
    """Median of each row without its NaN, shape ``(n, 1)``; 0 where nothing is left."""
    ordered = np.sort(values, axis=-1)
    number = values.shape[-1] - np.isnan(values).sum(axis=-1)
    middle = np.maximum(number // 2, 0)
    median = np.take_along_axis(ordered, np.minimum(middle, values.shape[-1] - 1)[:, None], -1)
    return np.nan_to_num(median)


def _strongest(
    spectra: np.ndarray,
    gain: float,
    offset: float | np.ndarray,
    protected: np.ndarray,
    closed: np.ndarray,
    structure: np.ndarray,
    threshold: float,
) -> Found:
    """Spikes that no stronger one is near to."""
    n_channels = spectra.shape[-1]
    tests = SpikeTests.of(n_channels)
    floor = 4 * np.sqrt(gain**2 + offset)
    level = logarithm(spectra, floor)
    # Some noise where no electron is expected, so that a single one is no outlier. The level
    # of the noise comes from more channels than the prediction, which a few low ones would lower.
    sigma = np.exp(tests.level(level)) - floor
    sigma = np.sqrt(gain * np.maximum(sigma, 0.0) + offset + SPARE * gain**2)

    def excess(test: Predictor) -> tuple[np.ndarray, np.ndarray]:
        expected = np.exp(test(level)) - floor
        return expected, (spectra - expected) / sigma

    smooth, single = excess(tests.single)
    flexible, rough = excess(tests.single_flexible)
    single /= np.sqrt(1 + tests.single.variance)
    rough /= np.sqrt(1 + tests.single_flexible.variance)
    # Cameras whose gain is not what is said, or with fixed patterns, scatter more than predicted.
    scatter = np.where(protected, np.nan, np.abs(rough))
    excessive = np.maximum(_nanmedian(scatter) * SIGMA_PER_MEDIAN, 1.0)
    sigma *= excessive
    single /= excessive
    rough /= excessive * _widened(flexible, sigma, structure[0], 1 + tests.single_flexible.variance)
    one = (single > threshold) & (rough > threshold - _LENIENCE)
    one |= rough > threshold + _STRICTNESS
    one &= ~closed

    pair_smooth, pair = excess(tests.double)
    pair_flexible, pair_rough = excess(tests.double_flexible)
    # The prediction at a channel is for the mean of it and the next one.
    after = (spectra[:, 1:] - pair_smooth[:, :-1]) / sigma[:, 1:]
    after_rough = (spectra[:, 1:] - pair_flexible[:, :-1]) / sigma[:, 1:]
    two = np.zeros_like(one)
    noise = np.sqrt(0.5 + tests.double.variance)
    noise_rough = np.sqrt(0.5 + tests.double_flexible.variance)
    widened = _widened(pair_flexible, sigma, structure[1], 0.5 + tests.double_flexible.variance)
    pair_rough /= widened
    after_rough /= widened[:, :-1]
    both = 0.5 * (pair[:, :-1] + after) / noise[:-1]
    both_rough = 0.5 * (pair_rough[:, :-1] + after_rough) / noise_rough[:-1]
    lower = np.minimum(pair[:, :-1], after)
    lower_rough = np.minimum(pair_rough[:, :-1], after_rough)
    two[:, :-1] = (
        (both > threshold + _PAIR) & (both_rough > threshold - _PAIR_LENIENCE) & (lower > _EACH)
    )
    two[:, :-1] |= (both_rough > threshold + _PAIR) & (lower_rough > _EACH)
    two &= ~closed
    two[:, :-1] &= ~closed[:, 1:]

    rows, columns = np.nonzero(one | two)
    strength = np.where(one, np.maximum(single, rough), 0.0)
    strength_two = np.zeros_like(strength)
    strength_two[:, :-1] = np.where(two[:, :-1], np.maximum(both, both_rough), 0.0)
    best = np.maximum(strength, strength_two)
    near = np.clip(columns[:, np.newaxis] + np.arange(-REACH, REACH + 1), 0, n_channels - 1)
    alone = best[rows, columns] >= best[rows[:, np.newaxis], near].max(axis=-1, initial=0.0)
    where = rows, columns = rows[alone], columns[alone]
    is_pair = strength_two[where] > strength[where]
    # Where the two predictions disagree there is structure, which only the flexible one follows.
    use_rough = np.abs(smooth[where] - flexible[where]) > 2 * sigma[where]
    choices = [is_pair & use_rough, is_pair, use_rough]
    value = np.select(
        choices, [pair_flexible[where], pair_smooth[where], flexible[where]], smooth[where]
    )
    makers = (tests.double_flexible, tests.double, tests.single_flexible)
    factor = np.select(
        choices, [maker.variance[columns] for maker in makers], tests.single.variance[columns]
    )
    plain = gain * np.maximum(value, 0.0) + np.broadcast_to(offset, spectra.shape)[where]
    value, variance = (
        np.repeat(each[:, np.newaxis], 2, axis=1) for each in (value, factor * plain)
    )
    return Found(rows, columns, np.where(is_pair, 2, 1), value, variance, np.unique(rows))
