# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Noise of every single spectrum: from a model and the spectrum itself, or from its variance."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.fft import dct

from hyperspy_dosekin.classification.noise import (
    NoiseModel,
    PrincipalComponents,
    estimate_blurred_noise,
)

#: Levels are read from the upper two thirds of the frequencies, where spectra have no features, and
#: from lower ones where those are not the same in all spectra.
_FREQUENCIES, _LOWER = (0.35, 1.0), (0.15, 0.5)
#: Standard errors by which levels have to scatter more than by chance to be taken for real.
_CLEAR = 4.0
#: Largest departure of a level from the typical one, as a factor.
FARTHEST = 30.0
#: A given variance that the scatter of the data contradicts by less than this is taken as it is.
_BELIEVED = 0.15
#: Logarithm of the ratio from which the noise of other spectra is another one, and the number of
#: spectra that it takes to say what it is then.
_DIFFERENT, _FEWEST = 0.15, 200
#: Smooth curves of the energy, up to this order, that a given variance is described by, beside the
#: intensity of its own spectrum.
_ORDER = 2


@dataclass(frozen=True, eq=False)
class PixelNoise:
    """Noise variance of every channel of every spectrum.

    Parameters
    ----------
    model
        Noise model.
    components
        Principal components of spectra like these: intensities are read from what they show.
    usual
        Level of the high frequencies of a typical spectrum, in units of what the model says.
    usual_given
        The same in units of a variance that comes with each spectrum, which is then smoothed and
        multiplied by it; ``None`` where none came with the spectra this was found from.
    excess
        Variance beyond the noise by channel, for what the references do not describe; 0 for none.
    kept
        Part of each component's score that intensities are read from, ``(n_components,)``: the rest
        of its variance is noise, and weights that know the noise prefer the channels that happen
        to be low. 1 for all of it.
    """

    model: NoiseModel
    components: PrincipalComponents
    usual: float = 1.0
    usual_given: float | None = None
    excess: np.ndarray | float = 0.0
    kept: np.ndarray | float = 1.0

    @classmethod
    def of(
        cls,
        spectra: np.ndarray,
        model: NoiseModel,
        components: PrincipalComponents,
        variance: np.ndarray | None = None,
    ) -> PixelNoise:
        """Noise of spectra ``(n, n_channels)``; how much their levels scatter is found from them.

        Parameters
        ----------
        spectra
            Shape ``(n, n_channels)``, finite.
        variance
            Noise variance that is known for each, of the same shape, or ``None``.
        """
        curves = components.components
        noise = model.along(curves) * (curves**2 @ model.variance(components.mean))
        seen = np.maximum(components.scores(spectra).var(axis=0), np.finfo(float).tiny)
        draft = cls(model, components, kept=np.clip(1 - noise / seen, 0, 1))
        ratio = draft._high(spectra, model.variance(draft.expected(spectra)))
        usual = float(np.median(ratio))
        logarithm = np.log(np.clip(ratio / usual, 1 / FARTHEST, FARTHEST))
        # Of the quantiles, so that single odd spectra do not count.
        low, high = np.quantile(logarithm, [0.1, 0.9])
        spread = ((high - low) / 2.5631) ** 2
        by_chance = draft._error**2
        significant = _CLEAR * by_chance * np.sqrt(4 / len(spectra))
        excess = spread - by_chance
        level = float(np.sqrt(excess)) if excess > significant else 0.0
        given = None
        if variance is not None:
            given = float(np.median(draft._high(spectra, draft.smooth(spectra, variance))))
            # The components took some noise with them: what nearly agrees is believed.
            given = 1.0 if abs(given - 1) < _BELIEVED else given
        return replace(draft, model=replace(model, level_sd=level), usual=usual, usual_given=given)

    @property
    def band(self) -> slice:
        """Frequencies that the level is read from."""
        low, high = _FREQUENCIES if self.model.reach == 1 else _LOWER
        n_channels = self.components.mean.size
        end = int(high * n_channels)
        return slice(min(end - int((high - low) * n_channels), end - 8), end)

    @property
    def _error(self) -> float:
        """Standard error of the logarithm of a level."""
        high = self.model.power[self.band]
        return float(np.sqrt(2 * (high**2).sum()) / high.sum())

    def of_others(self, spectra: np.ndarray, given: np.ndarray | None = None) -> PixelNoise:
        """The noise of others, ``(n, n_channels)``: the same, unless their scatter differs."""
        if len(spectra) < _FEWEST:
            return self
        usual = self.usual if self.usual_given is None or given is None else 1.0
        variance = self.variance(spectra, given)
        seen = float(np.median(self._high(spectra, variance))) / usual
        if abs(np.log(max(seen, 1e-9))) < _DIFFERENT:
            return self
        number = min(len(self.components.components), len(spectra) - 1)
        components = PrincipalComponents.of(spectra, number)
        noise = estimate_blurred_noise(spectra, components)
        found = PixelNoise.of(spectra, noise, components, given)
        return replace(found, excess=self.excess)

    def levels(self, spectra: np.ndarray) -> np.ndarray:
        """Noise level of each spectrum, ``(n,)``.

        Where levels scatter more than each is known to, it is the spectrum's own; else it is drawn
        to the usual one, the more the less they scatter.
        """
        if not self.model.level_sd > 0:
            return np.ones(len(spectra))
        ratio = self._high(spectra, self.model.variance(self.expected(spectra)))
        return np.exp(
            self.level_weight * np.log(np.clip(ratio / self.usual, 1 / FARTHEST, FARTHEST))
        )

    @property
    def level_weight(self) -> float:
        """How much of the logarithm of a level is its own, at most 1."""
        own, chance = self.model.level_sd**2, self._error**2
        return 1.0 if own > chance else own / (own + chance)

    def variance(self, spectra: np.ndarray, given: np.ndarray | None = None) -> np.ndarray:
        """Noise variance of spectra ``(n, n_channels)``, of the same shape.

        Parameters
        ----------
        spectra
            Shape ``(n, n_channels)``, finite.
        given
            Variance that is known for each; without it, and where there was none to begin with,
            that of the model and the level of each spectrum.
        """
        if self.usual_given is not None and given is not None:
            return self.usual_given * self.smooth(spectra, given) + self.excess
        found = self.model.variance(self.expected(spectra))
        return found * self.levels(spectra)[:, None] + self.excess

    @property
    def by_intensity(self) -> NoiseModel:
        """Noise by intensity alone, with what the references do not describe."""
        return self.model.with_excess(np.broadcast_to(self.excess, self.model.offset.shape))

    def expected(self, spectra: np.ndarray) -> np.ndarray:
        """Intensities without most of their noise, ``(n, n_channels)``."""
        scores = self.kept * self.components.scores(spectra)
        return scores @ self.components.components + self.components.mean

    def smooth(self, spectra: np.ndarray, variance: np.ndarray) -> np.ndarray:
        """Variances as smooth curves of the energy and the intensity of their spectra.

        A variance that is taken from counts has their noise; weights that know the noise would
        prefer the channels that happen to be low.
        """
        clean = self.expected(spectra)
        position = np.linspace(-1, 1, clean.shape[1])
        curves = np.polynomial.legendre.legvander(position, _ORDER).T
        weight = 1 / np.maximum(variance.mean(axis=0), np.finfo(float).tiny) ** 2
        size = np.maximum(np.abs(clean).max(axis=1, keepdims=True), np.finfo(float).tiny)
        own = clean / size
        number = len(curves) + 1
        normal, right = np.empty((len(clean), number, number)), np.empty((len(clean), number))
        normal[:, :-1, :-1] = (curves * weight) @ curves.T
        normal[:, :-1, -1] = normal[:, -1, :-1] = (own * weight) @ curves.T
        normal[:, -1, -1] = (own**2) @ weight
        right[:, :-1] = (variance * weight) @ curves.T
        right[:, -1] = (variance * own) @ weight
        # A spectrum as smooth as the curves is none of its own.
        normal += 1e-9 * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(number)
        found = np.linalg.solve(normal, right[..., None])[..., 0]
        fitted = found[:, :-1] @ curves + found[:, -1:] * own
        return np.maximum(fitted, 0.1 * variance.mean(axis=1, keepdims=True))

    def _high(self, spectra: np.ndarray, variance: np.ndarray) -> np.ndarray:
        """Mean square of high frequencies of what the components leave, in units of it."""
        leverage = (self.components.components**2).sum(axis=0)
        rest = spectra - self.components.clean(spectra)
        white = rest / np.sqrt(variance * np.maximum(1 - leverage, 0.1))
        waves = np.asarray(dct(white, norm="ortho", axis=1))
        expected = self.model.power[self.band].mean()
        return np.mean(waves[:, self.band] ** 2, axis=1) / expected

    def scaled(self, factor: float) -> PixelNoise:
        """The noise of spectra that are multiplied by a factor."""
        components = PrincipalComponents(self.components.mean * factor, self.components.components)
        return replace(
            self,
            model=self.model.scaled(factor),
            components=components,
            excess=self.excess * factor**2,
        )
