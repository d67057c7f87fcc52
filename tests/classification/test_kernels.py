# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulation, calibration, neighbours, novelty and classifiers, each against a truth."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from hyperspy_dosekin.classification import potts
from hyperspy_dosekin.classification.architecture import initialise, make_network
from hyperspy_dosekin.classification.calibration import (
    calibration_curve,
    entropy,
    estimate_share,
    fit_temperature,
    reweighted,
    softmax,
)
from hyperspy_dosekin.classification.classifiers import fit_classifier, make_classifier
from hyperspy_dosekin.classification.config import VAEConfig
from hyperspy_dosekin.classification.noise import NoiseModel
from hyperspy_dosekin.classification.novelty import fit_novelty
from hyperspy_dosekin.classification.simulation import Simulator

from .problems import draw, make_nuisances, make_references

# The network


@pytest.mark.parametrize("n_channels", [32, 111, 240])
def test_convolutions_of_images_are_those_of_sequences(n_channels):
    """Images one channel high, and pairs of channels, are a matter of speed alone."""
    generator = torch.Generator().manual_seed(0)
    network = make_network(n_channels, 3, 16)
    initialise(network, generator)
    hidden = spectra = torch.randn((5, n_channels), generator=generator)
    hidden = hidden[:, None]
    for layer in network.plain.convolutions:
        if isinstance(layer, torch.nn.Conv1d):
            half = layer.kernel_size[0] // 2
            hidden = functional.conv1d(hidden, layer.weight, layer.bias, stride=2, padding=half)
        else:
            hidden = layer(hidden)
    expected = network.plain.dense(hidden.flatten(1))
    torch.testing.assert_close(network.plain(spectra), expected, atol=2e-5, rtol=2e-5)
    assert network.decode(expected).shape == spectra.shape


# Simulation


def test_simulated_spectra_have_the_moments_of_their_nuisances():
    references = make_references()
    known = make_nuisances(references, shift_sd_ev=0.0)
    raw, clean, label = draw(references, known, 6000)
    assert np.bincount(label) / 6000 == pytest.approx([0.5, 0.3, 0.2], abs=0.03)
    noise = ((raw - clean) ** 2).mean(axis=0)
    # 6000 squares: 1.8 % a channel, five of them
    assert noise == pytest.approx(known.noise.variance(clean).mean(axis=0), rel=0.1)
    flat = clean[label == 2]
    amplitude = flat @ references.spectra[4] / (references.spectra[4] ** 2).sum()
    assert amplitude.mean() == pytest.approx(1.0, abs=0.03)
    # the background adds to what looks like scale: sqrt(0.15² + (0.04/0.3)²)
    assert 0.15 < amplitude.std() < 0.23


def test_few_counts_are_skew_and_keep_their_mean():
    references = make_references()
    known = replace(make_nuisances(references), noise=NoiseModel(np.full(47, 0.25 * 2), 0.25))
    raw, clean, _ = draw(references, known, 4000)
    noise = raw - clean
    assert noise.mean() == pytest.approx(0.0, abs=0.01)
    assert (noise**3).mean() / noise.std() ** 3 > 0.2
    # Nothing is measured below minus the counts that were subtracted.
    assert (raw + 2.0 > -1e-3).all()


def test_shift_moves_edges_up_by_its_mean():
    references = make_references()
    moved = replace(make_nuisances(references, shift_sd_ev=0.0), shift_mean_ev=1.5)
    still = make_nuisances(references, shift_sd_ev=0.0)
    a, b = (draw(references, known, 3000)[1].mean(axis=0) for known in (still, moved))
    assert b[10:] == pytest.approx(a[7:-3], abs=0.03)


def test_same_seed_same_spectra():
    references = make_references()
    known = make_nuisances(references)
    assert (draw(references, known, 50, 3)[0] == draw(references, known, 50, 3)[0]).all()
    assert (draw(references, known, 50, 3)[0] != draw(references, known, 50, 4)[0]).any()


# Network


@pytest.mark.parametrize("n_channels", [32, 33, 63, 97, 240])
def test_spectra_of_any_length_come_back_at_their_length(n_channels):
    network = make_network(n_channels, 3, 5)
    initialise(network, torch.Generator().manual_seed(0))
    spectra = torch.ones(7, n_channels)
    mean, log_variance = network.encode_clean(spectra)
    assert mean.shape == log_variance.shape == network.encode_raw(spectra).shape == (7, 5)
    assert network.decode(mean).shape == (7, n_channels)
    assert network.head(mean).shape == (7, 3)


def test_initial_activations_neither_vanish_nor_explode():
    network = make_network(160, 3, 16)
    initialise(network, torch.Generator().manual_seed(0))
    spectra = torch.randn((200, 160), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        latents = network.encode_raw(spectra)
        decoded = network.decode(torch.randn((200, 16), generator=torch.Generator().manual_seed(2)))
    assert 0.1 < latents.std() < 5
    assert 0.05 < decoded.std() < 5


@pytest.mark.parametrize(
    "change",
    [
        {"n_latent": 1},
        {"steps": 0},
        {"dropout": 1.0},
        {"learning_rate": 0.0},
        {"loss_weights": {"odd": 1.0}},
        {"loss_weights": {"kl": -1.0}},
        {"reconstruction": "odd"},
        {"patience": 0},
    ],
)
def test_impossible_settings_are_refused_by_name(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        VAEConfig(**change)


# Calibration


def test_temperature_undoes_overconfidence():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, (6000, 3))
    label = (softmax(logits).cumsum(1) < rng.random((6000, 1))).sum(1)
    # Probabilities that are too sure by a factor 2 in the logarithm.
    power = fit_temperature(2 * np.log(softmax(logits)), label)
    assert power == pytest.approx(0.5, rel=0.06)


def test_shares_are_found_although_classes_overlap():
    rng = np.random.default_rng(0)
    truth = np.array([0.7, 0.25, 0.05])
    label = rng.choice(3, 20_000, p=truth)
    value = label + rng.normal(0, 0.8, label.size)
    likelihood = np.exp(-0.5 * ((value[:, None] - np.arange(3)) / 0.8) ** 2)
    uniform = likelihood / likelihood.sum(1, keepdims=True)
    assert np.abs(uniform.mean(0) - truth).max() > 0.1, "plain means are far off"
    found = estimate_share(uniform)
    assert found == pytest.approx(truth, abs=0.02)
    assert calibration_curve(reweighted(uniform, found), label).error < 0.015


def test_entropy_of_certainty_and_of_ignorance():
    assert entropy(np.array([[1.0, 0.0], [0.5, 0.5]])) == pytest.approx([0.0, np.log(2)])


# Neighbours


def halves(noise, rng):
    """Two classes side by side in three frames of 18 × 13 pixels, with noisy evidence."""
    label = np.zeros((3, 18, 13), int)
    label[:, :, 7:] = 1
    value = label + rng.normal(0, noise, label.shape)
    first = 1 / (1 + np.exp((value - 0.5) / noise**2))
    return label, np.stack([first, 1 - first], -1)


def test_neighbours_correct_single_pixels():
    label, probability = halves(0.7, np.random.default_rng(0))
    share = np.array([7 / 13, 6 / 13])
    field = potts.fit_field(probability, share)
    smooth = potts.apply_field(probability, potts=field, share=share)
    assert (probability.argmax(-1) == label).mean() < 0.82
    assert (smooth.argmax(-1) == label).mean() > 0.95
    assert field.strength > 0
    assert smooth.sum(-1) == pytest.approx(1.0)


def test_pixels_without_neighbours_worth_asking_stay_as_they_are():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, (3, 18, 13))
    probability = np.where(label[..., None] == np.arange(2), 0.9, 0.1)
    share = np.array([0.5, 0.5])
    field = potts.fit_field(probability, share)
    smooth = potts.apply_field(probability, potts=field, share=share)
    assert abs(field.strength) < 0.3
    assert (smooth.argmax(-1) == label).mean() > 0.98


def test_no_strength_changes_nothing_and_missing_pixels_stay_missing():
    _, probability = halves(0.7, np.random.default_rng(0))
    probability[1, 4, 5] = np.nan
    share = np.array([0.4, 0.6])
    same = potts.apply_field(probability, potts=potts.uniform_field(0.0, share), share=share)
    assert same == pytest.approx(probability, nan_ok=True)
    strong = potts.apply_field(probability, potts=potts.uniform_field(1.0, share), share=share)
    assert np.isnan(strong[1, 4, 5]).all()
    assert np.isfinite(strong).sum() == strong.size - 2


def test_frames_do_not_mix_unless_they_are_neighbours():
    _, probability = halves(0.7, np.random.default_rng(0))
    share = np.array([0.5, 0.5])
    field = potts.uniform_field(0.8, share)
    whole = potts.apply_field(probability, potts=field, share=share)
    alone = potts.apply_field(probability[1], potts=field, share=share)
    assert whole[1] == pytest.approx(alone, abs=2e-3)
    linked = potts.apply_field(probability, potts=field, share=share, along=(-2, -3, -4))
    assert np.abs(linked - whole).max() > 0.05


def test_negative_strength_is_refused():
    with pytest.raises(ValueError, match="strength=-1"):
        potts.uniform_field(-1, np.array([0.5, 0.5]))


# Novelty


@pytest.fixture(scope="module")
def novelty():
    references = make_references()
    known = make_nuisances(references)
    _, clean, label = draw(references, known, 3000)
    raw, _, _ = draw(references, known, 8000, seed=5)
    by_class = [clean[label == k] for k in range(3)]
    return references, known, fit_novelty(by_class, raw, known.noise, raw[:1000])


def test_false_alarms_have_the_rate_that_was_stated(novelty):
    references, known, scale = novelty
    fresh, _, _ = draw(references, known, 8000, seed=9)
    found = scale.novelty(fresh)
    for rate in (0.1, 0.01):
        # binomial: five standard errors
        error = 5 * np.sqrt(rate / 4000)
        assert (found > -np.log10(rate)).mean() == pytest.approx(rate, abs=error)


def test_an_unknown_shape_is_novel_and_the_farther_the_more(novelty):
    references, known, scale = novelty
    fresh, _, _ = draw(references, known, 300, seed=11)
    strange = np.sin(np.arange(47) / 2)
    found = [np.median(scale.novelty(fresh + size * strange)) for size in (0, 0.2, 0.4, 2.0, 9.0)]
    assert found[0] < 1
    assert found[2] > 3
    assert (np.diff(found) > 0).all()


# Classifiers of latents


@pytest.mark.parametrize("kind", ["gaussian_process", "knn"])
@pytest.mark.parametrize("n_class", [2, 3])
def test_classifiers_are_made_again_from_their_arrays(kind, n_class):
    rng = np.random.default_rng(0)
    label = rng.integers(0, n_class, 400)
    latents = rng.normal(0, 0.6, (400, 2)) + 2.0 * label[:, None] * [1, -1]
    arrays = fit_classifier(kind, latents, label)
    predict = make_classifier(kind, {name: value.copy() for name, value in arrays.items()})
    probability = predict(latents)
    assert probability.shape == (400, n_class)
    assert probability.sum(1) == pytest.approx(1.0)
    assert (probability.argmax(1) == label).mean() > 0.95
    assert probability.max() < 1


def test_a_simulator_draws_only_classes_with_weight():
    references = make_references()
    generator = torch.Generator().manual_seed(0)
    weights = np.array([0.0, 1.0, 0.0])
    drawn = Simulator(references, make_nuisances(references), generator, weights).draw(40)
    assert (drawn.label == 1).all()
