# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors that frames share, against plain generalised least squares with the whole covariance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.fit import fit_exact
from hyperspy_dosekin.kinetics.laws.power_law import power_law_integrity
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.posterior.band import intensity_interval
from hyperspy_dosekin.kinetics.posterior.posterior import kinetic_posterior
from hyperspy_dosekin.kinetics.posterior.profile import kinetic_profile

DOSE = np.linspace(100.0, 900.0, 9)
PHI = DOSE / DOSE[-1]


def decay(log_rate, exponent, phi=PHI):
    return power_law_integrity(phi, np.exp(log_rate), exponent)


def errors() -> np.ndarray:
    """Two errors, one along the dose and one that bends."""
    return np.stack([0.05 * (PHI - 0.5), 0.03 * PHI**2])


def a_problem(seed=0, shared=True, sizes=(1.0, -1.5), noise=0.01):
    """Five curves of two windows."""
    rng = np.random.default_rng(seed)
    values = 5 + 2 * decay(np.log(3.0), 1.2) + rng.normal(scale=noise, size=(5, 2, 9))
    pattern = np.array(sizes) @ errors() if len(sizes) else 0.0
    values[:, 1] += pattern
    variance = noise**2 * (1 + 0.3 * rng.random((5, 2, 9)))
    given = np.broadcast_to(errors()[:, None, None], (2, 5, 2, 9)) if shared else None
    return DoseProblem(DOSE, values, ("C–O", "C–C"), variance, shared_error=given)


def deviance(problem, curve, window, offset=None):
    """−2 ln L of ln k and p with a and b projected out, by the whole covariance."""
    covariance = np.diag(problem.variance[curve, window])
    if problem.shared_error is not None:
        patterns = problem.shared_error[:, curve, window]
        covariance = covariance + patterns.T @ patterns
    root = np.linalg.cholesky(np.linalg.inv(covariance)).T

    def value(parameters):
        columns = [decay(*parameters)] + ([] if offset is not None else [np.ones(9)])
        design = root @ np.stack(columns, axis=1)
        data = root @ (problem.values[curve, window] - (offset or 0.0))
        rest = data - design @ np.linalg.lstsq(design, data, rcond=None)[0]
        return rest @ rest

    return value


@pytest.mark.parametrize("offset", [None, 5.0])
def test_the_estimate_is_that_of_generalised_least_squares(offset):
    problem = a_problem()
    fit = fit_exact(problem, ExactConfig(prior=None, offset=offset))
    for curve in range(5):
        for window in range(2):
            value = deviance(problem, curve, window, offset)
            found = np.log(fit.rate[curve, window]), fit.exponent[curve, window]
            best = minimize(value, found, method="Nelder-Mead", options={"xatol": 1e-7})
            assert value(found) < best.fun + 1e-4
            start = minimize(value, (np.log(3), 1.2), method="Nelder-Mead")
            assert value(found) < start.fun + 1e-3


def test_amplitude_and_offset_are_those_of_generalised_least_squares():
    problem = a_problem()
    fit = fit_exact(problem, ExactConfig(prior=None))
    patterns = problem.shared_error[:, 2, 1]
    precision = np.linalg.inv(np.diag(problem.variance[2, 1]) + patterns.T @ patterns)
    design = np.stack([decay(np.log(fit.rate[2, 1]), fit.exponent[2, 1]), np.ones(9)], axis=1)
    expected = np.linalg.solve(
        design.T @ precision @ design, design.T @ precision @ problem.values[2, 1]
    )
    np.testing.assert_allclose((fit.amplitude[2, 1], fit.offset[2, 1]), expected, rtol=1e-6)


def test_errors_of_no_size_change_nothing():
    problem = a_problem(shared=False)
    nothing = DoseProblem(
        DOSE,
        problem.values,
        problem.window_names,
        problem.variance,
        shared_error=np.zeros((2, *problem.values.shape)),
    )
    plain, same = fit_exact(problem), fit_exact(nothing)
    np.testing.assert_allclose(same.rate, plain.rate, rtol=1e-6)
    lower, upper = kinetic_posterior(problem).interval("half_integrity_dose")
    low, high = kinetic_posterior(nothing).interval("half_integrity_dose")
    np.testing.assert_allclose(low, lower, rtol=1e-4)
    np.testing.assert_allclose(high, upper, rtol=1e-4)


@pytest.mark.parametrize("noise", ["absolute", "relative"])
def test_the_posterior_is_that_of_a_grid(noise):
    """Interval of ln k under the whole covariance, on a plain grid of ln k and p."""
    problem = a_problem(seed=3)
    lower, upper = kinetic_posterior(problem, ExactConfig(noise=noise)).interval("rate", 0.95)
    log_rate, exponent = np.linspace(-2.5, 4, 120), np.linspace(0.05, 4, 80)
    for curve, window in ((0, 0), (2, 1)):
        log_density = np.zeros((120, 80))
        for i, rate in enumerate(log_rate):
            square = np.array([deviance(problem, curve, window)((rate, p)) for p in exponent])
            part = -0.5 * square if noise == "absolute" else -0.5 * 7 * np.log(square)
            log_density[i] = part - 0.5 * rate**2 - 0.5 * (exponent - 1) ** 2 / 0.49
        mass = np.exp(log_density - log_density.max()).sum(axis=1)
        cumulative = np.cumsum(mass) / mass.sum()
        low, high = np.interp([0.025, 0.975], cumulative, log_rate)
        # The engine has a prior of the amplitude that the grid has not.
        assert np.log(lower[curve, window]) == pytest.approx(low, abs=0.2 * (high - low))
        assert np.log(upper[curve, window]) == pytest.approx(high, abs=0.2 * (high - low))


@pytest.mark.parametrize("options", [{}, {"correlated": True}, {"noise": "relative"}])
@pytest.mark.parametrize("make", [kinetic_posterior, kinetic_profile])
def test_a_common_level_says_nothing_where_the_offset_is_free(options, make):
    plain = a_problem(shared=False)
    level = np.full((1, *plain.values.shape), 0.3)
    shifted = DoseProblem(
        DOSE, plain.values, plain.window_names, plain.variance, shared_error=level
    )
    config = ExactConfig(**options)
    for end, same in zip(
        make(plain, config).interval("half_integrity_dose"),
        make(shifted, config).interval("half_integrity_dose"),
        strict=True,
    ):
        np.testing.assert_allclose(same, end, rtol=2e-3)


def test_a_drift_that_is_an_error_is_in_the_interval():
    """Data with a drift of one and a half deviations: without it the interval misses the truth."""
    truth = float(np.log(np.interp(-0.5, -decay(np.log(3.0), 1.2, np.linspace(0, 1, 2001)),
                                   np.linspace(0, 1, 2001))))  # fmt: skip
    inside = {}
    for shared in (False, True):
        problem = a_problem(seed=5, shared=shared, noise=0.003)
        lower, upper = kinetic_posterior(problem).interval("half_integrity_dose")
        inside[shared] = ((np.log(lower) < truth) & (truth < np.log(upper)))[:, 1]
    assert inside[True].all()
    assert not inside[False].any()


def test_the_band_widens_with_a_shared_error():
    narrow = intensity_interval(kinetic_posterior(a_problem(shared=False, sizes=())), PHI)
    wide = intensity_interval(kinetic_posterior(a_problem(sizes=())), PHI)
    assert (wide[1] - wide[0] > narrow[1] - narrow[0]).all()


@pytest.mark.parametrize("known", [True, False])
def test_frames_that_are_missing_do_nothing(known):
    """Also where the noise, and with it how much an error weighs, is seen in the curve alone."""
    problem = a_problem(shared=True)
    values, errors = problem.values.copy(), problem.shared_error.copy()
    values[:, :, 4] = errors[..., 4] = np.nan
    kept = np.delete(np.arange(9), 4)
    found = []
    for used in (np.arange(9), kept):
        variance = problem.variance[..., used] if known else None
        part = DoseProblem(DOSE[used], values[..., used], problem.window_names, variance,
                           shared_error=errors[..., used])  # fmt: skip
        fit = fit_exact(part)
        found.append((fit.rate, kinetic_posterior(part).interval("rate")))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-4)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=2e-3)


def test_a_shared_error_of_another_shape_is_refused():
    problem = a_problem(shared=False)
    with pytest.raises(ValueError, match="shared_error of shape"):
        DoseProblem(DOSE, problem.values, problem.window_names, shared_error=np.zeros((2, 9)))
