# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a spectrum is from every reference, as a false-alarm probability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hyperspy_dosekin.classification.noise import NoiseModel

#: Directions in which the noise-free spectra of a class may differ.
_FACTORS = 8
#: How far the median distance of the data may correct the noise level.
_CORRECTION = 0.03


@dataclass(frozen=True, eq=False)
class NoveltyScale:
    """Distance to the nearest class, and its distribution for spectra of the classes.

    The noise-free spectra of a class, with all its nuisances, are taken for normal, with a few
    factors; the distance is that of Mahalanobis, in standard scores of the class's own spectra.

    Parameters
    ----------
    mean
        Mean of each class, ``(n_class, n_channels)``.
    sigma
        Noise standard deviation of each class by channel, ``(n_class, n_channels)``.
    factors
        Whitened factors, ``(n_class, n_factor, n_channels)``: what they explain is subtracted.
    centre, spread
        Mean and standard deviation of the squared distance of spectra of a class, ``(n_class,)``.
    score, log_probability
        Scores, ascending, and log10 of the share of known spectra beyond them, ``(n_node,)``.
    correction
        Factor on squared distances that makes the typical measured spectrum typical.
    """

    mean: np.ndarray
    sigma: np.ndarray
    factors: np.ndarray
    centre: np.ndarray
    spread: np.ndarray
    score: np.ndarray
    log_probability: np.ndarray
    correction: float = 1.0

    def scores(self, spectra: np.ndarray) -> np.ndarray:
        """Standard score of the distance to the nearest class, ``(n,)``."""
        return self.scores_of(self.distances(spectra) * self.correction)

    def distances(self, spectra: np.ndarray) -> np.ndarray:
        """Squared distance of spectra ``(n, n_channels)`` to each class, ``(n, n_class)``."""
        parts = zip(self.mean, self.sigma, self.factors, strict=True)
        return np.stack([_distance(spectra, *part) for part in parts], axis=1)

    def scores_of(self, squared: np.ndarray) -> np.ndarray:
        """Scores of squared distances to each class."""
        return ((squared - self.centre) / self.spread).min(axis=1)

    def novelty(self, spectra: np.ndarray) -> np.ndarray:
        """−log10 of the share of known spectra that lie at least as far, ``(n,)``."""
        score = self.scores(spectra)
        inside = np.interp(score, self.score, self.log_probability)
        # Beyond the farthest simulated spectrum the tail of the logarithm goes on straight.
        slope = (self.log_probability[-1] - self.log_probability[-6]) / max(
            self.score[-1] - self.score[-6], 1e-9
        )
        beyond = self.log_probability[-1] + min(slope, -1e-3) * (score - self.score[-1])
        return -np.where(score > self.score[-1], beyond, inside)


def _distance(
    spectra: np.ndarray, mean: np.ndarray, sigma: np.ndarray, factors: np.ndarray
) -> np.ndarray:
    white = (spectra - mean) / sigma
    return (white**2).sum(axis=1) - ((white @ factors.T) ** 2).sum(axis=1)


def fit_novelty(
    clean: list[np.ndarray],
    known: np.ndarray,
    noise: NoiseModel,
    measured: np.ndarray,
) -> NoveltyScale:
    """Novelty scale from simulated spectra.

    Parameters
    ----------
    clean
        Noise-free spectra of each class, ``(n, n_channels)``.
    known
        Noisy spectra of all classes in their shares, not among `clean`, ``(n, n_channels)``.
    measured
        Spectra of the data, whose median sets the noise level within a few per cent.
    """
    mean = np.stack([spectra.mean(axis=0) for spectra in clean])
    sigma = np.sqrt(noise.variance(mean))
    factors = np.stack(
        [_factors((own - m) / s) for own, m, s in zip(clean, mean, sigma, strict=True)]
    )
    half, n_class = len(known) // 2, len(mean)
    draft = NoveltyScale(
        mean, sigma, factors, np.zeros(n_class), np.ones(n_class), np.zeros(1), np.zeros(1)
    )
    squared = draft.distances(known)
    nearest = squared.argmin(axis=1)
    for k in range(n_class):
        own = squared[:half][nearest[:half] == k, k]
        if len(own) < 20:
            own = squared[:half].min(axis=1)
        draft.centre[k], draft.spread[k] = own.mean(), max(own.std(), 1e-6)
    score = np.sort(draft.scores_of(squared[half:]))
    correction = _correction(draft, float(np.median(score)), draft.distances(measured))
    n = len(score)
    # Half a spectrum beyond the farthest one, so that its logarithm is finite.
    tail = np.unique(np.round(np.geomspace(1, n, 80)).astype(int))[::-1]
    return NoveltyScale(
        mean,
        sigma,
        factors,
        draft.centre,
        draft.spread,
        score[n - tail],
        np.log10(np.where(tail == n, n, tail - 0.5) / n),
        correction,
    )


def _factors(white: np.ndarray) -> np.ndarray:
    """Directions of whitened spectra, each shrunk by how much of it is not noise."""
    number = min(_FACTORS, len(white) - 1, white.shape[1])
    _, values, vectors = np.linalg.svd(white, full_matrices=False)
    variance = values[:number] ** 2 / len(white)
    return vectors[:number] * np.sqrt(variance / (1 + variance))[:, None]


def _correction(scale: NoveltyScale, target: float, squared: np.ndarray) -> float:
    """Factor on squared distances that gives the data the median score of simulations."""
    low, high = 1 - _CORRECTION, 1 + _CORRECTION
    for _ in range(12):
        middle = (low + high) / 2
        if np.median(scale.scores_of(middle * squared)) < target:
            low = middle
        else:
            high = middle
    return (low + high) / 2
