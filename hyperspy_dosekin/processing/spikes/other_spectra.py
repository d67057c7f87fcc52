# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Spikes that the other spectra of a data set betray."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hyperspy_dosekin.processing.spikes.block_sums import (
    BLOCK,
    block_sums,
    coefficients_of,
    product,
)
from hyperspy_dosekin.processing.spikes.neighbours import Found
from hyperspy_dosekin.processing.spikes.prediction import REACH, SpikeTests, predictor
from hyperspy_dosekin.processing.spikes.significance import (
    CLIPPED,
    EACH,
    PER_SKEWNESS,
    WIDTHS,
    Residuals,
    judge,
)
from hyperspy_dosekin.processing.spikes.structure import SIGMA_PER_MEDIAN
from hyperspy_dosekin.processing.spikes.subspace import SPARE, Likeness, Placed, place

#: Channels on either side, and order, of the polynomials that tell where else to look.
_POLYNOMIAL = {1: (4, 5), 2: (4, 5)}
#: The quick looks ask for less, by so many standard deviations.
_LENIENCE = 0.1
#: Dips, and sums over some channels, that the model should not leave.
_DEEPEST, _LARGEST_SUM, _SUMMED = 5.5, 5.0, 8
#: Share of the variance that the model should have at most over a block of channels …
_NOISIEST = 0.2
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
#: Fits of the coefficients, each without what exceeds the last one so far.
_FITS = 15
#: Standard deviations above the polynomials.
_ROUGH = 3.4


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
            unsure = self._unsure(coefficients_of(spectra[rows], placed), rows, placed)
            again = np.flatnonzero(unsure.any(axis=-1))
            if again.size:
                # A line of its own has spoiled the fit of some of them.
                rows = rows[again]
                coefficients = self._robust(spectra[rows], rows, placed)[0]
                unsure = np.repeat(self._unsure(coefficients, rows, placed), BLOCK, axis=-1)
                doubtful[rows] = unsure[:, : spectra.shape[-1]] & placed.available
        return doubtful

    def _unsure(self, coefficients: np.ndarray, rows: np.ndarray, placed: Placed) -> np.ndarray:
        """Tell block by block what a fit is worth, shape ``(n_rows, n_block)``."""
        sums = block_sums(placed)
        variance = self.gain * np.maximum(product(coefficients, sums.basis), 0.0)
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
            expected = product(product(score, projection.T), basis)
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
            odd[row[score[row, column] > limit + PER_SKEWNESS * skewness]] = True
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
                judged.append(judge(left, protected, *starts, width, self))
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
        coefficients = coefficients_of(spectra, placed)
        expected = product(coefficients, placed.basis)
        return coefficients, expected, self._variance(expected, rows, placed)

    def _noise_of_components(self, coefficients: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Variance of sums of components, whose sources are noisy, ``(n_spectra, n_channels)``."""
        return product(product(coefficients, self.model.say) ** 2, noise)

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
                part = np.flatnonzero(_strange(np.minimum(score, CLIPPED)))
                if not part.size:
                    break
            _, expected, variance = (each[part] for each in fit)
            clip = CLIPPED * np.sqrt(variance)
            clipped = np.clip(spectra[part], expected - clip, expected + clip)
            for each, better in zip(fit, self._fitted(clipped, rows[part], placed), strict=True):
                each[part] = better
        return fit

    def _skewness(self, expected: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        return self.gain**2 * np.maximum(expected, 0.0) / sigma**3

    def _residuals(self, spectra: np.ndarray, rows: np.ndarray, protected: np.ndarray) -> Residuals:
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
        return Residuals(
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
        left: Residuals,
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
            worth &= score[here].min(axis=-1) > EACH - 1
        return row[worth], channel[worth]


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
