# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Noise of single spectra, estimated from many of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Variance below this share of the variance of the data is taken for no noise at all.
SMALLEST_NOISE = 1e-6
#: Groups of spectra of different intensity, from which the gain is read.
_GROUPS = 6
_POLYNOMIAL = 3


@dataclass(frozen=True, eq=False)
class NoiseModel:
    """Noise variance of a channel, linear in its expected intensity.

    ``variance = offset + gain * intensity``: the gain is that of counting noise; the offset holds
    read noise and the counts of what was subtracted before.

    Parameters
    ----------
    offset
        Variance at zero intensity by channel, shape ``(n_channels,)``.
    gain
        Variance for each unit of intensity.
    """

    offset: np.ndarray
    gain: float

    def variance(self, intensity: np.ndarray) -> np.ndarray:
        """Variance at expected intensities ``(…, n_channels)``, never below a small floor."""
        floor = 0.05 * self.offset.mean() + np.finfo(float).tiny
        return np.maximum(self.offset + self.gain * intensity, floor)

    def scaled(self, factor: float) -> NoiseModel:
        """The noise of spectra that are multiplied by a factor."""
        return NoiseModel(self.offset * factor**2, self.gain * factor)


@dataclass(frozen=True, eq=False)
class PrincipalComponents:
    """Mean spectrum and orthonormal components, the low-rank picture of spectra.

    Parameters
    ----------
    mean
        Shape ``(n_channels,)``.
    components
        Shape ``(n_components, n_channels)``, by falling variance.
    """

    mean: np.ndarray
    components: np.ndarray

    @classmethod
    def of(cls, spectra: np.ndarray, number: int) -> PrincipalComponents:
        """The leading components of spectra ``(n, n_channels)``."""
        mean = spectra.mean(axis=0, dtype=np.float64)
        centred = spectra - mean
        covariance = centred.T @ centred
        _, vectors = np.linalg.eigh(covariance)
        return cls(mean, np.ascontiguousarray(vectors[:, ::-1][:, :number].T))

    def clean(self, spectra: np.ndarray) -> np.ndarray:
        """Projection of spectra on the components: the clean version of the paper."""
        return (spectra - self.mean) @ self.components.T @ self.components + self.mean

    def scores(self, spectra: np.ndarray) -> np.ndarray:
        """Coordinates ``(n, n_components)``."""
        return (spectra - self.mean) @ self.components.T


def estimate_noise(spectra: np.ndarray, components: PrincipalComponents) -> NoiseModel:
    """Noise model from what the principal components leave over.

    Parameters
    ----------
    spectra
        Shape ``(n, n_channels)``, finite.
    components
        Their principal components; few against the number of spectra and channels.
    """
    spectra = np.asarray(spectra, dtype=np.float64)
    n, n_channels = spectra.shape
    clean = components.clean(spectra)
    # The components took a share of the noise of each channel with them: its leverage.
    leverage = (components.components**2).sum(axis=0)
    kept = np.maximum(1 - leverage, 0.1) * (1 - 1 / n)
    squares = (spectra - clean) ** 2 / kept
    groups = np.array_split(np.argsort(clean.sum(axis=1)), min(_GROUPS, max(1, n // 50)))
    mean = np.stack([clean[g].mean(axis=0) for g in groups])
    variance = np.stack([squares[g].mean(axis=0) for g in groups])
    # A constant channel, such as a masked one, says nothing about noise.
    floor = SMALLEST_NOISE * spectra.var() + np.finfo(float).tiny
    position = np.linspace(-1, 1, n_channels)
    basis = np.polynomial.legendre.legvander(position, _POLYNOMIAL)
    design = np.concatenate([np.tile(basis, (len(groups), 1)), mean.reshape(-1, 1)], axis=1)
    target = variance.ravel()
    weight = np.full(target.size, 1 / max(target.mean(), floor))
    coefficients = np.zeros(design.shape[1])
    for _ in range(4):
        coefficients = _non_negative_last(design * weight[:, None], target * weight)
        fitted = np.maximum(design @ coefficients, 0.1 * max(target.mean(), floor))
        # Single channels with features that the components miss must not pull the line.
        pull = np.minimum(
            1, 4 * np.sqrt(2 / (n / len(groups))) / np.abs(target / fitted - 1 + 1e-9)
        )
        weight = np.sqrt(pull) / fitted
    gain = float(coefficients[-1])
    offset = basis @ coefficients[:-1]
    fitted = np.maximum(offset + gain * mean, 0.05 * max(target.mean(), floor))
    offset = offset + _channel_excess(variance / fitted, n) * fitted.mean(axis=0)
    overall = np.maximum(offset, 0).mean()
    return NoiseModel(np.maximum(offset, max(floor, 0.02 * overall)), gain)


def _non_negative_last(design: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Least squares whose last coefficient, the gain, is not negative."""
    solution, *_ = np.linalg.lstsq(design, target, rcond=None)
    if solution[-1] < 0:
        solution = np.zeros(design.shape[1])
        solution[:-1], *_ = np.linalg.lstsq(design[:, :-1], target, rcond=None)
    return solution


def _channel_excess(ratio: np.ndarray, n: int) -> np.ndarray:
    """Relative departure of single channels from the smooth model, shrunk by its own error."""
    departure = ratio.mean(axis=0) - 1
    by_chance = 2 / n
    found = np.mean(departure**2)
    return departure * max(0.0, 1 - by_chance / max(found, by_chance))
