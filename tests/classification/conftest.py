# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small trained model, made once for all tests of live use."""

from dataclasses import replace

import numpy as np
import pytest

from hyperspy_dosekin.classification.config import VAEConfig
from hyperspy_dosekin.classification.fitting import FitSettings, fit_model

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
