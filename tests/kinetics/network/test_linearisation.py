# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Gram matrix against the Jacobian, which is formed here and nowhere else."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hyperspy_dosekin.kinetics.network.architecture import initial_parameters, trainable
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


def linearised(target):
    parameters = initial_parameters(CONFIG, 3, torch.float64)
    parameters["raw_rate"][..., 0] -= 1.0
    names = trainable(parameters, target.held)
    leaves = {n: v.clone().requires_grad_(n in names) for n, v in parameters.items()}
    task = Task.of(target, leaves)
    return leaves, names, task, linearise(leaves, task, CONFIG.loss_weights, names)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"misfit": "log-cosh"},
        {"prior": PRIOR},
        {"hierarchy": ((0, 1), (2, 0))},
        {"prior": PRIOR, "hierarchy": ((0, 1),)},
        {"held": {"offset": np.zeros((1, 3)), "raw_exponent": np.ones((1, 3))}, "prior": PRIOR},
    ],
)
def test_gram_matrix_is_that_of_the_jacobian(changes):
    leaves, names, _, linear = linearised(replace(TARGET, **changes))
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


def test_half_the_squares_are_the_loss():
    leaves, _, task, linear = linearised(replace(TARGET, prior=PRIOR, hierarchy=((0, 1),)))
    terms = loss_terms(leaves, task)
    # These two are zero on a solution and left out of the least-squares problem.
    kept = {n: t for n, t in terms.items() if n not in ("monotonicity", "boundedness")}
    expected = total(kept, CONFIG.loss_weights)
    torch.testing.assert_close(0.5 * linear.residuals.square().sum(dim=1), expected)
