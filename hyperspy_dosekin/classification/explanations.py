# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Explanations of spectra: a class, a mixture of its references, a shift, a scale, a background.

Classes, mixtures and shifts are on grids; scale and residual background are integrated out, with
the noise variance of every single spectrum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hyperspy_dosekin.classification.foretold import LEAST, LEAST_BEND, Foretold
from hyperspy_dosekin.classification.nuisances import Nuisances, shift_templates
from hyperspy_dosekin.classification.references import ReferenceSet
from hyperspy_dosekin.classification.scales import SCALES, Scaled
from hyperspy_dosekin.numerics.threads import side_by_side

#: Mixtures that stand for a class of several references.
_MIXTURES = 8
#: Shifts reach so many standard deviations to either side.
REACH = 3.2
#: Nodes of the shift, at least and at most, and their distance in standard errors of a shift.
_FEWEST_SHIFTS, _MOST_SHIFTS, _SPACING = 9, 61, 1.2
_TINY = np.finfo(float).tiny
#: Entries of the tables that are worked on at a time: half a megabyte stays in the cache.
_BLOCK = 2**16


def class_templates(
    references: ReferenceSet, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Mixtures of the references of each class."""
    templates, class_of = [], []
    largest = np.abs(references.spectra).max()
    for k in range(references.n_class):
        own = references.spectra[references.class_of == k]
        if len(own) > 1 and np.ptp(own, axis=0).max() > 1e-9 * largest:
            own = _mixtures(len(own), rng) @ own
        else:
            own = own[:1]
        templates.append(own)
        class_of += [k] * len(own)
    return np.concatenate(templates), np.array(class_of)


def _mixtures(number: int, rng: np.random.Generator) -> np.ndarray:
    """Few weights on the simplex with mean and covariance of the uniform distribution there."""
    weights = rng.dirichlet(np.ones(number), _MIXTURES)
    departure = weights - weights.mean(axis=0)
    if number <= _MIXTURES:
        left, _, right = np.linalg.svd(departure, full_matrices=False)
        rank = number - 1
        departure = left[:, :rank] @ right[:rank]
        departure *= np.sqrt(_MIXTURES / (number * (number + 1)))
    return 1 / number + departure


def typical_template(templates: np.ndarray, class_of: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Mean of templates ``(n_template, n_channels)`` by the shares of their classes."""
    return (share / np.bincount(class_of))[class_of] @ templates


@dataclass(frozen=True, eq=False)
class Explanations:
    """All explanations of some spectra.

    Parameters
    ----------
    log
        Logarithm of the likelihood times the prior, ``(n, n_template, n_shift)``.
    distance
        Squared distance to the best scale and background of each, with what their priors and that
        of the shift add; the same shape.
    scale, scale_error
        Likeliest scale and its error, the same shape.
    templates
        Shifted templates, made white, ``(n_template, n_shift, n_channels)``.
    shifts_ev
        Shape ``(n_shift,)``.
    """

    log: np.ndarray
    distance: np.ndarray
    scale: np.ndarray
    scale_error: np.ndarray
    templates: np.ndarray
    shifts_ev: np.ndarray

    @property
    def log_likelihood(self) -> np.ndarray:
        """Of each spectrum, ``(n,)``."""
        return _summed(self.log)

    @property
    def probability(self) -> np.ndarray:
        """Posterior of each explanation, ``(n, n_template · n_shift)``; each row sums to 1."""
        flat = self.log.reshape(len(self.log), -1)
        found = np.exp(flat - flat.max(axis=1, keepdims=True))
        return found / found.sum(axis=1, keepdims=True)

    def by_class(self, class_of: np.ndarray, n_class: int) -> np.ndarray:
        """Log-likelihood times prior of each class, ``(n, n_class)``."""
        peak = self.log.max(axis=(1, 2))
        mass = np.exp(self.log - peak[:, None, None]).sum(axis=2) @ np.eye(n_class)[class_of]
        return peak[:, None] + np.log(np.maximum(mass, 1e-300))

    @property
    def nearest(self) -> np.ndarray:
        """Squared distance to the nearest explanation, its shift between the nodes, ``(n,)``."""
        row = np.arange(len(self.distance))
        flat = self.distance.reshape(len(row), -1)
        m, i = np.unravel_index(flat.argmin(axis=1), self.distance.shape[1:])
        here = self.distance[row, m, i]
        last = self.distance.shape[2] - 1
        if last < 2:
            return here
        below = self.distance[row, m, np.maximum(i - 1, 0)]
        above = self.distance[row, m, np.minimum(i + 1, last)]
        bend = below - 2 * here + above
        gain = (above - below) ** 2 / np.where(bend > 0, 8 * bend, np.inf)
        inside = (i > 0) & (i < last)
        return here - np.where(inside, np.minimum(gain, 0.5 * np.maximum(bend, 0)), 0.0)


class Explainer:
    """Templates, and the explanations of spectra by them.

    Where the noise of neighbouring channels is alike, spectra are those that `white` gives; what
    they are compared with goes through the same filter.

    Parameters
    ----------
    templates
        Mixtures of references, ``(n_template, n_channels)``, in their own units.
    class_of
        Class of each.
    energy_ev
        Energies of the channels.
    whitening
        Filter behind which channels are independent; see `NoiseModel.whitening`.
    """

    def __init__(
        self,
        templates: np.ndarray,
        class_of: np.ndarray,
        energy_ev: np.ndarray,
        whitening: np.ndarray | None = None,
    ) -> None:
        self.templates, self.class_of = templates, class_of
        self._filter = whitening
        self.step_ev = float(np.median(np.diff(energy_ev)))
        self.n_class = int(class_of.max()) + 1

    def white(self, curves: np.ndarray) -> np.ndarray:
        """Spectra or curves ``(…, n_channels)`` filtered so that channels are independent."""
        return curves if self._filter is None else curves @ self._filter

    def shift_nodes(self, now: Nuisances, variance: np.ndarray) -> int:
        """Nodes that a typical noise variance ``(n_channels,)`` asks for."""
        steepness = np.gradient(now.scale_mean * self.white(self.templates), self.step_ev, axis=1)
        information = float(((steepness**2) / variance).sum(axis=1).max())
        asked = 2 * REACH * now.shift_sd_ev * np.sqrt(information) / _SPACING
        return int(np.clip(np.ceil(asked), _FEWEST_SHIFTS, _MOST_SHIFTS)) // 2 * 2 + 1

    def explain(
        self,
        spectra: np.ndarray,
        variance: np.ndarray,
        now: Nuisances,
        n_shift: int = _FEWEST_SHIFTS,
        share: np.ndarray | None = None,
        foretold: Foretold | None = None,
        measured: np.ndarray | None = None,
    ) -> Explanations:
        """All explanations of spectra ``(n, n_channels)`` with variances of the same shape.

        Parameters
        ----------
        spectra, variance
            Shape ``(n, n_channels)``.
        n_shift
            Nodes of the shift.
        share
            Prior of the classes; by default the shares of `now`.
        foretold
            Noise that an explanation foretells by its scale. What the noise of the spectrum says
            about the scale then counts in the likelihood, not in distance and scale.
        measured
            The spectra before they were made white, which that is read from.
        """
        tables = self._tables(now, n_shift, share)
        size = tables.size
        log, distance, scale, error = (np.empty((len(spectra), *size)) for _ in range(4))
        read = spectra if measured is None else measured

        def explain(rows: slice) -> None:
            levels = foretold and self._levels(read[rows], variance[rows], now, foretold)
            part, near, scaled = self._explained(spectra[rows], variance[rows], now, tables, levels)
            log[rows], distance[rows] = part, near()
            scale[rows], error[rows] = scaled.best, scaled.error

        side_by_side(explain, _blocks(len(spectra), size))
        templates = tables.flat.reshape(*size, -1)
        return Explanations(log, distance, scale, error, templates, tables.shifts_ev)

    def log_likelihood(
        self, spectra: np.ndarray, variance: np.ndarray, now: Nuisances, n_shift: int
    ) -> np.ndarray:
        """`Explanations.log_likelihood` alone, in a part of the time and memory, ``(n,)``."""
        tables = self._tables(now, n_shift, None)
        found = np.empty(len(spectra))

        def explain(rows: slice) -> None:
            part, _, _ = self._explained(spectra[rows], variance[rows], now, tables, None)
            found[rows] = _summed(part)

        side_by_side(explain, _blocks(len(spectra), tables.size))
        return found

    def shifted(self, now: Nuisances, n_shift: int) -> np.ndarray:
        """Templates at the nodes of the shift, ``(n_template, n_shift, n_channels)``."""
        score = np.linspace(-REACH, REACH, n_shift)
        shifts = now.shift_mean_ev + now.shift_sd_ev * score
        return shift_templates(self.templates, shifts / self.step_ev)

    def _tables(self, now: Nuisances, n_shift: int, share: np.ndarray | None) -> _Tables:
        score = np.linspace(-REACH, REACH, n_shift)
        shifts = now.shift_mean_ev + now.shift_sd_ev * score
        log_shift = -0.5 * score**2
        log_shift -= np.log(np.exp(log_shift).sum())
        templates = self.shifted(now, n_shift)
        flat = self.white(templates.reshape(-1, templates.shape[-1]))
        share = now.class_share if share is None else share
        prior = np.log(np.maximum(share, _TINY) / np.bincount(self.class_of))[self.class_of]
        curves = self.white(now.background_basis)
        return _Tables(
            size=(len(templates), n_shift),
            shifts_ev=shifts,
            square_score=score**2,
            log_prior=prior[:, None] + log_shift,
            flat=flat,
            flat_square=flat**2,
            curves=curves,
            flat_curves=np.stack([flat * curve for curve in curves]),
        )

    def _explained(
        self,
        spectra: np.ndarray,
        variance: np.ndarray,
        now: Nuisances,
        tables: _Tables,
        levels: _Levels | None,
    ) -> tuple[np.ndarray, Callable[[], np.ndarray], Scaled]:
        """Log-likelihoods of a block of spectra, what gives the distances, and the scales."""
        size, number = tables.size, len(now.background_basis)
        basis, weight = tables.curves, 1 / variance
        precision = np.linalg.inv(now.background_covariance)
        rest = spectra - now.background_mean @ basis
        weighted = rest * weight
        pairs = basis[:, None] * basis[None]
        bend = precision + np.einsum("nc,ijc->nij", weight, pairs, optimize=True)
        inverse = np.linalg.inv(bend)
        coefficient = weighted @ basis.T
        own = np.einsum("ni,nij->nj", coefficient, inverse)
        distance = (rest * weighted).sum(axis=1) - (own * coefficient).sum(axis=1)
        constant = (
            distance
            + np.log(variance).sum(axis=1)
            - np.linalg.slogdet(precision)[1]
            + np.linalg.slogdet(bend)[1]
        )
        onto = [weight @ curve.T for curve in tables.flat_curves]
        linear = weighted @ tables.flat.T
        square = weight @ tables.flat_square.T
        for i in range(number):
            linear -= own[:, i, None] * onto[i]
            bent = inverse[:, i, i, None] * onto[i]
            for j in range(i):
                bent += 2 * inverse[:, i, j, None] * onto[j]
            square -= np.multiply(bent, onto[i], out=bent)
        linear = linear.reshape(-1, *size)
        square = np.maximum(square, 0, out=square).reshape(-1, *size)
        scaled = SCALES[now.scale_shape](linear, square, now.scale_mean, now.scale_sd)

        def near() -> np.ndarray:
            found = square * scaled.best
            found -= linear
            found -= linear
            found *= scaled.best
            found += scaled.penalty
            found += distance[:, None, None]
            found += tables.square_score
            return found

        marginal = scaled.log_marginal
        if levels is not None:
            foretold, rise = levels.foretold, levels.rise
            level = np.maximum(levels.fixed + rise * scaled.best, LEAST)
            n_channels = spectra.shape[1]
            seen = np.log(np.maximum(near().min(axis=(1, 2)), _TINY) / n_channels)[:, None, None]
            value, slope, bend = foretold.said_of_scale(seen, level, np.log(level), rise)
            bend = np.maximum(bend, LEAST_BEND * square)
            again = SCALES[now.scale_shape](
                linear + slope + bend * scaled.best,
                square + bend,
                now.scale_mean,
                now.scale_sd,
            )
            moved = (slope + 0.5 * bend * scaled.best) * scaled.best
            marginal = again.log_marginal + value - moved
        log = marginal - 0.5 * constant[:, None, None]
        log += tables.log_prior
        return log, near, scaled

    def _levels(
        self, measured: np.ndarray, variance: np.ndarray, now: Nuisances, foretold: Foretold
    ) -> _Levels:
        """Noise that scales foretell, relative to that of each spectrum."""
        typical = typical_template(self.templates, self.class_of, now.class_share)
        background = now.background_mean @ now.background_basis
        fixed, rise = foretold.levels(measured, 1 / variance, background, typical)
        return _Levels(foretold, fixed[:, None, None], rise[:, None, None])


@dataclass(frozen=True, eq=False)
class _Levels:
    """`Foretold.levels` of some spectra, ``(n, 1, 1)``."""

    foretold: Foretold
    fixed: np.ndarray
    rise: np.ndarray


@dataclass(frozen=True, eq=False)
class _Tables:
    """What the explanations of all spectra have in common; a row of `flat` for each.

    ``flat`` holds shifted templates, ``flat_square`` their squares, ``curves`` the backgrounds and
    ``flat_curves`` the products of the two, for each curve.
    """

    size: tuple[int, int]
    shifts_ev: np.ndarray
    square_score: np.ndarray
    log_prior: np.ndarray
    flat: np.ndarray
    flat_square: np.ndarray
    curves: np.ndarray
    flat_curves: np.ndarray


def _blocks(number: int, size: tuple[int, int]) -> list[slice]:
    """Parts of so many spectra whose tables fit the cache."""
    step = max(16, _BLOCK // (size[0] * size[1]))
    return [slice(i, i + step) for i in range(0, number, step)]


def _summed(log: np.ndarray) -> np.ndarray:
    """Logarithm of the sum over all explanations of each spectrum, ``(n,)``."""
    flat = log.reshape(len(log), -1)
    peak = flat.max(axis=1)
    return peak + np.log(np.exp(flat - peak[:, None]).sum(axis=1))
