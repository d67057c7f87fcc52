# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network against automatic differentiation, its own promises and the paper's count."""

import numpy as np
import pytest
import torch

from hyperspy_dosekin.kinetics.network.architecture import (
    count_trainable,
    fourier_features,
    initial_parameters,
    integrity,
    inverse_softplus,
    kinetic_parameters,
    trainable,
)
from hyperspy_dosekin.kinetics.network.config import NetworkConfig

SMALL = NetworkConfig(seeds=(3, 5), fourier_features=6, width=7, depth=2)


def small_network(n_window=3):
    return initial_parameters(SMALL, n_window, torch.float64)


def test_four_windows_have_the_published_number_of_parameters():
    assert count_trainable(initial_parameters(NetworkConfig(), 4)) == 29_396


@pytest.mark.parametrize("n_window", [1, 5])
def test_any_number_of_windows(n_window):
    parameters = initial_parameters(NetworkConfig(), n_window)
    # Two encoders and five layers of 64 × 64 + 64, the output head, and k, p, a, b.
    assert count_trainable(parameters) == 7 * 4160 + 65 * n_window + 4 * n_window


def test_slope_equals_automatic_differentiation():
    parameters = small_network()
    dose = torch.linspace(0.05, 1.3, 11, dtype=torch.float64, requires_grad=True)
    features = fourier_features(parameters, dose)
    value, slope = integrity(parameters, features)
    for window in range(3):
        for member in range(2):
            (expected,) = torch.autograd.grad(
                value[member, :, window].sum(), dose, retain_graph=True
            )
            torch.testing.assert_close(slope[member, :, window], expected, rtol=1e-12, atol=1e-13)


def test_slope_is_given_from_the_first_tangent_on():
    parameters, dose = small_network(), torch.linspace(0, 1, 9, dtype=torch.float64)
    value, slope = integrity(parameters, fourier_features(parameters, dose))
    late_value, late_slope = integrity(parameters, fourier_features(parameters, dose, 4))
    torch.testing.assert_close(late_value, value)
    torch.testing.assert_close(late_slope, slope[:, 4:])


def test_initial_condition_and_bounds_hold_for_any_weights():
    parameters = {
        name: value * (10 if name.endswith("weight") else 1)
        for name, value in small_network().items()
    }
    dose = torch.cat([torch.zeros(1), torch.rand(50, generator=torch.Generator().manual_seed(1))])
    value, _ = integrity(parameters, fourier_features(parameters, dose.double()))
    assert torch.equal(value[:, 0], torch.ones(2, 3, dtype=torch.float64))
    assert bool(((value >= 0) & (value <= 1)).all())


def test_members_do_not_influence_each_other():
    parameters = small_network()
    alone = {name: value[1:] for name, value in parameters.items()}
    dose = torch.linspace(0, 1, 5, dtype=torch.float64)
    both, _ = integrity(parameters, fourier_features(parameters, dose))
    one, _ = integrity(alone, fourier_features(alone, dose))
    torch.testing.assert_close(both[1:], one, rtol=1e-13, atol=1e-15)


def test_seeds_decide_and_torch_state_is_left_alone():
    before = torch.random.get_rng_state()
    first, again = small_network(), small_network()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["frequencies"][0], first["frequencies"][1])
    assert torch.equal(before, torch.random.get_rng_state())


def test_rate_and_exponent_start_near_the_configuration():
    config = NetworkConfig(seeds=tuple(range(40)), initial_rate=2.5, initial_exponent=0.4)
    rate, exponent = kinetic_parameters(initial_parameters(config, 3, torch.float64))
    # The jitter before the softplus has standard deviation 0.1, and 120 draws average it out.
    assert rate.mean() == pytest.approx(2.5, abs=0.05)
    assert exponent.mean() == pytest.approx(0.4, abs=0.05)


def test_held_parameters_are_not_trained():
    names = trainable(small_network(), held={"offset"})
    assert "offset" not in names
    assert "frequencies" not in names
    assert "amplitude" in names


@pytest.mark.parametrize("value", [1e-3, 0.7, 4.0, 60.0])
def test_inverse_softplus(value):
    assert np.logaddexp(0, inverse_softplus(value)) == pytest.approx(value, rel=1e-12)


def test_every_phase_that_has_a_name_has_a_function():
    from hyperspy_dosekin.kinetics.network.config import PHASE_NAMES
    from hyperspy_dosekin.kinetics.network.fit import PHASES

    assert set(PHASE_NAMES) == set(PHASES)
