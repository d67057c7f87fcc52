# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The published protocol, as it was published."""

import numpy as np
import pytest
import torch

from hyperspy_dosekin.classification.architecture import initialise, make_network
from hyperspy_dosekin.classification.config import VAEConfig
from hyperspy_dosekin.classification.fitting import fit_model
from hyperspy_dosekin.classification.model_file import load_model, save_model
from hyperspy_dosekin.classification.paper import (
    NOTE,
    SAMPLES,
    fingerprints,
    paper_losses,
    paper_units,
)
from hyperspy_dosekin.classification.prediction import predict
from hyperspy_dosekin.classification.settings import FitSettings
from hyperspy_dosekin.classification.shares import chosen_share

from .test_likelihood import counted, references


def fitted(spectra, classifier="gaussian_process", steps=60):
    settings = FitSettings(
        classifier=classifier,
        protocol="paper",
        network=VAEConfig(steps=steps, evaluate_every=30),
    )
    return fit_model(spectra, references(), settings)


@pytest.fixture(scope="module")
def trained():
    spectra, _, label, _ = counted(500)
    return fitted(spectra), spectra, label


def test_probabilities_come_from_the_latents_of_the_references(trained, tmp_path):
    model, spectra, _ = trained
    found = predict(spectra[:60], model=model)[:, :2]
    assert found.sum(1) == pytest.approx(1, abs=1e-5)
    # One cloud for each reference; nothing was simulated, and no temperature found.
    assert len(model.classifier_arrays["latents"]) == 2 * SAMPLES
    assert model.classifier_arrays["latents"].shape[1] == model.n_latent
    assert model.power == 1
    assert model.share == pytest.approx([0.5, 0.5])
    assert chosen_share("estimated", model, spectra) == pytest.approx([0.5, 0.5])
    save_model(model, tmp_path / "m.safetensors")
    again = load_model(tmp_path / "m.safetensors")
    assert again.protocol == "paper"
    assert predict(spectra[:60], model=again)[:, :2] == pytest.approx(found, abs=1e-5)


def test_the_report_says_what_it_is(trained):
    report = trained[0].report
    assert NOTE in report["notes"]
    assert {"training.reconstruction", "training.kl", "training.convergence"} <= set(report)
    assert report["steps"] == 60
    assert 0 <= report["simulated_accuracy"] <= 1
    reconstruction = report["training.reconstruction"]
    assert reconstruction[-1] < reconstruction[0]


def test_both_encoders_are_pulled_together():
    generator = torch.Generator().manual_seed(0)
    network = make_network(47, 2, 4)
    initialise(network, generator)
    raw, clean = (torch.rand(8, 47, generator=generator) for _ in range(2))
    terms = paper_losses(network, raw, clean, generator)
    assert list(terms) == ["reconstruction", "kl", "convergence", "denoising"]
    terms["convergence"].backward()
    for encoder in (network.plain, network.variational):
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.parameters())
    assert all(p.grad is None for p in network.decoder.parameters())


def test_fingerprints_are_samples_around_the_latents_of_the_references():
    spectra, *_ = counted(300)
    known = references()
    units = paper_units(spectra)
    network = make_network(known.energy_ev.size, 2, 4)
    initialise(network, torch.Generator().manual_seed(1))
    latents, label = fingerprints(network.eval(), known, units, seed=0)
    assert latents.shape == (2 * SAMPLES, 4)
    rows = torch.as_tensor(units.apply(known.spectra).astype(np.float32))
    mean, log_variance = (part.detach().numpy() for part in network.encode_clean(rows))
    for k in range(2):
        own = latents[label == k]
        error = np.exp(0.5 * log_variance[k]) / np.sqrt(SAMPLES)
        assert (np.abs(own.mean(0) - mean[k]) < 4 * error).all()


def test_the_dense_head_learns_the_fingerprints_too():
    spectra, *_ = counted(400)
    model = fitted(spectra, "head", steps=30)
    assert predict(spectra[:20], model=model)[:, :2].sum(1) == pytest.approx(1, abs=1e-5)


def test_what_does_not_go_together_is_refused():
    with pytest.raises(ValueError, match='no part of protocol="paper"'):
        FitSettings(classifier="likelihood", protocol="paper")
    with pytest.raises(ValueError, match="protocol='quick'"):
        FitSettings(protocol="quick")


def test_a_network_with_dropout_has_the_weights_of_one_without():
    names = [list(make_network(47, 2, 4, dropout=d).state_dict()) for d in (0.0, 0.2)]
    assert names[0] == names[1]
