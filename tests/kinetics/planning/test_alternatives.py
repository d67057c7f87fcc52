# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of the table of a plan, against bounds that are written down independently."""

import numpy as np
import pytest

from hyperspy_dosekin.kinetics.laws.registry import kinetic_law
from hyperspy_dosekin.kinetics.planning.alternatives import alternatives, joined, sd_at_rates
from hyperspy_dosekin.kinetics.planning.design import DesignProblem, FrameNoise, even
from hyperspy_dosekin.kinetics.planning.expectation import Expectation

RATE, NOISE = 1.3, 0.01


def problem_of(law="first order", recorded=None):
    values = [[RATE] * 2] if law == "first order" else [[RATE] * 2, [1.0, 1.4]]
    expected = Expectation(kinetic_law(law), np.asarray(values), np.array([1.0, 2.0]))
    return DesignProblem(expected, FrameNoise(NOISE, recorded))


def test_series_at_three_dose_rates():
    """The whole matrix of ln k, β and three times a and b, by hand."""
    problem, dose = problem_of(), even(9, 2.0)
    found = sd_at_rates(problem, dose, (1.0, 3.0, 10.0))
    prior = problem.expectation.prior.log_rate[1]
    for place, scale in enumerate((1.0, 2.0)):
        k = RATE / scale
        decay = np.exp(-k * dose)
        design = np.zeros((3, 9, 8))
        for series, rate in enumerate((1.0, 3.0, 10.0)):
            slope = -k * dose * decay
            design[series, :, 0], design[series, :, 1] = slope, slope * np.log(rate)
            design[series, :, 2 + 2 * series], design[series, :, 3 + 2 * series] = decay, 1
        whole = design.reshape(-1, 8) / NOISE
        information = whole.T @ whole
        information[0, 0] += prior**-2
        information[1, 1] += 1e-2
        right = np.sqrt(np.linalg.inv(information)[0, 0])
        assert found[place] == pytest.approx(right, rel=1e-4)


def test_more_series_help_but_not_as_much_as_if_beta_were_known():
    problem, dose = problem_of("power law"), even(9, 2.0)
    alone, known = problem.sd(dose), sd_at_rates(problem, dose, (1.0, 1.0, 1.0))
    free = sd_at_rates(problem, dose)
    assert np.all(free < alone)
    assert np.all(known < free)
    # One series has the readout projected out, too.
    np.testing.assert_allclose(sd_at_rates(problem, dose, (1.0,)), alone, rtol=1e-4)


def test_joined_frames_tell_less_than_the_frames_themselves():
    for recorded in (None, 0.2):
        problem, dose = problem_of(recorded=recorded), even(9, 2.0)
        rows = {each.name: each for each in alternatives(problem, dose, 2.0, 0.02, 60)}
        pairs = rows["this plan, frames joined in pairs"]
        assert pairs.dose.size == 4
        assert np.all(pairs.sd > rows["this plan"].sd)
        # Nearly all of the information is still there.
        assert np.all(pairs.sd < 2 * rows["this plan"].sd)
        assert any("dose rates 1 : 3 : 10" in name for name in rows)


def test_too_few_frames_cannot_be_joined():
    rows = alternatives(problem_of(), even(5, 2.0), 2.0, 0.02, 60)
    assert not [each for each in rows if "joined" in each.name]
    np.testing.assert_allclose(joined(np.array([1.0, 3.0, 7.0])), [2.0])
