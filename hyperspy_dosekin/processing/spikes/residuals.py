# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Spikes that the other spectra of a data set betray: outliers from the subspace of all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d

from hyperspy_dosekin.numerics.medians import median
from hyperspy_dosekin.processing.spikes.found import (
    EACH,
    ROUNDS,
    Found,
    limit,
    next_of,
)
from hyperspy_dosekin.processing.spikes.lines import line_height
from hyperspy_dosekin.processing.spikes.noise import SIGMA_PER_MAD, Noise
from hyperspy_dosekin.processing.spikes.subspace import Placed, Subspace, place

#: Residuals of more standard deviations pull no harder at the coefficients (a Huber estimator).
_CLIPPED = 4.0
#: Fits of the coefficients at most, and the change of an expectation, in standard deviations, that
#: ends them.
_FITS, _SETTLED = 8, 0.05
#: The quick look asks for less, by so many standard deviations.
_LENIENCE = 0.2
#: Share of the variance that the noise of the components may have, averaged over some channels.
_DOUBTFUL, _AVERAGED = 0.35, 15
#: Standard deviations by which what neighbouring channels take for one exceeds the subspace too.
_SUPPORT = 2.0
#: Intensities that fit in the cache with what is made of them.
_AT_A_TIME = 2**16


@dataclass(frozen=True, eq=False)
class _Fit:
    """Coefficients of spectra, what is expected of them, and the variance of its noise."""

    coefficients: np.ndarray
    expected: np.ndarray
    variance: np.ndarray


def remove_by_subspace(
    spectra: np.ndarray,
    noise: Noise,
    closed: np.ndarray,
    subspace: Subspace,
    start: np.ndarray,
    threshold: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Replace what exceeds the projection of a spectrum on the subspace and is no line.

    Parameters
    ----------
    spectra
        Shape ``(n_spectra, n_channels)``, float64, or float32 where that tells a tenth of the
        noise; those that may have spikes are judged in double precision.
    noise
        Of these spectra.
    closed
        Channels that must not be touched, boolean, same shape.
    subspace
        Of all spectra.
    start
        From `first_channels`, shape ``(n_spectra,)``.
    threshold
        In standard deviations.

    Returns
    -------
    Cleaned spectra, replaced channels, their noise variance, and channels that may be spikes where
    the subspace is noisier than the channels beside, all of that shape.
    """
    cleaned = spectra.copy()
    touched, doubtful = (np.zeros(spectra.shape, dtype=bool) for _ in range(2))
    replaced = np.zeros_like(spectra)
    noise = subspace.calibration(noise)
    n_channels = spectra.shape[-1]
    suspect = np.zeros(len(spectra), dtype=bool)
    for rows, placed in _groups(start, n_channels, subspace, spectra.dtype == np.float32):
        search = _Search(placed, noise.part(rows), subspace, threshold)
        suspect[rows], doubtful[rows] = search.look(spectra[rows], closed[rows])
    # Few spectra are left, and they are judged many at a time.
    left = np.flatnonzero(suspect)
    for part, placed in _groups(start[left], n_channels, subspace):
        rows = left[part]
        search = _Search(placed, noise.part(rows), subspace, threshold)
        into = cleaned[rows].astype(np.float64), touched[rows], replaced[rows].astype(np.float64)
        doubtful[rows] = search.run(closed[rows], into)
        # What was changed is a copy.
        for whole, changed in zip((cleaned, touched, replaced), into, strict=True):
            whole[rows] = changed
    return cleaned, touched, replaced, doubtful


def _groups(
    start: np.ndarray, n_channels: int, subspace: Subspace, single: bool = False
) -> Iterator[tuple[np.ndarray | slice, Placed]]:
    most = max(_AT_A_TIME // n_channels, 1)
    for each in np.unique(start):
        placed = place(subspace, int(each), n_channels, single)
        group = np.flatnonzero(start == each)
        for first in range(0, group.size, most):
            part = group[first : first + most]
            # Neighbours need not be copied.
            beside = part[-1] - part[0] + 1 == part.size
            yield slice(part[0], part[-1] + 1) if beside else part, placed


@dataclass(frozen=True, eq=False)
class _Search:
    """A search among spectra with their zero-loss peak in one channel."""

    placed: Placed
    noise: Noise
    subspace: Subspace
    threshold: float

    def look(self, spectra: np.ndarray, closed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tell which spectra ``(n, n_channels)`` may have a spike, and doubtful channels."""
        fit = self._fit(spectra, self.noise)
        residual = spectra - fit.expected
        suspect = np.zeros(len(spectra), dtype=bool)
        suspect[self._unlikely(residual, fit, closed)] = True
        return suspect, self._doubtful(residual, fit.coefficients, fit.variance)

    def run(self, closed: np.ndarray, into: Sequence[np.ndarray]) -> np.ndarray:
        """Search spectra that may have spikes, and return which channels are doubtful.

        Cleaned spectra, replaced channels and their variance are changed in `into`, which holds the
        spectra as they are, and zeros.
        """
        cleaned, touched, replaced = into
        doubtful = np.zeros(touched.shape, dtype=bool)
        rows = np.arange(len(cleaned))
        for turn in range(ROUNDS):
            if not rows.size:
                break
            noise = self.noise.part(rows)
            fit = self._robust(cleaned[rows], noise)
            if turn == 0:
                # A line or a spike of its own does not make a spectrum doubtful.
                residual = cleaned - fit.expected
                doubtful = self._doubtful(residual, fit.coefficients, fit.variance)
            if not self.subspace.sufficient:
                break
            shut = closed[rows] | ~self.placed.covered
            able, excess, values, known = self._judge(
                cleaned[rows], noise, fit, shut, shut | touched[rows]
            )
            rows = rows[able]
            found = Found.strongest(excess)
            found.replace(rows, values, known, (cleaned, touched, replaced))
            rows = rows[np.unique(found.row)]
        return doubtful

    def _unlikely(self, residual: np.ndarray, fit: _Fit, closed: np.ndarray) -> np.ndarray:
        """Spectra with a channel, or a pair, that noise hardly exceeds."""
        placed = self.placed
        # Squares spare a root of each channel; few of them are left.
        least = (self.threshold - _LENIENCE) * np.sqrt(1 - placed.leverage)
        least[closed.all(axis=0) | ~placed.covered] = np.inf
        square = np.abs(residual)
        square *= residual
        unlikely = square > fit.variance * least**2
        # Few are left, and those are looked up.
        rows = np.flatnonzero(unlikely.any(axis=-1))
        row, channel = np.divmod(np.flatnonzero(unlikely[rows]), residual.shape[-1])
        row = rows[row]
        asked = placed.covered[channel] & ~closed[row, channel]
        row, channel = row[asked], channel[asked]
        last = residual.shape[-1] - 1
        sides = (np.maximum(channel - 1, 0), channel, np.minimum(channel + 1, last))
        left, own, right = (
            np.where(closed[row, at], 0.0, residual[row, at] / np.sqrt(fit.variance[row, at]))
            for at in sides
        )
        # Few counts are skewed.
        skewness = self.noise.skewness(fit.expected[row, channel], fit.variance[row, channel], row)
        share = np.sqrt(1 - placed.leverage[channel])
        single, pair = (
            share * (limit(width, self.threshold, skewness) / np.sqrt(width) - _LENIENCE)
            for width in (1, 2)
        )
        beside = np.maximum(left, right)
        likely = (own < single) & ((beside < EACH - _LENIENCE) | (0.5 * (own + beside) < pair))
        return np.unique(row[~likely])

    def _doubtful(
        self, residual: np.ndarray, coefficients: np.ndarray, variance: np.ndarray
    ) -> np.ndarray:
        """Channels in which the subspace is too noisy to tell."""
        placed, subspace = self.placed, self.subspace
        if subspace.sufficient:
            often = np.zeros(residual.shape, dtype=bool)
            # It is so in several channels or nowhere: a few of them tell where to look.
            part = slice(_AVERAGED // 6, None, _AVERAGED // 3)
            few = placed.uncertainty(coefficients, part)
            rows = np.flatnonzero((few > _DOUBTFUL * variance[:, part]).any(axis=-1))
            if rows.size:
                noisy = placed.uncertainty(coefficients[rows]) > _DOUBTFUL * variance[rows]
                often[rows] = uniform_filter1d(noisy.astype(np.float32), _AVERAGED, axis=-1) > 0.5
        else:
            often = np.ones(residual.shape, dtype=bool)
        if (subspace.few or not subspace.sufficient) and often.any():
            # What the subspace explains is no spike, however narrow it is. Of many spectra those
            # that it is too noisy for are unlike the others, and it has nothing to explain.
            known = variance + placed.uncertainty(coefficients)
            often &= (residual > 0) & (residual**2 > _SUPPORT**2 * known)
        return often & placed.covered if often.any() else often

    def _fit(self, spectra: np.ndarray, noise: Noise) -> _Fit:
        coefficients = self.placed.coefficients(spectra)
        expected = self.placed.expected(coefficients)
        variance = noise.variance(expected, self.placed.scale**2)
        return _Fit(coefficients, expected, variance)

    def _robust(self, spectra: np.ndarray, noise: Noise) -> _Fit:
        """Fit on which large residuals have little influence."""
        fit = self._fit(spectra, noise)
        rows = np.arange(len(spectra))
        for _ in range(_FITS):
            expected, sigma = fit.expected[rows], np.sqrt(fit.variance[rows])
            bound = _CLIPPED * sigma
            clipped = np.clip(spectra[rows], expected - bound, expected + bound)
            better = self._fit(clipped, noise.part(rows))
            fit.coefficients[rows] = better.coefficients
            fit.expected[rows], fit.variance[rows] = better.expected, better.variance
            change = (np.abs(better.expected - expected) / sigma).max(axis=-1)
            rows = rows[change > _SETTLED]
            if not rows.size:
                break
        return fit

    def _judge(
        self,
        spectra: np.ndarray,
        noise: Noise,
        fit: _Fit,
        unseen: np.ndarray,
        closed: np.ndarray,
    ) -> tuple[
        np.ndarray,
        dict[int, np.ndarray],
        dict[int, list[np.ndarray]],
        dict[int, list[np.ndarray]],
    ]:
        """Rows with outliers, and their excess, what is expected and its variance, by width."""
        placed = self.placed
        # The components are noisy too, since they are made of noisy spectra.
        variance = fit.variance + placed.uncertainty(fit.coefficients)
        sigma = np.sqrt(variance)
        residual = spectra - fit.expected
        residual /= sigma
        residual[unseen] = 0.0
        candidates = self._candidates(residual, closed)
        lines = {}
        for width, (row, channel) in candidates.items():
            line = line_height(residual, width, row, channel, self.subspace.fwhm)
            score = self._score((residual, sigma), noise, fit, width, row, channel, line)
            # Spectra that scatter more have less.
            above = score > 0
            candidates[width] = row[above], channel[above]
            lines[width] = line[0][above], line[1]
        rows = np.unique(np.concatenate([row for row, _ in candidates.values()]))
        shape = (rows.size, residual.shape[-1])
        used = placed.fitted & placed.covered
        excess, values, uncertainty = {}, {}, {}
        for width, (row, channel) in candidates.items():
            line, spread = lines[width]
            leverage = placed.leverage[channel]
            # Spectra that the subspace does not describe scatter more, and so do pairs of channels
            # that share noise.
            some, which = np.unique(row, return_inverse=True)
            mean = residual[some]
            if width > 1:
                mean = 0.5 * (mean + next_of(mean))
            scatter = SIGMA_PER_MAD * median(np.abs(mean[:, used]))[which]
            scatter = np.maximum(scatter * np.sqrt(width), 1.0)
            mean = mean[which, channel]
            score = self._score(
                (residual, sigma), noise, fit, width, row, channel, lines[width], scatter
            )
            place = np.searchsorted(rows, row), channel
            excess[width] = np.zeros(shape)
            excess[width][place] = score
            # What the channels themselves have had to say in the fit is taken back.
            share = np.minimum(leverage / (1 - np.minimum(width * leverage, 0.9)), 1)
            own = width * share * np.clip(mean, -_CLIPPED, _CLIPPED)
            values[width], uncertainty[width] = [], []
            for step in range(width):
                at = (row, channel + step)
                made, known = np.zeros(shape), np.zeros(shape)
                made[place] = fit.expected[at] + (line - own) * sigma[at]
                known[place] = (
                    placed.leverage[at[1]] * fit.variance[at] + variance[at] - fit.variance[at]
                )
                known[place] += np.where(line > 0, (spread * sigma[at]) ** 2, 0.0)
                values[width].append(made)
                uncertainty[width].append(known)
        return rows, excess, values, uncertainty

    def _score(
        self,
        spectra: tuple[np.ndarray, np.ndarray],
        noise: Noise,
        fit: _Fit,
        width: int,
        row: np.ndarray,
        channel: np.ndarray,
        lines: tuple[np.ndarray, float],
        scatter: np.ndarray | float = 1.0,
    ) -> np.ndarray:
        """Standard deviations by which candidates exceed a line and the limit.

        Parameters
        ----------
        spectra
            Residuals in standard deviations, and these.
        noise, fit
            Of the spectra.
        width, row, channel
            Of the candidates.
        lines
            From `line_height`.
        scatter
            Of the residuals of their spectra.
        """
        residual, sigma = spectra
        line, spread = lines
        mean = residual[row, channel]
        if width > 1:
            beside = residual[row, channel + 1]
            lower, mean = np.minimum(mean, beside), 0.5 * (mean + beside)
        # What the line adds is noisy too.
        shot = scatter**2 + noise.electron_in(row) / sigma[row, channel] * line
        of_line = np.where(line > 0, spread**2 * shot, 0.0)
        share = np.sqrt(1 - self.placed.leverage[channel])
        score = (mean / share - line) / np.sqrt(shot / width + of_line)
        skewness = noise.skewness(fit.expected[row, channel], fit.variance[row, channel], row)
        score -= limit(width, self.threshold, skewness)
        if width > 1:
            score[lower - line < EACH] = 0.0
        return score

    def _candidates(
        self, residual: np.ndarray, closed: np.ndarray
    ) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        """Rows and channels of what may exceed the limit: all that follows makes it only less."""
        share = np.sqrt(1 - self.placed.leverage)
        least = {width: limit(width, self.threshold) / np.sqrt(width) for width in (1, 2)}
        last = residual.shape[-1] - 1
        high = residual >= np.minimum(share * least[1], EACH)
        row, channel = np.divmod(np.flatnonzero(high), last + 1)
        open_ = ~closed[row, channel]
        row, channel = row[open_], channel[open_]
        own, after = residual[row, channel], np.minimum(channel + 1, last)
        beside = residual[row, after]
        single = own > share[channel] * least[1]
        pair = 0.5 * (own + beside) > share[channel] * least[2]
        pair &= (np.minimum(own, beside) >= EACH) & (channel < last) & ~closed[row, after]
        return {1: (row[single], channel[single]), 2: (row[pair], channel[pair])}
