# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Gram matrix against the Jacobian, which is formed here and nowhere else."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hyperspy_dosekin.kinetics.laws.power_law import power_law_integrity
from hyperspy_dosekin.kinetics.network.architecture import initial_parameters, trainable
from hyperspy_dosekin.kinetics.network.compression import NODES, compress, interpolation
from hyperspy_dosekin.kinetics.network.config import NetworkConfig
from hyperspy_dosekin.kinetics.network.linearisation import linearise
from hyperspy_dosekin.kinetics.network.losses import PriorTarget, Target, Task, loss_terms, total

CONFIG = NetworkConfig(seeds=(3, 5), fourier_features=3, width=4, depth=2, collocation=6)
TARGET = Target(
    dose=np.linspace(0.2, 1, 5),
    collocation=np.linspace(0, 1, 6),
    scores=np.random.default_rng(0).standard_normal((5, 3)),
    weights=np.random.default_rng(1).uniform(0.5, 2, (5, 3)),
    hierarchy=(),
    misfit="square",
)
PRIOR = PriorTarget((0.2, 1.1), (1.0, 0.7), np.array([0.01, 0.02, 0.03]))


FRAMES = np.linspace(0.02, 1, 90)
MANY = replace(
    TARGET,
    dose=FRAMES,
    scores=np.random.default_rng(2).standard_normal((90, 3)),
    # A frame that is missing in one window and a window of other weights.
    weights=np.where(np.arange(270).reshape(90, 3) == 31, 0.0, [1.0, 3.0, 0.5]),
)


def linearised(target, common=False):
    parameters = initial_parameters(CONFIG, 3, torch.float64)
    parameters["raw_rate"][..., 0] -= 1.0
    if common:
        parameters["raw_exponent"] = parameters["raw_exponent"][..., :1]
    names = trainable(parameters, target.held)
    leaves = {n: v.clone().requires_grad_(n in names) for n, v in parameters.items()}
    few = compress(target.dose, target.scores, target.weights)
    task = Task.of(target, leaves, few)
    return leaves, names, task, linearise(leaves, task, CONFIG.loss_weights, names)


@pytest.mark.parametrize("common", [False, True])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"misfit": "log-cosh"},
        {"prior": PRIOR},
        {"hierarchy": ((0, 1), (2, 0))},
        {"prior": PRIOR, "hierarchy": ((0, 1),)},
        {"held": {"offset": np.zeros((1, 3)), "raw_exponent": np.ones((1, 3))}, "prior": PRIOR},
        {"dose": MANY.dose, "scores": MANY.scores, "weights": MANY.weights, "prior": PRIOR},
    ],
)
def test_gram_matrix_is_that_of_the_jacobian(changes, common):
    leaves, names, _, linear = linearised(replace(TARGET, **changes), common)
    rows = [
        torch.cat(
            [
                gradient.flatten(1)
                for gradient in torch.autograd.grad(
                    linear.residuals[:, row].sum(),
                    [leaves[name] for name in names],
                    retain_graph=True,
                    materialize_grads=True,
                )
            ],
            dim=1,
        )
        for row in range(linear.residuals.shape[1])
    ]
    jacobian = torch.stack(rows, dim=1)
    torch.testing.assert_close(
        linear.gram, jacobian @ jacobian.transpose(1, 2), rtol=1e-10, atol=1e-12
    )
    # Its transpose, of the last member alone.
    number = len(linear.residuals)
    dual = torch.linspace(-1, 2, linear.residuals.shape[1], dtype=torch.float64)[None]
    found = linear.transposed(dual, torch.tensor([number - 1]))
    assert set(found) == set(names)
    flat = torch.cat([found[name].flatten(1) for name in names], dim=1)
    torch.testing.assert_close(flat, dual @ jacobian[-1], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("common", [False, True])
def test_half_the_squares_are_the_loss(common):
    target = replace(TARGET, prior=PRIOR, hierarchy=((0, 1),))
    leaves, _, task, linear = linearised(target, common)
    terms = loss_terms(leaves, task)
    # These two are zero on a solution and left out of the least-squares problem.
    kept = {n: t for n, t in terms.items() if n not in ("monotonicity", "boundedness")}
    expected = total(kept, CONFIG.loss_weights)
    torch.testing.assert_close(0.5 * linear.residuals.square().sum(dim=1), expected)


def test_interpolation_is_exact_for_trajectories():
    nodes, to_frames = interpolation(FRAMES)
    assert to_frames.shape == (90, NODES)
    for rate, exponent in ((5.0, 2.0), (0.3, 0.7), (8.0, 1.0001)):
        exact = [power_law_integrity(dose, rate, exponent) for dose in (nodes, FRAMES)]
        np.testing.assert_allclose(to_frames @ exact[0], exact[1], atol=1e-12)
    # A frame at a node is that node.
    doses = np.array([0.02, nodes[7], 1.0])
    np.testing.assert_array_equal(interpolation(doses)[1][1], np.arange(NODES) == 7)


def test_compressed_squares_are_those_of_all_frames():
    """The loss of all frames and half the compressed squares differ by a constant."""
    constants = []
    for seed in range(3):
        leaves, names, task, _ = linearised(MANY)
        generator = torch.Generator().manual_seed(seed)
        for name in names:
            noise = torch.randn(leaves[name].shape, generator=generator, dtype=torch.float64)
            leaves[name] = (leaves[name] + 0.2 * noise).detach().requires_grad_()
        linear = linearise(leaves, task, CONFIG.loss_weights, names)
        terms = loss_terms(leaves, Task.of(MANY, leaves))
        kept = {n: t for n, t in terms.items() if n in ("data", "ode")}
        whole = sum(CONFIG.loss_weights[n] * t for n, t in kept.items())
        constants.append((whole - 0.5 * linear.residuals.square().sum(dim=1)).detach())
    assert constants[0].min() > 0.01
    torch.testing.assert_close(constants[1], constants[0], rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(constants[2], constants[0], rtol=1e-7, atol=1e-9)
    assert compress(TARGET.dose, TARGET.scores, TARGET.weights) is None
