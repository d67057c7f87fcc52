# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Noise of single spectra, estimated from many of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.fft import dct

from hyperspy_dosekin.classification.blurred_noise import find_colour, whitening

#: Variance below this share of the variance of the data is taken for no noise at all.
SMALLEST_NOISE = 1e-6
#: Factor on the bound of what noise alone shows.
_CLEARLY = 1.2
#: Groups of spectra of different intensity, from which the gain is read.
_GROUPS = 10
_FEWEST_IN_GROUP = 50
_POLYNOMIAL = 3
#: Terms of what rises with the intensity of the spectrum, and the fall of χ² from which they count.
_SLOPES = 3
_CLEAR = 30.0


@dataclass(frozen=True, eq=False)
class NoiseModel:
    """Noise variance of a channel, linear in its expected intensity and in that of its spectrum.

    ``variance = level · (offset + slope · (intensity · direction) + gain · intensity)``. The gain
    is that of counting noise. The offset holds read noise and the counts of what was subtracted
    before; where a thicker pixel had more of those, they are in the slope. The level is what
    single spectra have more or less noise than that, as after a normalisation.

    Parameters
    ----------
    offset
        Variance at zero intensity by channel, shape ``(n_channels,)``.
    gain
        Variance for each unit of intensity.
    slope
        Variance for each unit of the intensity of the whole spectrum, ``(n_channels,)``.
    direction
        Weights of the channels in the intensity of a spectrum, ``(n_channels,)``.
    level_sd
        Standard deviation of the logarithm of the level.
    floor
        Smallest variance; by default a twentieth of the mean offset.
    colour
        Power of the noise at the frequencies of a cosine transform, of mean 1, ``(n_channels,)``;
        ``None`` where channels are independent.
    reach
        Part of the frequencies, from the lowest, at which all spectra have that power.
    """

    offset: np.ndarray
    gain: float
    slope: np.ndarray | None = None
    direction: np.ndarray | None = None
    level_sd: float = 0.0
    floor: float | None = None
    colour: np.ndarray | None = None
    reach: float = 1.0

    @property
    def power(self) -> np.ndarray:
        """Power at the frequencies of a cosine transform, of mean 1, ``(n_channels,)``."""
        return np.ones_like(self.offset) if self.colour is None else self.colour

    @property
    def whitening(self) -> np.ndarray | None:
        """Filter behind which channels are independent, from the right of spectra, if it takes any.

        Shape ``(n_channels, n_channels)``.
        """
        return None if self.colour is None else whitening(self.colour, self.reach)

    @property
    def left_white(self) -> np.ndarray:
        """Variance of channels behind that filter in units of that before, ``(n_channels,)``."""
        white = self.whitening
        return np.ones_like(self.offset) if white is None else self.along(white.T)

    def along(self, curves: np.ndarray) -> np.ndarray:
        """Variance of noise, of 1 in every channel, along curves ``(n, n_channels)``, ``(n,)``."""
        if self.colour is None:
            return (curves**2).sum(axis=1)
        return np.asarray(dct(curves, norm="ortho", axis=1)) ** 2 @ self.colour

    @property
    def smallest(self) -> float:
        """Smallest variance that is taken for possible."""
        floor = 0.05 * self.offset.mean() if self.floor is None else self.floor
        return float(floor + np.finfo(float).tiny)

    def variance(self, intensity: np.ndarray) -> np.ndarray:
        """Variance at expected intensities ``(…, n_channels)`` and level 1, never below a floor."""
        found = self.offset + self.gain * intensity
        if self.slope is not None and self.direction is not None:
            found = found + (intensity @ self.direction)[..., None] * self.slope
        return np.maximum(found, self.smallest)

    def by_scale(
        self, background: np.ndarray, typical: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Variance that goes with no intensity of a spectrum, and what a unit of its scale adds.

        Parameters
        ----------
        background
            Shape ``(n_channels,)``.
        typical
            Mean of the templates, ``(n_channels,)``. What was subtracted before is as thick as the
            specimen, whatever is in it: a weak template does not foretell less of it.

        Returns
        -------
        Each of shape ``(n_channels,)``, without the gain and the floor.
        """
        if self.slope is None or self.direction is None:
            return self.offset, np.zeros_like(self.offset)
        fixed = self.offset + (background @ self.direction) * self.slope
        return fixed, (typical @ self.direction) * self.slope

    def scaled(self, factor: float) -> NoiseModel:
        """The noise of spectra that are multiplied by a factor."""
        return replace(
            self,
            offset=self.offset * factor**2,
            gain=self.gain * factor,
            slope=None if self.slope is None else self.slope * factor,
            floor=None if self.floor is None else self.floor * factor**2,
        )

    def with_excess(self, excess: np.ndarray) -> NoiseModel:
        """The same with a variance added to the offset, ``(n_channels,)``."""
        return replace(self, offset=self.offset + excess)


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

    def beyond_noise(
        self, spectra: np.ndarray, variance: np.ndarray, alike: np.ndarray | float = 1.0
    ) -> PrincipalComponents:
        """Those that show more than noise, two at least.

        Of few spectra the largest components of noise are larger than noise, and take more of it
        with them than their number says. The bound is that of the largest of random components (V.
        A. Marchenko, L. A. Pastur, doi:10.1070/SM1967v001n04ABEH001994).

        Parameters
        ----------
        spectra
            Those that the components are of, ``(n, n_channels)``.
        variance
            Mean noise variance by channel, ``(n_channels,)``.
        alike
            Variance of the noise along each, where that of every channel is 1; see
            `NoiseModel.along`.
        """
        n, n_channels = spectra.shape
        own = self.scores(spectra).var(axis=0) / (self.components**2 @ variance) / alike
        real = own > _CLEARLY * (1 + np.sqrt(n_channels / n)) ** 2
        real[:2] = True
        return PrincipalComponents(self.mean, self.components[real])


def estimate_noise(
    spectra: np.ndarray,
    components: PrincipalComponents,
    alike: np.ndarray | float = 1.0,
) -> NoiseModel:
    """Noise model from what the principal components leave over.

    Parameters
    ----------
    spectra
        Shape ``(n, n_channels)``, finite.
    components
        Their principal components; few against the number of spectra and channels.
    alike
        Variance of the noise along each component; see `NoiseModel.along`.

    Returns
    -------
    The model, of independent channels.
    """
    spectra = np.asarray(spectra, dtype=np.float64)
    n, n_channels = spectra.shape
    clean = components.clean(spectra)
    # The components took a share of the noise of each channel with them: its leverage.
    leverage = (components.components**2).T @ np.broadcast_to(alike, len(components.components))
    kept = np.maximum(1 - leverage, 0.1) * (1 - 1 / n)
    squares = (spectra - clean) ** 2 / kept
    floor = SMALLEST_NOISE * spectra.var() + np.finfo(float).tiny
    # Of the mean spectrum, the intensity that the thickness scales.
    direction = components.mean / max(float(components.mean @ components.mean), floor)
    groups = np.array_split(
        np.argsort(clean @ direction), min(_GROUPS, max(1, n // _FEWEST_IN_GROUP))
    )
    mean = np.stack([clean[g].mean(axis=0) for g in groups])
    variance = np.stack([squares[g].mean(axis=0) for g in groups])
    # A constant channel, such as a masked one, says nothing about noise.
    position = np.linspace(-1, 1, n_channels)
    basis = np.polynomial.legendre.legvander(position, _POLYNOMIAL)
    fixed = np.tile(basis, (len(groups), 1))
    whole = np.repeat(mean @ direction, n_channels)[:, None]
    steep = whole * np.tile(basis[:, :_SLOPES], (len(groups), 1))
    error = np.sqrt(2 / (n / len(groups)))
    target = variance.ravel()
    plain = _fitted(fixed, mean.ravel(), target, error, floor)
    sloped = _fitted(np.concatenate([fixed, steep], 1), mean.ravel(), target, error, floor)
    slope = np.zeros(n_channels)
    chosen = plain
    # Only where it says clearly more: gain and slope compete for the same differences.
    if len(groups) > 1 and plain.cost - sloped.cost > _CLEAR:
        part = basis[:, :_SLOPES] @ sloped.coefficients[basis.shape[1] : -1]
        if part.mean() > 0:
            chosen, slope = sloped, part
    gain = float(chosen.coefficients[-1])
    offset = basis @ chosen.coefficients[: basis.shape[1]]
    typical = max(target.mean(), floor)
    middle = float(components.mean @ direction)
    fitted = np.maximum(offset + whole.reshape(mean.shape) * slope + gain * mean, 0.05 * typical)
    offset = offset + _channel_excess(variance / fitted, n) * fitted.mean(axis=0)
    overall = np.maximum(offset + middle * slope, 0).mean()
    least = max(floor, 0.02 * overall)
    if not slope.any():
        return NoiseModel(np.maximum(offset, least), gain)
    return NoiseModel(offset, gain, slope, direction, floor=max(floor, 0.05 * typical))


def estimate_blurred_noise(spectra: np.ndarray, components: PrincipalComponents) -> NoiseModel:
    """Noise model with how alike neighbouring channels are; see `estimate_noise`."""
    found = estimate_noise(spectra, components)
    curves = components.components
    clean = components.clean(spectra)
    variance = found.variance(clean)
    seen = find_colour((spectra - clean) / np.sqrt(variance), curves)
    if seen is None:
        return found
    colour, reach = seen
    alike = replace(found, colour=colour).along(curves)
    return replace(estimate_noise(spectra, components, alike), colour=colour, reach=reach)


@dataclass(frozen=True, eq=False)
class _Fit:
    coefficients: np.ndarray
    cost: float


def _fitted(
    design: np.ndarray, mean: np.ndarray, target: np.ndarray, error: float, floor: float
) -> _Fit:
    """Variances of groups and channels by their intensities, the last coefficient the gain."""
    design = np.concatenate([design, mean[:, None]], axis=1)
    typical = max(target.mean(), floor)
    weight = np.full(target.size, 1 / typical)
    coefficients, pull = np.zeros(design.shape[1]), np.ones(target.size)
    fitted = np.full(target.size, typical)
    for _ in range(4):
        coefficients = _non_negative_last(design * weight[:, None], target * weight)
        fitted = np.maximum(design @ coefficients, 0.1 * typical)
        # Single channels with features that the components miss must not pull the line.
        pull = np.minimum(1, 4 * error / np.abs(target / fitted - 1 + 1e-9))
        weight = np.sqrt(pull) / fitted
    return _Fit(coefficients, float((pull * (target / fitted - 1) ** 2).sum() / error**2))


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
