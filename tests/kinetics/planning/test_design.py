# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans against a bound written down independently, a full search, and simulated experiments."""

import numpy as np
import pytest
from scipy.optimize import differential_evolution

from hyperspy_dosekin.kinetics.laws.prior import Prior
from hyperspy_dosekin.kinetics.laws.registry import kinetic_law
from hyperspy_dosekin.kinetics.planning.design import (
    DesignProblem,
    FrameNoise,
    best_doses,
    criterion,
    even,
    geometric,
)
from hyperspy_dosekin.kinetics.planning.expectation import Expectation, expected_curves
from hyperspy_dosekin.kinetics.planning.trial import tried


def prior_draws(n=64):
    """Draws of the default prior, k per dose 1."""
    random = np.random.default_rng(0)
    values = np.stack([np.exp(random.normal(0, 1, n)), random.normal(1, 0.7, n).clip(0.15, 4)])
    return Expectation(kinetic_law("power law"), values, np.ones(n))


def first_order_sd(dose, rate, noise, prior_sd, offset_known):
    """Bound of ln D½ of C = exp(−kΦ), its derivatives by hand; the exponent is known."""
    decay = np.exp(-rate * dose)
    columns = [-rate * dose * decay, decay]
    columns += [] if offset_known else [np.ones_like(dose)]
    design = np.stack(columns, -1) / noise[:, None]
    information = design.T @ design
    information[0, 0] += prior_sd**-2
    return np.sqrt(np.linalg.inv(information)[0, 0])


@pytest.mark.parametrize("offset_known", [False, True])
@pytest.mark.parametrize("recorded", [None, 0.3])
def test_bound_of_the_first_order_law(offset_known, recorded):
    dose, scale = np.array([0.0, 0.2, 0.5, 1.1, 2.0]) + 0.05, np.array([0.5, 1.0, 3.0])
    expected = Expectation(kinetic_law("first order"), np.full((1, 3), 1.3), scale)
    noise = FrameNoise(0.02, recorded)
    found = DesignProblem(expected, noise, "half_integrity_dose", offset_known, 4).sd(dose)
    own = np.diff(dose, prepend=0)
    sd = np.full(5, 0.01) if recorded is None else 0.01 * np.sqrt(0.3 / own)
    prior_sd = expected.prior.log_rate[1]
    right = [first_order_sd(dose, 1.3 / s, sd, prior_sd, offset_known) for s in scale]
    np.testing.assert_allclose(found, right, rtol=1e-4)


def test_goals_of_the_first_order_law_are_one():
    expected = Expectation(kinetic_law("first order"), np.full((1, 2), 1.3), np.array([0.5, 2.0]))
    dose = even(5, 2.0)
    rate, half, critical = (
        DesignProblem(expected, FrameNoise(0.01), goal).sd(dose)
        for goal in ("rate", "half_integrity_dose", "critical_dose")
    )
    np.testing.assert_allclose(half, rate, rtol=1e-5)
    np.testing.assert_allclose(critical, rate, rtol=1e-5)


@pytest.mark.parametrize("largest", [1.0, 4.0])
def test_plan_equals_a_full_search(largest):
    problem = DesignProblem(prior_draws(24), FrameNoise(0.01))
    plan = best_doses(problem, 6, largest)
    full = differential_evolution(
        lambda doses: criterion(problem.sd(np.sort(doses))),
        [(0.0, largest)] * 6,
        # Forty rounds end within 2e-7 of the same, after the polish.
        maxiter=8,
        popsize=8,
        seed=0,
        init="sobol",
    )
    assert criterion(problem.sd(plan)) < full.fun + np.log(1.02)


def test_plan_beats_what_people_do():
    """At an equal largest dose, 1 % noise, free offset and the default prior."""
    problem = DesignProblem(prior_draws(96), FrameNoise(0.01))
    steps, plan = problem.sd(even(9, 4.0)), problem.sd(best_doses(problem, 9, 4.0))
    by_hand = problem.sd(geometric(9, 4.0, 0.0))
    assert criterion(plan) < criterion(by_hand)
    assert criterion(plan) < criterion(steps) - np.log(2.5)
    assert np.mean(plan < 0.2) > 0.7


def test_many_short_frames_where_every_electron_is_recorded():
    problem = DesignProblem(prior_draws(48), FrameNoise(0.01, 1 / 9))
    few, many = (problem.sd(best_doses(problem, n, 4.0)) for n in (5, 30))
    assert criterion(many) < criterion(few)


@pytest.mark.parametrize("n_frame", [5, 20])
def test_least_dose_is_kept(n_frame):
    problem = DesignProblem(prior_draws(16), FrameNoise(0.02))
    dose = best_doses(problem, n_frame, 2.0, smallest=0.09)
    assert dose.size == n_frame
    assert np.diff(dose, prepend=0).min() > 0.0899
    assert dose[-1] <= 2.0


@pytest.mark.parametrize(
    "law", ["power law", "first order", "delayed", "power law with plateau", "two populations"]
)
def test_expected_half_doses_are_those_asked_for(law):
    expected = expected_curves(kinetic_law(law), (400.0, 0.3), n_draw=64)
    log_half = np.log(expected.dose_at(0.5) / 400)
    assert abs(log_half.mean()) < 0.08
    assert log_half.std() == pytest.approx(0.3, rel=0.2)
    at_half = expected.integrity(np.sort(expected.dose_at(0.5)))
    order = np.argsort(np.argsort(expected.dose_at(0.5)))
    np.testing.assert_allclose(at_half[np.arange(64), order], 0.5, atol=1e-3)


def test_expectation_takes_what_was_found_on_many_specimens():
    halves, exponents = np.array([100.0, 1000.0]), np.array([0.5, 2.0])
    expected = expected_curves(
        kinetic_law("power law"),
        (halves, np.full(2, 1e-6)),
        {"exponent": (exponents, np.full(2, 1e-6))},
        n_draw=40,
    )
    low = expected.dose_at(0.5) < 300
    assert 10 <= low.sum() <= 30
    np.testing.assert_allclose(expected.values[1][low], 0.5, atol=1e-4)
    np.testing.assert_allclose(expected.values[1][~low], 2.0, atol=1e-4)


def test_unknown_expectation_is_refused():
    with pytest.raises(ValueError, match=r"\['rate'\].*exponent"):
        expected_curves(kinetic_law("power law"), (400.0, 0.3), {"rate": (1.0, 0.1)})


def test_promise_is_kept_by_the_estimator():
    """The errors of real fits of simulated experiments are those of the bound."""
    prior = Prior()
    expected = expected_curves(kinetic_law("power law"), (400.0, 0.3), prior=prior)
    problem = DesignProblem(expected, FrameNoise(0.01))
    trial = tried(problem, best_doses(problem, 9, 3000.0), 240, 3)
    assert 0.8 < trial.error_ratio < 1.2
    assert trial.chance_determined > 0.8
    assert trial.number == 240


def test_hopeless_experiment_is_not_determined():
    problem = DesignProblem(
        expected_curves(kinetic_law("power law"), (4000.0, 0.1)), FrameNoise(0.05)
    )
    assert tried(problem, even(9, 400.0), 64, 1).chance_determined < 0.05
