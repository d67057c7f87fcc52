# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Spikes that the other spectra of a data set betray."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import log_ndtr

from hyperspy_dosekin.processing.likeness import SPARE, Likeness, Placed, place
from hyperspy_dosekin.processing.own_spikes import Found
from hyperspy_dosekin.processing.prediction import REACH, SpikeTests, predictor
from hyperspy_dosekin.processing.resolution import ASKED, deviations
from hyperspy_dosekin.processing.structure import SIGMA_PER_MEDIAN

#: Channels side by side that are replaced at once: spikes of one or two, and two such.
WIDTHS = (1, 2, 3, 4)
#: Channels on either side, and order, of the polynomials that tell where else to look.
_POLYNOMIAL = {1: (4, 5), 2: (4, 5)}
#: Few counts are skewed to the high side: standard deviations to add, in units of the skewness.
_PER_SKEWNESS = 2.0
#: The quick looks ask for less, by so many standard deviations.
_LENIENCE = 0.1
#: Dips, and sums over some channels, that the model should not leave.
_DEEPEST, _LARGEST_SUM, _SUMMED = 5.5, 5.0, 8
#: Channels over which the model should have less than this share of the variance …
_BLOCK, _NOISIEST = 16, 0.2
#: … and ratios of the variance to the usual one should not differ by more than this factor.
_UNLIKE = 12.0
#: Scatter of every so many channels that noise as expected does not have.
_SOME, _NOISY = 3, 1.2
#: Standard deviations by which a line misses its share in the channels beside it.
_LONELY = 3.0
#: A spike of so many standard deviations may hide others.
_PULLING = 25.0
#: Intensities that fit in the cache with what is made of them.
_AT_A_TIME = 2**17
#: Numbers in a matrix that BLAS takes on one thread.
_PORTION = 2**13
#: Larger deviations pull no harder at the coefficients.
_CLIPPED = 4.0
#: Fits of the coefficients, each without what exceeds the last one so far.
_FITS = 15
#: Standard deviations above the polynomials.
_ROUGH = 3.4
#: Several channels stand out more than one does, so that more can be asked of them.
_MARGIN = {1: 0.0, 2: 0.8, 3: 2.0, 4: 3.0}
#: Standard deviations by which each channel of a pair has to exceed what is expected.
_EACH = 2.5


@dataclass(frozen=True, eq=False)
class _Residuals:
    """What the model leaves of spectra, all of shape ``(n_spectra, n_channels)``.

    Parameters
    ----------
    deviation
        In units of `sigma`.
    quiet
        The same without single channels that stand out as nothing of the specimen can.
    sigma
        Standard deviation of the noise.
    skewness
        Of the noise.
    leverage
        As in `Placed`.
    available
        Whether the model covers the channel.
    whitened, group
        Of `Placed` for each place of the model, shape ``(n_place, n_component, n_channels)``, and
        the place of each spectrum, shape ``(n_spectra,)``.
    doubt
        Share of the variance that noise of the components has.
    strange
        Rows that the model does not describe.
    """

    deviation: np.ndarray
    quiet: np.ndarray
    sigma: np.ndarray
    skewness: np.ndarray
    leverage: np.ndarray
    available: np.ndarray
    whitened: np.ndarray
    group: np.ndarray
    doubt: np.ndarray
    strange: np.ndarray


@dataclass(frozen=True, eq=False)
class OtherSpectra:
    """Finds what exceeds the spectrum that is made of what all spectra have in common.

    What a spectrum has for itself is told from spikes by the energy resolution: neighbours have a
    share of it.

    Parameters
    ----------
    model
        What they have in common.
    start
        Channel of the model at which each spectrum begins, shape ``(n_spectra,)``.
    gain, offset, threshold
        As for `remove_spikes`.
    """

    model: Likeness
    start: np.ndarray
    gain: float
    offset: float | np.ndarray
    threshold: float

    def doubtful(self, spectra: np.ndarray) -> np.ndarray:
        """Where the model knows less than the channels beside do, boolean, shape of `spectra`.

        What is made of noisier spectra, such as vacuum of those of the specimen, is too noisy
        itself, and so is what is made of very few spectra.
        """
        doubtful = np.zeros(spectra.shape, dtype=bool)
        for rows, placed in self._groups(np.arange(len(spectra)), spectra.shape[-1]):
            unsure = self._unsure(_coefficients(spectra[rows], placed), rows, placed)
            again = np.flatnonzero(unsure.any(axis=-1))
            if again.size:
                # A line of its own has spoiled the fit of some of them.
                rows = rows[again]
                coefficients = self._robust(spectra[rows], rows, placed)[0]
                unsure = np.repeat(self._unsure(coefficients, rows, placed), _BLOCK, axis=-1)
                doubtful[rows] = unsure[:, : spectra.shape[-1]] & placed.available
        return doubtful

    def _unsure(self, coefficients: np.ndarray, rows: np.ndarray, placed: Placed) -> np.ndarray:
        """Tell block by block what a fit is worth, shape ``(n_rows, n_block)``."""
        sums = _block_sums(placed)
        variance = self.gain * np.maximum(_product(coefficients, sums.basis), 0.0)
        variance += sums.number * SPARE * self.gain**2
        if isinstance(self.offset, np.ndarray):
            variance += sums.of(self.offset[rows])
        else:
            variance += sums.number * self.offset
        unsure = self._noise_of_components(coefficients, sums.noise) > _NOISIEST * variance
        # Fitted with weights that are those of other spectra.
        ratio = variance[:, sums.usual > 0] / sums.usual[sums.usual > 0]
        unsure |= (ratio.max(axis=-1) > _UNLIKE * ratio.min(axis=-1))[:, np.newaxis]
        return unsure

    def suspicious(self, spectra: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
        """Rows that may have a spike outside the channels from `first` to `last`."""
        channel = np.arange(spectra.shape[-1])
        seen = []
        limit = self.threshold - _LENIENCE
        for rows, placed in self._groups(np.arange(len(spectra)), channel.size):
            # Single precision is enough to tell where to look again.
            score = spectra[rows].astype(np.float32)
            basis, projection, left = placed.single
            expected = _product(_product(score, projection.T), basis)
            score -= expected
            offset = self.offset[rows] if isinstance(self.offset, np.ndarray) else self.offset
            np.maximum(expected, 0.0, out=expected)
            variance = expected * np.float32(self.gain)
            variance += np.asarray(offset + SPARE * self.gain**2, dtype=np.float32)
            np.sqrt(variance, out=variance)
            variance *= placed.scatter.astype(np.float32)
            score /= variance
            closed = (channel >= first[rows]) & (channel <= last[rows])
            closed |= ~placed.available
            np.copyto(score, 0.0, where=closed)
            odd = _strange(score)
            row, column = np.nonzero(score > np.float32(limit) * left)
            # Few of the channels need to be looked at more closely.
            skewness = self._skewness(expected[row, column], variance[row, column])
            odd[row[score[row, column] > limit + _PER_SKEWNESS * skewness]] = True
            seen.append(rows[odd])
        return np.sort(np.concatenate(seen)) if seen else np.empty(0, dtype=np.intp)

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
            Channels that must not be touched since nothing is known of them, or since they have
            been; boolean, shape of `spectra`.
        """
        left = self._residuals(spectra, rows, protected)
        closed = protected | touched | ~left.available
        judged, starts = [], None
        for width in WIDTHS:
            starts = self._candidates(left, closed, width, starts)
            if starts[0].size:
                judged.append(_judge(left, protected, *starts, width, self))
        if not judged:
            none = np.empty(0, dtype=np.intp)
            nothing = np.empty((0, max(WIDTHS)))
            return Found(none, none, none, nothing, nothing, none)
        row, channel, width, strength, value, variance = (
            np.concatenate(parts) for parts in zip(*judged, strict=True)
        )
        n_channels = spectra.shape[-1]
        best = np.zeros(spectra.shape)
        np.maximum.at(best, (row, channel), strength)
        near = np.clip(channel[:, np.newaxis] + np.arange(-REACH, REACH + 1), 0, n_channels - 1)
        alone = (strength > 0) & (
            strength >= best[row[:, np.newaxis], near].max(axis=-1, initial=0)
        )
        # Others may come to light behind those that are removed, or when they no longer pull.
        shaded = (strength > 0) & ~alone
        pulling = left.deviation[row, channel] > _PULLING
        again = np.unique(row[shaded | (alone & pulling)])
        row, channel, width = row[alone], channel[alone], width[alone]
        # From deviations to intensities.
        inside = channel[:, np.newaxis] + np.arange(max(WIDTHS))
        place_ = (row[:, np.newaxis], np.minimum(inside, n_channels - 1))
        sigma = left.sigma[place_]
        value = spectra[place_] - sigma * value[alone]
        return Found(row, channel, width, value, sigma**2 * variance[alone], again)

    def _groups(self, rows: np.ndarray, n_channels: int) -> Iterator[tuple[np.ndarray, Placed]]:
        start = self.start[rows]
        most = max(_AT_A_TIME // n_channels, 1)
        for each in np.unique(start):
            placed = place(self.model, int(each), n_channels)
            group = np.flatnonzero(start == each)
            for first in range(0, group.size, most):
                yield group[first : first + most], placed

    def _variance(self, expected: np.ndarray, rows: np.ndarray, placed: Placed) -> np.ndarray:
        """Noise of what is expected in some rows, shape of `expected`."""
        offset = self.offset[rows] if isinstance(self.offset, np.ndarray) else self.offset
        variance = self.gain * np.maximum(expected, 0.0)
        variance += offset + SPARE * self.gain**2
        variance *= placed.scatter**2
        return variance

    def _fitted(
        self, spectra: np.ndarray, rows: np.ndarray, placed: Placed
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Coefficients, what is expected and the variance of its noise."""
        coefficients = _coefficients(spectra, placed)
        expected = _product(coefficients, placed.basis)
        return coefficients, expected, self._variance(expected, rows, placed)

    def _noise_of_components(self, coefficients: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Variance of sums of components, whose sources are noisy, ``(n_spectra, n_channels)``."""
        return _product(_product(coefficients, self.model.say) ** 2, noise)

    def _robust(
        self, spectra: np.ndarray, rows: np.ndarray, placed: Placed
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Fit on which large deviations have little influence; returns as `_fitted`."""
        fit = self._fitted(spectra, rows, placed)
        for turn in range(_FITS - 1):
            part = slice(None)
            if turn > 1:
                # What is all wrong at first takes longer.
                _, expected, variance = fit
                score = (spectra - expected) / np.sqrt(variance) * (placed.weight > 0)
                # A spike alone makes no spectrum strange.
                part = np.flatnonzero(_strange(np.minimum(score, _CLIPPED)))
                if not part.size:
                    break
            _, expected, variance = (each[part] for each in fit)
            clip = _CLIPPED * np.sqrt(variance)
            clipped = np.clip(spectra[part], expected - clip, expected + clip)
            for each, better in zip(fit, self._fitted(clipped, rows[part], placed), strict=True):
                each[part] = better
        return fit

    def _skewness(self, expected: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        return self.gain**2 * np.maximum(expected, 0.0) / sigma**3

    def _residuals(
        self, spectra: np.ndarray, rows: np.ndarray, protected: np.ndarray
    ) -> _Residuals:
        """Deviations from the model, which large deviations have little influence on."""
        deviation, sigma, skewness, leverage, doubt = (np.empty(spectra.shape) for _ in range(5))
        whitened, place_of = [], np.empty(len(spectra), dtype=np.intp)
        available = np.empty(spectra.shape, dtype=bool)
        for group, placed in self._groups(rows, spectra.shape[-1]):
            values = spectra[group]
            coefficients, expected, variance = self._robust(values, rows[group], placed)
            # The components are noisy too, since they are made of noisy spectra.
            more = self._noise_of_components(coefficients, placed.noise)
            total = np.sqrt(variance + more * placed.scatter**2)
            deviation[group], sigma[group] = (values - expected) / total, total
            doubt[group] = 1 - variance / total**2
            skewness[group] = self._skewness(expected, np.sqrt(variance))
            leverage[group], place_of[group] = placed.leverage, len(whitened)
            whitened.append(placed.whitened)
            available[group] = placed.available
        deviation[protected | ~available] = 0.0
        noisy = np.median(np.abs(deviation[:, ::_SOME]), axis=-1) * SIGMA_PER_MEDIAN > _NOISY
        strange = np.flatnonzero(noisy | _strange(deviation))
        if strange.size:
            # Cameras whose gain is not what is said scatter more than predicted.
            flexible = SpikeTests.of(spectra.shape[-1]).single_flexible
            rough = deviation[strange] - flexible(deviation[strange])
            rough = np.abs(rough) / np.sqrt(1 + flexible.variance)
            excess = SIGMA_PER_MEDIAN * np.median(rough, axis=-1, keepdims=True)
            excess = np.maximum(excess, 1.0)
            deviation[strange] /= excess
            sigma[strange] *= excess
        return _Residuals(
            deviation,
            _without_lonely(deviation, self.model.fwhm),
            sigma,
            skewness,
            leverage,
            available,
            np.stack(whitened),
            place_of,
            doubt,
            strange,
        )

    def _candidates(
        self,
        left: _Residuals,
        closed: np.ndarray,
        width: int,
        narrower: tuple[np.ndarray, np.ndarray] | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows and first channels of as many channels side by side that are worth a look."""
        score, n_channels = left.deviation, closed.shape[-1]
        if narrower is None:
            limit = (self.threshold - _LENIENCE) * np.sqrt(1 - left.leverage)
            row, channel = np.nonzero((score > limit) & ~closed)
        else:
            # One channel more on either side of those that stand out.
            row, channel = np.concatenate([narrower, narrower], axis=-1)
            channel[: narrower[0].size] -= 1
        if width in _POLYNOMIAL and left.strange.size:
            # Where the model does not hold, spikes need not stand out from it.
            test = predictor(n_channels, tuple(range(width)), *_POLYNOMIAL[width])
            own = score[left.strange]
            rough = np.stack([own[:, step : n_channels + step - 1] for step in range(width)])
            rough = rough.mean(axis=0) - test(own)[:, :-1]
            rough /= np.sqrt(1 / width + test.variance[:-1])
            more, place_ = np.nonzero(rough > _ROUGH)
            row = np.concatenate([row, left.strange[more]])
            channel = np.concatenate([channel, place_])
        row, channel = np.unique([row, channel], axis=-1)
        inside = (channel >= 0) & (channel <= n_channels - width)
        row, channel = row[inside], channel[inside]
        here = (row[:, np.newaxis], channel[:, np.newaxis] + np.arange(width))
        worth = ~closed[here].any(axis=-1)
        if width > 1:
            worth &= score[here].min(axis=-1) > _EACH - 1
        return row[worth], channel[worth]


@dataclass(frozen=True, eq=False)
class _Sums:
    """What a placed model has in blocks of channels, those near the zero-loss peak left out.

    Parameters
    ----------
    used
        Whether a channel is taken, shape ``(n_channels,)``.
    number, usual
        Channels, and variance of the usual spectrum, shape ``(n_block,)``.
    basis, noise
        Sums of the components and of the noise of their sources, shape ``(…, n_block)``.
    """

    used: np.ndarray
    number: np.ndarray
    usual: np.ndarray
    basis: np.ndarray
    noise: np.ndarray

    def of(self, values: np.ndarray) -> np.ndarray:
        """Sums of ``(…, n_channels)``."""
        return _summed(values, self.used)


def _summed(values: np.ndarray, used: np.ndarray) -> np.ndarray:
    return np.add.reduceat(values * used, np.arange(0, used.size, _BLOCK), axis=-1)


@lru_cache(maxsize=64)
def _block_sums(placed: Placed) -> _Sums:
    used = placed.weight > 0
    return _Sums(
        used=used,
        number=np.maximum(_summed(np.ones(used.size), used), 1.0),
        usual=_summed(1 / np.where(used, placed.weight, 1.0) ** 2, used),
        basis=_summed(placed.basis, used),
        noise=_summed(placed.noise, used).astype(np.float64),
    )


def _strange(score: np.ndarray) -> np.ndarray:
    """Rows that the model does not describe."""
    blocks = np.arange(0, score.shape[-1], _SUMMED)
    sums = np.abs(np.add.reduceat(score, blocks, axis=-1)).max(axis=-1)
    return (score.min(axis=-1) < -_DEEPEST) | (sums > _LARGEST_SUM * np.sqrt(_SUMMED))


def _without_lonely(deviation: np.ndarray, fwhm: float) -> np.ndarray:
    """Replace single channels that stand out by the mean of the two beside them.

    Of a line of the specimen, the next channel has a share that the resolution sets.
    """
    # Less than that, since the line is noisy too.
    share = 0.85 * 0.5 ** (4 / max(fwhm, 1.0) ** 2)
    left, right = np.roll(deviation, 1, axis=-1), np.roll(deviation, -1, axis=-1)
    left[:, 0], right[:, -1] = deviation[:, 0], deviation[:, -1]
    lonely = share * deviation - np.maximum(left, right) > _LONELY * np.sqrt(1 + share**2)
    return np.where(lonely, 0.5 * (left + right), deviation)


def _coefficients(spectra: np.ndarray, placed: Placed) -> np.ndarray:
    """Shape ``(n_spectra, n_component)``."""
    return _product(spectra, placed.projection.T)


def _product(rows: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Matrix product, row by row, so that the result for one does not depend on the others.

    In portions that are so small that BLAS keeps to one thread: the threads are ours.
    """
    rows = rows[:, np.newaxis]
    n_in, n_out = matrix.shape
    if n_in * n_out <= _PORTION:
        return np.matmul(rows, matrix)[:, 0]
    if n_in > n_out:
        step = max(_PORTION // n_out, 1)
        parts = [slice(first, first + step) for first in range(0, n_in, step)]
        return np.sum([np.matmul(rows[..., part], matrix[part])[:, 0] for part in parts], axis=0)
    step = max(_PORTION // n_in, 1)
    parts = [slice(first, first + step) for first in range(0, n_out, step)]
    return np.concatenate([np.matmul(rows, matrix[:, part])[:, 0] for part in parts], axis=-1)


def _judge(
    left: _Residuals,
    protected: np.ndarray,
    row: np.ndarray,
    channel: np.ndarray,
    width: int,
    finder: OtherSpectra,
) -> tuple[np.ndarray, ...]:
    """Row, channel, width, strength, excess and variance of what is put there."""
    n_channels = protected.shape[-1]
    inside = channel[:, np.newaxis] + np.arange(width)
    offsets = np.concatenate([np.arange(-ASKED, 0), np.arange(width, width + ASKED)])
    around = channel[:, np.newaxis] + offsets
    at = (row[:, np.newaxis], np.clip(around, 0, n_channels - 1))
    usable = (around >= 0) & (around < n_channels) & left.available[at] & ~protected[at]
    n_left = np.cumprod(usable[:, ASKED - 1 :: -1], axis=-1).sum(axis=-1)
    n_right = np.cumprod(usable[:, ASKED:], axis=-1).sum(axis=-1)
    beside = np.where(usable, left.quiet[at], 0.0)
    expectation = deviations(finder.model.fwhm, width).judge(beside, n_left, n_right)

    here = (row[:, np.newaxis], inside)
    score = left.deviation[here]
    clipped = np.clip(score, -_CLIPPED, _CLIPPED)
    # What the channels themselves have had to say in the coefficients is taken back.
    own_say = left.whitened[left.group[row][:, np.newaxis], :, inside]
    matrix = np.matmul(own_say, np.swapaxes(own_say, -1, -2))
    own = np.linalg.inv(np.eye(width) - matrix) - np.eye(width)
    score = score + np.matmul(own, clipped[..., np.newaxis])[..., 0]
    more = own.mean(axis=(-2, -1))
    own_variance = np.diagonal(own, axis1=-2, axis2=-1)

    # What is there besides the model is noisy too.
    shot = finder.gain / left.sigma[here].mean(axis=-1)
    expectation = expectation.noisier(shot, beside.max(axis=-1) - _CLIPPED)
    tail = expectation.tail(score.mean(axis=-1), more)
    skewness = left.skewness[here].mean(axis=-1) / np.sqrt(width)
    limit = finder.threshold + _MARGIN[width] + _PER_SKEWNESS * skewness
    strength = log_ndtr(-limit) - tail
    excess = score - expectation.value()
    spread = expectation.spread() + own_variance + left.doubt[here]
    if width > 1:
        each = excess / np.sqrt(1 + spread)
        strength = np.where(each.min(axis=-1) > _EACH, strength, 0.0)
    pad = ((0, 0), (0, max(WIDTHS) - width))
    return (
        row,
        channel,
        np.full(len(row), width),
        strength,
        np.pad(excess, pad),
        np.pad(spread, pad),
    )
