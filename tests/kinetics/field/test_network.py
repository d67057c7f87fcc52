# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks of maps, against the law itself and finite differences."""

import numpy as np
import pytest
import torch

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.field.curves import SharedCurves
from hyperspy_dosekin.kinetics.field.fields import find_fields
from hyperspy_dosekin.kinetics.field.network import NetworkCurves, law_residual, trajectory
from hyperspy_dosekin.kinetics.field.network_fit import fit_field_network
from hyperspy_dosekin.kinetics.field.population import fit_population
from hyperspy_dosekin.kinetics.field.smooth import Bonds
from hyperspy_dosekin.kinetics.laws.power_law import power_law_integrity
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.network.architecture import dense_layers
from hyperspy_dosekin.kinetics.network.config import FIELD_PROTOCOL, NetworkConfig

DOSE = np.arange(1, 10) / 9
SHAPE = (8, 9)
PLACES = np.stack(np.unravel_index(np.arange(72), SHAPE), -1)
SMALL = NetworkConfig(
    **{
        **FIELD_PROTOCOL,
        "seeds": (3, 8),
        "gauss_newton_iterations": 12,
        "collocation": 200,
        "record_every": 2,
    }
)
LENGTHS = (5.0, 5.0)


@pytest.fixture(scope="module")
def problem():
    """Curves of a step in ln k with rough amplitudes, and their population."""
    random = np.random.default_rng(5)
    log_rate = np.where(np.arange(9) < 4, 1.0, 0.1) + 0.05 * np.arange(8)[:, None]
    curve = power_law_integrity(DOSE, np.exp(log_rate)[..., None], np.array(1.2))
    amplitude, offset = random.uniform(1, 2, (*SHAPE, 1)), random.uniform(0.3, 0.9, (*SHAPE, 1))
    values = amplitude * curve + offset + 0.015 * random.standard_normal(curve.shape)
    values[2, 3, 4] = np.nan
    # The largest dose is two dose scales.
    data = DoseProblem(2 * DOSE, values.reshape(-1, 1, 9), ("w",), dose_scale=1.0)
    curves = SharedCurves.of(data, ExactConfig())
    return curves, fit_population(curves, PLACES)


@pytest.fixture(scope="module")
def fitted(problem):
    curves, population = problem
    return fit_field_network(curves, population, PLACES, LENGTHS, SMALL)


def untrained(curves, population):
    generator = torch.Generator().manual_seed(1)
    layers = dense_layers(SMALL, 1, generator, 2)
    network = {name: value[None] for name, value in layers.items()}
    return NetworkCurves.of_member(curves, population.shared, network, 0)


def test_integrity_is_one_at_dose_zero_for_any_weights(problem):
    curves = untrained(*problem)
    free = problem[1].shared.mean[:, None].expand(-1, 5)
    found = curves.integrity(free, torch.tensor([0.0, 0.5, 2.0], dtype=torch.float64))
    np.testing.assert_array_equal(found[0].numpy(), 1.0)
    assert ((found[1:] > 0) & (found[1:] < 1)).all()


def test_slopes_are_those_of_differences(problem):
    curves, population = problem
    trained = untrained(curves, population)
    generator = torch.Generator().manual_seed(2)
    away = 0.3 * torch.randn(2, 7, generator=generator, dtype=torch.float64)
    free, step = population.shared.mean[:, None] + away, 1e-6
    value, slopes = trained.with_slopes(free)
    torch.testing.assert_close(value, trained.integrity(free))
    for place, slope in enumerate(slopes):
        shift = torch.zeros_like(free)
        shift[place] = step
        ends = [trained.integrity(free + sign * shift) for sign in (1, -1)]
        torch.testing.assert_close(slope, (ends[0] - ends[1]) / (2 * step), rtol=1e-5, atol=1e-8)
    dose = torch.linspace(0.1, 1.9, 7, dtype=torch.float64)[None]
    network, points = trained.network, free.T[None]
    _, slope = trajectory(network, trained, population.shared, dose, points, 0)
    ends = [
        trajectory(network, trained, population.shared, dose + sign * step, points, 7)[0]
        for sign in (1, -1)
    ]
    torch.testing.assert_close(slope, (ends[0] - ends[1]) / (2 * step), rtol=1e-5, atol=1e-8)


def test_the_exact_solution_has_no_residual(problem):
    curves, population = problem
    free = population.shared.mean[None, None].expand(1, 4, -1)
    rate, exponent = curves.parameters.values(curves.search(free[0].T)).numpy()
    dose = np.array([0.1, 0.7, 1.3, 1.9])
    exact = power_law_integrity(dose, rate, exponent)
    value = torch.as_tensor(exact)[None]
    slope = torch.as_tensor(-rate * exact**exponent)[None]
    found = law_residual(curves, free, value, slope, 2.0)
    np.testing.assert_allclose(found.numpy(), 0.0, atol=1e-12)


def test_networks_are_the_exact_field(problem, fitted):
    curves, population = problem
    assert fitted.complete
    assert 0.97 < fitted.judged["loss_ratio"] < 1.5
    assert fitted.judged["residual_rms"] < 0.02
    assert fitted.judged["max_deviation"] < 0.03
    mode = find_fields(curves, population.shared, Bonds.of(PLACES), LENGTHS)
    free = population.shared.mean + torch.as_tensor(mode.field) @ population.shared.factor.T
    expected = free[:, 0].exp().numpy()
    error = np.abs(np.log(fitted.maps["rate"].mean(0) / expected))
    assert np.median(error) < 0.05
    assert fitted.maps["rate"].shape == (2, 72)
    # The law is learned: its residual falls by two orders of magnitude.
    law = fitted.history.terms["ode"]
    assert np.all(law[-1] < 0.01 * law[0])
    # Amplitudes are rough and stay so.
    assert fitted.maps["amplitude"].std(axis=1).min() > 0.2


def test_known_exponents_and_offsets_are_kept(problem):
    random = np.random.default_rng(6)
    curve = power_law_integrity(DOSE, np.full((30, 1), 2.0), np.array(1.3))
    values = 1.5 * curve + 0.4 + 0.01 * random.standard_normal((30, 9))
    config = ExactConfig(exponent=1.3, offset=0.4)
    curves = SharedCurves.of(DoseProblem(DOSE, values[:, None], ("w",)), config)
    places = np.arange(30)[:, None]
    population = fit_population(curves, places)
    found = fit_field_network(curves, population, places, (5.0,), SMALL)
    np.testing.assert_allclose(found.maps["exponent"], 1.3)
    np.testing.assert_allclose(found.maps["offset"], 0.4)
    np.testing.assert_allclose(found.maps["rate"], 2.0, rtol=0.1)


def test_a_training_can_be_ended(problem):
    asked = []

    def stop():
        asked.append(0)
        return len(asked) > 3

    found = fit_field_network(*problem, PLACES, LENGTHS, SMALL, stop=stop)
    assert not found.complete
    assert len(asked) == 4
    assert np.isfinite(found.maps["rate"]).all()
