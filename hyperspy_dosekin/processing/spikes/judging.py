# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether outliers of single spectra are spikes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hyperspy_dosekin.numerics.medians import median
from hyperspy_dosekin.processing.spikes.fitting import (
    CLIPPED,
    Fit,
    doubtful_channels,
    robust_fit,
)
from hyperspy_dosekin.processing.spikes.found import (
    EACH,
    ROUNDS,
    Outliers,
    limit,
    next_of,
)
from hyperspy_dosekin.processing.spikes.lines import BESIDE, line_height
from hyperspy_dosekin.processing.spikes.noise import SIGMA_PER_MAD, Noise
from hyperspy_dosekin.processing.spikes.placed import Placed
from hyperspy_dosekin.processing.spikes.subspace import Subspace


@dataclass(frozen=True, eq=False)
class Search:
    """A search among spectra with their zero-loss peak in one channel.

    Parameters
    ----------
    placed
        The subspace where it lies in them.
    noise
        Of the spectra.
    subspace
        As it is.
    threshold
        In standard deviations.
    """

    placed: Placed
    noise: Noise
    subspace: Subspace
    threshold: float

    def run(
        self, closed: np.ndarray, into: tuple[np.ndarray, np.ndarray, np.ndarray]
    ) -> tuple[np.ndarray | None, np.ndarray]:
        """Search spectra that may have spikes; return doubtful channels and which have spikes.

        Cleaned spectra, replaced channels and their variance are changed in `into`, which holds the
        spectra as they are, and zeros.
        """
        cleaned, touched, _ = into
        rows = np.arange(len(cleaned))
        fit, variance = robust_fit(cleaned, self.noise, self.placed)
        # A line or a spike of its own does not make a spectrum doubtful.
        doubtful = doubtful_channels(
            cleaned, fit.coefficients, self.noise, self.placed, self.subspace
        )
        if not self.subspace.sufficient:
            return doubtful, rows[:0]
        closed = closed | ~self.placed.covered
        noise, changed = self.noise, rows[:0]
        for turn in range(ROUNDS):
            found = _Judge(self, noise, fit, variance, closed[rows], touched[rows]).outliers()
            found = found.strongest()
            found.replace(rows, into)
            rows = rows[np.unique(found.row)]
            if turn == 0:
                changed = rows
            if not rows.size or turn == ROUNDS - 1:
                break
            noise = self.noise.part(rows)
            fit, variance = robust_fit(cleaned[rows], noise, self.placed)
        return doubtful, changed


@dataclass(frozen=True, eq=False)
class _Judge:
    """What is said of the channels of spectra in one round.

    Parameters
    ----------
    search
        For what.
    noise, fit, variance
        Of these spectra, and the variance of their noise as the fit has it.
    closed, touched
        Channels that have no say, and those that have been replaced already, boolean, shape of the
        spectra.
    """

    search: Search
    noise: Noise
    fit: Fit
    variance: np.ndarray
    closed: np.ndarray
    touched: np.ndarray

    def outliers(self) -> Outliers:
        """Channels, and pairs, that exceed what is expected by more than a line and the limit."""
        search, fit = self.search, self.fit
        placed = search.placed
        # The components are noisy too, since they are made of noisy spectra.
        whole = placed.uncertainty(fit.coefficients)
        whole += self.variance
        residual = fit.spectra - fit.expected
        least = {width: limit(width, search.threshold) / np.sqrt(width) for width in (1, 2)}
        share = np.sqrt(1 - placed.leverage)
        lowest = np.minimum(share * least[1], EACH)
        high = residual * residual >= lowest**2 * whole
        row, channel = np.divmod(np.flatnonzero(high), residual.shape[-1])
        able = (residual[row, channel] > 0) & self._open(row, channel)
        row, channel = row[able], channel[able]
        # All that follows makes it only less.
        last = residual.shape[-1] - 1
        after = np.minimum(channel + 1, last)
        own, beside = (
            np.where(self.closed[row, at], 0.0, residual[row, at] / np.sqrt(whole[row, at]))
            for at in (channel, after)
        )
        single = own > share[channel] * least[1]
        pair = 0.5 * (own + beside) > share[channel] * least[2]
        pair &= (np.minimum(own, beside) >= EACH) & (channel < last) & self._open(row, after)
        return Outliers.joined(
            [
                self._judged(width, row[chosen], channel[chosen], residual, whole)
                for width, chosen in ((1, single), (2, pair))
            ]
        )

    def _open(self, row: np.ndarray, channel: np.ndarray) -> np.ndarray:
        return ~(self.closed[row, channel] | self.touched[row, channel])

    def _judged(
        self,
        width: int,
        row: np.ndarray,
        channel: np.ndarray,
        residual: np.ndarray,
        whole: np.ndarray,
    ) -> Outliers:
        """Candidates of one width with their excess, what is expected and its variance.

        Parameters
        ----------
        width, row, channel
            Of the candidates.
        residual, whole
            Of all channels: how far they are from what is expected, and the variance of that.
        """
        placed, fit = self.search.placed, self.fit
        if not row.size:
            return Outliers.none()
        last = residual.shape[-1] - 1
        # In standard deviations, with the channels beside; beyond the ends there is nothing.
        place = channel[:, np.newaxis] + np.arange(-BESIDE, width + BESIDE)
        here = row[:, np.newaxis], np.clip(place, 0, last)
        gone = (place < 0) | (place > last) | self.closed[here]
        near = np.where(gone, 0.0, residual[here] / np.sqrt(whole[here]))
        every, middle = np.arange(row.size), np.full(row.size, BESIDE)
        line, spread = line_height(near, width, every, middle, self.search.subspace.fwhm)
        own = near[:, BESIDE : BESIDE + width]
        # Spectra that scatter more have less.
        above = self._score(width, row, channel, own, line, spread, whole) > 0
        row, channel, own, line = row[above], channel[above], own[above], line[above]
        # Spectra that the subspace does not describe scatter more, and so do pairs of channels
        # that share noise.
        some, which = np.unique(row, return_inverse=True)
        mean = residual[some] / np.sqrt(whole[some])
        mean[self.closed[some]] = 0.0
        if width > 1:
            mean = 0.5 * (mean + next_of(mean))
        used = placed.fitted & placed.covered
        scatter = SIGMA_PER_MAD * median(np.abs(mean[:, used]))[which]
        scatter = np.maximum(scatter * np.sqrt(width), 1.0)
        excess = self._score(width, row, channel, own, line, spread, whole, scatter)
        # What the channels themselves have had to say in the fit is taken back.
        leverage = placed.leverage[channel]
        share = np.minimum(leverage / (1 - np.minimum(width * leverage, 0.9)), 1)
        said = width * share * np.clip(own.mean(axis=-1), -CLIPPED, CLIPPED)
        at = row[:, np.newaxis], np.minimum(channel[:, np.newaxis] + np.arange(2), last)
        sigma = np.sqrt(whole[at])
        known = placed.leverage[at[1]] * self.variance[at] + whole[at] - self.variance[at]
        known += np.where(line > 0, 1.0, 0.0)[:, np.newaxis] * (spread * sigma) ** 2
        values = fit.expected[at] + (line - said)[:, np.newaxis] * sigma
        return Outliers(row, channel, np.full(row.size, width), excess, values, known)

    def _score(
        self,
        width: int,
        row: np.ndarray,
        channel: np.ndarray,
        own: np.ndarray,
        line: np.ndarray,
        spread: float,
        whole: np.ndarray,
        scatter: np.ndarray | float = 1.0,
    ) -> np.ndarray:
        """Standard deviations by which candidates exceed a line and the limit.

        Parameters
        ----------
        width, row, channel
            Of the candidates.
        own
            Their residuals in standard deviations, shape ``(n, width)``.
        line, spread
            From `line_height`.
        whole
            Variance of the residuals of all channels.
        scatter
            Of the residuals of their spectra.
        """
        fit = self.fit
        # What the line adds is noisy too.
        shot = scatter**2 + self.noise.electron_in(row) / np.sqrt(whole[row, channel]) * line
        of_line = np.where(line > 0, spread**2 * shot, 0.0)
        share = np.sqrt(1 - self.search.placed.leverage[channel])
        score = (own.mean(axis=-1) / share - line) / np.sqrt(shot / width + of_line)
        skewness = self.noise.skewness(fit.expected[row, channel], self.variance[row, channel], row)
        score -= limit(width, self.search.threshold, skewness)
        if width > 1:
            score[own.min(axis=-1) - line < EACH] = 0.0
        return score
