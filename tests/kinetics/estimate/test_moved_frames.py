# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Doses that are not exact: intervals against truths whose frames were moved."""

import numpy as np
import pytest

from hyperspy_dosekin.kinetics.block import block_fields, fit_block
from hyperspy_dosekin.kinetics.comparison.comparison import ComparedLaws, compare_block
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.moved_frames import with_moved_frames
from hyperspy_dosekin.kinetics.laws.registry import kinetic_law
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.model.dose_error import DoseError

LAW = kinetic_law("power law")
DOSE = 150.0 * np.arange(1, 10)


def moved(kind, size, *, n=400, noise=0.002, seed=5, rate=2.5):
    """First-order decays at true doses that are not those of the axis; values and true ln D½."""
    random = np.random.default_rng(seed)
    normal = random.standard_normal((n, 9))
    true = np.broadcast_to(DOSE, (n, 9)).copy()
    if kind == "scale":
        true = true * np.exp(size * normal[:, :1])
    elif kind == "frame":
        true = true * (1 + size * normal)
    elif kind == "increment":
        true = np.cumsum(150.0 * (1 + size * normal), axis=1)
    else:
        true = true + size * normal[:, :1]
    per_dose = np.exp(random.normal(0, 0.3, (n, 1))) * rate / DOSE[-1]
    values = 1 + np.exp(-per_dose * true) + noise * random.standard_normal((n, 9))
    return values[:, None], np.log(np.log(2) / per_dose[:, 0])


def intervals(values, error, **options):
    config = ExactConfig(noise="relative", dose_error=DoseError.of(error), **options)
    variance = None
    block = fit_block(values, variance, None, dose=DOSE, window_names=("w",), config=config)
    rows = dict(zip(block_fields(LAW), np.moveaxis(block[..., 0], -1, 0), strict=True))
    with np.errstate(divide="ignore"):
        ends = [np.log(rows[f"half_integrity_dose {end}"] * DOSE[-1]) for end in ("lower", "upper")]
    return (*ends, rows)


@pytest.mark.parametrize(
    ("kind", "size"), [("scale", 0.1), ("frame", 0.03), ("increment", 0.08), ("pre_exposure", 40.0)]
)
def test_intervals_hold_the_truth_where_doses_are_wrong(kind, size):
    values, truth = moved(kind, size)
    low, high, _ = intervals(values, {kind: size})
    assert 0.92 < np.mean((low <= truth) & (truth <= high)) <= 0.985
    if kind in ("scale", "increment"):
        # Independent errors of readings look like noise, which is estimated, and a pre-exposure
        # of first-order decays like another amplitude.
        low, high, _ = intervals(values, None)
        assert np.mean((low <= truth) & (truth <= high)) < 0.88


def test_the_scale_is_in_the_flag_and_in_the_deviation():
    values, _ = moved("scale", 0.0, n=50)
    _, _, plain = intervals(values, None)
    low, high, told = intervals(values, 0.15)
    spread = np.hypot(plain["sd_log_half_dose"], 0.15)
    np.testing.assert_allclose(told["sd_log_half_dose"], spread, rtol=1e-6)
    np.testing.assert_allclose(told["half_integrity_dose"], plain["half_integrity_dose"])
    assert (told["near_estimate"] < plain["near_estimate"]).all()
    assert plain["identifiable"].mean() > 0.9
    assert told["identifiable"].mean() < 0.2
    assert (high - low > 2 * 1.95 * 0.15).all()


def test_errors_of_frames_use_a_known_variance_as_it_is():
    values, truth = moved("increment", 0.05, n=300, noise=0.004)
    variance = np.full(values.shape, 0.004**2)
    problem = DoseProblem(DOSE, values, ("w",), variance)
    config = ExactConfig(noise="absolute", dose_error=DoseError(increment=0.05))
    told, same = with_moved_frames(problem, config)
    assert same is config
    assert told.shared_error.shape == (8, 300, 1, 9)
    np.testing.assert_array_equal(told.variance, variance)
    block = fit_block(values, variance, None, dose=DOSE, window_names=("w",), config=config)
    rows = dict(zip(block_fields(LAW), np.moveaxis(block[..., 0], -1, 0), strict=True))
    low, high = (np.log(rows[f"half_integrity_dose {e}"] * DOSE[-1]) for e in ("lower", "upper"))
    assert 0.91 < np.mean((low <= truth) & (truth <= high)) <= 0.985


def test_an_average_over_laws_has_the_error_of_the_scale():
    values, truth = moved("scale", 0.1, n=100)
    laws = [LAW, kinetic_law("first order")]
    config = ExactConfig(noise="relative", dose_error=DoseError(scale=0.1))
    fields = compare_block(
        values, None, None, dose=DOSE, window_names=("w",), laws=laws, config=config
    )
    covered = []
    for error in (DoseError(), DoseError(scale=0.1)):
        found = ComparedLaws(fields, error)
        low, high = (found.average("log_half_dose", p)[:, 0] for p in (0.025, 0.975))
        covered.append(np.mean((low <= truth) & (truth <= high)))
        np.testing.assert_array_equal(
            found.average("log_half_dose", 0.5), ComparedLaws(fields).average("log_half_dose", 0.5)
        )
    assert covered[0] < 0.75
    assert covered[1] > 0.9


def test_patterns_have_the_covariance_of_errors_that_add_up():
    error = DoseError(increment=0.1, pre_exposure=5.0)
    patterns = error.patterns(DOSE)
    expected = (0.1 * 150) ** 2 * np.minimum.outer(np.arange(1, 10), np.arange(1, 10)) + 25
    np.testing.assert_allclose(patterns.T @ patterns, expected, rtol=0.02)


def test_without_errors_nothing_is_touched():
    problem = DoseProblem(DOSE, moved("scale", 0.0, n=2)[0], ("w",))
    config = ExactConfig(dose_error=DoseError(scale=0.1))
    assert with_moved_frames(problem, config) == (problem, config)
    assert not DoseError()
    assert DoseError.of(None) == DoseError()
    ends = np.array([1.0]), np.array([np.inf])
    low, high = DoseError(scale=0.1).widened(*ends, np.array([2.0]), 0.95)
    assert low[0] < 1
    assert high[0] == np.inf
    low, high = DoseError(scale=0.1).widened(*ends, np.array([np.inf]), 0.95)
    assert (low[0], high[0]) == (1.0, np.inf)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (-0.1, "scale=-0.1"),
        (1.5, "scale=1.5"),
        ("much", "scale='much'"),
        ({"frames": 0.1}, "frames"),
        ({"pre_exposure": np.nan}, "pre_exposure=nan"),
    ],
)
def test_wrong_uncertainties(given, match):
    with pytest.raises((TypeError, ValueError), match=match):
        DoseError.of(given)
