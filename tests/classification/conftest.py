# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small trained model, made once for all tests of live use."""

from dataclasses import replace

import numpy as np
import pytest

from hyperspy_dosekin.classification.config import VAEConfig
from hyperspy_dosekin.classification.fitting import fit_model
from hyperspy_dosekin.classification.settings import FitSettings

from .problems import draw, make_nuisances, make_references


@pytest.fixture(scope="session")
def make_live_problem():
    """Trained model, spectra and labels for a number of channels, odd or even."""
    made = {}

    def problem(n_channels):
        if n_channels not in made:
            references = make_references(n_channels)
            known = make_nuisances(references)
            spectra, _, label = draw(references, known, 400)
            config = VAEConfig(steps=60, evaluate_every=20, batch_size=48, reconstruction_size=16)
            model = fit_model(
                spectra,
                references,
                FitSettings(classifier="head", network=config, prior="uniform"),
                nuisances=known,
            )
            share = np.array([0.5, 0.3, 0.2])
            made[n_channels] = replace(model, share=share), spectra, label
        return made[n_channels]

    return problem


@pytest.fixture(scope="session")
def make_rule_problem():
    """Model without a network, spectra that are hard to tell apart, and their classes."""
    made = {}

    def problem(shape, level_sd):
        if not made:
            references = make_references(48)
            known = make_nuisances(references, noise_sd=0.7, gain=0.1, scale_sd=0.3)
            spectra, _, label = draw(references, known, 400)
            settings = FitSettings(with_network=False, prior="uniform")
            made[0] = fit_model(spectra, references, settings, nuisances=known), spectra, label
        model, spectra, label = made[0]
        noise = model.likelihood.noise
        colour = None
        if level_sd:
            colour = 0.4 + np.exp(-((np.arange(48) / 20) ** 2))
            colour /= colour.mean()
        noise = replace(noise, model=replace(noise.model, level_sd=level_sd, colour=colour))
        return (
            replace(
                model,
                share=np.array([0.5, 0.3, 0.2]),
                nuisances=replace(model.nuisances, scale_shape=shape),
                likelihood=replace(model.likelihood, noise=noise, correction=0.97),
            ),
            spectra,
            label,
        )

    return problem
