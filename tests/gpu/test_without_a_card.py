# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What takes ``device=`` on a card that is not there: the same numbers, and nothing mixed."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hyperspy_dosekin.classification.config import VAEConfig
from hyperspy_dosekin.classification.fitting import fit_model
from hyperspy_dosekin.classification.live.compiled import CompiledClassifier
from hyperspy_dosekin.classification.live.runtimes.runtime import LiveSettings
from hyperspy_dosekin.classification.prediction import denoise, predict
from hyperspy_dosekin.classification.references import ReferenceSet
from hyperspy_dosekin.classification.settings import FitSettings
from hyperspy_dosekin.kinetics.estimate.fit import fit_exact
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.posterior.posterior import kinetic_posterior
from hyperspy_dosekin.kinetics.simulation import draw_prior, simulate_curves
from hyperspy_dosekin.windows.definitions import Window
from hyperspy_dosekin.windows.integrate import integrate_with_noise
from hyperspy_dosekin.windows.weights import window_weights
from tests.card import CARD, Card


@pytest.fixture
def card():
    with Card() as there:
        yield there


def curves():
    random = np.random.default_rng(0)
    return simulate_curves(random, *draw_prior(random, (2, 1)), noise=0.01).problem


def test_places_are_not_mixed(card):
    there, here = torch.arange(3.0, device=CARD), torch.ones(3)
    for mixed in (
        lambda: there + here,
        lambda: there.index_select(0, torch.tensor([0])),
        lambda: there[torch.tensor([0, 1])],
        lambda: torch.where(there > 1, there, here),
        lambda: torch.stack([there, here]),
        lambda: np.asarray(there),
        lambda: np.ones(3) * there,
    ):
        with pytest.raises((RuntimeError, TypeError)):
            mixed()
    there[[0, 2]] += 2.0 * torch.tensor(2.0)
    assert there.cpu().tolist() == [4.0, 1.0, 6.0]
    assert card.fetched == [3]


def test_sums_over_windows(card):
    weights = window_weights(np.arange(60.0), [Window("a", 20.5, 40), Window("b", 30, 50.25)])
    block = np.random.default_rng(0).integers(0, 250, (3, 5, 60)).astype(">u2")
    block = block[..., weights.channels]
    found = integrate_with_noise(block, weights, device=str(CARD))
    for ours, theirs in zip(found, integrate_with_noise(block, weights), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_exact_fits_and_their_intervals(card):
    found = []
    for device in ("cpu", str(CARD)):
        config = ExactConfig(device=device)
        fit = fit_exact(curves(), config)
        interval = kinetic_posterior(curves(), config, fit=fit).interval("half_integrity_dose")
        found.append([fit.objective, *interval])
    np.testing.assert_array_equal(*found)
    # Data go there once, and numbers of curves come back.
    assert max(card.fetched) < curves().values.size


def test_classification(card):
    channels, energy = 47, 500 + 0.5 * np.arange(47)
    table = np.stack([np.exp(-0.5 * ((energy - at) / 3) ** 2) for at in (505, 512, 517)])
    references = ReferenceSet(energy, table, np.arange(3), ("a", "b", "c"))
    random = np.random.default_rng(0)
    spectra = np.repeat(table, 70, axis=0) + random.normal(0, 0.05, (210, channels))
    settings = FitSettings(classifier="head", network=VAEConfig(steps=2, threads=1))
    model = replace(fit_model(spectra, references, settings, device=CARD), device=str(CARD))
    there = predict(spectra, model=model)
    np.testing.assert_allclose(there, predict(spectra, model=replace(model, device="cpu")), 1e-5)
    assert np.isfinite(denoise(spectra, model=model)).all()
    live = LiveSettings(runtime="torch", device=str(CARD), batch_sizes=(8,))
    label = CompiledClassifier(model, live, classifier="head").classify(spectra[:8])[0]
    np.testing.assert_array_equal(label, there[:8, :3].argmax(axis=1))
