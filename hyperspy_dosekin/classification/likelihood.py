# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bayes' rule for single spectra, with the nuisances and the noise that were estimated."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hyperspy_dosekin.classification.explanations import Explainer, typical_template
from hyperspy_dosekin.classification.foretold import LEAST, Foretold
from hyperspy_dosekin.classification.misfit import backgrounds
from hyperspy_dosekin.classification.mixing import Mixing, Unmixed
from hyperspy_dosekin.classification.nuisances import Nuisances
from hyperspy_dosekin.classification.pixel_noise import PixelNoise
from hyperspy_dosekin.numerics.threads import one_blas_thread, side_by_side

#: Entries of the table of explanations that are held at a time.
_TABLE = 400_000
#: Exposure, in units of that of the data, after which the noise counts for little.
LONGER = 25.0
#: Share of spectra of no class beyond which they are the typical ones.
MOST_STRANGE = 0.6
#: Fewer spectra do not say how well a scale foretells their noise.
_FEWEST_LEVELS = 100
#: How far the typical distance of the data may correct the noise level, and how far where the
#: nearest tenth of the spectra, none of them strange, says so as well.
_CORRECTION, _BY_ALL = 0.05, 0.2


@dataclass(frozen=True, eq=False)
class Best:
    """Best explanations of spectra.

    Parameters
    ----------
    explained, background
        Shifted and scaled reference, and residual background, ``(n, n_channels)``.
    scale
        Shape ``(n,)``.
    """

    explained: np.ndarray
    background: np.ndarray
    scale: np.ndarray


@dataclass(frozen=True, eq=False)
class Likelihood:
    """What explains spectra, and how far those of the classes are from the best explanation.

    Parameters
    ----------
    templates
        Mixtures of the references, ``(n_template, n_channels)``, in the unit of the references.
    class_of
        Class of each template.
    noise
        Noise of single spectra.
    n_shift
        Nodes of the shift.
    score, log_probability
        Squared distances, ascending, and log10 of the share of known spectra beyond them,
        ``(n_node,)``.
    mixing
        How the classes add up in one spectrum.
    correction
        Factor on squared distances that makes the typical measured spectrum typical.
    typical
        Squared distance of the typical measured spectrum over that of the typical simulated one.
    level_centre, level_sd
        How well the scale foretells the noise, see `Foretold`; a `level_sd` of 0 where it does
        not.
    """

    templates: np.ndarray
    class_of: np.ndarray
    noise: PixelNoise
    n_shift: int
    score: np.ndarray
    log_probability: np.ndarray
    mixing: Mixing
    correction: float = 1.0
    typical: float = 1.0
    level_centre: float = 0.0
    level_sd: float = 0.0

    @property
    def foretold(self) -> Foretold | None:
        """Noise that explanations foretell."""
        if not self.level_sd > 0:
            return None
        return Foretold(self.noise.by_intensity, self.level_centre, self.level_sd)

    def explainer(self, energy_ev: np.ndarray) -> Explainer:
        """Templates at energies."""
        return Explainer(self.templates, self.class_of, energy_ev, self.noise.model.whitening)

    def blocks(self, number: int) -> list[slice]:
        """Parts of so many spectra whose tables fit the memory."""
        size = max(16, _TABLE // (len(self.templates) * self.n_shift))
        return [slice(i, i + size) for i in range(0, number, size)]

    def judged(
        self,
        spectra: np.ndarray,
        given: np.ndarray | None,
        nuisances: Nuisances,
        energy_ev: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Log-likelihood of each class, ``(n, n_class)``, and distance to the nearest, ``(n,)``.

        Parameters
        ----------
        spectra
            Shape ``(n, n_channels)``.
        given
            Noise variance of each, or ``None``.
        energy_ev
            Energies of the channels.
        """
        explainer = self.explainer(energy_ev)
        uniform = np.full(explainer.n_class, 1 / explainer.n_class)
        log = np.empty((len(spectra), explainer.n_class))
        distance = np.empty(len(spectra))

        def judge(rows: slice) -> None:
            part = spectra[rows]
            variance = self.noise.variance(part, _part(given, rows))
            white = explainer.white(part)
            found = explainer.explain(
                white, variance, nuisances, self.n_shift, uniform, self.foretold, part
            )
            log[rows] = found.by_class(self.class_of, explainer.n_class)
            distance[rows] = found.nearest

        # Threads are given to blocks, or to chunks of dask.
        with one_blas_thread():
            side_by_side(judge, self.blocks(len(spectra)))
        return log, distance * self.correction

    def novelty(self, distance: np.ndarray) -> np.ndarray:
        """−log10 of the share of known spectra whose distance is at least that, ``(n,)``."""
        inside = np.interp(distance, self.score, self.log_probability)
        # Beyond the farthest simulated spectrum the tail of the logarithm goes on straight.
        slope = (self.log_probability[-1] - self.log_probability[-6]) / max(
            self.score[-1] - self.score[-6], 1e-9
        )
        beyond = self.log_probability[-1] + min(slope, -1e-3) * (distance - self.score[-1])
        return -np.where(distance > self.score[-1], beyond, inside)

    def best(
        self,
        spectra: np.ndarray,
        given: np.ndarray | None,
        nuisances: Nuisances,
        energy_ev: np.ndarray,
    ) -> Best:
        """The best explanation of each spectrum ``(n, n_channels)``, and its background."""
        explainer = self.explainer(energy_ev)
        shifted = explainer.shifted(nuisances, self.n_shift)
        explained, background = np.empty(spectra.shape), np.empty(spectra.shape)
        scale = np.empty(len(spectra))

        def explain(rows: slice) -> None:
            part = spectra[rows]
            variance = self.noise.variance(part, _part(given, rows))
            found = explainer.explain(explainer.white(part), variance, nuisances, self.n_shift)
            row = np.arange(len(part))
            best = found.log.reshape(len(part), -1).argmax(axis=1)
            m, i = np.unravel_index(best, found.log.shape[1:])
            scale[rows] = found.scale[row, m, i]
            explained[rows] = scale[rows, None] * shifted[m, i]
            left = explainer.white(part - explained[rows])
            background[rows] = backgrounds(left, variance, nuisances, explainer)

        side_by_side(explain, self.blocks(len(spectra)))
        return Best(explained, background, scale)

    def after_longer_exposure(
        self,
        spectra: np.ndarray,
        given: np.ndarray | None,
        nuisances: Nuisances,
        energy_ev: np.ndarray,
    ) -> np.ndarray:
        """Log-likelihood of each class if the exposure had been `LONGER` times, ``(n, n_class)``.

        Of the best explanation of each spectrum, without its noise: what is still unsure then is
        what the classes have in common.
        """
        best = self.best(spectra, given, nuisances, energy_ev)
        variance = self.noise.variance(spectra, given) / LONGER
        clean = best.explained + best.background
        explainer = self.explainer(energy_ev)
        # Nodes closer by the fall of the noise, those of before among them.
        nodes = (self.n_shift - 1) * round(np.sqrt(LONGER)) + 1
        uniform = np.full(explainer.n_class, 1 / explainer.n_class)
        log = np.empty((len(spectra), explainer.n_class))
        size = max(16, _TABLE // (len(self.templates) * nodes))
        for i in range(0, len(spectra), size):
            rows = slice(i, i + size)
            found = explainer.explain(
                explainer.white(clean[rows]), variance[rows], nuisances, nodes, uniform
            )
            log[rows] = found.by_class(self.class_of, explainer.n_class)
        return log

    def unmixed(
        self,
        spectra: np.ndarray,
        given: np.ndarray | None,
        nuisances: Nuisances,
        level: float,
    ) -> Unmixed:
        """Shares of the classes in each spectrum, with intervals of a probability."""
        variance = self.noise.variance(spectra, given)
        white = self.noise.model.whitening
        return self.mixing.unmixed(spectra, variance, nuisances, level, white)

    def calibrated(
        self, known: np.ndarray, measured: np.ndarray, strange_share: float
    ) -> Likelihood:
        """The same with the distances of known spectra.

        Parameters
        ----------
        known
            Distances of simulated spectra of the classes, uncorrected, ``(n,)``.
        measured
            Distances of measured spectra, some of them of no class.
        strange_share
            Share of those.
        """
        score = np.sort(known)
        n = len(score)
        # Strange spectra lie beyond the others, so that the middle one of the others is lower.
        part = strange_share if strange_share < MOST_STRANGE else 0.0
        typical = float(np.quantile(measured, 0.5 * (1 - part)))
        ratio = float(np.median(score)) / typical
        nearest = float(np.quantile(score, 0.1) / np.quantile(measured, 0.1 * (1 - part)))
        low, high = sorted([1.0, np.clip(nearest, 1 - _BY_ALL, 1 + _BY_ALL)])
        correction = np.clip(ratio, min(low, 1 - _CORRECTION), max(high, 1 + _CORRECTION))
        # Half a spectrum beyond the farthest one, so that its logarithm is finite.
        tail = np.unique(np.round(np.geomspace(1, n, 80)).astype(int))[::-1]
        return replace(
            self,
            score=score[n - tail],
            log_probability=np.log10(np.where(tail == n, n, tail - 0.5) / n),
            correction=float(correction),
            typical=1 / ratio,
        )

    def with_levels(
        self,
        spectra: np.ndarray,
        given: np.ndarray | None,
        nuisances: Nuisances,
        energy_ev: np.ndarray,
        farthest: float,
    ) -> Likelihood:
        """The same with what spectra show of how well the scale foretells their noise.

        Parameters
        ----------
        spectra, given
            Measured spectra ``(n, n_channels)``, and their noise variances if they are known.
        energy_ev
            Energies of the channels.
        farthest
            Squared distance beyond which they are of no class.
        """
        foretold = Foretold(self.noise.by_intensity, 0.0, 1.0)
        if foretold.noise.slope is None:
            # Nothing was subtracted that rises with the scale.
            return self
        explainer, n_channels = self.explainer(energy_ev), spectra.shape[1]
        typical = typical_template(self.templates, self.class_of, nuisances.class_share)
        background = nuisances.background_mean @ nuisances.background_basis
        errors, by_scale = [], []
        for rows in self.blocks(len(spectra)):
            part = spectra[rows]
            variance = self.noise.variance(part, _part(given, rows))
            found = explainer.explain(explainer.white(part), variance, nuisances, self.n_shift)
            row = np.arange(len(part))
            best = found.log.reshape(len(part), -1).argmax(axis=1)
            m, i = np.unravel_index(best, found.log.shape[1:])
            near = found.distance.min(axis=(1, 2))
            fixed, rise = foretold.levels(part, 1 / variance, background, typical)
            level = np.maximum(fixed + found.scale[row, m, i] * rise, LEAST)
            known = near < farthest
            errors.append((np.log(near / n_channels) - np.log(level))[known])
            by_scale.append((found.scale_error[row, m, i] * rise / level)[known])
        error = np.concatenate(errors)
        if len(error) < _FEWEST_LEVELS:
            return self
        low, middle, high = np.quantile(error, [0.1, 0.5, 0.9])
        # The scale of the best explanation has an error of its own.
        spread = ((high - low) / 2.5631) ** 2 - np.median(np.concatenate(by_scale) ** 2)
        sd = np.sqrt(max(spread, 2 / n_channels))
        return replace(self, level_centre=float(middle), level_sd=float(sd))

    def scaled(self, factor: float) -> Likelihood:
        """For spectra multiplied by a factor."""
        mixing = replace(self.mixing, references=self.mixing.references * factor)
        return replace(
            self,
            templates=self.templates * factor,
            noise=self.noise.scaled(factor),
            mixing=mixing,
        )


def _part(array: np.ndarray | None, rows: slice) -> np.ndarray | None:
    return None if array is None else array[rows]
