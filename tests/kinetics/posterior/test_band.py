# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The interval of the fitted curve holds the true curve as often as it says."""

import numpy as np
import pytest

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.laws.power_law import power_law_integrity
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.posterior.band import intensity_interval, probability_of_growth
from hyperspy_dosekin.kinetics.posterior.marginal import LARGEST_SIGNAL
from hyperspy_dosekin.kinetics.posterior.posterior import kinetic_posterior

DOSE = 152.0 * np.arange(1, 10)
N_CURVE = 300
GRID = np.linspace(0.0, 1.0, 4)
AMPLITUDE, OFFSET, NOISE = 2.0, 0.3, 0.05


def simulated(exponent=None, seed=0):
    """Curves with truths drawn from the prior, and the truth on the grid."""
    random = np.random.default_rng(seed)
    rate = np.exp(random.normal(0.0, 1.0, N_CURVE))[:, np.newaxis]
    power = np.abs(random.normal(1.0, 0.7, N_CURVE))[:, np.newaxis]
    if exponent is not None:
        power[:] = exponent
    values = AMPLITUDE * power_law_integrity(DOSE / DOSE[-1], rate, power) + OFFSET
    noisy = values + random.normal(scale=NOISE, size=values.shape)
    return noisy[:, np.newaxis], AMPLITUDE * power_law_integrity(GRID, rate, power) + OFFSET


@pytest.mark.parametrize(
    ("config", "exponent", "known_noise"),
    [
        (ExactConfig(), None, False),
        (ExactConfig(), None, True),
        (ExactConfig(offset=OFFSET), None, False),
        (ExactConfig(exponent=1.0), 1.0, False),
    ],
)
def test_coverage(config, exponent, known_noise):
    values, truth = simulated(exponent)
    variance = np.full_like(values, NOISE**2) if known_noise else None
    posterior = kinetic_posterior(DoseProblem(DOSE, values, ("a",), variance), config)
    # Of a decay that is over, with a known offset, truth and end are one: no rounding decides.
    near = 1e-3 * NOISE
    # 300 curves with points that go together: 3 sd of the share are 0.03 and 0.06.
    for level, most in ((0.95, 0.03), (0.8, 0.06)):
        lower, upper = intensity_interval(posterior, GRID, level)
        share = ((lower[:, 0] - near < truth) & (truth < upper[:, 0] + near)).mean()
        assert share == pytest.approx(level, abs=most)


def test_weak_window_has_a_band_of_the_size_of_its_data():
    """Rates of which a decay would be over before the first frame leave its amplitude open."""
    random = np.random.default_rng(4)
    values = 1 + 0.001 * random.standard_normal((20, 1, DOSE.size))
    lower, upper = intensity_interval(kinetic_posterior(DoseProblem(DOSE, values, ("a",))), GRID)
    width = (upper - lower)[:, 0] / 0.001
    assert width[:, -1].max() < 10
    assert width[:, 0].max() < 5 * LARGEST_SIGNAL


@pytest.mark.parametrize("nonnegative", [False, True])
def test_noise_that_follows_itself_is_in_it(nonnegative):
    """Noise of neighbouring frames with a correlation of 0.9 moves whole stretches of a curve."""
    random = np.random.default_rng(3)
    n_curve, n_dose = 80, 30
    dose = np.arange(1, n_dose + 1) / n_dose
    rate = random.uniform(1, 4, (n_curve, 1))
    error = random.standard_normal((n_curve, n_dose))
    for frame in range(1, n_dose):
        error[:, frame] = 0.9 * error[:, frame - 1] + np.sqrt(1 - 0.81) * error[:, frame]
    truth = 2.0 * np.exp(-rate * GRID) + OFFSET
    values = 2.0 * np.exp(-rate * dose) + OFFSET + 0.03 * error
    found = {}
    for correlated in (True, False):
        config = ExactConfig(correlated=correlated, nonnegative=nonnegative)
        posterior = kinetic_posterior(DoseProblem(dose, values[:, None], ("a",)), config)
        lower, upper = intensity_interval(posterior, GRID)
        found[correlated] = ((lower[:, 0] < truth) & (truth < upper[:, 0])).mean()
    # 80 curves: the standard deviation of the share is 0.024.
    assert found[True] > 0.9
    assert found[False] < 0.8


def test_wider_where_nothing_was_measured():
    values = simulated()[0][:100]
    lower, upper = intensity_interval(kinetic_posterior(DoseProblem(DOSE, values, ("a",))), GRID)
    width = np.median((upper - lower)[:, 0], axis=0)
    assert width[0] == width.max()


def test_unit_of_the_data_and_missing_frames():
    values, _ = simulated()
    values = values[:5].repeat(2, axis=1)
    values[1, 1, 3] = np.nan
    values[2, 0] = np.nan
    ends = [
        intensity_interval(kinetic_posterior(DoseProblem(DOSE, scale * values, ("a", "b"))), GRID)
        for scale in (1.0, 1e6)
    ]
    assert ends[0][0].shape == (5, 2, GRID.size)
    np.testing.assert_allclose(ends[1][0], 1e6 * ends[0][0], rtol=1e-6)
    dead = np.isnan(ends[0][0]).all(axis=-1)
    assert np.argwhere(dead).tolist() == [[2, 0]]


def test_level_is_checked():
    values, _ = simulated()
    posterior = kinetic_posterior(DoseProblem(DOSE, values[:1], ("a",)))
    with pytest.raises(ValueError, match="level"):
        intensity_interval(posterior, GRID, 95)


def test_a_mirrored_window_falls_as_likely_as_the_window_grows():
    random = np.random.default_rng(8)
    sign = random.choice([-1.0, 1.0], (40, 1))
    amplitude = np.repeat([0.0, 0.5, 1.0, 3.0, 30.0], 8)[:, None] * sign
    values = (amplitude * np.exp(-DOSE / DOSE[3]) + random.normal(size=(40, DOSE.size)))[:, None]
    problems = (DoseProblem(DOSE, each, ("a",), np.ones_like(each)) for each in (values, -values))
    grows, falls = (probability_of_growth(kinetic_posterior(problem)) for problem in problems)
    np.testing.assert_allclose(grows + falls, 1.0, atol=0.01)
    clear = np.abs(amplitude[:, 0]) > 10
    np.testing.assert_allclose(grows[clear, 0], amplitude[clear, 0] < 0, atol=1e-3)
    assert (np.abs(grows[amplitude == 0] - 0.5) < 0.475).mean() > 0.7
