# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows that share an exponent, or are pairs of a hierarchy, against plain grids of all."""

import numpy as np
import pytest
import torch

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.identifiability import identifiability
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.posterior.coupling import _allowed
from hyperspy_dosekin.kinetics.posterior.posterior import kinetic_posterior
from tests.kinetics.amplitude import log_amplitude

NINE = np.arange(1, 10) / 9
LOG_RATE, EXPONENT = np.linspace(np.log(0.01), np.log(200), 700), np.linspace(0.1, 5, 250)
NAMES = ("a", "b", "c")


def _decay(log_rate, exponent):
    excess = np.where(np.abs(exponent - 1) < 1e-6, 1e-6, exponent - 1)[..., None]
    base = np.maximum(1 + excess * np.exp(log_rate)[..., None] * NINE, 0)
    with np.errstate(divide="ignore"):
        return np.where(base > 0, base ** (-1 / excess), 0.0)


@pytest.fixture(scope="module")
def problem():
    random = np.random.default_rng(1)
    exponent = np.abs(random.normal(1, 0.5, 4)) + 0.1
    log_rate = random.normal(0.7, 0.6, (4, 3))
    values = 0.3 + np.stack([_decay(log_rate[:, w], exponent) for w in range(3)], 1)
    return DoseProblem(NINE, values + 0.01 * random.normal(size=values.shape), NAMES)


@pytest.fixture(scope="module")
def likelihoods(problem):
    """Ln density of (ln k, p), without the prior of p, for every curve and window."""
    column = _decay(*np.meshgrid(LOG_RATE, EXPONENT, indexing="ij"))
    column = column - column.mean(-1, keepdims=True)
    norm = np.maximum((column**2).sum(-1), 1e-30)
    found = np.empty((4, 3, LOG_RATE.size, EXPONENT.size))
    for place in np.ndindex(4, 3):
        values = problem.values[place] - problem.values[place].mean()
        explained = np.where(norm > 1e-12, (column @ values) ** 2 / norm, 0.0)
        squares = values @ values - explained
        found[place] = -4 * np.log(squares) + log_amplitude(explained, squares / 7, norm, 7)
        found[place] -= 0.5 * ((LOG_RATE[:, None] - 1) / 1.75) ** 2
    return found - found.max((2, 3), keepdims=True)


PRIOR = -0.5 * ((EXPONENT - 1) / 0.7) ** 2


def _ends(weight, values):
    """Ends that hold 95 %, of a weight at even values."""
    share = np.cumsum(weight) - 0.5 * weight
    return np.interp([0.025, 0.975], share / weight.sum(), values)


def _close(found, expected):
    # Rows are as far apart as a window alone needs; what three windows say is narrower.
    np.testing.assert_allclose(found, expected, atol=0.04 * (expected[1] - expected[0]))


def test_a_shared_exponent_is_that_of_all_windows(problem, likelihoods):
    posterior = kinetic_posterior(problem, ExactConfig(exponent="shared"))
    exponent, rate = posterior.interval("exponent"), posterior.interval("rate")
    for curve in range(4):
        mass = np.log(np.exp(likelihoods[curve]).sum(1))
        together = mass.sum(0) + PRIOR
        for window in range(3):
            _close([e[curve, window] for e in exponent], _ends(np.exp(together), EXPONENT))
            density = likelihoods[curve, window] + together - mass[window]
            expected = _ends(np.exp(density - density.max()).sum(1), LOG_RATE)
            _close([np.log(e[curve, window]) for e in rate], expected)


def test_a_pair_of_the_hierarchy_is_in_the_intervals(problem, likelihoods):
    pair = ExactConfig(hierarchy=(("a", "b"),))
    rate = kinetic_posterior(problem, pair).interval("rate")
    step = np.exp(-0.5 * (np.maximum(LOG_RATE - LOG_RATE[:, None], 0) / 0.1) ** 2)
    # With a tenth of the prior there is no pair; the other half of all rates is against one.
    step = 0.9 * step / 0.5 + 0.1
    for curve in range(4):
        fast, slow = (np.exp(likelihoods[curve, w] + PRIOR).sum(1) for w in range(2))
        joint = fast[:, None] * slow * step
        for window in range(2):
            expected = _ends(joint.sum(1 - window), LOG_RATE)
            _close([np.log(e[curve, window]) for e in rate], expected)
    alone = kinetic_posterior(problem).interval("rate")
    for one, other in zip(rate, alone, strict=True):
        np.testing.assert_allclose(one[:, 2], other[:, 2], rtol=1e-3)


def test_windows_without_data_say_nothing(problem):
    values = problem.values.copy()
    values[1, 1] = np.nan
    broken = DoseProblem(NINE, values, NAMES)
    config = ExactConfig(exponent="shared", hierarchy=(("a", "b"),))
    spread = identifiability(broken, config).sd_log_half_dose
    assert np.isnan(spread).sum() == 1
    pair = DoseProblem(NINE, values[1:2, [0, 2]], ("a", "c"))
    expected = identifiability(pair, ExactConfig(exponent="shared")).sd_log_half_dose
    np.testing.assert_allclose(spread[1, [0, 2]], expected[0], rtol=0.02)


@pytest.mark.parametrize("step", [0.005, 0.02, 0.5])
def test_pairs_in_bands_are_those_of_all_rates(step):
    rates = np.arange(300) * step
    mass = np.random.default_rng(2).random((300, 5)) ** 8
    excess = np.maximum(rates[:, None] - rates, 0) / 0.1
    expected = (0.1 + 1.8 * np.exp(-0.5 * excess**2)) @ mass
    found = _allowed(torch.as_tensor(mass), torch.as_tensor(rates))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
