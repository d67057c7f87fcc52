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

from hyperspy_dosekin.classification.explanations import LOG_MARGINALS, class_templates
from hyperspy_dosekin.classification.noise import NoiseModel, PrincipalComponents, estimate_noise
from hyperspy_dosekin.classification.nuisances import (
    HALF_WIDTH,
    Nuisances,
    background_basis,
    shift_templates,
)
from hyperspy_dosekin.classification.references import ReferenceSet

_GROUPS = 6
_SHIFTS = 9
_REACH = 2.7
#: Entries of the table of explanations, (spectra × explanations); bounds memory and time.
_TABLE = 3_000_000
#: Spectra on which the result is refined.
_POLISHED = 10_000
#: Parameters that are refined, in this order, and the logarithm of a step of each.
_CLIMB = ("background", "lower scale", "upper scale", "shift", "lower scale", "upper scale")
_STEPS = {"lower scale": 0.06, "upper scale": 0.04, "background": 0.25, "shift": 0.2}
_SHARE_ROUNDS = 25
#: Factor on the width of the scale. Thickness is smooth over a specimen, so that each class sees
#: its own part of the distribution; a classifier trained on too narrow a one is too sure.
_WIDER = 1.07
#: Relative width of the scale from which it is taken for lognormal, and the largest one.
_WIDE = 0.3
_WIDEST = 0.45
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
    scale_error: np.ndarray  # the same shape
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

    rounds: int = 12
    n_spectra: int = 10_000
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


def likeliest(
    spectra: np.ndarray,
    candidates: list[ReferenceSet],
    rng: np.random.Generator,
    n_spectra: int = 1500,
    rounds: int = 5,
) -> int:
    """Which of several sets of references explains the spectra best.

    Parameters
    ----------
    spectra
        Shape ``(n, n_channels)``, finite.
    candidates
        References on the axis of the spectra, such as the same ones with different broadening.
    rng
        Source of random numbers.
    n_spectra, rounds
        Spectra that take part, and rounds of estimation for each candidate.
    """
    chosen = np.asarray(spectra, dtype=np.float64)[rng.permutation(len(spectra))[:n_spectra]]
    unit = float(chosen.std()) or 1.0
    chosen = chosen / unit
    components = PrincipalComponents.of(chosen, min(10, *(size - 1 for size in chosen.shape)))
    noise = estimate_noise(chosen, components)
    fits = []
    for references in candidates:
        estimator = _Estimator(chosen, references.scaled(1 / unit), rng)
        current = estimator.start(noise, True)
        for _ in range(rounds):
            current = _hurried(current, estimator.refit(current))
        fits.append(estimator.likelihood(current)[0])
    return int(np.argmax(fits))


class _Estimator:
    """Spectra with the templates that may explain them."""

    def __init__(
        self, spectra: np.ndarray, references: ReferenceSet, rng: np.random.Generator
    ) -> None:
        self.rng = rng
        self.references = references
        self.templates, self.class_of = class_templates(references, rng)
        explanations = len(self.templates) * _SHIFTS
        self.spectra = spectra[: max(200, _TABLE // explanations)]
        energy = references.energy_ev
        self.step_ev = float(np.median(np.diff(energy)))
        self.basis = background_basis(energy)
        self.groups = self._group()
        self.has_signal = np.ptp(self.templates, axis=1) > 1e-9 * np.abs(self.templates).max()

    def _group(self) -> list[np.ndarray]:
        """Spectra of similar intensity, which share a noise variance.

        The variance must not depend on the explanation: one level for each class would see in
        the noise of a spectrum, of which there is more than of anything else, what class it is,
        and be wrong for the thin and the thick parts of every class.
        """
        strongest = self.templates[np.argmax((self.templates**2).sum(axis=1))]
        return np.array_split(np.argsort(self.spectra @ strongest), _GROUPS)

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
        rough.groups = rough._group()
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
        amplitude = (
            self.spectra
            @ (rest / variance)
            / max(float(rest @ (rest / variance)), np.finfo(float).tiny)
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
        table, mean, error = (np.empty((n, *size)) for _ in range(3))
        rest = self.spectra - now.background_mean @ self.basis
        precision = np.linalg.inv(now.background_covariance)
        marginal = LOG_MARGINALS[now.scale_shape]
        flat = templates.reshape(-1, templates.shape[-1])
        prior = np.log(now.class_share / np.bincount(self.class_of))[self.class_of]
        for rows in self.groups:
            variance = now.noise.variance(self.spectra[rows].mean(axis=0))
            weighted = self.basis / variance
            inverse = np.linalg.inv(precision + weighted @ self.basis.T)
            # χ² without a template, the background integrated out, and the determinant
            own = rest[rows]
            coefficient = own @ weighted.T
            constant = (
                (own**2) @ (1 / variance)
                - np.einsum("ni,ij,nj->n", coefficient, inverse, coefficient)
                + np.log(variance).sum()
                - np.linalg.slogdet(precision)[1]
                - np.linalg.slogdet(inverse)[1]
            )
            onto = flat @ weighted.T
            linear = own @ (flat / variance).T - coefficient @ inverse @ onto.T
            square = (flat**2) @ (1 / variance) - np.einsum("si,ij,sj->s", onto, inverse, onto)
            linear, square = linear.reshape(-1, *size), square.reshape(size)
            table[rows] = (
                marginal(linear, square, now.scale_mean, now.scale_sd)
                - 0.5 * constant[:, None, None]
                + prior[:, None]
                + log_shift
            )
            posterior = 1 / now.scale_sd**2 + square
            mean[rows] = (now.scale_mean / now.scale_sd**2 + linear) / posterior
            error[rows] = 1 / np.sqrt(posterior)
        flat_table = table.reshape(n, -1)
        peak = flat_table.max(axis=1, keepdims=True)
        probability = np.exp(flat_table - peak)
        total = probability.sum(axis=1, keepdims=True)
        probability /= total
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
            error,
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
        scale = found.scale[kept, m, i] + found.scale_error[kept, m, i] * self.rng.standard_normal(
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
            scale_sd=float(np.clip(scale.std(), 0.01 * mean, _WIDEST * mean)),
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
        small.groups = small._group()
        fits = {
            shape: small.likelihood(replace(now, scale_shape=shape))[0] for shape in LOG_MARGINALS
        }
        now = replace(now, scale_shape=max(fits, key=lambda shape: fits[shape]))
        for name in _CLIMB:
            now = small.climbed(now, name, _STEPS[name])
        now = replace(now, class_share=small.likelihood(now)[1])
        now = replace(now, scale_sd=_WIDER * now.scale_sd)
        # A wide normal distribution reaches zero, where every class looks like no signal at all.
        wide = now.scale_sd > _WIDE * now.scale_mean
        return replace(now, scale_shape="lognormal") if wide else now

    def likelihood(self, now: Nuisances) -> tuple[float, np.ndarray]:
        """Mean log-likelihood with the best class shares, and those shares."""
        found = self.explain(now, misfit=False)
        n_class = self.references.n_class
        by_template = found.probability.reshape(len(self.spectra), -1, _SHIFTS).sum(axis=2)
        of_class = np.eye(n_class)[self.class_of]
        relative = by_template @ of_class / now.class_share
        share = now.class_share
        for _ in range(_SHARE_ROUNDS):
            joint = relative * share
            joint /= joint.sum(axis=1, keepdims=True)
            share = (joint.sum(axis=0) + 1) / (len(joint) + n_class)
        gain = np.log((relative * share).sum(axis=1)).mean()
        return found.log_likelihood + float(gain), share

    def climbed(self, now: Nuisances, name: str, step: float) -> Nuisances:
        """One parameter moved to the top of the parabola through three likelihoods."""
        move = _MOVES[name]
        below, here, above = (
            self.likelihood(move(now, float(np.exp(power))))[0] for power in (-step, 0.0, step)
        )
        bend = below - 2 * here + above
        if bend < 0:
            power = float(np.clip(0.5 * (below - above) / bend, -2.0, 2.0)) * step
        else:
            power = step if above > below else -step
        return move(now, float(np.exp(power)))


def _with_edges(now: Nuisances, low: float, high: float) -> Nuisances:
    """The scale between two values, two or three standard deviations apart by its shape."""
    low = min(low, 0.98 * high)
    return replace(
        now, scale_mean=(low + high) / 2, scale_sd=max((high - low) / (2 * HALF_WIDTH), 1e-3 * high)
    )


def _edges(now: Nuisances) -> tuple[float, float]:
    half = HALF_WIDTH * now.scale_sd
    return max(now.scale_mean - half, 0.02 * now.scale_mean), now.scale_mean + half


#: How a factor acts on a parameter that is refined.
_MOVES: dict[str, Callable[[Nuisances, float], Nuisances]] = {
    "lower scale": lambda now, by: _with_edges(now, _edges(now)[0] * by, _edges(now)[1]),
    "upper scale": lambda now, by: _with_edges(now, _edges(now)[0], _edges(now)[1] * by),
    "background": lambda now, by: replace(
        now, background_covariance=now.background_covariance * by**2
    ),
    "shift": lambda now, by: replace(now, shift_sd_ev=now.shift_sd_ev * by),
}


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
            name: mean(name) for name in ("background_mean", "background_covariance", "class_share")
        },
    )


def _regular(misfit: np.ndarray, n_channels: int) -> np.ndarray:
    """Spectra that the references explain about as well as the typical one."""
    typical = float(np.median(misfit))
    return misfit <= typical * (1 + _OUTLIER * np.sqrt(2 / n_channels))
