# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest

from hyperspy_dosekin.kinetics.design import cramer_rao
from hyperspy_dosekin.kinetics.estimate.fit import fit_exact
from hyperspy_dosekin.kinetics.identifiability import identifiability
from hyperspy_dosekin.kinetics.laws.power_law import half_dose, power_law_integrity
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.simulation import draw_prior, simulate_curves

PAPER = np.arange(1, 10) / 9


@pytest.mark.parametrize("noise", [0.002, 0.01])
def test_kept_windows_are_right(noise):
    random = np.random.default_rng(1)
    curves = simulate_curves(random, *draw_prior(random, (90, 4)), noise=noise)
    fit = fit_exact(curves.problem)
    kept = identifiability(curves.problem, fit=fit).identifiable
    error = np.log(half_dose(fit.rate, fit.exponent)) - curves.log_half_dose
    assert kept.sum() > 30
    assert np.mean(np.abs(error[kept]) < 0.2) >= 0.85
    # It says something: the windows that it drops are mostly wrong by more.
    assert np.mean(np.abs(error[~kept]) < 0.2) < 0.6


def test_the_regime_of_the_paper_is_not_identifiable_unless_more_is_known():
    shape = (20, 2)
    random = np.random.default_rng(2)
    rate = np.broadcast_to([0.8, 1.0], shape)
    problem = simulate_curves(random, rate, np.ones(shape), noise=0.01).problem
    assert identifiability(problem).identifiable.mean() < 0.1
    flagged = identifiability(problem, ExactConfig(offset=np.array([5.0, 5.0])))
    assert flagged.identifiable.mean() > 0.9
    assert np.all(flagged.near_estimate[flagged.identifiable] >= 0.9)


def test_dead_windows_are_not_identifiable():
    problem = simulate_curves(
        np.random.default_rng(3), np.full((3, 2), 5.0), np.ones((3, 2)), noise=0.001
    ).problem
    problem.values[1, 0] = np.nan
    flags = identifiability(problem)
    assert not flags.identifiable[1, 0]
    assert np.isnan(flags.sd_log_half_dose[1, 0])
    assert flags.identifiable.sum() == 5


@pytest.mark.parametrize(
    ("options", "rate", "expected"),
    [
        ({}, 1.0, 1.68),
        ({}, 2.0, 0.184),
        ({"offset_known": True}, 1.0, 0.031),
        ({"exponent_known": True}, 1.0, 0.16),
    ],
)
def test_bounds_of_the_nine_frames(options, rate, expected):
    bound = cramer_rao(PAPER, rate, 1.0, noise=0.01, **options)
    assert bound.sd_log_half_dose == pytest.approx(expected, rel=0.02)


def test_bound_is_the_inverse_of_the_information():
    rate, exponent, noise, amplitude = 2.5, 1.4, 0.02, 3.0
    step = 1e-5

    def model(x):
        return x[2] * power_law_integrity(PAPER, np.exp(x[0]), x[1]) + x[3]

    centre = np.array([np.log(rate), exponent, amplitude, 1.0])
    jacobian = np.stack(
        [(model(centre + e) - model(centre - e)) / (2 * step) for e in step * np.eye(4)], axis=1
    )
    covariance = np.linalg.inv(jacobian.T @ jacobian) * noise**2
    bound = cramer_rao(PAPER, rate, exponent, noise=noise, amplitude=amplitude)
    # Difference quotients, and an information matrix of condition 1e6.
    assert bound.sd_log_rate == pytest.approx(np.sqrt(covariance[0, 0]), rel=1e-3)
    assert bound.sd_exponent == pytest.approx(np.sqrt(covariance[1, 1]), rel=1e-3)
    gradient = np.zeros(4)
    for place in range(2):
        shift = step * np.eye(4)[place]
        ends = [np.log(half_dose(np.exp(x[0]), x[1])) for x in (centre + shift, centre - shift)]
        gradient[place] = (ends[0] - ends[1]) / (2 * step)
    expected = np.sqrt(gradient @ covariance @ gradient)
    assert bound.sd_log_half_dose == pytest.approx(expected, rel=1e-3)


def test_bound_of_the_hopeless_is_infinite():
    assert np.isinf(cramer_rao(PAPER[:3], 1.0, 1.0, noise=0.01).sd_log_half_dose)
    extinct = cramer_rao(PAPER, 40.0, 0.1, noise=0.01)
    assert np.isinf(extinct.sd_log_rate)
    shape = cramer_rao(PAPER, np.ones((3, 1)), np.ones(5), noise=0.01).sd_exponent.shape
    assert shape == (3, 5)
