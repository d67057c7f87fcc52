# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each loss term against its definition, and zero where the law holds."""

import numpy as np
import pytest
import torch

from hyperspy_dosekin.kinetics.network import losses
from hyperspy_dosekin.kinetics.network.architecture import (
    fourier_features,
    initial_parameters,
    integrity,
    inverse_softplus,
)
from hyperspy_dosekin.kinetics.network.config import NetworkConfig
from hyperspy_dosekin.kinetics.network.losses import Target, Task

CONFIG = NetworkConfig(seeds=(3, 5), fourier_features=6, width=7, depth=2)


def make_task(parameters, hierarchy=(), weights=None):
    rng = np.random.default_rng(0)
    target = Target(
        dose=np.linspace(0.2, 1, 5),
        collocation=np.linspace(0, 1, 8),
        scores=rng.standard_normal((5, 3)),
        weights=np.ones((5, 3)) if weights is None else weights,
        hierarchy=tuple(hierarchy),
    )
    return Task.of(target, parameters)


def make_parameters():
    return initial_parameters(CONFIG, 3, torch.float64)


def test_log_cosh_equals_its_definition_and_does_not_overflow():
    x = torch.linspace(-8, 8, 33, dtype=torch.float64)
    torch.testing.assert_close(losses.log_cosh(x), torch.log(torch.cosh(x)), rtol=1e-12, atol=1e-14)
    assert losses.log_cosh(torch.tensor(1e6)).item() == pytest.approx(1e6, rel=1e-6)


def test_data_term_counts_weights_and_ignores_missing_frames():
    parameters = make_parameters()
    weights = np.ones((5, 3))
    weights[2, 1] = 0.0
    weights[:, 0] = 3.0
    task = make_task(parameters, weights=weights)
    value, _ = integrity(parameters, task.features)
    misfit = parameters["amplitude"] * value[:, :5] + parameters["offset"] - task.scores
    expected = (torch.as_tensor(weights) * torch.log(torch.cosh(misfit))).mean(dim=(1, 2))
    term = losses.loss_terms(parameters, task)["data"]
    torch.testing.assert_close(term, expected)
    task.scores[0, 2, 1] = 1e9
    torch.testing.assert_close(losses.loss_terms(parameters, task)["data"], term)


def test_residual_vanishes_on_an_exact_solution():
    """With constant weights of the head, C = exp(−kφ): the law with p = 1 holds exactly."""
    parameters = make_parameters()
    parameters["output.weight"].zero_()
    parameters["output.bias"].fill_(inverse_softplus(1.7))
    parameters["raw_rate"].fill_(inverse_softplus(1.7))
    parameters["raw_exponent"].fill_(inverse_softplus(1.0))
    terms = losses.loss_terms(parameters, make_task(parameters))
    assert terms["ode"].max() < 1e-25
    parameters["raw_rate"].fill_(inverse_softplus(1.6))
    terms = losses.loss_terms(parameters, make_task(parameters))
    dose = np.linspace(0, 1, 8)
    expected = 3 * np.mean((0.1 * np.exp(-1.7 * dose)) ** 2)
    np.testing.assert_allclose(terms["ode"].numpy(), expected, rtol=1e-10)


def test_causal_weights_look_only_at_smaller_doses():
    squared = torch.tensor([[0.0, 2.0, 1.0, 5.0]], dtype=torch.float64)
    weights = losses.causal_weights(squared, 0.5)
    expected = torch.exp(-0.5 * torch.tensor([[0.0, 0.0, 2.0, 3.0]], dtype=torch.float64))
    torch.testing.assert_close(weights, expected)


def test_causal_loss_is_smaller_and_its_weights_carry_no_gradient():
    parameters = make_parameters()
    task = make_task(parameters)
    plain = losses.loss_terms(parameters, task)["ode"]
    causal = losses.loss_terms(parameters, task, causal_strength=1.0)["ode"]
    assert bool((causal < plain).all())
    squared = torch.ones(1, 3, requires_grad=True)
    assert not losses.causal_weights(squared, 1.0).requires_grad


def test_hierarchy_is_a_hinge_on_the_named_pair():
    parameters = make_parameters()
    for window, rate in enumerate((0.5, 2.0, 1.2)):
        parameters["raw_rate"][..., window] = inverse_softplus(rate)
    broken = losses.loss_terms(parameters, make_task(parameters, hierarchy=[(0, 1)]))
    kept = losses.loss_terms(parameters, make_task(parameters, hierarchy=[(1, 2)]))
    np.testing.assert_allclose(broken["hierarchy"].numpy(), 1.5**2, rtol=1e-12)
    assert kept["hierarchy"].abs().max() == 0
    assert losses.loss_terms(parameters, make_task(parameters))["hierarchy"].abs().max() == 0


def test_monotonicity_and_boundedness_hold_another_head(monkeypatch):
    """The exponential head cannot leave [0, 1], so a head that does stands in for it."""

    def growing(parameters, features):
        value = (1.0 + features.dose).expand(2, -1, 3)
        return value, torch.ones_like(value[:, features.first_tangent :])

    monkeypatch.setattr(losses, "integrity", growing)
    parameters = make_parameters()
    terms = losses.loss_terms(parameters, make_task(parameters))
    doses = np.concatenate([np.linspace(0.2, 1, 5), np.linspace(0, 1, 8)])
    np.testing.assert_allclose(terms["monotonicity"].numpy(), 1.0)
    np.testing.assert_allclose(terms["boundedness"].numpy(), np.mean(doses**2), rtol=1e-12)


def test_total_applies_each_weight_once():
    terms = {"data": torch.tensor([1.0, 2.0]), "ode": torch.tensor([10.0, 20.0])}
    total = losses.total(terms, {"data": 2.0, "ode": 0.1})
    torch.testing.assert_close(total, torch.tensor([3.0, 6.0]))


def test_gradient_of_the_loss_in_float64():
    parameters = make_parameters()
    task = make_task(parameters, hierarchy=[(0, 1)])
    leaf = parameters["hidden_1.weight"].clone().requires_grad_()

    def loss(weight):
        terms = losses.loss_terms({**parameters, "hidden_1.weight": weight}, task)
        return losses.total(terms, CONFIG.loss_weights).sum()

    assert torch.autograd.gradcheck(loss, leaf)


def test_features_follow_the_precision_of_the_parameters():
    single = {name: value.float() for name, value in make_parameters().items()}
    assert make_task(single).features.value.dtype == torch.float32
    features = fourier_features(single, torch.linspace(0, 1, 3, dtype=torch.float64))
    assert features.dose.dtype == torch.float32
