# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known beside the law: bounds of intensities, floors of the noise, correlated noise."""

import numpy as np
import pytest
import torch

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.fit import fit_exact
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.posterior.posterior import kinetic_posterior
from hyperspy_dosekin.kinetics.posterior.quantities import Quantity

NINE = np.arange(1, 10) / 9
HALF = Quantity("half_integrity_dose")


def _summary(problem, config):
    summary = kinetic_posterior(problem, config).summarise([HALF])
    return summary, *summary.intervals[HALF, 0.95]


@pytest.mark.parametrize(("offset", "largest"), [(0.1, 0.21), (0.0, 0.19)])
@pytest.mark.parametrize("zero_error", [None, 0.01])
def test_a_bound_on_the_offset_makes_the_half_dose_more_certain(offset, largest, zero_error):
    random = np.random.default_rng(0)
    values = np.exp(-NINE) + offset + 0.01 * random.normal(size=(100, 1, 9))
    problem = DoseProblem(NINE, values, ("w",), np.full(values.shape, 1e-4))
    free, *_ = _summary(problem, ExactConfig())
    config = ExactConfig(nonnegative=True, zero_error=zero_error)
    bounded, lower, upper = _summary(problem, config)
    assert np.median(bounded.sd_log_half_dose) <= largest
    assert np.median(free.sd_log_half_dose) > 2 * largest
    # 0.95 or more is expected; 100 values scatter by 0.022.
    assert np.mean((lower <= np.log(2)) & (np.log(2) <= upper)) > 0.9
    fit = fit_exact(problem, config)
    assert np.all(fit.offset >= 0)
    half = fit.dose_at(0.5)
    assert np.all((lower <= half) & (half <= upper))


def test_a_window_that_grows_has_its_bound_at_the_start():
    random = np.random.default_rng(1)
    values = 1 - np.exp(-3 * NINE) + 0.01 * random.normal(size=(20, 1, 9))
    fit = fit_exact(DoseProblem(NINE, values, ("w",)), ExactConfig(nonnegative=True))
    assert np.all(fit.amplitude < 0)
    assert np.all(fit.amplitude + fit.offset >= -1e-12)


def test_squares_on_templates_are_those_of_least_squares():
    # Decays that all curves share, each curve with weights of its own: falling and growing.
    random = np.random.default_rng(5)
    sigma = random.uniform(0.01, 0.05, size=(6, 1, 9))
    decay = np.exp(-2 * NINE)
    values = np.where(np.arange(6)[:, None, None] % 2, 1 - decay, decay + 0.1)
    values = values + sigma * random.normal(size=sigma.shape)
    problem = DoseProblem(NINE, values, ("w",), sigma**2)
    parts, n_bound = kinetic_posterior(problem, ExactConfig(nonnegative=True)).parts(np.arange(6))
    rate, exponent = np.array([0.3, 1.0, 4.0]), np.array([0.5, 2.0])
    search = [torch.as_tensor(np.log(each)) for each in (rate[:, None, None], exponent[:, None])]
    left = np.maximum(1 + (exponent - 1)[:, None] * rate[:, None, None] * NINE, 0.0)
    curves = left ** (-1 / (exponent - 1))[:, None]
    for part, bounded in ((parts[0], False), (parts[-n_bound], True)):
        squares = part.sums(search).squares.numpy()
        for number in range(6):
            weight, pin = 1 / sigma[number, 0], number % 2 if bounded else 0.0
            wanted = np.empty((3, 2))
            for place in np.ndindex(3, 2):
                columns = [curves[place] - pin] if bounded else [np.ones(9), curves[place]]
                matrix = np.stack(columns, axis=-1) * weight[:, None]
                wanted[place] = np.linalg.lstsq(matrix, values[number, 0] * weight)[1].item()
            # Up to the unit of the curve.
            ratio = squares[..., number] / wanted
            assert ratio == pytest.approx(ratio[0, 0], rel=1e-8)


def test_residuals_that_are_small_by_luck_make_no_certainty_above_a_floor():
    values = (np.exp(-2 * NINE) + 1e-5 * np.cos(7 * NINE))[None, None]
    problem = DoseProblem(NINE, values, ("w",), np.full(values.shape, 1e-4))
    spread = {
        noise: _summary(problem, ExactConfig(noise=noise))[0].sd_log_half_dose.item()
        for noise in ("relative", "floor", "absolute")
    }
    assert spread["relative"] < 0.01
    assert spread["floor"] > 0.5 * spread["absolute"]
    # Residuals above the floor are believed.
    random = np.random.default_rng(2)
    loud = np.exp(-2 * NINE) + 0.01 * random.normal(size=(30, 1, 9))
    low = DoseProblem(NINE, loud, ("w",), np.full(loud.shape, 1e-8))
    free, floor = (
        _summary(low, ExactConfig(noise=noise))[0].sd_log_half_dose
        for noise in ("relative", "floor")
    )
    np.testing.assert_allclose(floor, free, rtol=0.02)


def test_correlated_noise_is_covered():
    random = np.random.default_rng(3)
    dose = np.arange(1, 31) / 30
    noise = np.empty((60, 1, 30))
    noise[..., 0] = random.normal(size=(60, 1))
    for frame in range(1, 30):
        step = np.sqrt(1 - 0.9**2) * random.normal(size=(60, 1))
        noise[..., frame] = 0.9 * noise[..., frame - 1] + step
    log_rate, excess = random.normal(size=(60, 1, 1)), np.abs(random.normal(0, 0.7, (60, 1, 1)))
    excess += 1e-3
    rate = np.exp(log_rate)
    integrity = (1 + excess * rate * dose) ** (-1 / excess)
    half = ((2**excess - 1) / (excess * rate))[..., 0]
    values = 1 + integrity + 0.01 * noise
    problem = DoseProblem(dose, values, ("w",))
    covered = {}
    for correlated in (False, None):
        _, lower, upper = _summary(problem, ExactConfig(correlated=correlated))
        covered[correlated] = np.mean((lower <= half) & (half <= upper))
    # 60 values: a standard deviation of the share is 0.03.
    assert covered[None] > 0.87
    assert covered[False] < covered[None]


def test_the_scale_of_the_dose_is_a_number_of_its_own():
    dose = 400 * NINE
    values = (1 + np.exp(-dose / 100) + 0.01 * np.random.default_rng(4).normal(size=9))[None, None]
    by_scale = fit_exact(DoseProblem(dose, values, ("w",), dose_scale=100.0))
    assert by_scale.rate.item() == pytest.approx(1.0, rel=0.2)
    longer = fit_exact(DoseProblem(dose, values, ("w",)), ExactConfig(prior=None))
    same = fit_exact(DoseProblem(dose, values, ("w",), dose_scale=100.0), ExactConfig(prior=None))
    np.testing.assert_allclose(longer.dose_at(0.5) * 400, same.dose_at(0.5) * 100, rtol=1e-3)
    with pytest.raises(ValueError, match="dose_scale=-1"):
        DoseProblem(dose, values, ("w",), dose_scale=-1)
