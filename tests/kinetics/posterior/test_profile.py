# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from hyperspy_dosekin.kinetics.laws.power_law import half_dose, power_law_integrity
from hyperspy_dosekin.kinetics.laws.prior import EXPONENT_BOX
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.posterior.profile import kinetic_profile
from hyperspy_dosekin.kinetics.posterior.quantities import Quantity
from hyperspy_dosekin.kinetics.posterior.region import PROFILE_LOG_RATE_BOX
from hyperspy_dosekin.kinetics.simulation import simulate_curves

HALF = Quantity("half_integrity_dose")
RATE, EXPONENT = Quantity("rate"), Quantity("exponent")
INTEGRITY = Quantity("integrity", normalised_dose=(0.4, 1.0))


def _curves(seed, number, rate, exponent, noise, **options):
    shape = (number, 1)
    random = np.random.default_rng(seed)
    return simulate_curves(
        random, np.full(shape, rate), np.full(shape, exponent), noise=noise, **options
    )


@pytest.mark.parametrize("knowledge", ["nothing", "variance", "offset", "exponent"])
def test_equals_a_plain_fine_grid(knowledge):
    curves = _curves(1, 3, 3.0, 1.2, 0.01, with_variance=knowledge == "variance")
    options = {"offset": {"offset": 5.0}, "exponent": {"exponent": 1.2}}.get(knowledge, {})
    found = kinetic_profile(curves.problem, ExactConfig(**options)).intervals([RATE, HALF])
    rates = np.linspace(*PROFILE_LOG_RATE_BOX, 1201)
    powers = np.linspace(*EXPONENT_BOX, 301) if knowledge != "exponent" else np.array([1.2])
    rates, powers = np.meshgrid(rates, powers, indexing="ij")
    dose = curves.problem.normalised_dose
    column = power_law_integrity(dose, np.exp(rates)[..., None], powers[..., None])
    free = 4 - (knowledge == "offset") - (knowledge == "exponent")
    if knowledge != "offset":
        column = column - column.mean(-1, keepdims=True)
    norm = (column**2).sum(-1)
    for place in range(3):
        target = curves.problem.values[place, 0]
        target = target - (5.0 if knowledge == "offset" else target.mean())
        explained = (column @ target) ** 2 / np.maximum(norm, 1e-30) * (norm > 1e-12)
        squares = (target**2).sum() - explained
        # The documented quantile.
        confidence = 1 - 0.8 * 0.05
        if knowledge == "variance":
            variance = curves.problem.variance[0, 0, 0]
            allowed = squares.min() + variance * stats.chi2.ppf(confidence, 1)
        else:
            allowed = squares.min() * (1 + stats.f.ppf(confidence, 1, 9 - free) / (9 - free))
        inside = squares <= allowed
        expected = {
            RATE: rates[inside],
            HALF: np.log(half_dose(np.exp(rates[inside]), powers[inside])),
        }
        for quantity, values in expected.items():
            ends = np.log([end[place, 0] for end in found[quantity]])
            # Spacing of the grid, and three percent of the width for that of the rows.
            tolerance = 0.02 + 0.03 * np.ptp(values)
            np.testing.assert_allclose(ends, [values.min(), values.max()], atol=tolerance)


@pytest.mark.parametrize(
    ("rate", "exponent", "noise"),
    [
        (0.2, 2.5, 0.01),
        (0.5, 0.5, 0.05),
        (1.0, 1.0, 0.01),
        (2.0, 0.5, 0.01),  # extinct on the last frame
        (3.0, 0.5, 0.002),  # extinct between two frames
        (3.0, 1.5, 0.01),
    ],
)
def test_covers_fixed_truths(rate, exponent, noise):
    curves = _curves(2, 200, rate, exponent, noise)
    truth = {
        HALF: half_dose(rate, exponent),
        RATE: rate,
        EXPONENT: exponent,
        INTEGRITY: power_law_integrity(np.array([0.4, 1.0]), rate, exponent),
    }
    for quantity, ends in kinetic_profile(curves.problem).intervals(list(truth)).items():
        covered = np.mean((truth[quantity] >= ends[0] - 1e-9) & (truth[quantity] <= ends[1] + 1e-9))
        # 0.95 or more is expected; 200 values scatter by 0.014.
        assert covered >= 0.915, quantity.name


def test_is_not_everything():
    curves = _curves(3, 50, 3.0, 1.0, 0.002)
    lower, upper = kinetic_profile(curves.problem).interval("half_integrity_dose")
    # Four standard deviations (Cramér–Rao 0.0102), with Student's t of five frames.
    assert np.median(np.log(upper / lower)) < 0.08


def test_open_ends_are_one_sided_limits():
    curves = _curves(4, 6, 0.3, 1.0, 0.005)
    profile = kinetic_profile(curves.problem)
    lower, upper = profile.interval("half_integrity_dose")
    assert np.all(np.isinf(upper))
    assert np.all((lower > 0) & (lower < half_dose(0.3, 1.0)))
    assert np.all(profile.interval("rate")[0] == 0)
    lower, upper = profile.interval("exponent")
    assert np.any(lower == 0)
    assert np.any(np.isinf(upper))
    lower, upper = profile.interval("integrity", normalised_dose=[0.0, 1.0])
    np.testing.assert_array_equal(upper[..., 1], 1.0)
    np.testing.assert_allclose(lower[..., 0], 1.0)


def test_a_higher_level_is_wider():
    profile = kinetic_profile(_curves(5, 20, 3.0, 1.0, 0.01).problem)
    narrow, wide = (profile.interval("rate", level) for level in (0.68, 0.95))
    assert np.all(wide[0] < narrow[0])
    assert np.all(wide[1] > narrow[1])


def test_without_freedom_nothing_is_excluded():
    curves = _curves(6, 2, 3.0, 1.0, 0.01, dose=np.array([1.0, 2.0, 3.0, 4.0]))
    found = kinetic_profile(curves.problem).intervals([RATE, HALF, INTEGRITY])
    for quantity, (lower, upper) in found.items():
        assert np.all(lower == 0)
        assert np.all(upper == (1 if quantity is INTEGRITY else np.inf))
    # A given variance leaves something to say.
    given = replace(curves.problem, variance=np.full((2, 1, 4), 0.03**2))
    lower, upper = kinetic_profile(given).interval("rate")
    assert np.all(lower > 0)


def test_dead_curves_are_nan_and_blocks_do_not_matter():
    curves = _curves(7, 300, 3.0, 1.0, 0.01)
    values = curves.problem.values.copy()
    values[5] = np.nan
    lower, upper = kinetic_profile(replace(curves.problem, values=values)).interval("rate")
    assert np.isnan(lower[5, 0])
    assert np.isnan(upper).sum() == 1
    alone = kinetic_profile(replace(curves.problem, values=values[270:])).interval("rate")
    np.testing.assert_allclose(alone[1], upper[270:], rtol=2e-2)


@pytest.mark.parametrize(("claimed", "as_with"), [(1e-3, "relative"), (0.1, "absolute")])
def test_the_larger_of_given_and_seen_noise_counts_where_the_given_is_the_least(claimed, as_with):
    problem = _curves(4, 5, 3.0, 1.2, 0.01).problem
    problem = replace(problem, variance=np.full(problem.values.shape, claimed**2))
    found, wanted = (
        np.array(kinetic_profile(problem, ExactConfig(noise=noise)).intervals([RATE])[RATE])
        for noise in ("floor", as_with)
    )
    np.testing.assert_allclose(found, wanted, rtol=2e-3)
