# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of fit: their size where the law is right, their power where it is wrong."""

import numpy as np
import pytest
from scipy import special

from hyperspy_dosekin.kinetics.adequacy.common_mode import common_gain
from hyperspy_dosekin.kinetics.adequacy.examination import (
    TESTS,
    FittedCurves,
    examine,
    fitted_curves,
    frame_gain,
)
from hyperspy_dosekin.kinetics.adequacy.projection import ProjectedResiduals
from hyperspy_dosekin.kinetics.adequacy.together import SIZE, failing, together
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.fit import fit_exact
from hyperspy_dosekin.kinetics.laws.registry import kinetic_law
from hyperspy_dosekin.kinetics.model.config import ExactConfig

POWER_LAW = kinetic_law("power law")


def fitted(values, variance=None, offset=None):
    """Power law fitted to values ``(n_curve, n_window, n_dose)`` at even doses."""
    n_window, n_dose = values.shape[1:]
    names = tuple(map(str, range(n_window)))
    dose = 1368.0 * np.arange(1, n_dose + 1) / n_dose
    problem = DoseProblem(dose, values, names, variance)
    fit = fit_exact(problem, ExactConfig(noise="relative", offset=offset))
    parameters = {"rate": fit.rate, "exponent": fit.exponent}
    return FittedCurves(
        problem, POWER_LAW, parameters, fit.amplitude, fit.offset, offset_free=offset is None
    )


def curves(law, *, n=800, n_dose=9, noise=0.01, autocorrelation=0.0, seed=3):
    """1 + C(φ) with noise, and its variance; `law` maps φ to C."""
    random = np.random.default_rng(seed)
    white = random.standard_normal((n, 1, n_dose))
    error = white.copy()
    for frame in range(1, n_dose):
        fresh = np.sqrt(1 - autocorrelation**2) * white[..., frame]
        error[..., frame] = autocorrelation * error[..., frame - 1] + fresh
    phi = np.arange(1, n_dose + 1) / n_dose
    return 1 + law(phi) + noise * error, np.full((n, 1, n_dose), noise**2)


def first_order(rate):
    return lambda phi: np.exp(-rate * phi)


def delayed(rate, delay):
    return lambda phi: np.exp(-rate * np.maximum(phi - delay, 0.0))


def rejected(found, name, level=0.05):
    return np.mean(found.p_value[name][:, 0] < level)


@pytest.mark.parametrize("n_dose", [9, 30])
@pytest.mark.parametrize("rate", [1.0, 3.0])
def test_each_test_has_its_nominal_size(rate, n_dose):
    values, variance = curves(first_order(rate), n=1500, n_dose=n_dose)
    found = examine(fitted(values, variance))
    for name in set(TESTS) - {"common"}:
        assert 0.03 < rejected(found, name) < 0.07, name
    assert found.adequate.mean() > 0.94


def test_missing_frames_keep_the_size():
    values, variance = curves(first_order(3.0), n=1500, n_dose=12)
    missing = np.random.default_rng(0).random(values.shape) < 0.2
    found = examine(fitted(np.where(missing, np.nan, values), variance))
    for name in set(TESTS) - {"common"}:
        assert 0.025 < rejected(found, name) < 0.075, name


def test_known_offset_and_unknown_noise_keep_the_size():
    values, _ = curves(first_order(2.0), n=1500)
    found = examine(fitted(values, offset=1.0))
    assert np.isnan(found.p_value["chi2"]).all()
    for name in ("serial", "largest", "start", "curvature"):
        assert 0.03 < rejected(found, name) < 0.07, name
    np.testing.assert_array_equal(found.freedom, 6)


def test_a_late_start_is_seen():
    found = examine(fitted(*curves(delayed(3.0, 0.15))))
    assert rejected(found, "chi2") >= 0.75
    assert rejected(found, "start") >= 0.75
    assert found.adequate.mean() < 0.3


@pytest.mark.parametrize("n_dose", [30, 100])
def test_a_late_start_of_many_frames_is_always_seen(n_dose):
    values, _ = curves(delayed(3.0, 0.15), n=200, n_dose=n_dose)
    assert examine(fitted(values)).adequate.mean() < 0.01


def test_residuals_that_follow_each_other_are_seen():
    values, _ = curves(first_order(2.0), n=400, n_dose=30, autocorrelation=0.9)
    assert rejected(examine(fitted(values)), "serial") >= 0.9


def test_a_frame_that_does_not_belong_is_seen():
    values, _ = curves(first_order(2.0), n=200, n_dose=20)
    values[..., 11] += 0.1
    assert rejected(examine(fitted(values)), "largest") >= 0.95


def four_windows(gain, *, n=500, n_dose=9, seed=2):
    random = np.random.default_rng(seed)
    phi = np.arange(1, n_dose + 1) / n_dose
    amplitude, offset = np.array([0.8, 0.5, 1.0, -0.5]), np.array([0.4, 1.0, 0.5, 1.5])
    rate = np.array([2.0, 1.0, 3.0, 1.5])
    mean = amplitude[:, None] * np.exp(-rate[:, None] * phi) + offset[:, None]
    gains = gain * random.standard_normal((n, 1, n_dose))
    noise = 0.01 * np.abs(amplitude)[:, None] * random.standard_normal((n, 4, n_dose))
    return mean * (1 + gains) + noise, gains[:, 0]


def test_windows_agree_by_chance_as_often_as_said():
    values, _ = four_windows(0.0, n=2000)
    found = examine(fitted(values))
    assert 0.03 < rejected(found, "common") < 0.07
    assert (found.gain_spread > 0).mean() < 0.02


def test_a_gain_of_the_frames_is_seen_and_measured():
    values, gains = four_windows(0.02, n=200, n_dose=30)
    fit = fitted(values)
    found = examine(fit)
    assert rejected(found, "common") > 0.99
    np.testing.assert_allclose(np.median(found.gain_spread), 0.02, rtol=0.1)
    estimate = frame_gain(fit)
    assert np.corrcoef(estimate.gain.ravel(), gains.ravel())[0, 1] > 0.9
    # What could be a decay cannot be told from it: that part is left in the standard deviation.
    score = (estimate.gain - gains) / estimate.sd
    assert 0.8 < score.std() < 1.2


def test_no_gain_without_two_windows():
    with pytest.raises(ValueError, match="two windows"):
        frame_gain(fitted(curves(first_order(2.0), n=2)[0]))
    empty = ProjectedResiduals(np.zeros((1, 5)), np.zeros((1, 1, 5)), np.ones((1, 5), bool))
    found = common_gain([empty, empty], [np.ones((1, 5))] * 2)
    assert not found.gain.any()


def test_perfect_data_pass_and_dead_curves_have_no_test():
    phi = np.arange(1, 10) / 9
    values = np.stack([1 + np.exp(-2 * phi), np.ones(9)])[:, None]
    found = examine(fitted(values, np.full(values.shape, 1e-4)))
    assert found.adequate.tolist() == [[True], [False]]
    assert all(np.isnan(found.p_value[name][1]).all() for name in TESTS)
    assert np.isnan(found.freedom[1, 0])


def test_too_few_frames_are_not_adequate():
    values, _ = curves(first_order(2.0), n=3, n_dose=5)
    assert not examine(fitted(values)).adequate.any()


def test_a_parameter_at_the_end_of_its_box_is_named():
    values, _ = curves(lambda phi: np.maximum(1 - 1.3 * phi, 0), n=50, n_dose=12, noise=0.002)
    fit = fitted(values)
    assert set(np.unique(fit.at_bound["exponent"])) <= {-1, 0}
    bound = np.where(np.arange(50)[:, None] % 2, 0.1, 1.0)
    parameters = {"rate": np.full((50, 1), 200.0), "exponent": bound}
    changed = FittedCurves(fit.problem, POWER_LAW, parameters, fit.amplitude, fit.offset)
    assert (changed.at_bound["rate"] == 1).all()
    np.testing.assert_array_equal(changed.at_bound["exponent"], np.where(bound < 1, -1, 0))
    held = FittedCurves(
        fit.problem, POWER_LAW, parameters, fit.amplitude, fit.offset, held=("rate", "exponent")
    )
    assert not any(place.any() for place in held.at_bound.values())
    assert not held.columns()[1][:, :, 2:].any()


def test_projection_takes_what_the_columns_explain():
    random = np.random.default_rng(1)
    columns = random.standard_normal((5, 3, 8))
    columns[:, 2] = columns[:, 0] - 2 * columns[:, 1]
    weight = random.random((5, 8)) + 0.5
    weight[2, 3] = 0
    inside = np.einsum("nqj,q->nj", columns, [1.0, 2.0, 3.0])
    found = ProjectedResiduals.of(inside, columns, weight)
    np.testing.assert_allclose(found.residual, 0, atol=1e-12)
    assert found.rank.tolist() == [2] * 5
    assert found.freedom.tolist() == [6, 6, 5, 6, 6]
    draws = found.by_chance(random.standard_normal((2000, 8)))
    np.testing.assert_allclose(draws.var(axis=1), found.variance, atol=0.12)


def correlated_fit(values, variance=None, **options):
    """Power law fitted with options of the engine, as its examination needs it."""
    n_dose = values.shape[-1]
    dose = 1368.0 * np.arange(1, n_dose + 1) / n_dose
    problem = DoseProblem(dose, values, ("w",), variance)
    config = ExactConfig(noise="relative", **options)
    fit = fit_exact(problem, config)
    return fitted_curves(problem, config, fit.parameters, fit.amplitude, fit.offset)


def test_correlated_noise_is_no_failure_where_it_was_said():
    values, variance = curves(first_order(2.0), n=400, n_dose=30, autocorrelation=0.9)
    assert examine(correlated_fit(values, variance, correlated=True)).adequate.mean() > 0.9
    assert examine(correlated_fit(values, variance)).adequate.mean() < 0.3
    assert examine(correlated_fit(values, variance, correlated=False)).adequate.mean() < 0.3


def swing(phi):
    return np.exp(-2 * phi) * (1 + 0.1 * np.sin(4 * np.pi * phi))


def late_recovery(phi):
    return np.exp(-3 * phi) + 0.7 * np.maximum(phi - 0.6, 0.0)


@pytest.mark.parametrize("law", [swing, late_recovery])
@pytest.mark.parametrize(("n_dose", "known"), [(12, True), (20, False), (30, False), (100, False)])
def test_a_swing_and_a_late_recovery_are_not_taken_for_noise(law, n_dose, known):
    values, variance = curves(law, n=100, n_dose=n_dose)
    assert examine(correlated_fit(values, variance if known else None)).adequate.mean() < 0.2


def test_tests_that_allow_for_correlation_keep_their_size_in_white_noise():
    values, variance = curves(first_order(2.0), n=1500, n_dose=30)
    missing = np.random.default_rng(0).random(values.shape) < 0.05
    values = np.where(missing, np.nan, values)
    found = examine(correlated_fit(values, variance))
    for name in ("chi2", "serial", "largest", "start", "curvature"):
        assert 0.03 < rejected(found, name) < 0.07, name
    assert found.adequate.mean() > 0.94
    said = examine(correlated_fit(values[:50], variance[:50], correlated=True))
    assert np.isnan(said.p_value["serial"]).all()


def test_a_robust_fit_is_examined_as_it_weighs():
    values, variance = curves(first_order(3.0), n=300, n_dose=20)
    values[..., 11] += 0.1
    assert examine(correlated_fit(values, variance)).adequate.mean() < 0.1
    found = examine(correlated_fit(values, variance, loss="soft_l1"))
    assert np.isnan(found.p_value["largest"]).all()
    assert found.adequate.mean() > 0.8


def test_shared_errors_are_taken_out_before_the_tests():
    values, variance = curves(first_order(2.0), n=1000, n_dose=12)
    random = np.random.default_rng(8)
    pattern = 0.05 * np.sin(np.arange(12.0))
    values = values + random.standard_normal((1000, 1, 1)) * pattern
    dose = 1368.0 * np.arange(1, 13) / 12
    shared = np.broadcast_to(pattern, (1, 1000, 1, 12))
    sizes = []
    for errors in (None, shared):
        problem = DoseProblem(dose, values, ("w",), variance, shared_error=errors)
        fit = fit_exact(problem, ExactConfig(noise="absolute"))
        examined = FittedCurves(problem, POWER_LAW, fit.parameters, fit.amplitude, fit.offset)
        sizes.append(rejected(examine(examined), "chi2"))
    assert sizes[0] > 0.5
    assert 0.03 < sizes[1] < 0.07


def test_errors_shared_with_a_missing_frame_say_nothing_of_it():
    # As areas of process_low_loss with a frame without a peak: its error is NaN as well.
    values, variance = curves(first_order(2.0), n=50, n_dose=10)
    dose = 1368.0 * np.arange(1, 11) / 10
    shared = 0.02 * np.broadcast_to(np.cos(np.arange(10.0)), (1, *values.shape)).copy()
    values[..., 4] = variance[..., 4] = shared[..., 4] = np.nan
    found = []
    for used in (np.arange(10), np.delete(np.arange(10), 4)):
        problem = DoseProblem(
            dose[used], values[..., used], ("w",), variance[..., used],
            shared_error=shared[..., used],
        )  # fmt: skip
        fit = fit_exact(problem, ExactConfig(noise="absolute"))
        examined = FittedCurves(problem, POWER_LAW, fit.parameters, fit.amplitude, fit.offset)
        found.append(examine(examined))
    for name in ("chi2", "start", "curvature"):
        np.testing.assert_allclose(found[0].p_value[name], found[1].p_value[name], atol=1e-6)
    assert found[0].adequate.mean() > 0.9


@pytest.mark.parametrize("agreement", [0.0, 0.7])
def test_right_fits_fail_as_rarely_with_many_tests(agreement):
    """Independent tests and tests that agree, of which some were not possible."""
    rng = np.random.default_rng(0)
    shared = np.sqrt(agreement) * rng.normal(size=20_000)
    score = shared + np.sqrt(1 - agreement) * rng.normal(size=(6, 20_000))
    p = special.ndtr(score)
    p[4:, ::2] = np.nan
    size = np.mean(together(p) < SIZE)
    assert size < SIZE + 0.003
    assert size > (SIZE - 0.003 if agreement == 0 else 0.02)
    np.testing.assert_array_equal(failing(p).any(axis=0), together(p) < SIZE)
    # One small p among many is found.
    p[3] = 1e-3
    assert (together(p) < SIZE).all()
    assert failing(p)[3].all()


def test_no_test_says_nothing():
    nothing = np.full((6, 2), np.nan)
    assert np.isnan(together(nothing)).all()
    assert not failing(nothing).any()
