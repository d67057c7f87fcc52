# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Spikes that the other spectra of a data set betray: outliers from the subspace of all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d

from hyperspy_dosekin.processing.spikes.found import (
    EACH,
    ROUNDS,
    Found,
    limit,
    next_of,
    pairs_of,
)
from hyperspy_dosekin.processing.spikes.noise import SIGMA_PER_MAD, Noise
from hyperspy_dosekin.processing.spikes.subspace import Placed, Subspace, place

#: Residuals of more standard deviations pull no harder at the coefficients (a Huber estimator).
_CLIPPED = 4.0
#: Fits of the coefficients at most, and the change of an expectation, in standard deviations, that
#: ends them.
_FITS, _SETTLED = 8, 0.05
#: The quick look asks for less, by so many standard deviations.
_LENIENCE = 0.2
#: Channels on either side that tell a line of the specimen, and standard deviations it takes.
_BESIDE, _LINE = 3, 2.5
#: Lines are at least as wide as the zero-loss peak; its width is known to about a tenth.
_NARROWEST = 0.9
#: Share of the variance that the noise of the components may have, averaged over some channels.
_DOUBTFUL, _AVERAGED = 0.35, 15
#: Standard deviations by which what neighbouring channels take for one exceeds the subspace too.
_SUPPORT = 2.0
#: Intensities that fit in the cache with what is made of them.
_AT_A_TIME = 2**17


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
        Shape ``(n_spectra, n_channels)``.
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
    replaced = np.zeros(spectra.shape)
    noise = subspace.calibration(noise)
    for rows, placed in _groups(start, spectra.shape[-1], subspace):
        search = _Search(placed, noise.part(rows), subspace, threshold)
        part, doubtful[rows] = search.run(spectra[rows], closed[rows] | ~placed.covered)
        cleaned[rows], touched[rows], replaced[rows] = part
    return cleaned, touched, replaced, doubtful


def _groups(
    start: np.ndarray, n_channels: int, subspace: Subspace
) -> Iterator[tuple[np.ndarray, Placed]]:
    most = max(_AT_A_TIME // n_channels, 1)
    for each in np.unique(start):
        placed = place(subspace, int(each), n_channels)
        group = np.flatnonzero(start == each)
        for first in range(0, group.size, most):
            yield group[first : first + most], placed


@dataclass(frozen=True, eq=False)
class _Search:
    """A search among spectra with their zero-loss peak in one channel."""

    placed: Placed
    noise: Noise
    subspace: Subspace
    threshold: float

    def run(
        self, spectra: np.ndarray, closed: np.ndarray
    ) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
        placed = self.placed
        fit = self._fit(spectra, self.noise)
        score = np.where(closed, 0.0, (spectra - fit.expected) / np.sqrt(fit.variance))
        unlikely = np.abs(score) > (self.threshold - _LENIENCE) * np.sqrt(1 - placed.leverage)
        rows = np.flatnonzero(unlikely.any(axis=-1))
        made = (spectra.copy(), np.zeros(spectra.shape, dtype=bool), np.zeros(spectra.shape))
        cleaned, touched, _ = made
        coefficients, variance = fit.coefficients, fit.variance
        supported = score > _SUPPORT
        for turn in range(ROUNDS):
            if not rows.size:
                break
            noise = self.noise.part(rows)
            fit = self._robust(cleaned[rows], noise)
            if turn == 0:
                # A line or a spike of its own does not make a spectrum doubtful.
                coefficients[rows], variance[rows] = fit.coefficients, fit.variance
                residual = (cleaned[rows] - fit.expected) / np.sqrt(fit.variance)
                supported[rows] = residual > _SUPPORT
            if not self.subspace.sufficient:
                break
            shut = closed[rows] | touched[rows]
            excess, values, uncertainty = self._judge(cleaned[rows], noise, fit, closed[rows], shut)
            found = Found.strongest(excess)
            found.replace(rows, values, uncertainty, made)
            rows = rows[np.unique(found.row)]
        noisy = placed.uncertainty(coefficients) > _DOUBTFUL * variance
        often = uniform_filter1d(noisy.astype(np.float32), _AVERAGED, axis=-1) > 0.5
        if not self.subspace.sufficient:
            often[:] = True
        if self.subspace.few or not self.subspace.sufficient:
            # What the subspace explains is no spike, however narrow it is. Of many spectra those
            # that it is too noisy for are unlike the others, and it has nothing to explain.
            often &= supported
        return made, often & placed.covered

    def _fit(self, spectra: np.ndarray, noise: Noise) -> _Fit:
        coefficients = self.placed.coefficients(spectra)
        expected = self.placed.expected(coefficients)
        return _Fit(coefficients, expected, noise.variance(expected) * self.placed.scale**2)

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
    ) -> tuple[dict[int, np.ndarray], dict[int, list[np.ndarray]], dict[int, list[np.ndarray]]]:
        """Excess over the limit, what is expected and its variance, for one channel and for two."""
        placed = self.placed
        # The components are noisy too, since they are made of noisy spectra.
        variance = fit.variance + placed.uncertainty(fit.coefficients)
        sigma = np.sqrt(variance)
        residual = np.where(unseen, 0.0, (spectra - fit.expected) / sigma)
        used = placed.fitted & placed.covered
        skewness = noise.skewness(fit.expected, fit.variance)
        excess, values, uncertainty = {}, {}, {}
        for width in (1, 2):
            mean = residual if width == 1 else 0.5 * (residual + next_of(residual))
            # Spectra that the subspace does not describe scatter more, and so do pairs of channels
            # that share noise.
            scatter = SIGMA_PER_MAD * np.median(np.abs(mean[:, used]), axis=-1, keepdims=True)
            scatter = np.maximum(scatter * np.sqrt(width), 1.0)
            line, spread = self._line(residual, width)
            # What the line adds is noisy too.
            shot = scatter**2 + noise.electron / sigma * line
            score = mean / np.sqrt(1 - placed.leverage) - line
            score /= np.sqrt(shot / width + np.where(line > 0, spread**2 * shot, 0.0))
            score -= limit(width, self.threshold, skewness)
            if width > 1:
                score[np.minimum(residual, next_of(residual)) - line < EACH] = 0.0
            score[closed if width == 1 else pairs_of(closed)] = 0.0
            excess[width] = score
            # What the channels themselves have had to say in the fit is taken back.
            share = np.minimum(placed.leverage / (1 - np.minimum(width * placed.leverage, 0.9)), 1)
            own = width * share * np.clip(mean, -_CLIPPED, _CLIPPED)
            made = fit.expected + (line - own) * sigma
            known = placed.leverage * fit.variance + variance - fit.variance
            known += np.where(line > 0, (spread * sigma) ** 2, 0.0)
            if width == 1:
                values[width], uncertainty[width] = [made], [known]
            else:
                made_next = next_of(fit.expected) + (line - own) * next_of(sigma)
                values[width], uncertainty[width] = [made, made_next], [known, next_of(known)]
        return excess, values, uncertainty

    def _line(self, residual: np.ndarray, width: int) -> tuple[np.ndarray, float]:
        """Height that a line of the specimen, which the other spectra do not have, may have.

        The zero-loss peak has broadened it, so that the channels beside have their share of it,
        which of a spike they have not. It is fitted to them; where it does not lie in the middle,
        the next two channels alone say more.

        Parameters
        ----------
        residual
            In standard deviations, shape ``(n_rows, n_channels)``.
        width
            Channels in question.

        Returns
        -------
        Height over the channels in question, same shape, zero where it is not significant; and its
        standard deviation.
        """
        sigma = _NARROWEST * max(self.subspace.fwhm, 1.0) / np.sqrt(8 * np.log(2))
        distance = np.arange(1, _BESIDE + 1) + 0.5 * (width - 1)
        shape = np.exp(-0.5 * (distance / sigma) ** 2)
        weights = 0.5 * shape / (shape**2).sum()
        own = np.exp(-0.5 * ((np.arange(width) - 0.5 * (width - 1)) / sigma) ** 2).mean()
        n_channels = residual.shape[-1]
        padded = np.pad(residual, ((0, 0), (_BESIDE, _BESIDE + width)))
        height, next_two = np.zeros(residual.shape), np.zeros(residual.shape)
        for step, weight in enumerate(weights):
            left = _BESIDE - 1 - step
            right = _BESIDE + width + step
            both = padded[:, left : left + n_channels] + padded[:, right : right + n_channels]
            height += weight * both
            if step == 0:
                next_two = 0.5 * both / shape[0]
        spread = np.sqrt(2 * (weights**2).sum())
        significant = height > _LINE * spread
        significant |= next_two > _LINE * np.sqrt(0.5) / shape[0]
        line = np.where(significant, np.maximum(np.maximum(height, next_two), 0.0), 0.0)
        return own * line, float(own * spread)
