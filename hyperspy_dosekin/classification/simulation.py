# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unlimited training spectra: references with the nuisances of the data."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.classification.blurred_noise import blurring
from hyperspy_dosekin.classification.nuisances import HALF_WIDTH, Nuisances
from hyperspy_dosekin.classification.references import ReferenceSet

#: Expected counts above which counting noise is drawn as normal.
_MANY_COUNTS = 40.0


@dataclass(frozen=True, eq=False)
class Batch:
    """Simulated spectra with their truth.

    Parameters
    ----------
    raw, clean
        With noise and without, ``(n, n_channels)``.
    label
        Class of each, ``(n,)``.
    posterior
        Probability of each class that a teacher gives, ``(n, n_class)``, or ``None``.
    """

    raw: Tensor
    clean: Tensor
    label: Tensor
    posterior: Tensor | None = None


class Simulator:
    """Draws single spectra of every class.

    Parameters
    ----------
    references
        Spectra of the classes, in their own units.
    nuisances
        What single spectra differ by.
    generator
        Source of random numbers; its device is where spectra are made.
    class_weights
        Probability of each class, ``(n_class,)``; uniform by default.
    """

    def __init__(
        self,
        references: ReferenceSet,
        nuisances: Nuisances,
        generator: torch.Generator,
        class_weights: np.ndarray | None = None,
    ) -> None:
        device = generator.device

        def tensor(array: np.ndarray) -> Tensor:
            return torch.as_tensor(np.array(array, dtype=np.float32), device=device)

        self.generator = generator
        self.nuisances = nuisances
        n_class = references.n_class
        weights = np.full(n_class, 1 / n_class) if class_weights is None else class_weights
        self._weights = tensor(weights)
        self._spectra = tensor(references.spectra)
        self._member = tensor(references.class_of[None] == np.arange(n_class)[:, None])
        step = float(np.median(np.diff(references.energy_ev)))
        self._shift = nuisances.shift_mean_ev / step, nuisances.shift_sd_ev / step
        self._basis = tensor(nuisances.background_basis)
        self._background = tensor(nuisances.background_mean)
        covariance = nuisances.background_covariance
        values, vectors = np.linalg.eigh(covariance)
        self._root = tensor(vectors * np.sqrt(np.maximum(values, 0)))
        noise = nuisances.noise
        self._noise_offset = tensor(noise.offset)
        self._gain, self._level_sd = float(noise.gain), float(noise.level_sd)
        self._floor = noise.smallest
        self._slope = None if noise.slope is None else tensor(noise.slope)
        self._direction = None if noise.direction is None else tensor(noise.direction)
        self._blur = None
        if noise.colour is not None:
            self._blur = tensor(blurring(noise.colour))
        self._poisson = self._few_counts(references)

    def _few_counts(self, references: ReferenceSet) -> bool:
        """Whether the noise is counting noise of so few counts that it is visibly skew."""
        if self._gain <= 0:
            return False
        level = self.nuisances.noise.variance(references.spectra.mean(axis=0)) / self._gain**2
        return float(np.median(level)) < _MANY_COUNTS

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.generator, device=self.generator.device)

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator, device=self.generator.device)

    def draw(self, number: int) -> Batch:
        """Simulate so many spectra."""
        label = torch.multinomial(self._weights, number, replacement=True, generator=self.generator)
        clean = self.clean(label)
        return Batch(self.measured(clean), clean, label)

    def clean(self, label: Tensor) -> Tensor:
        """Spectra of given classes without noise."""
        number, known = len(label), self.nuisances
        # Exponential draws, normalised, are uniform on the simplex.
        mixture = -torch.log(self._uniform(number, len(self._spectra)).clamp_min(1e-12))
        mixture = mixture * self._member[label]
        mixture = mixture / mixture.sum(dim=1, keepdim=True)
        scale = self._scale(number).clamp_min(0.02 * known.scale_mean)
        mean, sd = self._shift
        shift = mean + sd * self._normal(number, 1).clamp(-3.5, 3.5)
        coefficients = self._background + self._normal(number, len(self._basis)) @ self._root.T
        return _moved(scale * (mixture @ self._spectra), shift) + coefficients @ self._basis

    def _scale(self, number: int) -> Tensor:
        """Intensity factors, ``(number, 1)``."""
        mean, sd = self.nuisances.scale_mean, self.nuisances.scale_sd
        if self.nuisances.scale_shape == "uniform":
            return mean + sd * HALF_WIDTH * (2 * self._uniform(number, 1) - 1)
        score = self._normal(number, 1).clamp(-3.5, 3.5)
        if self.nuisances.scale_shape == "normal":
            return mean + sd * score
        variance = math.log1p((sd / mean) ** 2)
        return mean * torch.exp(math.sqrt(variance) * score - variance / 2)

    def measured(self, clean: Tensor) -> Tensor:
        """Clean spectra with noise."""
        return self.noisy(clean)[0]

    def noisy(self, clean: Tensor) -> tuple[Tensor, Tensor]:
        """Clean spectra with noise, and its variance, ``(n, n_channels)`` both."""
        variance = self._noise_offset + self._gain * clean
        if self._slope is not None and self._direction is not None:
            variance = variance + (clean @ self._direction)[:, None] * self._slope
        variance = variance.clamp_min(self._floor)
        level = torch.ones(len(clean), 1, device=clean.device)
        if self._level_sd > 0:
            level = torch.exp(self._level_sd * self._normal(len(clean), 1))
            variance = variance * level
        if not self._poisson:
            noise = self._normal(*clean.shape)
            return clean + variance.sqrt() * self._blurred(noise), variance
        # The offset is taken for counts that were subtracted, which have the skewness of counts.
        gain = self._gain * level
        expected = variance / gain**2
        counts = torch.poisson(expected, generator=self.generator)
        return clean + gain * self._blurred(counts - expected), variance

    def _blurred(self, noise: Tensor) -> Tensor:
        """Noise of independent channels, spread over neighbours as in the data."""
        return noise if self._blur is None else noise @ self._blur


def _moved(spectra: Tensor, shift: Tensor) -> Tensor:
    """Spectra moved up by `shift` channels each, ``(n, 1)``; end values held."""
    last = spectra.shape[1] - 1
    channel = torch.arange(last + 1, device=spectra.device, dtype=spectra.dtype)
    place = (channel - shift).clamp(0, last)
    left = place.floor().clamp_max(last - 1)
    part = place - left
    index = left.long()
    return spectra.gather(1, index) * (1 - part) + spectra.gather(1, index + 1) * part
