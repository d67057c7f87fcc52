# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the estimation of the nuisances begins: factor of the units, zero of the energy, widths."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hyperspy_dosekin.classification.explanations import Explainer, class_templates
from hyperspy_dosekin.classification.noise import NoiseModel, PrincipalComponents
from hyperspy_dosekin.classification.nuisances import Nuisances, background_basis
from hyperspy_dosekin.classification.references import ReferenceSet
from hyperspy_dosekin.classification.steps import regular
from hyperspy_dosekin.classification.strangers import Strangers

#: Entries of the table of explanations, (spectra × explanations); bounds memory and time.
_TABLE = 2_000_000
#: Spectra on which the factor of units is looked for.
ROUGH = 400
#: Factors tried when the units of the references are not those of the data.
_FACTORS = np.geomspace(0.25, 4.0, 17)
#: Shifts of all spectra alike that are tried, in channels.
_ZEROS = np.arange(-16, 17, 2)
#: Where the widths start: of the backgrounds in units of what a single spectrum can tell, and of
#: the shift in channels. Narrow, since spectra that are not explained widen them, and an unknown
#: phase that is explained does not let them narrow. Data that say little about a curve leave it
#: there, so that the second one, a slope, starts small; at most these parts of the strongest
#: reference.
_START_BACKGROUND, _MOST_BACKGROUND = np.array([1.0, 0.25, 1.0]), np.array([0.05, 0.012, 0.05])
_START_SHIFT = 0.5


class Starting:
    """Spectra with the templates that may explain them, as independent channels see them."""

    def __init__(
        self,
        spectra: np.ndarray,
        variance: np.ndarray,
        references: ReferenceSet,
        components: PrincipalComponents,
        rng: np.random.Generator,
        noise: NoiseModel,
    ) -> None:
        self.rng = rng
        self.references = references
        templates, class_of = class_templates(references, rng)
        self.explainer = Explainer(templates, class_of, references.energy_ev, noise.whitening)
        self.energy_ev = references.energy_ev
        self.has_signal = np.ptp(templates, axis=1) > 1e-9 * np.abs(templates).max()
        number = max(200, _TABLE // (9 * len(templates)))
        self.spectra, self.variance = self.explainer.white(spectra[:number]), variance[:number]
        if noise.colour is not None:
            most = min(len(components.components), len(self.spectra) - 1)
            components = PrincipalComponents.of(self.spectra, most)
        #: Variance that noise has in a channel of these spectra, in units of what it is said to be.
        self.usual = noise.left_white
        self.plain_variance = self.variance
        self.strangers = Strangers(self.spectra, self.variance, components)
        self.rows = slice(None)

    @property
    def templates(self) -> np.ndarray:
        """Mixtures of the references."""
        return self.explainer.templates

    def with_background(self, now: Nuisances) -> Nuisances:
        """Backgrounds of the typical spectrum, by explanations that may have any."""
        height = now.scale_mean * np.abs(self.templates).max()
        number = len(now.background_basis)
        wide = replace(
            now, background_covariance=0.3**2 * height**2 * np.eye(number), shift_sd_ev=0.3
        )
        some = slice(min(ROUGH, len(self.spectra)))
        found = self.explainer.explain(self.spectra[some], self.variance[some], wide)
        row = np.arange(len(found.log))
        m, i = np.unravel_index(found.log.reshape(len(row), -1).argmax(axis=1), found.log.shape[1:])
        rest = self.spectra[some] - found.scale[row, m, i][:, None] * found.templates[m, i]
        coefficients = rest @ np.linalg.pinv(self.explainer.white(now.background_basis))
        middle = np.median(coefficients, axis=0)
        spread = 1.5 * np.median(np.abs(coefficients - middle), axis=0)
        covariance = now.background_covariance + np.diag((0.5 * spread) ** 2)
        return replace(now, background_mean=middle, background_covariance=covariance)

    def start(
        self, noise: NoiseModel, find_factor: bool, basis: np.ndarray | None = None
    ) -> Nuisances:
        """Where the rounds begin; the factor between the units by the likelihood."""
        height = np.abs(self.templates).max()
        n_class = self.references.n_class
        basis = background_basis(self.energy_ev) if basis is None else basis
        first, most = _START_BACKGROUND[: len(basis)], _MOST_BACKGROUND[: len(basis)]
        white = self.explainer.white(basis)
        least = first / np.sqrt((white**2 / self.variance.mean(axis=0)).sum(axis=1))

        def at(factor: float) -> Nuisances:
            return Nuisances(
                noise=noise,
                scale_mean=factor,
                scale_sd=0.2 * factor,
                shift_mean_ev=0.0,
                shift_sd_ev=_START_SHIFT * self.explainer.step_ev,
                background_basis=basis,
                background_mean=np.zeros(len(basis)),
                background_covariance=np.diag(np.minimum(least, most * factor * height) ** 2),
                class_share=np.full(n_class, 1 / n_class),
            )

        if not find_factor:
            return at(1.0)
        some = slice(min(ROUGH, len(self.spectra)))
        fits = {}
        for factor in (1.0, *(self._rough_factor(basis) * _FACTORS)):
            found = self.explainer.explain(self.spectra[some], self.variance[some], at(factor))
            usual = regular(found.nearest, self.spectra.shape[1])
            fits[factor] = found.log_likelihood[usual].mean()
        best = max(fits, key=lambda factor: fits[factor])
        # References in the units of the data are the rule: leave them for a clear gain only.
        return self._placed(at(1.0 if fits[best] - fits[1.0] < 0.05 else best))

    def _placed(self, start: Nuisances) -> Nuisances:
        """The same at the shift, of all spectra alike, that explains them best."""
        some = slice(min(ROUGH, len(self.spectra)))
        wide = replace(start, shift_sd_ev=1.5 * self.explainer.step_ev)
        fits = {}
        for moved in self.explainer.step_ev * _ZEROS:
            there = replace(wide, shift_mean_ev=float(moved))
            found = self.explainer.explain(self.spectra[some], self.variance[some], there)
            fits[float(moved)] = np.sort(found.log_likelihood)[
                len(self.spectra[some]) // 5 :
            ].mean()
        best = max(fits, key=lambda moved: fits[moved])
        # The zero of the references is the rule, too.
        return start if fits[best] - fits[0.0] < 1.0 else replace(start, shift_mean_ev=best)

    def _rough_factor(self, basis: np.ndarray) -> float:
        """Factor from references to data of the strongest spectra."""
        means = self.explainer.white(self.references.class_means())
        basis = self.explainer.white(basis)
        variance = self.variance.mean(axis=0)
        best = means[np.argmax((means**2 / variance).sum(axis=1))]
        # What the background can imitate says nothing about the scale.
        weighted = basis / variance
        project = np.linalg.solve(weighted @ basis.T, weighted)
        rest = best - (project @ best) @ basis
        amplitude = (
            self.spectra
            @ (rest / variance)
            / max(float(rest @ (rest / variance)), np.finfo(float).tiny)
        )
        factor = float(np.quantile(amplitude, 0.8))
        return factor if factor > 0 else 1.0
