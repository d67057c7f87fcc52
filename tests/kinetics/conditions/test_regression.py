# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Posterior of the effects against closed forms, SciPy's quadrature and repeats of experiments."""

import numpy as np
import pytest
from scipy import integrate, stats

from hyperspy_dosekin.kinetics.conditions.effects import Condition, Design
from hyperspy_dosekin.kinetics.conditions.fit import fit_window
from hyperspy_dosekin.kinetics.conditions.rate_likelihood import RateLikelihood, RateScan
from hyperspy_dosekin.kinetics.conditions.regression import SPREADS, draw_effects, spread_weights
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.model.config import ExactConfig

DOSE = np.arange(1, 10) / 9


def normal_likelihood(mean, sd):
    nodes = mean + sd * np.linspace(-6, 6, 61)
    return RateLikelihood(nodes[None], stats.norm.logpdf(nodes, mean, sd)[None])


def first_order(random, rate, noise=0.01, amplitude=3.0, offset=5.0):
    values = amplitude * (np.exp(-rate * DOSE) + noise * random.normal(size=9)) + offset
    return DoseProblem(DOSE, values[None, None], ("window",), None, 1.0)


def test_normal_likelihoods_are_least_squares():
    """Without a spread the posterior is that of weighed least squares, exactly."""
    design = np.stack([np.ones(4), [-1.0, 0.0, 0.5, 2.0]], axis=1)
    mean, sd = np.array([0.1, 0.4, 0.2, 1.3]), np.array([0.1, 0.2, 0.05, 0.3])
    found = draw_effects(
        [normal_likelihood(m, s) for m, s in zip(mean, sd, strict=True)],
        design,
        np.full(2, 50.0),
        np.zeros(1),
        spread_known=False,
        number=20_000,
    )
    covariance = np.linalg.inv(design.T @ (design / sd[:, None] ** 2))
    centre = covariance @ design.T @ (mean / sd**2)
    np.testing.assert_allclose(found.effects.mean(0), centre, atol=0.012)
    np.testing.assert_allclose(np.cov(found.effects.T), covariance, rtol=0.12, atol=2e-4)
    np.testing.assert_array_equal(found.spread, 0)
    np.testing.assert_allclose(found.log_rate, found.effects @ design.T)


def test_spread_against_quadrature():
    """Mean of two series with a spread: the posterior of ω by SciPy's integration."""
    mean, sd = np.array([-0.4, 0.5, 0.1]), 0.05
    found = draw_effects(
        [normal_likelihood(m, sd) for m in mean],
        np.ones((3, 1)),
        np.array([3.0]),
        np.zeros(1),
        spread_known=True,
        number=20_000,
    )
    weights = spread_weights(True)

    def evidence(spread):
        width = np.hypot(sd, spread)
        return integrate.quad(
            lambda m: stats.norm.pdf(mean, m, width).prod() * stats.norm.pdf(m, 0, 3.0), -4, 4
        )[0]

    right = weights * np.array([evidence(spread) for spread in SPREADS])
    right /= right.sum()
    share = np.array([(found.spread == spread).mean() for spread in SPREADS])
    np.testing.assert_allclose(share, right, atol=0.03)
    # Each rate is its own likelihood times the normal about the effects: it shrinks little.
    np.testing.assert_allclose(found.log_rate.mean(0), mean, atol=0.03)
    np.testing.assert_allclose(found.log_rate.std(0), sd, rtol=0.1)


def test_prior_of_the_spread_is_one():
    assert spread_weights(True).sum() == pytest.approx(1)
    assert spread_weights(False)[0] == 1


def test_likelihood_of_the_rate_against_integration_by_hand():
    """Amplitude, offset and noise integrated out numerically: flat a and b, 1/σ."""
    random = np.random.default_rng(2)
    problem = first_order(random, 1.7, noise=0.03)
    found = RateScan.of(problem, ExactConfig(law="first order")).likelihoods([])[0]
    values = problem.values[0, 0]
    log_rate = found.log_rate[0]
    right = []
    for rate in np.exp(log_rate):
        columns = np.stack([np.exp(-rate * DOSE), np.ones(9)], axis=1)
        # Over before the first frame the two columns are one.
        readout = np.linalg.lstsq(columns, values, rcond=None)[0]
        squares = ((values - columns @ readout) ** 2).sum()
        # The residual's share of the Student likelihood; widths in a and b are in the rest.
        right.append(-0.5 * 7 * np.log(squares))
    inside = found.log_likelihood[0] > found.log_likelihood[0].max() - 4
    difference = (found.log_likelihood[0] - right)[inside]
    assert inside.sum() > 10
    # What is left are the slowly varying widths and the weight of the signal.
    assert np.ptp(difference) < 0.8


@pytest.mark.parametrize("spread", [0.0, 0.2])
def test_interval_of_the_dose_rate_exponent_holds_the_truth(spread):
    """Three dose rates, two specimens each: coverage and false positives, 60 repeats."""
    rates, repeats = np.repeat([1.0, 3.0, 10.0], 2), 60
    design = Design((Condition.of("dose_rate", rates),), 6)
    values = np.empty((6, 1, repeats, 9))
    for seed in range(repeats):
        random = np.random.default_rng(seed)
        log_rate = np.log(2.0) + spread * random.normal(size=6)
        for place, each in enumerate(log_rate):
            values[place, 0, seed] = first_order(random, np.exp(each)).values[0, 0]
    # As windows of one series the repeats are computed at once.
    names = tuple(f"repeat {seed}" for seed in range(repeats))
    config = ExactConfig(law="first order")
    likelihoods = [
        RateScan.of(DoseProblem(DOSE, each, names, None, 1.0), config).likelihoods([])
        for each in values
    ]
    covered, sizes = [], []
    for seed, each in enumerate(zip(*likelihoods, strict=True)):
        draws = draw_effects(
            list(each),
            design.matrix,
            design.prior_sd,
            np.zeros(1),
            spread_known=True,
            number=1000,
            seed=seed,
        )
        low, high = np.quantile(draws.effects[:, 1], [0.025, 0.975])
        covered.append(low < 0 < high)
        sizes.append(high - low)
    # The same as by the function for one window.
    problems = [DoseProblem(DOSE, each[:, :1], ("repeat 0",), None, 1.0) for each in values]
    alone, _ = fit_window(problems, [config] * 6, design, number=1000, seed=0)
    np.testing.assert_allclose(
        np.quantile(alone.effects[:, 1], 0.975) - np.quantile(alone.effects[:, 1], 0.025),
        sizes[0],
        rtol=1e-6,
    )
    # Binomial, three standard deviations below 0.95.
    assert np.mean(covered) > 0.866
    assert np.median(sizes) < 1.0


def test_shape_is_found_with_the_effects():
    """A power law with p = 2 in all series: p shared and found, the effect of the rate too."""
    random = np.random.default_rng(5)
    rates = np.repeat([1.0, 3.0, 10.0], 2)
    problems = []
    for rate in rates:
        integrity = 1 / (1 + 2.0 * rate**0.3 * DOSE * 2)
        values = 3 * (integrity + 0.003 * random.normal(size=9)) + 1
        problems.append(DoseProblem(DOSE, values[None, None], ("window",), None, 1.0))
    design = Design((Condition.of("dose_rate", rates),), 6)
    configs = [ExactConfig(law="power law")] * 6
    draws, shapes = fit_window(problems, configs, design, number=2000)
    exponent = shapes[0][draws.shape]
    assert abs(exponent.mean() - 2) < 3 * exponent.std()
    assert exponent.std() < 0.3
    slope = draws.effects[:, 1]
    assert abs(slope.mean() - 0.3) < 3 * slope.std()
    assert slope.std() < 0.12


def test_constant_window_is_refused():
    problem = DoseProblem(DOSE, np.ones((1, 1, 9)), ("flat",), None, 1.0)
    with pytest.raises(ValueError, match="'flat'"):
        RateScan.of(problem, ExactConfig(law="first order")).likelihoods([])
