# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""X-ray spikes: found by what the neighbouring channels predict, and replaced by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.ndimage import correlate1d

#: A channel is a spike if it exceeds the smooth prediction by so many standard deviations …
THRESHOLD = 4.1
#: … and the flexible prediction, which structure of the specimen cannot fool, by so many fewer;
_LENIENCE = 1.0
#: or the flexible prediction alone by so many more.
_STRICTNESS = 0.5
#: A pair stands out more than a channel does, so that more can be asked of it.
_PAIR, _PAIR_LENIENCE = 0.7, 0.6
#: Standard deviations by which each channel of a pair has to exceed the prediction.
_EACH = 2.0
#: Variance added to that of counting, in electrons: few counts are not normally distributed.
_SPARE = 0.8
#: Channels on either side of one that a prediction uses.
_REACH = 6
#: Spikes of one spectrum that lie so near each other are judged one after the other.
_ROUNDS = 3


@dataclass(frozen=True, eq=False)
class Predictor:
    """Least-squares polynomial through the neighbours of each channel, itself left out.

    Parameters
    ----------
    kernel
        Weights of the channels from `-_REACH` to `_REACH`, for channels far from the ends.
    first
        Weights of the first channels for each of the first `_REACH` channels; those at the other
        end are mirror images.
    last
        The same at the other end.
    variance
        Variance of the prediction in units of that of a channel, shape ``(n_channels,)``.
    """

    kernel: np.ndarray
    first: np.ndarray
    last: np.ndarray
    variance: np.ndarray

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Predict every channel of ``(…, n_channels)``."""
        predicted = correlate1d(values, self.kernel, axis=-1, mode="nearest")
        n_end = self.first.shape[1]
        predicted[..., :_REACH] = values[..., :n_end] @ self.first.T
        predicted[..., -_REACH:] = values[..., -n_end:] @ self.last.T
        return predicted


@lru_cache(maxsize=32)
def predictor(n_channels: int, left_out: tuple[int, ...], reach: int, order: int) -> Predictor:
    """Make a predictor of the mean of the channels `left_out`.

    Parameters
    ----------
    n_channels
        Length of the spectra, at least ``2 * _REACH + 1``.
    left_out
        Channels, relative to the predicted one, that must not have a say; the prediction is for
        their mean.
    reach
        Channels used beyond them on either side.
    order
        Of the polynomial.
    """
    used = [
        offset
        for offset in range(min(left_out) - reach, max(left_out) + reach + 1)
        if offset not in left_out
    ]
    kernel = np.zeros(2 * _REACH + 1)
    kernel[np.array(used) + _REACH] = _polynomial_weights(used, order, left_out)
    n_end = 2 * _REACH + max(left_out) + 1
    variance = np.full(n_channels, (kernel**2).sum())
    ends = np.zeros((2, _REACH, n_end))
    for place in range(_REACH):
        for side, channel in ((0, place), (1, n_end - _REACH + place)):
            near = [
                offset
                for offset in range(-channel, n_end - channel)
                if offset not in left_out and abs(offset) <= _REACH + max(left_out)
            ]
            weights = _polynomial_weights(
                near,
                min(order, 2 if place * (1 - side) + (_REACH - 1 - place) * side > 1 else 1),
                left_out,
            )
            ends[side, place, np.array(near) + channel] = weights
            target = place if side == 0 else n_channels - _REACH + place
            variance[target] = (weights**2).sum()
    return Predictor(kernel, ends[0], ends[1], variance)


def _polynomial_weights(offsets: Sequence[int], order: int, left_out: Sequence[int]) -> np.ndarray:
    """Weights of channels in the value of the fitted polynomial, mean over `left_out`."""
    powers = np.arange(order + 1)
    # In units of the reach, for the sake of the condition number.
    scaled = np.asarray(offsets, dtype=float)[:, np.newaxis] / _REACH
    wanted = (np.asarray(left_out, dtype=float)[:, np.newaxis] / _REACH) ** powers
    return wanted.mean(axis=0) @ np.linalg.pinv(scaled**powers)


@dataclass(frozen=True, eq=False)
class SpikeTests:
    """Predictors for one or two channels, smooth or flexible, and for the level of the noise."""

    single: Predictor
    single_flexible: Predictor
    double: Predictor
    double_flexible: Predictor
    level: Predictor

    @classmethod
    def of(cls, n_channels: int) -> SpikeTests:
        """Make them for spectra of a length."""
        one, two = (0,), (0, 1)
        return cls(
            predictor(n_channels, one, 5, 3),
            predictor(n_channels, one, 4, 5),
            predictor(n_channels, two, 5, 3),
            predictor(n_channels, two, 4, 5),
            predictor(n_channels, one, 6, 1),
        )


def fewest_channels() -> int:
    """Return the length of the shortest spectra that can be searched."""
    return 4 * _REACH


def _logarithm(spectra: np.ndarray, floor: float) -> np.ndarray:
    return np.log(np.maximum(spectra, -0.75 * floor) + floor)


def remove_spikes(
    spectra: np.ndarray,
    *,
    gain: float | np.ndarray,
    offset: float | np.ndarray,
    protected: np.ndarray,
    threshold: float = THRESHOLD,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Replace X-ray spikes of one or two channels by what their neighbours predict.

    A channel, or a pair of channels, is a spike if it exceeds a smooth prediction (cubic
    polynomial through five neighbours on either side) by `threshold` standard deviations and a
    flexible one (fifth order, through four), which follows edges and bands of the specimen, by
    nearly as many; or the flexible one alone by somewhat more. Predictions are made on the
    logarithm of the intensities, in which the flanks of the zero-loss peak are smooth.

    Parameters
    ----------
    spectra
        Intensities, shape ``(n_spectra, n_channels)``, float64.
    gain, offset
        Noise variance of a channel: `gain` times its intensity plus `offset`. Numbers or arrays
        that broadcast against the spectra.
    protected
        Channels that must not be touched, boolean, same shape as the spectra.
    threshold
        In standard deviations.

    Returns
    -------
    cleaned : numpy.ndarray
        Shape ``(n_spectra, n_channels)``.
    touched : numpy.ndarray
        Boolean, same shape.
    variance : numpy.ndarray
        Noise variance of the replaced channels, same shape; zero elsewhere.

    Examples
    --------
    >>> spectrum = np.full((1, 64), 100.0)
    >>> spectrum[0, 30] += 80.0
    >>> clean, touched, _ = remove_spikes(
    ...     spectrum, gain=1.0, offset=0.0, protected=np.zeros((1, 64), dtype=bool)
    ... )
    >>> print(np.flatnonzero(touched), clean.max().round(6))
    [30] 100.0
    """
    gain = np.broadcast_to(np.asarray(gain, dtype=float), spectra.shape)
    offset = np.broadcast_to(np.asarray(offset, dtype=float), spectra.shape)
    cleaned = spectra.copy()
    touched = np.zeros(spectra.shape, dtype=bool)
    replaced = np.zeros(spectra.shape)
    rows = np.arange(len(spectra))
    for _ in range(_ROUNDS):
        found = _strongest(
            cleaned[rows], gain[rows], offset[rows], protected[rows] | touched[rows], threshold
        )
        if not found.row.size:
            break
        for step in (0, 1):
            here = found.width > step
            index = (rows[found.row[here]], found.channel[here] + step)
            cleaned[index] = found.value[here]
            touched[index] = True
            replaced[index] = found.variance[here]
        rows = rows[np.unique(found.row)]
    return cleaned, touched, replaced


@dataclass(frozen=True, eq=False)
class _Found:
    """Spikes: row and first channel, width, what belongs there and its variance."""

    row: np.ndarray
    channel: np.ndarray
    width: np.ndarray
    value: np.ndarray
    variance: np.ndarray


def _strongest(
    spectra: np.ndarray,
    gain: np.ndarray,
    offset: np.ndarray,
    protected: np.ndarray,
    threshold: float,
) -> _Found:
    """Spikes that no stronger one is near to."""
    n_channels = spectra.shape[-1]
    tests = SpikeTests.of(n_channels)
    floor = 4 * np.sqrt(gain**2 + offset)
    level = _logarithm(spectra, floor)
    # Some noise where no electron is expected, so that a single one is no outlier. The level
    # of the noise comes from more channels than the prediction, which a few low ones would lower.
    sigma = np.exp(tests.level(level)) - floor
    sigma = np.sqrt(gain * np.maximum(sigma, 0.0) + offset + _SPARE * gain**2)

    def excess(test: Predictor) -> tuple[np.ndarray, np.ndarray]:
        expected = np.exp(test(level)) - floor
        return expected, (spectra - expected) / sigma

    smooth, single = excess(tests.single)
    flexible, rough = excess(tests.single_flexible)
    single /= np.sqrt(1 + tests.single.variance)
    rough /= np.sqrt(1 + tests.single_flexible.variance)
    one = (single > threshold) & (rough > threshold - _LENIENCE)
    one |= rough > threshold + _STRICTNESS
    one &= ~protected

    pair_smooth, pair = excess(tests.double)
    pair_flexible, pair_rough = excess(tests.double_flexible)
    # The prediction at a channel is for the mean of it and the next one.
    after = (spectra[:, 1:] - pair_smooth[:, :-1]) / sigma[:, 1:]
    after_rough = (spectra[:, 1:] - pair_flexible[:, :-1]) / sigma[:, 1:]
    two = np.zeros_like(one)
    noise = np.sqrt(0.5 + tests.double.variance)
    noise_rough = np.sqrt(0.5 + tests.double_flexible.variance)
    both = 0.5 * (pair[:, :-1] + after) / noise[:-1]
    both_rough = 0.5 * (pair_rough[:, :-1] + after_rough) / noise_rough[:-1]
    lower = np.minimum(pair[:, :-1], after)
    lower_rough = np.minimum(pair_rough[:, :-1], after_rough)
    two[:, :-1] = (
        (both > threshold + _PAIR) & (both_rough > threshold - _PAIR_LENIENCE) & (lower > _EACH)
    )
    two[:, :-1] |= (both_rough > threshold + _PAIR) & (lower_rough > _EACH)
    two &= ~protected
    two[:, :-1] &= ~protected[:, 1:]

    rows, columns = np.nonzero(one | two)
    strength = np.where(one, np.maximum(single, rough), 0.0)
    strength_two = np.zeros_like(strength)
    strength_two[:, :-1] = np.where(two[:, :-1], np.maximum(both, both_rough), 0.0)
    best = np.maximum(strength, strength_two)
    near = np.clip(columns[:, np.newaxis] + np.arange(-_REACH, _REACH + 1), 0, n_channels - 1)
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
    plain = gain[where] * np.maximum(value, 0.0) + offset[where]
    return _Found(rows, columns, np.where(is_pair, 2, 1), value, factor * plain)


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
    limit = np.maximum(0.02, 8 * noise * np.sqrt(1 + maker.variance))
    odd = (np.abs(deviation) > limit) & ~protected
    odd[:_REACH] = odd[-_REACH:] = False
    # The neighbours of an odd channel deviate too, by less.
    size = np.where(odd, np.abs(deviation), 0.0)
    index = np.arange(total.size)[:, np.newaxis] + np.arange(-3, 4)
    largest = size[np.clip(index, 0, total.size - 1)].max(axis=-1)
    return np.flatnonzero(odd & (size > 0.8 * largest))
