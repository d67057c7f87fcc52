# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import functools
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import special, stats

from hyperspy_dosekin.kinetics.block import examined
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.laws.power_law import dose_at, half_dose, power_law_integrity
from hyperspy_dosekin.kinetics.laws.prior import EXPONENT_BOX, LOG_RATE_BOX, Prior
from hyperspy_dosekin.kinetics.laws.registry import KINETIC_LAWS
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.posterior.marginal import (
    inverse_sinh,
    log_normal_share,
    log_of_amplitude,
)
from hyperspy_dosekin.kinetics.posterior.posterior import kinetic_posterior
from hyperspy_dosekin.kinetics.posterior.quantities import Quantity
from hyperspy_dosekin.kinetics.simulation import draw_prior, simulate_curves
from tests.kinetics.amplitude import log_amplitude

HALF = Quantity("half_integrity_dose")
RATE, EXPONENT = Quantity("rate"), Quantity("exponent")
NINE = np.arange(1, 10) / 9
#: Truths: half of the window gone near the largest dose, give or take a factor of e.
TRUTHS = Prior(log_rate=(0.0, 1.0))
INTEGRITY = Quantity("integrity", normalised_dose=(0.4, 1.0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_fast_functions_are_those_of_scipy_and_numpy(dtype):
    rounding = 20 * torch.finfo(dtype).eps
    place = torch.linspace(-1.0, 1.0, 4001, dtype=dtype) ** 5
    for most, function, truth in (
        (1e3, log_normal_share, special.log_ndtr),
        (1e15, inverse_sinh, np.arcsinh),
    ):
        found = function(most * place).numpy()
        known = truth(most * place.double().numpy())
        np.testing.assert_allclose(found, known, rtol=rounding, atol=rounding)
        assert found.dtype == place.numpy().dtype


def _prior_curves(seed, shape, noise, **options):
    random = np.random.default_rng(seed)
    rate, exponent = draw_prior(random, shape, TRUTHS)
    return simulate_curves(random, rate, exponent, noise=noise, **options)


@functools.lru_cache(maxsize=2)
def _grid(dose, exponent):
    """Rates, exponents, integrity at the doses and ln D½ on a plain fine grid."""
    rates = np.linspace(*LOG_RATE_BOX, 1201)
    powers = np.linspace(*EXPONENT_BOX, 201) if exponent is None else np.array([exponent])
    rates, powers = np.meshgrid(rates, powers, indexing="ij")
    normalised = np.array(dose) / dose[-1]
    column = power_law_integrity(normalised, np.exp(rates)[..., None], powers[..., None])
    return rates, powers, column, np.log(half_dose(np.exp(rates), powers))


def _brute_force(dose, values, variance=None, offset=None, prior=None, exponent=None):
    """Moments of ln D½ and quantiles of ln k from a plain fine grid, written independently."""
    prior = prior or Prior()
    rates, powers, column, log_dose = _grid(tuple(dose), exponent)
    target = values - (values.mean() if offset is None else offset)
    if offset is None:
        column = column - column.mean(-1, keepdims=True)
    norm = (column**2).sum(-1)
    explained = np.where(norm > 1e-12, (column @ target) ** 2 / np.maximum(norm, 1e-30), 0.0)
    squares = (target**2).sum() - explained
    freedom = dose.size - (2 if offset is None else 1)
    if variance is None:
        log_density = -0.5 * (freedom + 1) * np.log(squares)
        log_density += log_amplitude(explained, squares / freedom, norm, freedom)
    else:
        log_density = -0.5 * squares / variance
        log_density += log_amplitude(explained, variance, norm)
    log_density -= 0.5 * ((rates - prior.log_rate[0]) / prior.log_rate[1]) ** 2
    log_density -= 0.5 * ((powers - prior.exponent[0]) / prior.exponent[1]) ** 2
    weight = np.exp(log_density - log_density.max())
    weight /= weight.sum()
    mean = (weight * log_dose).sum()
    spread = np.sqrt((weight * (log_dose - mean) ** 2).sum())
    cumulated = weight.sum(1).cumsum()
    return (
        mean,
        spread,
        np.interp([0.025, 0.975], cumulated, rates[:, 0] + (rates[1, 0] - rates[0, 0]) / 2),
    )


@pytest.mark.parametrize("knowledge", ["nothing", "variance", "offset", "exponent", "prior"])
@pytest.mark.parametrize("noise", [0.01, 0.05])
def test_equals_a_plain_fine_grid(knowledge, noise):
    curves = _prior_curves(1, (3, 2), noise, with_variance=knowledge == "variance")
    options = {
        "offset": {"offset": 5.0},
        "exponent": {"exponent": 1.3},
        "prior": {"prior": Prior((0.4, 0.5), (1.5, 0.3))},
    }.get(knowledge, {})
    posterior = kinetic_posterior(curves.problem, ExactConfig(**options))
    summary = posterior.summarise([RATE])
    lower, upper = summary.intervals[RATE, 0.95]
    variance = None if knowledge != "variance" else curves.problem.variance[0, 0, 0]
    for place in np.ndindex(3, 2):
        mean, spread, ends = _brute_force(
            curves.problem.dose, curves.problem.values[place], variance, **options
        )
        # Twenty nodes a row and twenty-eight rows; faint second modes of a row may fall between.
        assert summary.mean_log_half_dose[place] == pytest.approx(mean, abs=0.05 * spread)
        assert summary.sd_log_half_dose[place] == pytest.approx(spread, rel=0.05)
        width = ends[1] - ends[0]
        assert np.log(lower[place]) == pytest.approx(ends[0], abs=0.07 * width)
        assert np.log(upper[place]) == pytest.approx(ends[1], abs=0.07 * width)


@pytest.mark.parametrize(
    ("law", "nonnegative", "apart"),
    [
        ("power law", False, 1e-6),
        ("power law", True, 1e-6),
        ("delayed", False, 1e-6),
        ("two populations", False, 1e-5),
        ("two populations", True, 1e-6),
    ],
)
def test_no_curve_depends_on_those_beside_it(law, nonnegative, apart):
    # Also decays that one frame alone has seen, of which rounding must not choose the rate.
    random = np.random.default_rng(0)
    dose = np.arange(1.0, 10.0)
    rate, power = np.exp(random.normal(1, 1, 40)), random.uniform(0.3, 0.9, 40)
    rate[:15], power[:15] = 10.0, 0.55
    left = np.maximum(1 - (1 - power[:, None]) * rate[:, None] * dose / 9, 0)
    values = left ** (1 / (1 - power[:, None])) + 0.03 + random.normal(0, 0.01, (40, 9))
    config = ExactConfig(law=law, nonnegative=nonnegative)

    def found(some):
        problem = DoseProblem(dose, values[some, None], ("window",))
        return examined(kinetic_posterior(problem, config))

    whole = found(slice(None))
    parts = [found(slice(begin, begin + 17)) for begin in range(0, 40, 17)]
    for name, each in whole.items():
        beside = np.concatenate([part[name] for part in parts])
        np.testing.assert_allclose(beside, each, rtol=apart, atol=apart / 10, err_msg=name)


@pytest.mark.parametrize("name", ["two populations", "power law with plateau"])
@pytest.mark.parametrize("offset", [None, 0.3])
def test_nodes_on_lines_are_those_of_their_decays(name, offset):
    law = KINETIC_LAWS[name]
    random = np.random.default_rng(2)
    values = np.exp(-2 * NINE) + 0.3 + random.normal(0, 0.01, (5, 1, 9))
    posterior = kinetic_posterior(
        DoseProblem(900 * NINE, values, ("window",)), ExactConfig(law=name, offset=offset)
    )
    (data,), _ = posterior.parts(np.arange(5))
    data = replace(data, parameters=replace(data.parameters, order=law.nesting))
    first, second, third = (
        torch.linspace(*parameter.search_box, 9, dtype=torch.float64)
        for parameter in data.parameters.free
    )
    row = [second[:, None, None].expand(9, 1, 5), third[[4]][:, None, None].expand(1, 1, 5)]
    many = first[:, None].expand(9, 9, 5)
    found = data.log_likelihood(data.sums([many, *row]))
    for place in range(9):
        known = data.log_likelihood(data.sums([many[:, [place]], *row]))
        np.testing.assert_allclose(found[:, [place]], known, rtol=0, atol=1e-8)
    best, _ = data.best_on_lines(row)
    highest = data.deviance_at([best, *row])
    assert bool((highest <= data.deviance_at([many, *row]).amin(1, True) + 1e-6).all())


@pytest.mark.parametrize("noise", [0.002, 0.01, 0.05])
@pytest.mark.parametrize("with_variance", [False, True])
def test_covers_the_truth_as_often_as_it_says(noise, with_variance):
    curves = _prior_curves(2, (100, 3), noise, with_variance=with_variance)
    quantities = [HALF, RATE, EXPONENT, INTEGRITY]
    truth = {
        HALF: half_dose(curves.rate, curves.exponent),
        RATE: curves.rate,
        EXPONENT: curves.exponent,
        INTEGRITY: power_law_integrity(
            np.array(INTEGRITY.normalised_dose),
            curves.rate[..., None],
            curves.exponent[..., None],
        ),
    }
    summary = kinetic_posterior(curves.problem).summarise(quantities, (0.68, 0.95))
    for quantity in quantities:
        # 300 values: a standard deviation of the share is 0.027 and 0.013; three of them.
        for level, low, high in ((0.68, 0.6, 0.76), (0.95, 0.912, 0.988)):
            lower, upper = summary.intervals[quantity, level]
            covered = np.mean((truth[quantity] >= lower) & (truth[quantity] <= upper))
            assert low < covered < high, (quantity.name, level)


@pytest.mark.parametrize("with_variance", [False, True])
def test_covers_truths_drawn_whole_from_what_is_assumed(with_variance):
    # Also those that are over before a frame could see them, and those that the noise hides.
    random = np.random.default_rng(7)
    rate, exponent = draw_prior(random, (400, 3))
    noise = np.exp(-random.normal(np.log(50), 2, rate.shape))
    curves = simulate_curves(random, rate, exponent, noise=noise, with_variance=with_variance)
    lower, upper = kinetic_posterior(curves.problem).interval("half_integrity_dose")
    truth = half_dose(rate, exponent)
    # 1 200 values: a standard deviation of a share is 0.0045.
    assert np.mean(truth < lower) == pytest.approx(0.025, abs=0.012)
    assert np.mean(truth > upper) == pytest.approx(0.025, abs=0.012)


@pytest.mark.parametrize("t", [0.0, 0.7, 1.5, 3.0, 8.0])
def test_integral_over_the_amplitude(t):
    deviate = np.linspace(-9, 9, 4001)
    weight = stats.norm.pdf(deviate) * (deviate[1] - deviate[0])
    norm = np.exp(np.linspace(-30, 4, 18))
    # a over its own standard deviation, with ln(|a|/σ) normal.
    amplitude = 50 * np.exp(2 * deviate) * np.sqrt(norm)[:, None]
    both = np.exp(-((amplitude - t) ** 2) / 2) + np.exp(-((amplitude + t) ** 2) / 2)
    found = log_of_amplitude(torch.tensor(t**2), torch.tensor(-(t**2) / 2), torch.as_tensor(norm))
    np.testing.assert_allclose(found, np.log(both @ weight / 2), atol=0.35)


def test_known_offset_makes_the_half_dose_known():
    shape = (60, 1)
    random = np.random.default_rng(3)
    curves = simulate_curves(random, np.ones(shape), np.ones(shape), noise=0.01)
    free = kinetic_posterior(curves.problem).summarise().sd_log_half_dose
    known = kinetic_posterior(curves.problem, ExactConfig(offset=5.0)).summarise()
    assert np.median(free) > 0.3
    assert np.median(known.sd_log_half_dose) <= 0.06
    assert np.mean(known.sd_log_half_dose <= 0.06) > 0.9


def test_quantities_agree_with_each_other():
    posterior = kinetic_posterior(_prior_curves(4, (6, 2), 0.01).problem)
    half = posterior.interval("half_integrity_dose", 0.9)
    level = posterior.interval("dose_at", 0.9, dose_level=0.5)
    np.testing.assert_array_equal(half, level)
    # C(φ) ≥ ½ and D½ ≥ φ are the same statement.
    doses = half[1][0, 0], half[0][0, 0]
    lower, upper = posterior.interval("integrity", 0.9, normalised_dose=doses)
    assert lower.shape == (6, 2, 2)
    assert upper[0, 0, 0] == pytest.approx(0.5, abs=0.03)
    assert lower[0, 0, 1] == pytest.approx(0.5, abs=0.03)
    later = posterior.interval("dose_at", 0.9, dose_level=0.3)
    assert np.all(later[0] > half[0])
    start = posterior.interval("integrity", normalised_dose=[0.0])
    np.testing.assert_allclose(start, 1.0)
    exponent = kinetic_posterior(posterior.problem, ExactConfig(exponent=1.0))
    lower, upper = exponent.interval("half_integrity_dose")
    rates = exponent.interval("rate")
    np.testing.assert_allclose(lower, dose_at(0.5, rates[1], 1.0), rtol=1e-2)
    np.testing.assert_allclose(exponent.interval("exponent"), 1.0)


def test_without_a_prior_the_undetermined_is_open():
    random = np.random.default_rng(5)
    slow = simulate_curves(random, np.full((5, 1), 0.1), np.ones((5, 1)), noise=0.02)
    posterior = kinetic_posterior(slow.problem, ExactConfig(prior=None))
    assert np.all(np.isinf(posterior.interval("half_integrity_dose")[1]))
    assert np.all(posterior.interval("rate")[0] == 0)
    assert np.all(np.isinf(posterior.interval("exponent")[1]))
    fast = simulate_curves(random, np.full((5, 1), 4.0), np.ones((5, 1)), noise=0.001)
    posterior = kinetic_posterior(fast.problem, ExactConfig(prior=None))
    for name in ("half_integrity_dose", "rate", "exponent"):
        lower, upper = posterior.interval(name)
        assert np.all(np.isfinite(upper))
        assert np.all(lower > 0)


def test_blocks_masks_and_dead_curves():
    curves = _prior_curves(6, (130, 3), 0.01)
    values = curves.problem.values.copy()
    values[7] = np.nan
    values[8, 1] = 2.0
    values[9, :, 5] = np.nan
    problem = replace(curves.problem, values=values)
    together = kinetic_posterior(problem).summarise([RATE])
    dead = np.isnan(together.sd_log_half_dose)
    assert dead.sum() == 4
    np.testing.assert_array_equal(np.isnan(together.intervals[RATE, 0.95][0]), dead)
    some = slice(100, 130)
    alone = kinetic_posterior(replace(problem, values=values[some])).summarise([RATE])
    np.testing.assert_allclose(alone.sd_log_half_dose, together.sd_log_half_dose[some], rtol=0.02)
    kept = [0, 1, 2, 3, 4, 6, 7, 8]
    dropped = replace(problem, dose=problem.dose[kept], values=values[9:10][:, :, kept])
    np.testing.assert_allclose(
        kinetic_posterior(dropped).summarise().sd_log_half_dose[0],
        together.sd_log_half_dose[9],
        rtol=0.02,
    )


def test_robust_weights_are_used():
    random = np.random.default_rng(7)
    curves = simulate_curves(random, np.full((30, 1), 3.0), np.ones((30, 1)), noise=0.005)
    values = curves.problem.values.copy()
    values[:, :, 4] += 0.3
    problem = replace(curves.problem, values=values)
    truth = half_dose(3.0, 1.0)
    widths = {}
    for loss in (None, "huber"):
        lower, upper = kinetic_posterior(problem, ExactConfig(loss=loss)).interval(
            "dose_at", dose_level=0.5
        )
        widths[loss] = np.median(np.log(upper / lower))
        assert np.mean((lower < truth) & (truth < upper)) > 0.8
    assert widths["huber"] < 0.5 * widths[None]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("dose_at",), "dose_level=None"),
        (("dose_at", 1.5), "dose_level=1.5"),
        (("integrity",), "at least one dose"),
        (("integrity", None, (-0.5,)), "none negative"),
    ],
)
def test_bad_quantities(arguments, words):
    with pytest.raises(ValueError, match=words):
        Quantity(*arguments)


def test_quantities_of_another_law():
    posterior = kinetic_posterior(_prior_curves(8, (1, 1), 0.01).problem)
    with pytest.raises(ValueError, match=r"'delay' is not one of.*'exponent'"):
        posterior.interval("delay")


@pytest.mark.parametrize("level", [0.0, 1.0, 95])
def test_bad_levels(level):
    posterior = kinetic_posterior(_prior_curves(8, (1, 1), 0.01).problem)
    with pytest.raises(ValueError, match="between 0 and 1"):
        posterior.interval("rate", level)


@pytest.mark.parametrize("length", [1, 2, 4, 8])
def test_covers_the_truth_however_long_the_series_goes_on(length):
    # Rates belong to the dose, and the largest dose, the scale of the default prior, is longer.
    random = np.random.default_rng(length)
    log_rate, power = random.normal(size=(2, 300, 1))
    power = np.abs(0.7 * power) + 1e-3
    dose = length * np.arange(1, 10) / 9
    integrity = (1 + power * np.exp(log_rate) * dose) ** (-1 / power)
    half = ((2**power - 1) / power / np.exp(log_rate))[:, 0]
    values = 1 + integrity + 0.01 * random.normal(size=integrity.shape)
    problem = DoseProblem(dose, values[:, None], ("w",))
    lower, upper = kinetic_posterior(problem).interval("half_integrity_dose")
    covered = np.mean((lower[:, 0] <= half / length) & (half / length <= upper[:, 0]))
    # 300 values: a standard deviation of the share is 0.013.
    assert 0.91 < covered < 0.99
