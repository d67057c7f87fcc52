# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Estimation of the nuisances from the data, by stochastic expectation–maximisation.

Each spectrum is explained by a class, a mixture of its references and an energy shift
(on grids), with scale and residual background integrated analytically, or by none of the
classes: then it is one of the strangers. Rounds draw one explanation for each spectrum from its
posterior and refit the distributions to what was drawn, each spectrum by its probability of being
of a class at all, so that an unknown phase widens nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from hyperspy_dosekin.classification.ascent import ascended
from hyperspy_dosekin.classification.explanations import Explanations
from hyperspy_dosekin.classification.likelihood import MOST_STRANGE
from hyperspy_dosekin.classification.noise import (
    NoiseModel,
    PrincipalComponents,
    estimate_blurred_noise,
)
from hyperspy_dosekin.classification.nuisances import (
    Nuisances,
    background_basis,
)
from hyperspy_dosekin.classification.pixel_noise import PixelNoise
from hyperspy_dosekin.classification.plural import TYPICAL, plural_curve
from hyperspy_dosekin.classification.references import ReferenceSet
from hyperspy_dosekin.classification.scales import SCALES
from hyperspy_dosekin.classification.starting import ROUGH, Starting
from hyperspy_dosekin.classification.steps import hurried, mean_of, moments, regular

#: Spectra on which the result is refined.
_POLISHED = 3000
#: Steps of the refinement before and after the shape of the scale is chosen.
_FIRST, _THEN = 2, 2
#: Factor on the width of the scale. Thickness is smooth over a specimen, so that each class sees
#: its own part of the distribution; a classifier trained on too narrow a one is too sure.
_WIDER = 1.07
#: Relative width of the scale from which it is taken for lognormal, and the largest one.
_WIDE = 0.3
_WIDEST = 0.45
#: Mean variance beyond the noise, relative to it, from which another nuisance is tried, and the
#: gain in log-likelihood of a spectrum from which it is taken.
_UNEXPLAINED, _CLEARLY_BETTER = 0.03, 1.0
_AVERAGED = 6
_COMPONENTS = 10


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

    rounds: int = 10
    n_spectra: int = 8_000
    find_factor: bool = True


def estimate_nuisances(
    spectra: np.ndarray,
    references: ReferenceSet,
    noise: NoiseModel,
    rng: np.random.Generator,
    options: EstimationOptions | None = None,
    after_round: Callable[[int, int], bool] | None = None,
    variance: np.ndarray | None = None,
    start: Nuisances | None = None,
) -> Nuisances:
    """Distributions of scale, shift and background, and the shares of the classes.

    Parameters
    ----------
    spectra
        Shape ``(n, n_channels)``, finite.
    references
        On the axis of the spectra.
    options
        Settings.
    after_round
        Called with rounds done and rounds in all; ``True`` ends them.
    variance
        Noise variance of each spectrum, of the same shape; by default that of the model.
    start
        Where to begin, such as with other curves of the background.

    Returns
    -------
    Nuisances in the units of the spectra; `scale_mean` holds the factor from the references.
    """
    options = options or EstimationOptions()
    spectra = np.asarray(spectra, dtype=np.float64)
    chosen = rng.permutation(len(spectra))[: options.n_spectra]
    components = _components(spectra[chosen])
    if variance is None:
        variance = PixelNoise.of(spectra[chosen], noise, components).variance(spectra[chosen])
    else:
        variance = variance[chosen]
    basis = background_basis(references.energy_ev)
    estimator = _Estimator(spectra[chosen], variance, references, components, rng, noise)
    if start is not None:
        return _climbed(estimator, replace(start, noise=noise), options, after_round)
    found = _estimated(estimator, basis, noise, options, after_round)
    if not estimator.poor(found, noise):
        return found
    # More than one scattering makes of every reference what no smooth background imitates.
    curve = plural_curve(references.energy_ev, references.class_means().mean(axis=0), TYPICAL)
    twice = np.concatenate([basis, curve[None]])
    other = _Estimator(spectra[chosen], variance, references, components, rng, noise)
    again = _estimated(other, twice, noise, options, after_round)
    gain = other.fit(again) - estimator.fit(found)
    if gain < _CLEARLY_BETTER:
        return found
    note = "plural scattering was found and is a nuisance: a curve of twice scattered electrons."
    return replace(again, notes=(*again.notes, note))


def _estimated(
    estimator: _Estimator,
    basis: np.ndarray,
    noise: NoiseModel,
    options: EstimationOptions,
    after_round: Callable[[int, int], bool] | None,
) -> Nuisances:
    """The same with some curves of the background."""
    current = estimator.start(noise, options.find_factor, basis)
    if len(basis) > 2:  # more than smooth curves
        current = estimator.with_background(current)
    return _climbed(estimator, current, options, after_round)


def _climbed(
    estimator: _Estimator,
    current: Nuisances,
    options: EstimationOptions,
    after_round: Callable[[int, int], bool] | None,
) -> Nuisances:
    """All rounds, and the refinement, from where they begin."""
    last: list[Nuisances] = []
    for done in range(options.rounds):
        final = done >= options.rounds - _AVERAGED
        updated = estimator.refit(current, final=final)
        # Where single spectra say little about a width, plain rounds approach it at a crawl.
        current = updated if final else hurried(current, updated)
        if final:
            last.append(current)
        if after_round is not None and after_round(done + 1, options.rounds):
            break
    return estimator.polished(mean_of(last) if last else current)


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
    n_spectra, rounds
        Spectra that take part, and rounds of estimation for each candidate.
    """
    chosen = np.asarray(spectra, dtype=np.float64)[rng.permutation(len(spectra))[:n_spectra]]
    unit = float(chosen.std()) or 1.0
    chosen = chosen / unit
    components = _components(chosen)
    noise = estimate_blurred_noise(chosen, components)
    variance = PixelNoise.of(chosen, noise, components).variance(chosen)
    fits = []
    for references in candidates:
        own = references.scaled(1 / unit)
        estimator = _Estimator(chosen, variance, own, components, rng, noise)
        current = estimator.start(noise, True)
        for _ in range(rounds):
            current = hurried(current, estimator.refit(current))
        fits.append(estimator.explain(current).log_likelihood.mean())
    return int(np.argmax(fits))


def _components(spectra: np.ndarray) -> PrincipalComponents:
    return PrincipalComponents.of(spectra, min(_COMPONENTS, *(size - 1 for size in spectra.shape)))


class _Estimator(Starting):
    """Rounds of expectation and maximisation, and the climb to the top."""

    def poor(self, now: Nuisances, before: NoiseModel) -> bool:
        """Whether references and nuisances leave much unexplained, in most of the spectra."""
        excess = (now.noise.offset - before.offset) / self.variance.mean(axis=0)
        return self.strangers.share > MOST_STRANGE or float(excess.mean()) > _UNEXPLAINED

    def fit(self, now: Nuisances) -> float:
        """Mean log-likelihood of some spectra, without the tenth that is explained worst."""
        some = slice(ROUGH)
        # With the noise as it was, or what is not explained would be noise.
        found = self.explainer.explain(
            self.spectra[some], self.plain_variance[some], now, self.explainer.shift_nodes(
                now, self.plain_variance.mean(axis=0)
            )
        )  # fmt: skip
        log = np.sort(found.log_likelihood)
        return float(log[len(log) // 10 :].mean())

    def explain(self, now: Nuisances, nodes: int | None = None) -> Explanations:
        """Every explanation of every spectrum that takes part."""
        if nodes is None:
            # The first distributions are wide; more nodes would only cost time.
            nodes = self.explainer.shift_nodes(now, self.variance[self.rows].mean(axis=0))
        return self.explainer.explain(self.spectra[self.rows], self.variance[self.rows], now, nodes)

    def known(self, found: Explanations) -> np.ndarray:
        """Probability that each spectrum is of one of the classes, ``(n,)``."""
        distance = found.nearest
        known = self.strangers.known(found.log_likelihood, self.rows)
        self.strangers.refit(known, self.rows)
        if self.strangers.share > MOST_STRANGE:
            known = np.ones_like(known)
        return known * regular(distance, self.spectra.shape[1])

    def refit(self, now: Nuisances, *, final: bool = False) -> Nuisances:
        """One round: draw explanations, fit the distributions to them."""
        found = self.explain(now)
        weight = self.known(found)
        kept = np.flatnonzero(weight > 1e-3)
        weight = weight[kept]
        table = found.probability[kept]
        size = found.log.shape[1:]
        pick = (np.cumsum(table, axis=1) < self.rng.random((len(table), 1))).sum(axis=1)
        m, i = np.unravel_index(np.minimum(pick, table.shape[1] - 1), size)
        scale = found.scale[kept, m, i] + found.scale_error[kept, m, i] * self.rng.standard_normal(
            len(kept)
        )
        signal = self.has_signal[m]
        explained = scale[:, None] * found.templates[m, i]
        rest = self.spectra[kept] - explained
        noise = self._with_misfit(now, weight, rest, kept) if final else now.noise
        basis = self.explainer.white(now.background_basis)
        variance = np.average(self.variance[kept], axis=0, weights=weight)
        weighted = basis / variance
        inverse = np.linalg.inv(np.linalg.inv(now.background_covariance) + weighted @ basis.T)
        centre = now.background_mean
        background = centre + (rest - centre @ basis) @ weighted.T @ inverse
        by_template = (weight @ table).reshape(size).sum(axis=1)
        share = np.bincount(self.explainer.class_of, by_template, self.references.n_class) + 1
        updated = replace(
            now,
            noise=noise,
            background_mean=np.average(background, axis=0, weights=weight),
            background_covariance=np.cov(background.T, aweights=weight) + inverse,
            class_share=share / share.sum(),
        )
        if signal.sum() < 30:
            return updated
        scale, shift, weight = scale[signal], found.shifts_ev[i][signal], weight[signal]
        middle, width = moments(scale, weight)
        mean = max(middle, 1e-3 * now.scale_mean)
        centre_ev, width_ev = moments(shift, weight)
        return replace(
            updated,
            scale_mean=mean,
            scale_sd=float(np.clip(width, 0.01 * mean, _WIDEST * mean)),
            shift_mean_ev=centre_ev,
            shift_sd_ev=max(width_ev, 0.1 * self.explainer.step_ev),
        )

    def _with_misfit(
        self, now: Nuisances, weight: np.ndarray, rest: np.ndarray, kept: np.ndarray
    ) -> NoiseModel:
        """Noise model that also covers what no explanation reaches, channel by channel."""
        basis = self.explainer.white(now.background_basis)
        variance = np.average(self.variance[kept], axis=0, weights=weight)
        weighted = basis / variance
        coefficients = rest @ weighted.T @ np.linalg.inv(weighted @ basis.T)
        squares = np.average((rest - coefficients @ basis) ** 2, axis=0, weights=weight)
        ratio = squares / (self.usual * variance)
        # Sampling error of the ratio, with room for the draws not being the best explanations.
        allowed = 1.03 + 3 * np.sqrt(2 / max(weight.sum(), 1))
        excess = np.where(ratio > allowed, ratio - 1, 0.0) * variance
        self.variance = self.variance + excess
        return now.noise.with_excess(excess)

    def polished(self, now: Nuisances) -> Nuisances:
        """Choose the shape of the distribution of the scale, and refine the widths for it.

        The rounds have the scale normal, for which all is in closed form; here the likelihood
        itself climbs, one parameter after the other.
        """
        for _ in range(_FIRST):
            # Nuisances that are too narrow take some of a class for strange, and stay narrow.
            self.rows = slice(None)
            self.rows = np.flatnonzero(self.known(self.explain(now)) > 0.5)[:_POLISHED]
            now = self._ascended(now, 1)
        self.rows = slice(None)
        self.rows = np.flatnonzero(self.known(self.explain(now)) > 0.5)[:_POLISHED]
        fits = {
            shape: self.explain(replace(now, scale_shape=shape)).log_likelihood.mean()
            for shape in SCALES
        }
        now = replace(now, scale_shape=max(fits, key=lambda shape: fits[shape]))
        now = replace(self._ascended(now, _THEN), strange_share=self.strangers.share)
        now = replace(now, scale_sd=_WIDER * now.scale_sd)
        # A wide normal distribution reaches zero, where every class looks like no signal at all.
        wide = now.scale_sd > _WIDE * now.scale_mean
        return replace(now, scale_shape="lognormal") if wide else now

    def _ascended(self, now: Nuisances, rounds: int) -> Nuisances:
        explainer = self.explainer
        typical = self.variance[self.rows].mean(axis=0)
        return ascended(
            self.explain,
            lambda nuisances, nodes: explainer.log_likelihood(
                self.spectra[self.rows], self.variance[self.rows], nuisances, nodes
            ),
            now,
            explainer.class_of,
            explainer.step_ev,
            lambda nuisances: explainer.shift_nodes(nuisances, typical),
            rounds,
        )
