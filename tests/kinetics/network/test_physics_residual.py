# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far networks, and models without the law, are from it."""

import numpy as np
import pytest

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.network.ablation import (
    law_residual,
    r_squared,
    unconstrained_network,
)
from hyperspy_dosekin.kinetics.network.config import PROTOCOLS, NetworkConfig
from hyperspy_dosekin.kinetics.network.fit import fit_network

DOSE = np.linspace(150.0, 1350.0, 9)


@pytest.fixture(scope="module")
def network():
    rng = np.random.default_rng(0)
    phi = DOSE / DOSE[-1]
    curves = np.stack([2 * np.exp(-2 * phi) + 1, 1 / (1 + phi)])
    problem = DoseProblem(DOSE, (curves + rng.normal(0, 0.005, curves.shape))[None], ("a", "b"))
    config = NetworkConfig(
        **{**PROTOCOLS["fast"], "seeds": (1, 2), "gauss_newton_iterations": 5, "hierarchy": ()}
    )
    return fit_network(problem, config)


def test_residual_is_the_derivative_less_the_law(network):
    """Against differences of the integrity itself."""
    phi, step = np.linspace(0.05, 0.95, 7), 1e-5
    ends = [network.integrity((phi + sign * step) * DOSE[-1]) for sign in (-1, 1)]
    slope = (ends[1] - ends[0]) / (2 * step)
    rate, exponent = network.rate[..., None], network.exponent[..., None]
    expected = slope + rate * network.integrity(phi * DOSE[-1]) ** exponent
    np.testing.assert_allclose(network.physics_residual(phi), expected, atol=1e-6)


def test_residual_of_the_law_itself_is_nothing(network):
    """A curve made of k, p, a and b of the fit, in closed form."""
    dose = np.linspace(0.0, DOSE[-1], 2001)
    rate, exponent, amplitude, offset = (
        each.mean(axis=0)[:, None]
        for each in (network.rate, network.exponent, network.amplitude, network.offset)
    )
    base = 1 + (exponent - 1) * rate * dose / DOSE[-1]
    curve = amplitude * base ** (-1 / (exponent - 1)) + offset
    inner = law_residual(network, curve, dose)[:, 1:-1]
    assert np.abs(inner).max() < 1e-5
    assert np.abs(law_residual(network, 1.1 * curve, dose)).max() > 0.01


def test_network_without_physics_goes_through_the_data_and_is_bound_by_nothing(network):
    dose = np.concatenate([[0.0], DOSE])
    found = unconstrained_network(network, dose, iterations=300)
    assert (r_squared(network.problem, found[:, 1:]) > 0.9999).all()
    # With the head C(0) = 1 every member would begin at a + b, whatever its training.
    short = unconstrained_network(network, dose, iterations=3)
    assert np.abs(found[:, 0] - short[:, 0]).min() > 1e-3


def test_r_squared(network):
    values = network.problem.values[0]
    np.testing.assert_allclose(r_squared(network.problem, values), 1)
    middle = np.repeat(values.mean(axis=1, keepdims=True), DOSE.size, axis=1)
    np.testing.assert_allclose(r_squared(network.problem, middle), 0, atol=1e-12)
