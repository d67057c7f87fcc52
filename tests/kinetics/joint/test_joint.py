# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Joint fits of curves against truths, single fits and quadrature."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import integrate, special, stats

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.fit import fit_exact
from hyperspy_dosekin.kinetics.joint import fit as joint_fit
from hyperspy_dosekin.kinetics.joint.common_mode import LINEAR_GAIN, without_common_mode
from hyperspy_dosekin.kinetics.joint.dependence import power_of_windows
from hyperspy_dosekin.kinetics.joint.fit import fit_jointly
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.posterior.posterior import kinetic_posterior
from hyperspy_dosekin.kinetics.posterior.quantities import Quantity

HALF = Quantity("half_integrity_dose")
NOISE = 0.004


def decay(dose, rate, exponent):
    order = exponent - 1
    return np.maximum(1 + order * rate * dose, 0) ** (-1 / order)


def series(seed, rates, exponents, frames=9, gain=0.0, noise=NOISE):
    random = np.random.default_rng(seed)
    dose = np.arange(1, frames + 1) / frames
    pairs = zip(rates, exponents, strict=True)
    level = np.stack([decay(dose, rate, exponent) + 1 for rate, exponent in pairs])
    level = level * (1 + gain * random.normal(size=frames))
    values = level + noise * random.normal(size=level.shape)
    names = tuple(f"window {place}" for place in range(len(rates)))
    return DoseProblem(dose, values[None], names)


def sd(posterior):
    return posterior.summarise([HALF]).sd_log_half_dose[0]


def test_common_shape_makes_windows_more_certain():
    """Also of series with other doses and frames; D½ is still that of the truth."""
    problems = [series(0, (2.0, 1.0, 4.0), [1.3] * 3), series(1, (3.0, 1.5), [1.3] * 2, frames=7)]
    config = ExactConfig(prior=None)
    fit = fit_jointly(problems, [config] * 2, ("exponent",), common_mode=False)
    (estimate,) = fit.shape.estimate
    low, high = fit.shape.quantiles([0.025, 0.975])[0]
    assert low < 1.3 < high
    assert low < estimate < high
    for found, problem in zip(fit.series, problems, strict=True):
        alone = kinetic_posterior(problem, config)
        assert np.all(sd(found.posterior) < 1.05 * sd(alone))
        np.testing.assert_array_equal(found.fit.exponent, estimate)
    weak = sd(fit.series[0].posterior)[1] / sd(kinetic_posterior(problems[0], config))[1]
    assert weak < 0.7
    assert fit.agreement is not None
    assert fit.agreement.agrees


def test_posterior_of_the_shape_is_the_product_of_those_of_the_windows():
    """Quadrature over ln k for each p, with the noise and the readout integrated out by hand."""
    problems = [series(3, (2.0,), [1.4]), series(4, (3.0,), [1.4])]
    # Without priors the parameters are even in their boxes.
    fit = fit_jointly(problems, [ExactConfig(prior=None)] * 2, ("exponent",))
    exponents = np.linspace(0.1001, 5, 400)
    whole = np.zeros(exponents.size)
    for problem in problems:
        values = problem.values[0, 0] - problem.values[0, 0].mean()
        log_rate = np.linspace(np.log(0.01), np.log(200), 1500)
        column = decay(
            problem.dose[:, None, None], np.exp(log_rate)[:, None], exponents[None, None, :]
        )
        column = column - column.mean(axis=0)
        norm = (column**2).sum(axis=0)
        product = np.einsum("d,dkp->kp", values, column)
        squares = (values**2).sum() - product**2 / np.maximum(norm, 1e-300)
        explained = product**2 / np.maximum(norm, 1e-300)
        freedom = values.size - 2
        # The likelihood of `marginal`: σ under 1/σ, the amplitude flat in what is seen of it.
        density = -0.5 * (freedom * np.log(squares) + np.log(explained + squares / freedom))
        whole += special.logsumexp(density, axis=0)
    mass = np.exp(whole - whole.max())
    function = integrate.cumulative_trapezoid(mass, exponents, initial=0)
    expected = np.interp([0.1, 0.5, 0.9], function / function[-1], exponents)
    np.testing.assert_allclose(fit.shape.quantiles([0.1, 0.5, 0.9])[0], expected, rtol=0.03)


def test_false_common_shape_is_found_and_named():
    problems = [series(5, (2.0, 3.0, 4.0), [2.0, 0.5, 2.0], noise=0.002)]
    fit = fit_jointly(problems, [ExactConfig()], ("exponent",), common_mode=False)
    assert fit.agreement is not None
    assert not fit.agreement.agrees
    assert fit.agreement.worst == 1
    assert fit.agreement.by_curve[1] < 0.01
    # What each window says by itself: two that hold 2.0, and one that does not.
    low, high = fit.agreement.ends
    np.testing.assert_array_equal((low < 2.0) & (high > 2.0), [True, False, True])
    assert low[1] < 0.5 < high[1]


def test_gain_of_frames_is_found_and_taken_off():
    problem = series(6, (2.0, 1.0, 4.0, 3.0), [1.3] * 4, frames=24, gain=0.03)
    random = np.random.default_rng(6)
    truth = 0.03 * random.normal(size=24)
    config = ExactConfig()
    freed, gain = without_common_mode(problem, config, fit_exact(problem, config))
    assert gain is not None
    assert 0.02 < gain.spread[0] < 0.045
    # What looks like a decay is in no gain: the rest is that of the frames.
    left = truth - np.polyval(np.polyfit(problem.dose, truth, 3), problem.dose)
    found = gain.gain[0] - np.polyval(np.polyfit(problem.dose, gain.gain[0], 3), problem.dose)
    assert np.corrcoef(left, found)[0, 1] > 0.97
    assert freed.shared_error is not None
    before = fit_exact(problem, config).residual_sigma
    after = fit_exact(freed, config).residual_sigma
    assert np.all(after < 0.6 * before)
    power = power_of_windows(freed, config, fit_exact(problem, config), gain, ("exponent",))
    assert 0.25 < power < 0.7
    assert power_of_windows(freed, config, fit_exact(problem, config), gain, ()) == 1.0
    # Four times 20 frames are left by the fits, and 24 tell the gain, less what is like fits.
    assert 56 < gain.freedom[0] < 64
    student = stats.t.ppf(0.975, gain.freedom[0]) / stats.norm.ppf(0.975)
    np.testing.assert_allclose(freed.variance[0, :, 0], student**2 * gain.noise[:, 0])


def test_a_gain_that_bends_curves_stays_in_the_data_where_rates_are_shared():
    problem = series(6, (2.0, 1.0, 4.0, 3.0), [1.3] * 4, gain=0.15)
    config = ExactConfig()
    fit = fit_exact(problem, config)
    same, gain = without_common_mode(problem, config, fit, largest=LINEAR_GAIN)
    assert gain is None
    assert same is problem
    assert without_common_mode(problem, config, fit)[1] is not None


@pytest.mark.parametrize(
    ("gain", "noise", "low", "high"), [(0.05, 1e-4, 0.3, 0.4), (0, 0.01, 0.7, 1)]
)
def test_windows_with_the_same_errors_count_as_one(gain, noise, low, high):
    """Three windows of one rate whose only error is that of their frames are one window."""
    problem = series(11, (2.0, 2.0, 2.0), [1.3] * 3, frames=12, gain=gain, noise=noise)
    fit = fit_exact(problem, ExactConfig())
    freed, found = without_common_mode(problem, ExactConfig(), fit)
    assert low < power_of_windows(freed, ExactConfig(), fit, found, ("exponent",)) <= high


@pytest.mark.parametrize("problem", [series(7, (2.0,), [1.3]), series(7, (2.0, 3.0), [1.3] * 2, 5)])
def test_gain_needs_windows_and_frames(problem):
    config = ExactConfig()
    same, gain = without_common_mode(problem, config, fit_exact(problem, config))
    assert gain is None
    assert same is problem


def test_noise_that_was_estimated_beside_a_gain_is_not_known_to_the_tests(monkeypatch):
    seen = []
    monkeypatch.setattr(joint_fit, "agreement", lambda scans, names: seen.extend(scans))
    given = [series(seed, (2.0, 1.0, 4.0), [1.3] * 3, gain=0.03) for seed in (6, 7)]
    found = fit_jointly(given, [ExactConfig()] * 2, ("exponent",))
    assert all(each.gain is not None for each in found.series)
    assert {part.noise for scan in seen for part in scan.parts} == {"free"}


def test_nothing_shared_is_the_single_fit():
    problem = series(8, (2.0, 3.0), [1.3, 0.8])
    fit = fit_jointly([problem], [ExactConfig()], (), common_mode=False)
    assert fit.agreement is None
    np.testing.assert_allclose(sd(fit.series[0].posterior), sd(kinetic_posterior(problem)))


def test_one_of_two_shape_parameters_is_shared():
    """The other stays that of each window; with a known offset a plateau can be told."""
    random = np.random.default_rng(9)
    dose = np.arange(1, 13) / 12
    level = np.stack([0.3 + 0.7 * decay(dose, k, p) for k, p in ((4.0, 1.2), (8.0, 2.0))])
    values = level + 0.003 * random.normal(size=level.shape)
    problem = DoseProblem(dose, values[None], ("a", "b"))
    config = ExactConfig(law="power law with plateau", offset=0.0)
    fit = fit_jointly([problem], [config], ("plateau",), common_mode=False)
    low, high = fit.shape.quantiles([0.025, 0.975])[0]
    assert low < 0.3 < high
    first, second = fit.series[0].fit.exponent[0]
    assert first < second


def test_dead_window_is_named():
    problem = series(10, (2.0, 3.0), [1.3] * 2)
    values = problem.values.copy()
    values[0, 1] = 1.0
    with pytest.raises(ValueError, match=r"'window 1'.*constant"):
        fit_jointly([replace(problem, values=values)], [ExactConfig()], ("exponent",))
