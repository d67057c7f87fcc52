# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows of one pixel that go together, against dense formulae and truths of NumPy."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.field.block import SharedBlock, shared_fields
from hyperspy_dosekin.kinetics.field.curves import SharedCurves
from hyperspy_dosekin.kinetics.field.mixture import Assumed
from hyperspy_dosekin.kinetics.field.pixels import PixelPrior
from hyperspy_dosekin.kinetics.field.population import fit_population
from hyperspy_dosekin.kinetics.field.posterior import SharedPosterior
from hyperspy_dosekin.kinetics.field.readout import Shared
from hyperspy_dosekin.kinetics.field.windows import (
    Pair,
    Reading,
    correlations_of,
    fit_pair,
    heard,
    moved,
)
from hyperspy_dosekin.kinetics.laws.power_law import half_dose, power_law_integrity
from hyperspy_dosekin.kinetics.model.config import ExactConfig

DOSE = np.arange(1, 10) / 9


def readings(correlations, noise, number=400, seed=0):
    """What windows would say, were they normal: ``noise`` of each, in every direction."""
    random = np.random.default_rng(seed)
    q = len(correlations) // len(noise)
    true = random.multivariate_normal(np.zeros(len(correlations)), correlations, number)
    found = []
    for window, variance in enumerate(noise):
        own = true[:, window * q : (window + 1) * q]
        seen = own + np.sqrt(variance) * random.standard_normal(own.shape)
        covariance = np.tile(np.eye(q) * variance / (1 + variance), (number, 1, 1))
        found.append(Reading(seen / (1 + variance), covariance))
    return true, found


def both(q, values):
    """Correlations of two windows, alike quantity by quantity."""
    whole = np.eye(2 * q)
    whole[np.arange(q), q + np.arange(q)] = whole[q + np.arange(q), np.arange(q)] = values
    return whole


@pytest.mark.parametrize("value", [-0.7, 0.0, 0.5, 0.9])
def test_correlations_are_found_whatever_the_noise(value):
    places = np.arange(400)[:, None] * 50
    for noise in ((0.1, 0.1), (0.3, 3.0)):
        first, second = readings(both(4, [value, 0.0, 0.6, 0.0]), noise)[1]
        pair = fit_pair(first, second, places, 2)
        away = (pair.block - both(4, [value, 0.0, 0.6, 0.0])[:4, 4:]) / pair.spread
        assert np.abs(away).max() < 3.5
        assert pair.spread[0, 0] < (0.08 if noise[1] < 1 else 0.25)
        assert pair.seen


def test_nothing_in_common_is_seldom_seen():
    places = np.arange(200)[:, None] * 50
    seen = [
        fit_pair(*readings(np.eye(8), (0.5, 0.5), number=200, seed=seed)[1], places, 2).seen
        for seed in range(20)
    ]
    assert np.mean(seen) <= 0.3


def test_what_others_say_is_the_normal_conditional():
    """Without the curve of the window itself, and exactly so with it."""
    whole = both(3, [0.8, 0.3, -0.5])
    _, found = readings(whole, (2.0, 0.2), number=5)
    mean, factor = heard(found, whole, 3)[0]
    cross, own = whole[:3, 3:], np.eye(3)
    of_other = np.linalg.inv(own + 0.2 * np.eye(3))
    seen = found[1].mean * 1.2
    np.testing.assert_allclose(mean, seen @ (cross @ of_other).T, rtol=1e-8)
    expected = own - cross @ of_other @ cross.T
    np.testing.assert_allclose(factor[0] @ factor[0].T, expected, rtol=1e-8, atol=1e-12)
    # A window that says nothing is told by the others and tells them nothing.
    silent = Reading.nothing(5, 3)
    told = heard([found[0], silent], whole, 3)
    np.testing.assert_allclose(told[0][0], 0, atol=1e-12)
    np.testing.assert_allclose(told[1][0], found[0].mean @ whole[:3, 3:], rtol=1e-8)


def test_a_prior_is_moved_in_its_own_units():
    factor = torch.tensor([[[0.5, 0.0], [-0.2, 0.3]]], dtype=torch.float64)
    prior = PixelPrior(torch.tensor([[1.0], [2.0]], dtype=torch.float64), factor)
    mean, small = np.array([[1.0, -1.0]] * 3), np.array([[[0.5, 0.0], [0.1, 0.4]]] * 3)
    found = moved(prior, mean, small)
    np.testing.assert_allclose(found.mean[:, 2], [1.5, 2.0 - 0.2 - 0.3])
    np.testing.assert_allclose(found.factor[1], factor[0].numpy() @ small[0])


def test_correlations_of_many_windows_are_possible():
    """Those of pairs may contradict each other."""
    block = np.diag([0.95, 0.0])
    pairs = {
        key: Pair(sign * block, 1e-4 * np.eye(4))
        for key, sign in {(0, 1): 1, (0, 2): 1, (1, 2): -1}.items()
    }
    shares = np.array([[True, True, True], [True, False, True]] * 3)
    whole = correlations_of(pairs, shares)
    assert np.linalg.eigvalsh(whole).min() > 0.02
    np.testing.assert_allclose(np.einsum("nii->ni", whole), 1)
    # In a design in which the second shares nothing it says nothing.
    np.testing.assert_array_equal(whole[1::2, 2:4, :2], 0)
    assert np.abs(whole[1::2, 4, 0]).min() > 0.8


def test_curves_without_noise_are_read():
    """All mass of a pixel is on one node: less than nothing is left open otherwise."""
    eye = torch.eye(2, dtype=torch.float64)
    rate = np.exp(np.linspace(-0.5, 0.5, 9))
    values = power_law_integrity(DOSE, rate[:, None], np.array(1.2)) + 0.3
    curves = SharedCurves.of(DoseProblem(DOSE, values[:, None], ("w",)), ExactConfig())
    readout, slope = torch.zeros(2, dtype=torch.float64), torch.zeros(2, 2, dtype=torch.float64)
    mean = torch.tensor([0.0, 1.2], dtype=torch.float64)
    shared = Shared(mean, 0.4 * eye, readout, slope, eye, mean.new_tensor(1e-7))
    posterior = SharedPosterior(curves, [Assumed(shared, PixelPrior.common(shared))], 10)
    reading = posterior.readings()[0]
    assert np.linalg.eigvalsh(reading.covariance).min() > 0
    told = heard([reading, Reading.nothing(10, 4)], both(4, [0.9, 0, 0, 0]), 2)
    np.testing.assert_allclose(told[1][0][:9, 0], 0.9 * np.log(rate) / 0.4, atol=0.05)
    np.testing.assert_allclose(told[0][0], 0, atol=1e-2)
    # The last pixel has no curve.
    np.testing.assert_array_equal(told[1][0][9], 0)


@pytest.mark.parametrize("together", [0.9, 0.0])
def test_windows_that_go_together_help_each_other(together):
    """Thickness is common to both: it is no rate that they share."""
    random = np.random.default_rng(4)
    n = 300
    both_rates = random.multivariate_normal([0, 0], [[1, together], [together, 1]], n)
    log_rate = 0.2 + 0.4 * both_rates
    exponent = 1.1 + 0.2 * random.uniform(-1.7, 1.7, (n, 2))
    thick = random.uniform(0.7, 1.3, (n, 1))
    curve = power_law_integrity(DOSE, np.exp(log_rate)[..., None], exponent[..., None])
    values = thick[..., None] * (0.8 * curve + random.uniform(0.4, 0.6, (n, 2, 1)))
    values = values + np.array([[0.008], [0.035]]) * random.standard_normal(values.shape)
    config, places = ExactConfig(), np.arange(n)[:, None] * 50
    populations = {
        (w, 0): fit_population(
            SharedCurves.of(DoseProblem(DOSE, values[:, [w]], ("w",)), config), places
        )
        for w in range(2)
    }
    # A second group of which the windows are never heard.
    populations |= {(w, 1): populations[w, 0] for w in range(2)}
    block = SharedBlock(populations, DOSE, ("v", "w"), config)
    known = np.zeros((n, 1, 2))
    pairs = block.find_pairs(values, None, None, known, places)
    low, high = (pairs[0, 1, 0].block + sign * 2.5 * pairs[0, 1, 0].spread for sign in (-1, 1))
    assert low[0, 0] < together < high[0, 0]
    known[-20:] = 1
    found = [replace(block, pairs=each).fit(values, None, None, known) for each in ({}, pairs)]
    np.testing.assert_array_equal(found[0][-20:], found[1][-20:])
    row = shared_fields(config.parameters.law).index
    truth = np.log(half_dose(np.exp(log_rate), exponent))[:-20]
    errors, covered = [], []
    for each in found:
        doses = [f"half_integrity_dose{end}" for end in ("", " lower", " upper")]
        middle, lower, upper = (np.log(each[:-20, row(name)]) for name in doses)
        errors.append(np.sqrt(np.mean((middle - truth) ** 2, axis=0)))
        covered.append(((lower <= truth) & (truth <= upper)).mean(0))
    assert np.all(errors[1] < 1.03 * errors[0])
    assert np.all(covered[1] > covered[0] - 0.02)
    if together:
        assert errors[1][1] < 0.9 * errors[0][1]
