# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The noise variance that outliers are measured by, and its scale as the data have it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.optimize import least_squares

from hyperspy_dosekin.numerics.arrays import namespace
from hyperspy_dosekin.numerics.medians import median

#: Standard deviation of a normal variable in units of the median of its magnitude.
SIGMA_PER_MAD = 1.4826
#: Variance added, in squared electrons: a single electron where none is expected is no outlier.
#: Between 3/8 (Anscombe, doi:10.1093/biomet/35.3-4.246) and 1; the ablation prefers 1/2.
_SPARE = 0.5
#: Channels over which a variance that was estimated from the noisy counts is averaged.
_AVERAGED = 15
#: Two numbers of Poisson with a mean of three are equal as often as this.
_OFTEN_EQUAL = 0.17
#: Channels in which one scale of the noise is estimated: its error is 1.17 / √(64) = 15 %.
_BLOCK = 64
#: Scale of a block, in units of that of the whole spectrum, that three errors do not explain.
_EXCESSIVE = 2.0
#: What is said of the noise is believed if the data scatter by a factor between these. Neighbouring
#: channels that share noise scatter less about a polynomial.
_BELIEVED = (0.6, 1.4)
#: Where nothing at all is expected, not even noise.
_TINY = 1e-100
#: Classes of intensity in which the scatter is compared, and the share of the least variance up to
#: which an intercept is none.
_LEVELS, _INSIGNIFICANT = 12, 0.3
#: Share of the classes that agree on one factor.
_MOST = 0.6


def of_few_counts(spectra: np.ndarray) -> np.ndarray:
    """Where neighbouring channels are often equal, as they are with few counts.

    Most deviations are then the same, and their median says nothing of their variance.

    Parameters
    ----------
    spectra
        Intensities in any unit, shape ``(n_spectra, n_channels)``.

    Returns
    -------
    numpy.ndarray
        Boolean, same shape.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> [bool(of_few_counts(random.poisson(mean, (1, 64))).all()) for mean in (0.5, 50)]
    [True, False]
    """
    equal = np.zeros(spectra.shape, dtype=np.float32)
    equal[:, 1:] = spectra[:, 1:] == spectra[:, :-1]
    return np.asarray(uniform_filter1d(equal, 2 * _AVERAGED, axis=-1)) > _OFTEN_EQUAL


def positive(values: np.ndarray) -> np.ndarray:
    """Values, zero where they are negative.

    NumPy compares two arrays twice as fast as an array with a number.
    """
    xp = namespace(values)
    return xp.maximum(values, xp.zeros(values.shape[-1:], values.dtype))


@dataclass(frozen=True, eq=False)
class Noise:
    """Variance of the noise of recorded intensities.

    Parameters
    ----------
    gain, offset
        The variance is `gain` times the expected intensity plus `offset`: numbers, or arrays that
        broadcast to ``(n_spectra, n_channels)``.
    electron
        Intensity of one electron, a number or shape ``(n_spectra, 1)``.
    """

    gain: Any
    offset: Any
    electron: Any

    @classmethod
    def of(cls, spectra: np.ndarray, gain: float, offset: Any) -> Noise:
        """Noise of spectra ``(n_spectra, n_channels)``.

        If `offset` is an array, it is averaged over neighbouring channels: an estimate from the
        counts themselves is zero where there are none. The electron is then what the variance says.
        """
        if np.ndim(offset) < 2:
            if not (gain > 0 or offset > 0):
                # Nothing is known but the shape, and the scale is taken from the data.
                gain = 1.0
            return cls(gain, offset, gain)
        total = np.maximum(spectra, 0.0).sum(axis=-1, keepdims=True)
        variance = np.maximum(offset, 0.0)
        electron = np.maximum(
            gain, variance.sum(axis=-1, keepdims=True) / np.maximum(total, 1e-300)
        )
        return cls(gain, uniform_filter1d(variance, _AVERAGED, axis=-1), electron)

    def variance(self, expected: np.ndarray, factor: np.ndarray | float = 1.0) -> np.ndarray:
        """Variance where an intensity is expected, times a factor that broadcasts."""
        spare = _SPARE * self.electron**2
        if self._is_plain:
            # As few passes over the channels as can be.
            variance = positive(expected)
            variance *= float(self.gain) * factor
            variance += float(max(self.offset + spare, _TINY)) * factor
            return variance
        variance = self._counting(expected)
        variance += spare
        np.maximum(variance, _TINY, out=variance)
        return variance if np.ndim(factor) == 0 and factor == 1 else variance * factor

    def lowest(self, expected: np.ndarray, factor: np.ndarray) -> np.ndarray:
        """The same, or less where less than nothing is expected, in fewer passes."""
        if not self._is_plain:
            return self.variance(expected, factor)
        variance = expected * (float(self.gain) * factor)
        variance += float(max(self.offset + _SPARE * self.electron**2, _TINY)) * factor
        return variance

    def skewness(self, expected: np.ndarray, variance: np.ndarray, row: np.ndarray) -> np.ndarray:
        """Skewness of counting in some channels; zero where other noise prevails.

        Parameters
        ----------
        expected, variance
            Of each channel, shape ``(n,)``.
        row
            Its spectrum, same shape.
        """
        electron = self.electron_in(row)
        shot = np.minimum(electron * np.maximum(expected, 0.0), variance)
        return electron * shot / variance**1.5

    def electron_in(self, row: np.ndarray) -> Any:
        """Intensity of one electron in some spectra."""
        return self.electron if np.ndim(self.electron) < 2 else self.electron[row, 0]

    def part(self, rows: Any, channels: Any = slice(None)) -> Noise:
        """Noise of some spectra and channels."""
        if self._is_plain:
            return self

        def of(value: Any) -> Any:
            if np.ndim(value) < 2:
                return value
            return value[rows][:, channels if value.shape[-1] > 1 else slice(None)]

        return Noise(of(self.gain), of(self.offset), of(self.electron))

    def at(self, row: np.ndarray, channel: np.ndarray) -> Noise:
        """Noise of some channels ``(n, m)``, each of one spectrum ``(n,)``."""
        if self._is_plain:
            return self

        def of(value: Any) -> Any:
            if np.ndim(value) < 2:
                return value
            return value[row[:, np.newaxis], channel] if value.shape[-1] > 1 else value[row]

        return Noise(of(self.gain), of(self.offset), of(self.electron))

    def times(self, factor: Any) -> Noise:
        """Noise whose variance is larger by a factor, a number or shape ``(n_spectra, 1)``."""
        return Noise(self.gain * factor, self.offset * factor, self.electron * factor)

    def more(self, score: np.ndarray, expected: np.ndarray) -> Noise:
        """Noise with errors of so many standard deviations beside it, of the shape of spectra."""
        more = score**2 * self._counting(expected)
        return Noise(self.gain, self.offset + more, self.electron)

    def of_each(self, deviation: np.ndarray, expected: np.ndarray, tells: np.ndarray) -> Noise:
        """Noise of each spectrum as it scatters, where that is not as said.

        Parameters
        ----------
        deviation
            From a prediction, scaled to the variance of a single intensity, shape
            ``(n_spectra, n_channels)``.
        expected
            The prediction, same shape.
        tells
            Where deviations tell the noise, boolean, same shape.
        """
        noise = self.times(self.factor(deviation, expected, tells))
        # Noise that does not come from counting shows where there are few counts.
        faint = expected <= np.quantile(expected, 0.25, axis=-1, keepdims=True)
        scatter = (SIGMA_PER_MAD * _median(np.abs(deviation), faint)) ** 2
        said = _median(noise.variance(expected), faint)
        more = np.where(scatter > _EXCESSIVE**2 * said, scatter - said, 0.0)
        return Noise(noise.gain, noise.offset + more, noise.electron) if more.any() else noise

    def factor(self, deviation: np.ndarray, expected: np.ndarray, tells: np.ndarray) -> np.ndarray:
        """By which factor the variance of each spectrum is larger, shape ``(n_spectra, 1)``.

        Parameters are those of `of_each`. One where what is said is near enough.
        """
        counting = self._counting(expected)
        # Where there are counts: of a few, most deviations are the same.
        bright = expected >= median(expected, keepdims=True)
        some = np.count_nonzero(bright & tells, axis=-1) >= 0.5 * np.count_nonzero(bright, axis=-1)
        bright &= tells & some[:, np.newaxis]
        score = np.abs(deviation) / np.sqrt(np.maximum(counting, 1e-300))
        middle = SIGMA_PER_MAD * _median(score, bright)
        believed = (middle > _BELIEVED[0]) & (middle < _BELIEVED[1])
        believed |= ~((middle > 0) & np.isfinite(middle))
        return np.where(believed, 1.0, middle) ** 2

    @cached_property
    def _is_plain(self) -> bool:
        """Whether gain and offset are numbers, and not negative."""
        numbers = (self.gain, self.offset, self.electron)
        return all(np.ndim(each) == 0 for each in numbers) and min(numbers) >= 0

    def _counting(self, expected: np.ndarray) -> np.ndarray:
        variance = self.gain * positive(expected) + self.offset
        return variance if self._is_plain else np.maximum(variance, 0.0, out=variance)


@dataclass(frozen=True)
class Calibration:
    """What the data say of the noise, in place of what is said of them.

    Parameters
    ----------
    gain, offset
        Of the variance, or ``None`` if only its scale is another.
    factor
        By which the variance is larger.
    """

    gain: float | None = None
    offset: float = 0.0
    factor: float = 1.0

    def __call__(self, noise: Noise) -> Noise:
        """Noise as the data have it."""
        if self.gain is not None:
            noise = Noise(self.gain, self.offset, self.gain)
        return noise if self.factor == 1 else noise.times(self.factor)


def calibrate(
    noise: Noise, deviation: np.ndarray, expected: np.ndarray, tells: np.ndarray
) -> Calibration:
    """Compare the scatter of the data with what is said of the noise.

    Parameters
    ----------
    noise
        What is said.
    deviation, expected, tells
        As for `Noise.of_each`.

    Returns
    -------
    Calibration
        One that changes nothing if the scatter is as said, within a factor of two in the variance;
        a factor if that explains it; and a gain and an offset otherwise.
    """
    if np.ndim(noise.offset) > 1:
        return Calibration(factor=float(np.median(noise.factor(deviation, expected, tells))))
    if np.count_nonzero(tells) < _LEVELS * _BLOCK:
        return Calibration()
    counting, deviation, expected = (
        each[tells] for each in (noise._counting(expected), deviation, expected)
    )
    order = np.argsort(expected)
    level, found, said = (
        np.array([of(part[chosen]) for chosen in np.array_split(order, _LEVELS)])
        for of, part in (
            (np.mean, expected),
            (_variance_of, deviation),
            (np.mean, counting),
        )
    )
    bright = slice(_LEVELS // 2, None)
    if not (found[bright] > 0).all():
        return Calibration()
    ratios = np.sqrt(found / np.maximum(said, 1e-12 * found.max()))
    ratio, faint = ratios[bright], ratios[: bright.start]
    common = float(np.median(ratio))
    alike = (ratio > _BELIEVED[0] * common) & (ratio < _BELIEVED[1] * common)
    # Noise that does not come from counting shows where there are few counts.
    if faint.max() < _EXCESSIVE * common:
        if _BELIEVED[0] < common < _BELIEVED[1]:
            return Calibration()
        if alike.mean() > _MOST:
            return Calibration(factor=common**2)
    gain, offset = _slope_and_intercept(level[bright], found[bright])
    # Of a few electrons most deviations are the same, and their median says nothing.
    many = found > 4 * gain**2
    many[bright] = True
    gain, offset = _slope_and_intercept(level[many], found[many])
    return Calibration(gain, offset)


def is_believable(scale: np.ndarray) -> bool:
    """Whether residuals of these scales, in units of what is said of the noise, come from it."""
    most = float(np.quantile(scale, 0.9))
    return bool(_BELIEVED[0] < np.median(scale) < _BELIEVED[1] and most < _EXCESSIVE)


def _median(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Median of each row where something holds, shape ``(n_rows, 1)``."""
    ordered = np.sort(np.where(where, values, np.inf), axis=-1)
    middle = (where.sum(axis=-1, keepdims=True) - 1) // 2
    return np.take_along_axis(ordered, middle, axis=-1)


def _variance_of(deviation: np.ndarray) -> float:
    return float((SIGMA_PER_MAD * median(np.abs(deviation).ravel())) ** 2)


def _slope_and_intercept(level: np.ndarray, variance: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of a line through most variances, by their logarithms."""
    positive, size = np.maximum(level, 0.0), float(np.median(variance))

    def misfit(parameters: np.ndarray) -> np.ndarray:
        expected = parameters[0] * positive / max(float(positive.max()), 1e-300) + parameters[1]
        return np.log(np.maximum(expected * size, 1e-9 * variance) / variance)

    # Near the zero-loss peak the polynomials fail: such classes have little influence.
    best = least_squares(
        misfit, [1.0, 0.0], loss="cauchy", f_scale=0.1, bounds=([0.0, -np.inf], np.inf)
    ).x
    slope, intercept = best[0] * size / max(float(positive.max()), 1e-300), best[1] * size
    if abs(intercept) < _INSIGNIFICANT * variance.min():
        return float(np.median(variance / np.maximum(level, 1e-300))), 0.0
    return float(slope), float(intercept)


def local_scale(score: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
    """Scale of scores, in blocks of channels.

    Parameters
    ----------
    score
        Deviations in standard deviations, shape ``(n_rows, n_channels)``.
    known
        Those that count, of all rows together; then it may be less than one. By default all, and
        each row by itself. Where none do, the scale is that of the nearest that do, and 1 if
        nothing is known.

    Returns
    -------
    numpy.ndarray
        Shape ``(n_channels,)``, or of the scores if each row is by itself.
    """
    n_channels = score.shape[-1]
    size = np.abs(score)
    edges = np.arange(0, max(n_channels - _BLOCK // 2, 1), _BLOCK)
    blocks = [
        slice(first, stop) for first, stop in zip(edges, [*edges[1:], n_channels], strict=True)
    ]
    middle = np.array([0.5 * (block.start + block.stop - 1) for block in blocks])
    channel = np.arange(n_channels)
    if known is not None:
        told = [place for place, block in enumerate(blocks) if known[:, block].any()]
        if not told:
            return np.ones(n_channels)
        found = [float(median(size[:, blocks[each]][known[:, blocks[each]]])) for each in told]
        return SIGMA_PER_MAD * np.interp(channel, middle[told], found)
    row = median(size, keepdims=True)
    if len(blocks) == 1:
        return np.maximum(SIGMA_PER_MAD * np.repeat(row, n_channels, axis=-1), 1.0)
    each = np.stack([median(size[:, block]) for block in blocks], axis=-1)
    # Of one row a block says little: only what noise cannot explain is taken.
    each = np.where(each > _EXCESSIVE * row, each, row)
    number = np.arange(n_channels) // _BLOCK
    return np.maximum(SIGMA_PER_MAD * each[:, np.minimum(number, len(blocks) - 1)], 1.0)
