# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Estimation of the nuisances from the data, by stochastic expectation–maximisation.

Each spectrum is explained by a class, a mixture of its references and an energy shift
(on grids), with scale and residual background integrated analytically. Rounds draw one explanation
for each spectrum from its posterior and refit the distributions to what was drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hyperspy_dosekin.classification.noise import NoiseModel
from hyperspy_dosekin.classification.nuisances import (
    HALF_WIDTH,
    SCALE_SHAPES,
    Nuisances,
    background_basis,
    shift_templates,
)
from hyperspy_dosekin.classification.references import ReferenceSet

_SHIFTS = 11
_REACH = 2.7
_MIXTURES = 6
#: Entries of the table of explanations, (spectra × explanations); bounds memory and time.
_TABLE = 3_000_000
#: Spectra on which the result is refined.
_POLISHED = 4000
#: Factors tried when the units of the references are not those of the data.
_FACTORS = np.geomspace(0.25, 4.0, 17)
#: A spectrum whose χ² lies so many standard deviations above its mean takes no part.
_OUTLIER = 6.0
#: Steps of a width in a round are taken to this power, until the last rounds, which are averaged.
_HURRY = 1.9
#: Where the widths of the backgrounds start, in units of the strongest reference. Data that say
#: little about a curve leave it there, so that the second one, a slope, starts small.
_BACKGROUND = np.array([0.05, 0.012])
_AVERAGED = 6


@dataclass(frozen=True, eq=False)
class _Explanations:
    """Posterior of all explanations of some spectra."""

    probability: np.ndarray  # (n, n_template · n_shift), each row sums to 1
    templates: np.ndarray  # (n_template, n_shift, n_channels)
    shifts_ev: np.ndarray  # (n_shift,)
    scale: np.ndarray  # (n, n_template, n_shift), expected, for a normal distribution
    scale_error: np.ndarray  # (n_template, n_shift)
    log_likelihood: float
    misfit: Any  # (n,) χ² of the best explanation, or None


@dataclass(frozen=True, eq=False)
class EstimationOptions:
    """Settings of the estimation.

    Parameters
    ----------
    rounds
        Rounds of expectation and maximisation.
    n_spectra
        Spectra that take part, at most.
    find_factor
        Whether to look for a factor between the units of references and data.
    """

    rounds: int = 16
    n_spectra: int = 6000
    find_factor: bool = True


def estimate_nuisances(
    spectra: np.ndarray,
    references: ReferenceSet,
    noise: NoiseModel,
    rng: np.random.Generator,
    options: EstimationOptions | None = None,
    after_round: Callable[[int, int], None] | None = None,
) -> Nuisances:
    """Distributions of scale, shift and background, and the shares of the classes.

    Parameters
    ----------
    spectra
        Shape ``(n, n_channels)``, finite.
    references
        On the axis of the spectra.
    noise
        Noise model of the spectra.
    rng
        Source of random numbers.
    options
        Settings.
    after_round
        Called with rounds done and rounds in all.

    Returns
    -------
    Nuisances in the units of the spectra; `scale_mean` holds the factor from the references.
    """
    options = options or EstimationOptions()
    number = min(options.n_spectra, len(spectra))
    chosen = np.asarray(spectra, dtype=np.float64)[rng.permutation(len(spectra))[:number]]
    estimator = _Estimator(chosen, references, rng)
    current = estimator.start(noise, options.find_factor)
    last: list[Nuisances] = []
    for done in range(options.rounds):
        final = done >= options.rounds - _AVERAGED
        updated = estimator.refit(current, final=final)
        # Where single spectra say little about a width, plain rounds approach it at a crawl.
        current = updated if final else _hurried(current, updated)
        if final:
            last.append(current)
        if after_round is not None:
            after_round(done + 1, options.rounds)
    return estimator.polished(_mean(last) if last else current)


class _Estimator:
    """Spectra with the templates that may explain them."""

    def __init__(
        self, spectra: np.ndarray, references: ReferenceSet, rng: np.random.Generator
    ) -> None:
        self.rng = rng
        self.references = references
        self.templates, self.class_of = _class_templates(references, rng)
        explanations = len(self.templates) * _SHIFTS
        self.spectra = spectra[: max(200, _TABLE // explanations)]
        energy = references.energy_ev
        self.step_ev = float(np.median(np.diff(energy)))
        self.basis = background_basis(energy)
        self.has_signal = np.ptp(self.templates, axis=1) > 1e-9 * np.abs(self.templates).max()

    def start(self, noise: NoiseModel, find_factor: bool) -> Nuisances:
        """Where the rounds begin; the factor between the units by the likelihood."""
        height = np.abs(self.templates).max()
        n_class = self.references.n_class

        def at(factor: float) -> Nuisances:
            return Nuisances(
                noise=noise,
                scale_mean=factor,
                scale_sd=0.2 * factor,
                shift_mean_ev=0.0,
                shift_sd_ev=self.step_ev,
                background_basis=self.basis,
                background_mean=np.zeros(len(self.basis)),
                background_covariance=np.diag((_BACKGROUND * factor * height) ** 2),
                class_share=np.full(n_class, 1 / n_class),
            )

        if not find_factor:
            return at(1.0)
        rough = _Estimator.__new__(_Estimator)
        rough.__dict__.update(self.__dict__)
        rough.spectra = self.spectra[: min(400, len(self.spectra))]
        centre = self._rough_factor(noise)
        fits = {}
        for factor in (1.0, *(centre * _FACTORS)):
            fits[factor] = rough.explain(at(factor)).log_likelihood
        best = max(fits, key=lambda factor: fits[factor])
        # References in the units of the data are the rule: leave them for a clear gain only.
        return at(1.0 if fits[best] - fits[1.0] < 0.05 else best)

    def _rough_factor(self, noise: NoiseModel) -> float:
        """Factor from references to data of the strongest spectra."""
        means = self.references.class_means()
        variance = noise.variance(self.spectra.mean(axis=0))
        best = means[np.argmax((means**2 / variance).sum(axis=1))]
        # What the background can imitate says nothing about the scale.
        weighted = self.basis / variance
        project = np.linalg.solve(weighted @ self.basis.T, weighted)
        rest = best - (project @ best) @ self.basis
        amplitude = self.spectra @ (rest / variance) / max(
            float(rest @ (rest / variance)), np.finfo(float).tiny
        )
        factor = float(np.quantile(amplitude, 0.8))
        return factor if factor > 0 else 1.0

    def explain(self, now: Nuisances, *, misfit: bool = True) -> _Explanations:
        """Posterior of every explanation of every spectrum."""
        score = np.linspace(-_REACH, _REACH, _SHIFTS)
        shifts = now.shift_mean_ev + now.shift_sd_ev * score
        log_shift = -0.5 * score**2
        log_shift -= np.log(np.exp(log_shift).sum())
        templates = shift_templates(self.templates, shifts / self.step_ev)
        n, size = len(self.spectra), templates.shape[:2]
        table, linear_table = np.empty((n, *size)), np.empty((n, *size))
        square_table = np.empty(size)
        rest = self.spectra - now.background_mean @ self.basis
        precision = np.linalg.inv(now.background_covariance)
        marginal = _LOG_MARGINALS[now.scale_shape]
        for k in range(self.references.n_class):
            own = np.flatnonzero(self.class_of == k)
            variance = now.noise.variance(now.scale_mean * self.templates[own].mean(axis=0))
            weighted = self.basis / variance
            inverse = np.linalg.inv(precision + weighted @ self.basis.T)
            # χ² without a template, the background integrated out, and the determinant
            coefficient = rest @ weighted.T
            constant = (
                (rest**2) @ (1 / variance)
                - np.einsum("ni,ij,nj->n", coefficient, inverse, coefficient)
                + np.log(variance).sum()
                - np.linalg.slogdet(precision)[1]
                - np.linalg.slogdet(inverse)[1]
            )
            flat = templates[own].reshape(-1, templates.shape[-1])
            onto = flat @ weighted.T
            linear = rest @ (flat / variance).T - coefficient @ inverse @ onto.T
            square = (flat**2) @ (1 / variance) - np.einsum("si,ij,sj->s", onto, inverse, onto)
            linear = linear.reshape(n, len(own), _SHIFTS)
            square = square.reshape(len(own), _SHIFTS)
            table[:, own] = (
                marginal(linear, square, now.scale_mean, now.scale_sd)
                - 0.5 * constant[:, None, None]
                + np.log(now.class_share[k] / len(own))
                + log_shift
            )
            linear_table[:, own], square_table[own] = linear, square
        flat_table = table.reshape(n, -1)
        peak = flat_table.max(axis=1, keepdims=True)
        probability = np.exp(flat_table - peak)
        total = probability.sum(axis=1, keepdims=True)
        probability /= total
        posterior = 1 / now.scale_sd**2 + square_table
        mean = (now.scale_mean / now.scale_sd**2 + linear_table) / posterior
        likelihood, chi_squared = (peak + np.log(total))[:, 0], None
        if misfit:
            m, i = np.unravel_index(flat_table.argmax(axis=1), size)
            chi_squared = self._misfit(now, mean[np.arange(n), m, i][:, None] * templates[m, i])
            likelihood = likelihood[_regular(chi_squared, self.spectra.shape[1])]
        return _Explanations(
            probability,
            templates,
            shifts,
            mean,
            1 / np.sqrt(posterior),
            float(likelihood.mean()),
            chi_squared,
        )

    def _misfit(self, now: Nuisances, explained: np.ndarray) -> np.ndarray:
        """χ² of the spectra against their explanations and the best background."""
        variance = now.noise.variance(explained)
        rest = self.spectra - explained
        weighted = self.basis / variance.mean(axis=0)
        coefficients = rest @ weighted.T @ np.linalg.inv(weighted @ self.basis.T)
        return ((rest - coefficients @ self.basis) ** 2 / variance).sum(axis=1)

    def refit(self, now: Nuisances, *, final: bool = False) -> Nuisances:
        """One round: draw explanations, fit the distributions to them."""
        found = self.explain(now)
        kept = np.flatnonzero(_regular(found.misfit, self.spectra.shape[1]))
        table = found.probability[kept]
        pick = (np.cumsum(table, axis=1) < self.rng.random((len(table), 1))).sum(axis=1)
        m, i = np.unravel_index(
            np.minimum(pick, table.shape[1] - 1), (len(self.templates), _SHIFTS)
        )
        scale = found.scale[kept, m, i] + found.scale_error[m, i] * self.rng.standard_normal(
            len(kept)
        )
        signal = self.has_signal[m]
        explained = scale[:, None] * found.templates[m, i]
        rest = self.spectra[kept] - explained
        noise = self._with_misfit(now, explained, rest) if final else now.noise
        weighted = self.basis / noise.variance(explained.mean(axis=0))
        inverse = np.linalg.inv(np.linalg.inv(now.background_covariance) + weighted @ self.basis.T)
        centre = now.background_mean
        background = centre + (rest - centre @ self.basis) @ weighted.T @ inverse
        by_template = table.sum(axis=0).reshape(-1, _SHIFTS).sum(axis=1)
        share = np.bincount(self.class_of, by_template, self.references.n_class) + 1
        updated = replace(
            now,
            noise=noise,
            background_mean=background.mean(axis=0),
            background_covariance=np.cov(background.T) + inverse,
            class_share=share / share.sum(),
        )
        if signal.sum() < 30:
            return updated
        scale, shift = scale[signal], found.shifts_ev[i][signal]
        mean = max(float(scale.mean()), 1e-3 * now.scale_mean)
        return replace(
            updated,
            scale_mean=mean,
            scale_sd=float(np.clip(scale.std(), 0.01 * mean, 0.6 * mean)),
            shift_mean_ev=float(shift.mean()),
            shift_sd_ev=max(float(shift.std()), 0.1 * self.step_ev),
        )

    def _with_misfit(self, now: Nuisances, explained: np.ndarray, rest: np.ndarray) -> NoiseModel:
        """Noise model that also covers what no explanation reaches, channel by channel."""
        variance = now.noise.variance(explained).mean(axis=0)
        weighted = self.basis / variance
        coefficients = rest @ weighted.T @ np.linalg.inv(weighted @ self.basis.T)
        squares = ((rest - coefficients @ self.basis) ** 2).mean(axis=0)
        ratio = squares / variance
        # Sampling error of the ratio, with room for the draws not being the best explanations.
        allowed = 1.03 + 3 * np.sqrt(2 / len(rest))
        excess = np.where(ratio > allowed, ratio - 1, 0.0) * variance
        return NoiseModel(now.noise.offset + excess, now.noise.gain)

    def polished(self, now: Nuisances) -> Nuisances:
        """Choose the shape of the distribution of the scale, and refine the widths for it.

        The rounds have the scale normal, for which all is in closed form; here the likelihood
        itself climbs, one parameter after the other.
        """
        regular = _regular(self.explain(now).misfit, self.spectra.shape[1])
        small = _Estimator.__new__(_Estimator)
        small.__dict__.update(self.__dict__)
        small.spectra = self.spectra[regular][:_POLISHED]
        fits = {shape: small.likelihood(now, shape)[0] for shape in SCALE_SHAPES}
        now = replace(now, scale_shape=max(SCALE_SHAPES, key=lambda shape: fits[shape]))
        for _ in range(2):
            for name, step in (("scale_sd", 0.12), ("scale_mean", 0.03), ("background", 0.25),
                               ("shift_sd_ev", 0.2)):  # fmt: skip
                now = small.climbed(now, name, step)
            now = replace(now, class_share=small.likelihood(now, now.scale_shape)[1])
        return now

    def likelihood(self, now: Nuisances, shape: str) -> tuple[float, np.ndarray]:
        """Mean log-likelihood of all spectra, and the class shares it suggests."""
        found = self.explain(replace(now, scale_shape=shape), misfit=False)
        by_template = found.probability.sum(axis=0).reshape(-1, _SHIFTS).sum(axis=1)
        share = np.bincount(self.class_of, by_template, self.references.n_class) + 1
        return found.log_likelihood, share / share.sum()

    def climbed(self, now: Nuisances, name: str, step: float) -> Nuisances:
        """One parameter moved to the top of the parabola through three likelihoods."""

        def at(power: float) -> Nuisances:
            factor = float(np.exp(power))
            if name == "background":
                return replace(now, background_covariance=now.background_covariance * factor**2)
            return replace(now, **{name: getattr(now, name) * factor})

        below, here, above = (
            self.likelihood(at(power), now.scale_shape)[0] for power in (-step, 0.0, step)
        )
        bend = below - 2 * here + above
        if bend < 0:
            move = float(np.clip(0.5 * (below - above) / bend, -2.0, 2.0)) * step
        else:
            move = step if above > below else -step
        return at(move)


def _class_templates(
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


def _hurried(before: Nuisances, after: Nuisances) -> Nuisances:
    """The step from one set of widths to the next, prolonged."""
    root = np.linalg.cholesky(before.background_covariance)
    inverse = np.linalg.inv(root)
    values, vectors = np.linalg.eigh(inverse @ after.background_covariance @ inverse.T)
    side = root @ vectors
    step = np.clip(values, 0.25, 4.0) ** _HURRY
    return replace(
        after,
        background_covariance=(side * step) @ side.T,
        scale_sd=after.scale_sd * (after.scale_sd / before.scale_sd) ** (_HURRY - 1),
        shift_sd_ev=after.shift_sd_ev * (after.shift_sd_ev / before.shift_sd_ev) ** (_HURRY - 1),
    )


def _mean(rounds: list[Nuisances]) -> Nuisances:
    """Mean of the last rounds, which fluctuate with the draws."""

    def mean(name: str) -> Any:
        return np.mean([getattr(each, name) for each in rounds], axis=0)

    return replace(
        rounds[-1],
        **{name: float(mean(name)) for name in ("scale_mean", "shift_mean_ev")},
        **{name: float(mean(name)) for name in ("scale_sd", "shift_sd_ev")},
        **{
            name: mean(name)
            for name in ("background_mean", "background_covariance", "class_share")
        },
    )


def _regular(misfit: np.ndarray, n_channels: int) -> np.ndarray:
    """Spectra that the references explain about as well as the typical one."""
    typical = float(np.median(misfit))
    return misfit <= typical * (1 + _OUTLIER * np.sqrt(2 / n_channels))


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


def _log_marginal_normal(
    linear: np.ndarray, square: np.ndarray, mean: float, sd: float
) -> np.ndarray:
    """Logarithm of ∫ exp(linear·a − square·a²/2) p(a) da for a normal density p."""
    posterior = 1 / sd**2 + square
    centre = mean / sd**2 + linear
    return 0.5 * (centre**2 / posterior - mean**2 / sd**2 - np.log(sd**2 * posterior))


def _log_marginal_uniform(
    linear: np.ndarray, square: np.ndarray, mean: float, sd: float
) -> np.ndarray:
    """The same for a uniform density of that mean and standard deviation."""
    from scipy.special import log_ndtr

    low, high = mean - HALF_WIDTH * sd, mean + HALF_WIDTH * sd
    # A template without signal has no curvature; a little makes its integral the width.
    square = np.maximum(square, 1e-6 / sd**2)
    root, centre = np.sqrt(square), linear / square
    left, right = (low - centre) * root, (high - centre) * root
    # Both ends on the side where the tails are small, so that their difference keeps its digits.
    swap = left + right > 0
    left, right = np.where(swap, -right, left), np.where(swap, -left, right)
    upper = log_ndtr(right)
    ratio = np.minimum(log_ndtr(left) - upper, -1e-300)
    mass = upper + np.log(-np.expm1(ratio))
    area = 0.5 * (linear * centre + np.log(2 * np.pi / square)) + mass
    return area - np.log(high - low)


_LOG_MARGINALS: dict[str, Callable[..., np.ndarray]] = {
    "normal": _log_marginal_normal,
    "uniform": _log_marginal_uniform,
}
