# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest
import torch
from scipy import stats

from hyperspy_dosekin.kinetics.posterior.distribution import Distribution, Weights
from hyperspy_dosekin.kinetics.posterior.rows import end_weights

TAILS = torch.tensor([0.025, 0.5, 0.975], dtype=torch.float64)


def quantiles(values, weight):
    """Of nodes ``(n_row, n_node, n)``."""
    spread = Distribution(values[None], Weights(weight[None], ordered=True))
    return spread.quantiles(TAILS).numpy()


def nodes(number, low, high):
    place = torch.linspace(low, high, number, dtype=torch.float64)
    return place, end_weights(number)


@pytest.mark.parametrize("by_row", [True, False])
@pytest.mark.parametrize("number", [12, 16])
def test_few_nodes_give_the_quantiles_of_a_normal_distribution(number, by_row):
    # However the nodes happen to stand about its middle.
    place, ends = nodes(number, -4.3, 4.3)
    values = place[:, None] + torch.linspace(-0.5, 0.5, 5) * (place[1] - place[0])
    weight = torch.exp(-0.5 * values**2) * ends[:, None]
    values, weight = (each[:, None] if by_row else each[None] for each in (values, weight))
    expected = stats.norm.ppf(TAILS)[:, None]
    width = 2 * expected[-1]
    assert (np.abs(quantiles(values, weight) - expected) < 0.004 * width).all()


@pytest.mark.parametrize("slope", [0.0, 0.5, -0.5])
def test_a_density_that_ends_at_a_box_has_its_quantiles(slope):
    place, ends = nodes(12, 0.0, 1.0)
    weight = (1 + slope * (2 * place - 1)) * ends
    found = quantiles(place[None, :, None], weight[None, :, None])[:, 0]
    below = (1 - slope) * found + slope * found**2
    np.testing.assert_allclose(below, TAILS, atol=0.0005)


@pytest.mark.parametrize("tilt", [0.0, 0.1, 0.5, 2.0])
def test_rows_and_nodes_together_give_the_quantiles_of_a_sum(tilt):
    # Rows much wider than the room between them, and much narrower.
    row, by_row = nodes(14, -4.0, 4.0)
    node, by_node = nodes(12, -4.0, 4.0)
    weight = torch.exp(-0.5 * (row[:, None] ** 2 + node**2)) * by_row[:, None] * by_node
    values = tilt * row[:, None] + node
    expected = np.hypot(1, tilt) * stats.norm.ppf(TAILS)
    found = quantiles(values[..., None], weight[..., None])[:, 0]
    np.testing.assert_allclose(found, expected, atol=0.005 * (expected[-1] - expected[0]))


def test_a_row_without_mass_does_not_widen_the_one_beside_it():
    node, by_node = nodes(16, -4.0, 4.0)
    mass = torch.tensor([0.0, 1e-9, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])[:, None]
    centre = torch.tensor([50.0, 20.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])[:, None]
    weight = mass * torch.exp(-0.5 * node**2) * by_node
    found = quantiles((centre + node)[..., None], weight[..., None])[:, 0]
    expected = stats.norm.ppf(TAILS)
    np.testing.assert_allclose(found, expected, atol=0.004 * (expected[-1] - expected[0]))


@pytest.mark.parametrize("last", [0, 1])
def test_values_that_are_all_alike_are_their_own_quantiles(last):
    # As the integrity at dose zero; `last` are parts with the offset at its bound.
    weight = torch.as_tensor(np.random.default_rng(0).random((2, 5, 7, 3)))
    spread = Distribution(torch.ones_like(weight), Weights(weight, ordered=True))
    if last:
        spread = spread.of_last(last, 2, torch.tensor([0, 2]))
    np.testing.assert_allclose(spread.quantiles(TAILS), 1.0, rtol=1e-12)
