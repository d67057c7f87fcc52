# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bayes' rule and novelty out of simulated spectra of the classes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from hyperspy_dosekin.classification.explanations import Explainer, class_templates
from hyperspy_dosekin.classification.likelihood import MOST_STRANGE, Likelihood
from hyperspy_dosekin.classification.mixing import Mixing, fit_mixing
from hyperspy_dosekin.classification.novelty import NoveltyScale, fit_novelty
from hyperspy_dosekin.classification.nuisances import Nuisances
from hyperspy_dosekin.classification.pixel_noise import PixelNoise
from hyperspy_dosekin.classification.references import ReferenceSet
from hyperspy_dosekin.classification.simulation import Simulator

_NOVELTY_PER_CLASS = 1000
_NOVELTY_KNOWN = 12_000
_NOVELTY_MEASURED = 4000
_NOVELTY_SIMULATED = 6000
#: Simulated spectra of single classes on which it is found what a mixture is, and the share of them
#: that is taken for one.
_UNMIXED = 2000
MIXED_RATE = 0.02
#: Share of the spectra of the classes that counts as far from them, and of those of no class that
#: has to be as far, at least, if there are any.
_FAR, _FARTHER = 0.1, 0.5


def make_novelty(
    simulator: Simulator, nuisances: Nuisances, spectra: np.ndarray, n_class: int
) -> NoveltyScale:
    """Means, spreads and main directions of simulated spectra of each class, and their scores."""
    device = simulator.generator.device
    clean = [
        simulator.clean(torch.full((_NOVELTY_PER_CLASS,), k, device=device)).cpu().double().numpy()
        for k in range(n_class)
    ]
    share = torch.as_tensor(nuisances.class_share, dtype=torch.float32, device=device)
    label = torch.multinomial(
        share, _NOVELTY_KNOWN, replacement=True, generator=simulator.generator
    )
    known = simulator.measured(simulator.clean(label)).cpu().double().numpy()
    return fit_novelty(clean, known, nuisances.noise, spectra[:_NOVELTY_MEASURED])


def make_likelihood(
    references: ReferenceSet,
    nuisances: Nuisances,
    noise: PixelNoise,
    simulator: Simulator,
    spectra: np.ndarray,
    variance: np.ndarray | None,
    rng: np.random.Generator,
) -> tuple[Likelihood, float]:
    """Bayes' rule with what was estimated, and the share of spectra that are of no class."""
    templates, class_of = class_templates(references, rng)
    typical = noise.variance(spectra[:_NOVELTY_MEASURED], _first(variance)).mean(axis=0)
    white = noise.model.whitening
    explainer = Explainer(templates, class_of, references.energy_ev, white)
    nodes = explainer.shift_nodes(nuisances, typical)
    nothing, means = np.zeros(1), references.class_means()
    step = float(np.median(np.diff(references.energy_ev)))
    mixing = Mixing(means, step, np.zeros(len(means)))
    draft = Likelihood(templates, class_of, noise, nodes, nothing, nothing, mixing)
    share = torch.as_tensor(
        nuisances.class_share, dtype=torch.float32, device=simulator.generator.device
    )
    label = torch.multinomial(
        share, _NOVELTY_SIMULATED, replacement=True, generator=simulator.generator
    )
    raw, true = (part.cpu().double().numpy() for part in simulator.noisy(simulator.clean(label)))
    given = None if noise.usual_given is None else true / noise.usual_given
    energy = references.energy_ev
    _, known = draft.judged(raw, given, nuisances, energy)
    draft = draft.with_levels(
        spectra[:_UNMIXED],
        None if variance is None else variance[:_UNMIXED],
        nuisances,
        energy,
        float(np.quantile(known, 0.99)),
    )
    _, measured = draft.judged(spectra[:_NOVELTY_MEASURED], _first(variance), nuisances, energy)
    some = slice(_UNMIXED)
    variances = noise.variance(raw, given)[some]
    mixing = fit_mixing(means, step, raw[some], variances, nuisances, MIXED_RATE, white)
    draft = replace(draft, mixing=mixing)
    # A cloud may also describe some of a class; then nothing is far from the classes.
    far = float((measured > np.quantile(known, 1 - _FAR)).mean())
    strange = nuisances.strange_share
    # Where most are strange the nuisances were fitted to all, and bring them near.
    if strange < MOST_STRANGE and far < _FAR + (_FARTHER - _FAR) * strange:
        strange = 0.0
    return draft.calibrated(known, measured, strange), strange


def _first(variance: np.ndarray | None) -> np.ndarray | None:
    return None if variance is None else variance[:_NOVELTY_MEASURED]
