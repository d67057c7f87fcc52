# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pixels that share a population, against dense formulae, brute force and truths of their own."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.field.block import SharedBlock, shared_fields
from hyperspy_dosekin.kinetics.field.climb import log_posterior, nodes_of, settled
from hyperspy_dosekin.kinetics.field.curves import SharedCurves
from hyperspy_dosekin.kinetics.field.dependence import godambe, redundancy
from hyperspy_dosekin.kinetics.field.flag import least_near
from hyperspy_dosekin.kinetics.field.hyper import Layout
from hyperspy_dosekin.kinetics.field.mixture import middle
from hyperspy_dosekin.kinetics.field.pixels import (
    PixelNodes,
    PixelPrior,
    curvature,
    find_modes,
    likelihood_slopes,
)
from hyperspy_dosekin.kinetics.field.population import fit_population
from hyperspy_dosekin.kinetics.field.readout import Shared, Sums, readout_after
from hyperspy_dosekin.kinetics.field.spine import Spine, mean_log_half
from hyperspy_dosekin.kinetics.field.summary import summary_of
from hyperspy_dosekin.kinetics.field.unknown import Unknown
from hyperspy_dosekin.kinetics.laws.power_law import half_dose, power_law_integrity
from hyperspy_dosekin.kinetics.model.config import ExactConfig

DOSE = np.arange(1, 10) / 9


def simulated(seed=0, number=300, noise=0.02, spread=(0.35, 0.2)):
    """Pixels of a population that is not normal: amplitudes are even, ln k has two humps."""
    random = np.random.default_rng(seed)
    humps = random.choice([-0.9, 0.9], number) + 0.4 * random.standard_normal(number)
    log_rate = 0.5 + spread[0] * humps
    exponent = 1.2 + spread[1] * random.uniform(-1.7, 1.7, number)
    amplitude = random.uniform(1.0, 3.0, number)
    offset = random.uniform(0.5, 1.5, number)
    curve = power_law_integrity(DOSE, np.exp(log_rate)[:, None], exponent[:, None])
    values = amplitude[:, None] * curve + offset[:, None]
    values = values + noise * 2 * random.standard_normal(values.shape)
    return values, log_rate, exponent, amplitude, offset


def shared_of(d=2):
    """Anything that pixels may share."""
    slope = torch.tensor([[0.2, -0.1, 0.3], [0.05, 0.1, 0.0]], dtype=torch.float64)[:, :d]
    factor = torch.tensor([[0.4, 0, 0], [0.1, 0.3, 0], [0, 0.1, 0.2]], dtype=torch.float64)[:d, :d]
    return Shared(
        torch.tensor([0.2, 1.1, 0.3], dtype=torch.float64)[:d],
        factor,
        torch.tensor([1.0, -0.2], dtype=torch.float64),
        slope,
        torch.tensor([[0.09, 0.02], [0.02, 0.05]], dtype=torch.float64),
        torch.tensor(0.05, dtype=torch.float64),
    )


@pytest.fixture(scope="module")
def curves():
    values = simulated(number=7)[0]
    values[2, 4] = np.nan
    variance = 1e-3 * (1 + np.arange(9)) * np.ones_like(values)
    problem = DoseProblem(DOSE, values[:, None], ("w",), variance[:, None])
    return SharedCurves.of(problem, ExactConfig())


def test_the_likelihood_is_that_of_a_normal_distribution_of_the_curve(curves):
    shared = shared_of()
    free = torch.tensor([[0.5], [1.3]], dtype=torch.float64).expand(2, 7)
    integrity = curves.integrity(free)
    found = readout_after(curves, Sums.of(curves, integrity), free, shared).log_likelihood
    away = free[:, 0] - shared.mean
    expected = []
    for pixel in range(7):
        good = (curves.weight[:, pixel] > 0).numpy()
        design = np.stack([integrity[:, pixel].numpy(), np.ones(9)], 1)[good]
        mean = design @ (shared.readout + shared.slope @ away).numpy()
        noise = float(shared.sigma) ** 2 / curves.weight[good, pixel].numpy()
        covariance = np.diag(noise) + design @ shared.readout_cov.numpy() @ design.T
        value = stats.multivariate_normal(mean, covariance).logpdf(curves.values[good, pixel])
        weight = 0.5 * np.log(curves.weight[good, pixel].numpy()).sum()
        expected.append(value - weight + 0.5 * good.sum() * np.log(2 * np.pi))
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_slopes_and_curvature_are_those_of_differences(curves):
    shared = shared_of()
    free = torch.tensor([[0.5], [1.3]], dtype=torch.float64).expand(2, 7).contiguous()
    _, gradient = likelihood_slopes(curves, shared, free)
    step = 1e-5
    for place in range(2):
        shift = torch.zeros(2, 1, dtype=torch.float64)
        shift[place] = step
        ends = [likelihood_slopes(curves, shared, free + sign * shift) for sign in (1, -1)]
        torch.testing.assert_close(
            gradient[place], (ends[0][0] - ends[1][0]) / (2 * step), rtol=1e-5, atol=1e-4
        )
        second = (ends[0][1] - ends[1][1]) / (2 * step)
        hessian = curvature(curves, shared, free, torch.full((2,), 1e-4))[2]
        torch.testing.assert_close(hessian[:, place].T, second, rtol=2e-2, atol=0.5)


@pytest.mark.parametrize("few", [False, True])
def test_nodes_integrate_as_a_dense_grid_does(curves, few):
    shared = shared_of()
    prior = PixelPrior.common(shared)
    nodes = PixelNodes.around(curves, find_modes(curves, shared, prior), few=few)
    log_weight = nodes.log_weight(shared, prior)
    axes = [torch.linspace(-2.5, 2.5, 301), torch.linspace(0.11, 3.0, 301)]
    grid = torch.stack([each.reshape(-1) for each in torch.meshgrid(*axes, indexing="ij")])
    grid = grid.double()[:, :, None].expand(2, -1, 7)
    likelihood = readout_after(curves, Sums.of(curves, curves.integrity(grid)), grid, shared)
    dense = likelihood.log_likelihood + prior.log_density(grid)
    cell = np.log(5.0 / 300 * 2.89 / 300)
    torch.testing.assert_close(
        torch.logsumexp(log_weight, 0), torch.logsumexp(dense, 0) + cell, rtol=0, atol=0.05
    )
    mean = (torch.softmax(log_weight, 0) * nodes.free).sum(1)
    expected = (torch.softmax(dense, 0) * grid).sum(1)
    torch.testing.assert_close(mean, expected, rtol=0, atol=0.02)


def test_a_population_is_found_with_its_intervals():
    values, log_rate, exponent, amplitude, offset = simulated(number=500)
    problem = DoseProblem(DOSE, values[:, None], ("w",))
    curves = SharedCurves.of(problem, ExactConfig())
    random = np.random.default_rng(5)
    population = fit_population(curves, random.permutation(500)[:, None])
    found = summary_of(population, curves.parameters).numbers
    for name, truth in (
        ("rate", np.exp(log_rate.mean())),
        ("exponent", exponent.mean()),
        ("amplitude", amplitude.mean()),
        ("offset", offset.mean()),
        ("half_integrity_dose", np.exp(np.log(half_dose(np.exp(log_rate), exponent)).mean())),
    ):
        each = found[name]
        width = each.mean_upper - each.mean_lower
        assert each.mean_lower - 0.25 * width < truth < each.mean_upper + 0.25 * width, name
    assert found["rate"].spread == pytest.approx(log_rate.std(), rel=0.25)
    assert found["amplitude"].spread == pytest.approx(amplitude.std(), rel=0.25)
    assert population.scale.unit * float(population.shared.sigma) == pytest.approx(0.04, rel=0.1)


def test_neighbours_are_no_independent_draws():
    """Every score six times over is worth a sixth."""
    random = np.random.default_rng(0)
    score = random.standard_normal((60, 3))
    single = np.arange(60)[:, None] * 40
    hessian = torch.as_tensor(score.T @ score)
    alone, inflation = godambe(hessian, torch.as_tensor(score), single)
    torch.testing.assert_close(alone, torch.linalg.inv(hessian), rtol=0.2, atol=1e-3)
    repeated = np.repeat(score, 6, axis=0)
    # Six pixels of one place in six along a line.
    places = np.repeat(single, 6, axis=0) + np.tile(np.arange(6), 60)[:, None]
    covariance, more = godambe(6 * hessian, torch.as_tensor(repeated), places)
    assert more > 3 * inflation
    ratio = torch.linalg.eigvalsh(covariance @ hessian)
    assert float(ratio.min()) > 0.5
    assert float(ratio.max()) < 3
    # What is asked of the numbers is said as often.
    asked = torch.eye(3, dtype=torch.float64)
    assert redundancy(hessian, torch.as_tensor(score), asked, single) < 2
    assert redundancy(6 * hessian, torch.as_tensor(repeated), asked, places) > 4


def test_the_share_of_right_pixels_is_the_one_expected():
    near = np.random.default_rng(0).uniform(0.3, 1.0, 400)
    least = least_near(near)
    assert 0.88 <= near[near >= least].mean() < 0.89
    assert 0.95 <= near[near >= least_near(near, 0.95)].mean() < 0.96
    # Certain pixels do not pay for others that are more likely wrong than right.
    assert 0.4 < least_near(np.r_[np.ones(90), np.full(10, 0.4)]) < 1.0
    assert least_near(np.full(9, 0.87)) > 1


@pytest.mark.parametrize("options", [{}, {"law": "first order"}, {"offset": 1.0}])
def test_intervals_of_pixels_hold_the_truth(options):
    values, log_rate, exponent, _, offset = simulated(seed=3, number=240, noise=0.015)
    if "law" in options:
        random = np.random.default_rng(4)
        exponent = np.ones(240)
        values = 2 * np.exp(-np.exp(log_rate)[:, None] * DOSE) + 1
        values = values + 0.03 * random.standard_normal(values.shape)
    if "offset" in options:
        values = values - offset[:, None] + 1
    config = ExactConfig(**options)
    problem = DoseProblem(DOSE, values[:, None], ("w",))
    curves = SharedCurves.of(problem, config)
    population = fit_population(curves, np.arange(240)[:, None] * 50)
    block = SharedBlock({(0, 0): population}, DOSE, ("w",), config)
    known = None if "offset" not in options else np.ones((240, 1))
    rows = block.fit(values[:, None], None, known, np.zeros((240, 1, 1)))[..., 0]
    names = shared_fields(config.parameters.law)
    row = {name: rows[:, place] for place, name in enumerate(names)}
    truth = half_dose(np.exp(log_rate), exponent)
    inside = (row["half_integrity_dose lower"] < truth) & (truth < row["half_integrity_dose upper"])
    assert 0.9 <= inside.mean() <= 1
    assert np.all((row["shrinkage"] >= 0) & (row["shrinkage"] <= 1))
    error = np.log(row["half_integrity_dose"] / truth)
    determined = row["identifiable"] == 1
    assert np.mean(np.abs(error[determined]) < 0.25) > 0.85


def test_a_tilted_box_is_cut_off():
    """No node outside of the box of the law has any weight."""
    values = simulated(number=9)[0]
    curves = SharedCurves.of(DoseProblem(DOSE, values[:, None], ("w",)), ExactConfig())
    shared = shared_of()
    shared = Shared(
        torch.tensor([0.2, 0.15], dtype=torch.float64),
        shared.factor,
        shared.readout,
        shared.slope,
        shared.readout_cov,
        shared.sigma,
    )
    prior = PixelPrior.common(shared)
    nodes = PixelNodes.around(curves, find_modes(curves, shared, prior))
    weight = torch.softmax(nodes.log_weight(shared, prior), 0)
    assert bool(torch.isfinite(weight).all())
    assert float((weight * nodes.free[1]).sum(0).min()) >= 0.1


def test_too_few_pixels_are_refused():
    values = simulated(number=5)[0]
    curves = SharedCurves.of(DoseProblem(DOSE, values[:, None], ("w",)), ExactConfig())
    with pytest.raises(ValueError, match=r"5 pixels .* at least 8"):
        fit_population(curves, np.arange(5)[:, None])


def test_every_number_has_its_place_in_the_vector():
    values = simulated(number=9)[0]
    for options in ({}, {"offset": 1.0}, {"law": "first order"}, {"law": "power law with plateau"}):
        curves = SharedCurves.of(DoseProblem(DOSE, values[:, None], ("w",)), ExactConfig(**options))
        for noise in ("free", "given", "floor"):
            layout = Layout.of(curves, noise)
            vector = layout.start(1.0, 0.5, 0.02, 0.3)
            assert vector.numel() == layout.n
            shared = layout.shared(vector)
            assert shared.factor.shape == (layout.d, layout.d)
            assert np.isfinite(float(layout.log_prior(vector)))
            hessian = torch.autograd.functional.hessian(layout.log_prior, vector + 0.1)
            assert torch.equal(layout.prior_curvature(vector + 0.1), hessian)


def test_a_population_on_the_ridge_stands_beside_one_that_shares_nothing():
    """Little damage and much noise: the normal shape that is assumed is not all that speaks."""
    random = np.random.default_rng(0)
    rate, amplitude = np.exp(-1.2 + 0.3 * random.standard_normal(60)), random.uniform(1, 2, 60)
    values = amplitude[:, None] * power_law_integrity(DOSE, rate[:, None], np.array(1.1))
    values = values + 0.4 + 0.06 * random.standard_normal(values.shape)
    curves = SharedCurves.of(DoseProblem(DOSE, values[:, None], ("w",)), ExactConfig())
    population = fit_population(curves, np.arange(60)[:, None] * 50)
    spreads = np.array([float(each.factor[0, 0]) for each in population.designs])
    width = population.layout.width[0]
    np.testing.assert_allclose(spreads[-1], width)
    assert population.share_of_nothing == population.weights[-1] == pytest.approx(0.5)
    assert spreads[:-1].max() < width


@pytest.mark.parametrize("life", [0.08, 0.15, 0.3])
@pytest.mark.parametrize("noise", [0.015, 0.0015])
def test_pixels_that_are_all_alike_on_uneven_doses(life, noise):
    """The search for the population once stayed where it began, and D½ was off by a factor of 2."""
    dose = np.array([20.0, 60, 110, 300, 700, 900, 1600, 2500, 4000]) / 4000
    random = np.random.default_rng(3)
    values = 2 * np.exp(-dose / life) + 0.1 + 2 * noise * random.standard_normal((20, 9))
    curves = SharedCurves.of(DoseProblem(dose, values[:, None], ("w",)), ExactConfig())
    population = fit_population(curves, np.argwhere(np.ones((4, 5))))
    mean = population.shared.mean
    found = float(half_dose(mean[0].exp(), mean[1])) / (life * np.log(2))
    assert abs(np.log(found)) < 6 * noise
    assert float(population.shared.sigma) * curves.scale.unit == pytest.approx(2 * noise, rel=0.3)


def test_the_search_ends_at_one_place_wherever_it_begins():
    """Pixels that are all alike and have lost little: only a curved ridge is known of them."""
    dose, random = np.linspace(0.1, 1, 9), np.random.default_rng(0)
    amplitude = np.exp(0.15 * random.standard_normal((36, 1)))
    values = amplitude * (np.exp(-dose) + 0.5) + 0.02 * random.standard_normal((36, 9))
    curves = SharedCurves.of(DoseProblem(dose, values[:, None], ("w",)), ExactConfig())
    population = fit_population(curves, np.argwhere(np.ones((6, 6))))
    layout, found = population.layout, torch.as_tensor(population.vector)
    heights = []
    for rate, exponent in ((found[0], found[1]), (0.0, 1.0), (1.0, 2.0)):
        start = found.clone()
        start[0], start[1] = rate, exponent
        top = settled(curves, layout, start, 1.0, 30)
        nodes = nodes_of(curves, layout.shared(top), None)[0]
        heights.append(float(log_posterior(nodes, layout, top, 1.0)))
    assert np.ptp(heights) < 0.2
    # What is left open follows the ridge, and holds the truth.
    half = [mean_log_half(curves, layout, torch.as_tensor(row)) for row in population.design]
    assert min(half) < np.log(np.log(2)) < max(half)


def test_the_spine_of_a_ridge_has_the_quantiles_of_its_density():
    at = np.linspace(-2.0, 3.0, 9)
    vector = np.stack([at, at**2], 1)
    spine = Spine(at, vector, -0.5 * (at / 0.5) ** 2)
    assert spine.deviation == pytest.approx(0.5, rel=0.05)
    np.testing.assert_allclose(spine.quantiles(np.array([0.1, 0.5])), [-0.64, 0.0], atol=0.05)
    np.testing.assert_allclose(spine.vectors(np.array([0.625])), [[0.625, 0.39]], atol=0.05)
    # Beyond its ends a spine goes straight on.
    np.testing.assert_allclose(spine.vectors(np.array([4.0]))[0, 0], 4.0)


def test_vectors_go_over_from_the_straight_axis_to_the_walked_one():
    at = np.linspace(-2.0, 2.0, 17)
    spine = Spine(at, np.stack([at, at**2], 1), -0.5 * (at / 0.5) ** 2)
    straight = Unknown(np.zeros(2), 0.5 * np.eye(2), np.ones((2, 2)), 1e6)
    probability = np.array([[0.9, 0.5], [0.2, 0.5]])
    ends = [straight.vectors(probability)]
    for bent in (0.0, 0.5, 1.0):
        found = replace(straight, spine=spine, bent=bent).vectors(probability)
        ends.append(found)
    np.testing.assert_array_equal(ends[1], ends[0])
    np.testing.assert_allclose(ends[2], 0.5 * (ends[1] + ends[3]))
    np.testing.assert_allclose(ends[3], np.stack([ends[0][:, 0], ends[0][:, 0] ** 2], 1), atol=0.02)
    # Random vectors are those that the design stands for.
    walked = replace(straight, spine=spine, bent=1.0, more=0.5)
    some = walked.vectors(np.random.default_rng(0).uniform(size=(4000, 2)))
    assert some[:, 0].std() == pytest.approx(0.5**0.5, rel=0.05)
    assert walked.design(100)[:, 0].std() == pytest.approx(0.5**0.5, rel=0.05)


def test_a_long_tail_does_not_carry_the_middle_away():
    value = torch.tensor([[0.0, 1.0, 2.0, 3.0, 90.0]], dtype=torch.float64).T
    weight = torch.tensor([[0.2, 0.2, 0.2, 0.2, 0.2]], dtype=torch.float64).T
    assert float(middle(value, weight)) == pytest.approx(2.0)
    # Weight goes over from one value to the next without a step.
    weight[2:4, 0] += torch.tensor([-1e-3, 1e-3], dtype=torch.float64)
    assert float(middle(value, weight)) == pytest.approx(2.002, abs=1e-6)
