# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fast protocol against the exact solution, and the certificate of good and bad fits."""

import numpy as np
import pytest

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.fit import fit_exact
from hyperspy_dosekin.kinetics.laws.power_law import power_law_integrity
from hyperspy_dosekin.kinetics.laws.prior import DEFAULT_PRIOR
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.network import compression
from hyperspy_dosekin.kinetics.network.certificate import certify
from hyperspy_dosekin.kinetics.network.config import PROTOCOLS, NetworkConfig
from hyperspy_dosekin.kinetics.network.fit import fit_network

NAMES = ("a", "b", "c")
RATE = np.array([0.9, 3.0, 2.0])
EXPONENT = np.array([1.0, 2.5, 1.6])


def make_problem(noise=0.01, variance=None, missing=False, frames=9):
    dose = np.arange(1, frames + 1) / frames
    clean = power_law_integrity(dose, RATE[:, None], EXPONENT[:, None])
    rng = np.random.default_rng(4)
    values = [[-0.6], [1.0], [2.0]] * clean + [[1.2], [0.5], [0.3]]
    values = values + noise * rng.standard_normal(values.shape)
    if missing:
        values[1, 4] = np.nan
    spread = None if variance is None else np.broadcast_to(variance, values.shape)[np.newaxis]
    return DoseProblem(1368 * dose, values[np.newaxis], NAMES, spread)


def fit(problem, prior=DEFAULT_PRIOR, **options):
    config = NetworkConfig(**{**PROTOCOLS["fast"], "seeds": (1, 2), "hierarchy": (), **options})
    exact = fit_exact(problem, ExactConfig(prior=prior, noise="relative"))
    return fit_network(problem, config, start=exact, prior=prior), exact


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("variance", [None, np.linspace(1, 4, 9)])
def test_equals_the_exact_solution(missing, variance):
    problem = make_problem(missing=missing, variance=variance)
    network, exact = fit(problem)
    certificate = certify(network, exact, DEFAULT_PRIOR)
    assert certificate.good.all(), certificate.warnings()
    assert certificate.warnings() == []
    assert certificate.residual_rms.max() < 1e-3
    # What the training leaves of the least-squares problem that the exact estimator solves.
    assert np.all((certificate.loss_ratio > 0.998) & (certificate.loss_ratio < 1.05))
    grid = np.linspace(0, 1368, 41)
    rms = np.sqrt(np.mean((network.integrity(grid) - exact.integrity(grid / 1368)) ** 2, axis=2))
    assert rms.max() < 0.02
    np.testing.assert_allclose(network.rate.mean(0), exact.rate[0], rtol=0.05)


def test_without_a_prior_it_is_the_least_squares_solution():
    network, exact = fit(make_problem(noise=0.001), prior=None)
    np.testing.assert_allclose(network.rate, np.tile(exact.rate[0], (2, 1)), rtol=0.02)


def test_data_without_noise_have_a_certificate():
    network, exact = fit(make_problem(noise=0.0), prior=None)
    certificate = certify(network, exact, None)
    assert np.isfinite(certificate.loss_ratio).all()
    assert certificate.warnings() == []


@pytest.mark.parametrize("missing", [False, True])
def test_many_frames_in_few_residuals_change_nothing(monkeypatch, missing):
    problem = make_problem(noise=0.05, frames=120, missing=missing)
    network, exact = fit(problem)
    assert certify(network, exact, DEFAULT_PRIOR).warnings() == []
    monkeypatch.setattr(compression, "FEWEST_FRAMES", 10**9)
    whole, _ = fit(problem)
    np.testing.assert_allclose(network.rate, whole.rate, rtol=1e-4)
    np.testing.assert_allclose(network.dose_at(0.5), whole.dose_at(0.5), rtol=1e-4)


def test_a_bad_fit_is_told_apart_in_words():
    problem = make_problem()
    network, exact = fit(problem, gauss_newton_iterations=1)
    certificate = certify(network, exact, DEFAULT_PRIOR)
    assert not certificate.good.any()
    text = " ".join(certificate.warnings())
    assert "training has not ended" in text
    assert 'estimator="exact"' in text
    assert 'protocol="fast"' not in text
    assert all(name in text for name in NAMES)


def test_overfitting_between_collocation_doses_shows():
    """A law imposed at three doses only leaves the network free between them."""
    options = {"collocation": 3, "jitter": False, "fourier_scale": 3.0, "seeds": (1,)}
    problem = make_problem(noise=0.1)
    exact = fit_exact(problem, ExactConfig())
    config = NetworkConfig(
        **{**PROTOCOLS["paper"], "adam_epochs": 300, "lbfgs_iterations": 200, **options}
    )
    network = fit_network(problem, config)
    certificate = certify(network, exact, None)
    assert certificate.residual_rms.max() > 0.05
    text = " ".join(certificate.warnings())
    assert "does not obey the rate law" in text
    assert 'protocol="fast"' in text


def test_repeats_to_the_last_digit():
    first, again = (fit(make_problem())[0] for _ in range(2))
    np.testing.assert_array_equal(first.rate, again.rate)


def test_a_network_of_many_windows_names_the_exact_estimator(monkeypatch, caplog):
    problem = make_problem()
    config = NetworkConfig(**{**PROTOCOLS["fast"], "seeds": (1,), "hierarchy": ()})
    fit_network(problem, config, stop=lambda: True)
    assert "exact" not in caplog.text
    monkeypatch.setattr("hyperspy_dosekin.kinetics.network.fit.MANY_WINDOWS", 2)
    fit_network(problem, config, stop=lambda: True)
    assert "all 3 windows" in caplog.text
    assert 'estimator="exact"' in caplog.text
