# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fields in which neighbours are alike, against dense matrices and truths of other kinds."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.field.block import SharedBlock, shared_fields
from hyperspy_dosekin.kinetics.field.curves import SharedCurves
from hyperspy_dosekin.kinetics.field.fields import (
    find_fields,
    neighbours_say,
)
from hyperspy_dosekin.kinetics.field.lengths import Lengths, field_priors, find_lengths
from hyperspy_dosekin.kinetics.field.newton import blocks_of, precision_of
from hyperspy_dosekin.kinetics.field.population import fit_population
from hyperspy_dosekin.kinetics.field.readout import Sums, readout_after
from hyperspy_dosekin.kinetics.field.repeats import alike, of_patches
from hyperspy_dosekin.kinetics.field.sites import likelihood_of
from hyperspy_dosekin.kinetics.field.smooth import Bonds, factorised, lattice, log_determinant
from hyperspy_dosekin.kinetics.laws.power_law import half_dose, power_law_integrity
from hyperspy_dosekin.kinetics.model.config import ExactConfig

DOSE = np.arange(1, 10) / 9
SHAPE = (10, 13)


def places_of(shape):
    return np.stack(np.unravel_index(np.arange(np.prod(shape)), shape), -1)


def simulated(shape=SHAPE, noise=0.015, jump=0.9, seed=2):
    """A step of ln k across the last axis and waves on it; amplitudes are rough."""
    random = np.random.default_rng(seed)
    grids = np.meshgrid(*(np.arange(n) / 13 for n in shape), indexing="ij")
    wave = sum(np.sin(3 * g + i) for i, g in enumerate(grids)) / len(grids)
    step = np.arange(shape[-1]) < shape[-1] // 2
    log_rate = 0.4 + 0.25 * wave + jump * (step - 0.5)
    exponent = 1.1 + 0.15 * np.cos(2 * grids[-1])
    amplitude = random.uniform(1.0, 2.0, shape)
    offset = random.uniform(0.3, 0.9, shape)
    curve = power_law_integrity(DOSE, np.exp(log_rate)[..., None], exponent[..., None])
    values = amplitude[..., None] * curve + offset[..., None]
    values = values + noise * 1.5 * random.standard_normal(values.shape)
    return values[..., None, :], log_rate, exponent


def curves_of(values):
    return SharedCurves.of(DoseProblem(DOSE, values.reshape(-1, 1, 9), ("w",)), ExactConfig())


@pytest.fixture(scope="module")
def truth():
    return simulated()


@pytest.fixture(scope="module")
def fitted(truth):
    """Population, curves and lengths of the simulation."""
    curves = curves_of(truth[0])
    population = fit_population(curves, places_of(SHAPE))
    bonds = Bonds.of(places_of(SHAPE))
    lengths, mode = find_lengths(curves, population.shared, bonds, places_of(SHAPE), 8.0)
    return curves, population, bonds, lengths, mode


@pytest.mark.parametrize("shape", [(60,), (25, 27), (13, 12, 11)])
def test_fields_have_unit_variance_inside(shape):
    length = 5.0 if len(shape) < 3 else 3.0
    bonds = Bonds.of(places_of(shape))
    root = bonds.root(length, np.ones(bonds.n_bond))
    factor = factorised(root @ root)
    middle = np.ravel_multi_index(tuple(n // 2 for n in shape), shape)
    unit = np.zeros(bonds.number)
    unit[middle] = 1.0
    covariance = factor.solve(unit)
    assert covariance[middle] == pytest.approx(1.0, rel=0.05)
    neighbour = covariance[middle + 1]
    assert 2 * (1 - neighbour) == pytest.approx(lattice(len(shape), length)[2], rel=0.05)
    far = np.ravel_multi_index((*(n // 2 for n in shape[:-1]), shape[-1] // 2 + int(length)), shape)
    assert 0.02 < covariance[far] < 0.25
    dense = np.linalg.slogdet((root @ root).toarray())[1]
    assert log_determinant(factor) == pytest.approx(dense, rel=1e-9)


def test_pixels_that_are_not_there_have_no_bonds():
    bonds = Bonds.of(np.array([[0, 0], [0, 1], [1, 1], [5, 5]]))
    assert bonds.n_bond == 2
    assert np.abs(bonds.differences.toarray()).sum() == 4


def test_bonds_give_way_where_a_field_jumps():
    bonds = Bonds.of(places_of(SHAPE))
    field = np.zeros((*SHAPE, 1))
    field[:, 6:] = 3.0
    weight = bonds.weights(field.reshape(-1, 1), (8.0,))
    across = np.abs(bonds.differences @ field.reshape(-1)) > 1
    assert weight[across].max() < 0.25
    assert weight[~across].min() == 1.0


def test_what_neighbours_say_is_the_marginal_without_a_pixel(fitted):
    curves, population, bonds, lengths, mode = fitted
    shared = population.shared
    mode = find_fields(curves, shared, bonds, lengths.best, mode)
    found = neighbours_say(curves, shared, bonds, mode)
    sites = likelihood_of(curves, shared, mode.field)
    prior = precision_of(bonds.roots(mode.lengths, mode.weight)).toarray()
    n, d = mode.field.shape
    whole = prior.copy()
    for i in range(n):
        whole[i * d : i * d + d, i * d : i * d + d] += sites.curvature[i]
    wrong = []
    factor = shared.factor.numpy()
    for i in range(0, n, 7):
        block = slice(i * d, i * d + d)
        without = whole.copy()
        without[block, block] -= sites.curvature[i]
        expected = factor @ np.linalg.inv(without)[block, block] @ factor.T
        each = (found.factor[i] @ found.factor[i].T).numpy()
        wrong.append(np.linalg.eigvals(np.linalg.solve(expected, each)).real)
    ratio = np.array(wrong)
    assert np.median(ratio) == pytest.approx(1.0, rel=0.2)
    assert ratio.min() > 0.4
    assert ratio.max() < 2.5


def test_repeats_are_counted_where_amplitudes_are_alike(fitted):
    """A patch of as many pixels as the correlation of smoothed noise has in all."""
    random = np.random.default_rng(0)
    places = places_of((40, 40))
    rough = random.standard_normal((2, 40, 40))
    assert alike(rough.reshape(2, -1), places) < 1.3
    for width in (1.0, 1.5):
        even = gaussian_filter(rough, (0, width, width), mode="wrap")
        even /= even.std(axis=(1, 2), keepdims=True)
        expected = 4 * np.pi * width**2
        assert alike(even.reshape(2, -1), places) == pytest.approx(expected, rel=0.25)
    line = random.standard_normal((1, 500)).repeat(4, axis=1)
    assert alike(line, places_of((2000,))) == pytest.approx(4.0, rel=0.2)
    # Amplitudes of the simulation are rough.
    assert fitted[3].repeats < 2


def test_a_patch_says_once_what_its_amplitude_says(fitted):
    """Its likelihood is that of the mean of its curves, of which the amplitude is one draw."""
    curves, population, *_ = fitted
    n, d = 4, curves.n_parameter
    same = curves.select(np.zeros(n, int))
    shared = population.shared
    field = np.tile([0.3, -0.2], (n, 1))[:, :d]
    patch = likelihood_of(same, shared, field, n)
    once = likelihood_of(same, replace(shared, sigma=shared.sigma / 2), field)
    np.testing.assert_allclose(patch.curvature.sum(0), once.curvature[0], rtol=1e-9)
    np.testing.assert_allclose(patch.gradient.sum(0), once.gradient[0], rtol=1e-9)


def test_an_averaged_likelihood_has_its_own_gradient(fitted):
    curves, population, *_ = fitted
    few, shared = curves.select(np.arange(5)), population.shared
    field, spread = np.full((5, 2), 0.2), np.tile([[0.3, 0.1], [0.1, 0.2]], (5, 1, 1))
    near = likelihood_of(few, shared, field, 2.0)
    close = likelihood_of(few, shared, field, 2.0, 1e-6 * spread)
    for name in ("value", "gradient", "curvature"):
        np.testing.assert_allclose(getattr(close, name), getattr(near, name), rtol=1e-3)
    found = likelihood_of(few, shared, field, 2.0, spread)
    for k, step in enumerate(1e-4 * np.eye(2)):
        ends = [likelihood_of(few, shared, field + s, 2.0, spread).value for s in (step, -step)]
        np.testing.assert_allclose((ends[0] - ends[1]) / 2e-4, found.gradient[:, k], rtol=1e-4)


def test_mean_fields_are_those_of_the_posterior(fitted):
    """Importance sampling over a line of pixels; their mode is far from their mean."""
    curves, population, *_ = fitted
    n, d, repeats = 12, 2, 6.0
    few, shared, bonds = curves.select(np.arange(n)), population.shared, Bonds.of(places_of((n,)))
    mode = find_fields(few, shared, bonds, (8.0, 8.0), repeats=repeats)
    found = find_fields(few, shared, bonds, (8.0, 8.0), repeats=repeats, mean=True)
    precision = precision_of(bonds.roots(found.lengths, found.weight)).toarray()
    sites = likelihood_of(few, shared, found.field, repeats, found.spread)
    whole = precision + blocks_of(sites.curvature).toarray()
    score = np.random.default_rng(0).standard_normal((20000, n * d))
    away = np.linalg.solve(np.linalg.cholesky(whole).T, score.T).T
    field = (found.field.ravel() + away).reshape(-1, n, d)
    free = shared.mean[:, None, None] + torch.einsum(
        "ij,snj->isn", shared.factor, torch.as_tensor(field)
    )
    patch = of_patches(shared, repeats)
    sums = Sums.of(few, few.integrity(free))
    weight = readout_after(few, sums, free, patch).log_likelihood.sum(-1).numpy() / repeats
    flat = field.reshape(-1, n * d)
    weight += -0.5 * ((flat @ precision) * flat).sum(1) + 0.5 * (score**2).sum(1)
    weight = np.exp(weight - weight.max())
    exact = np.tensordot(weight / weight.sum(), field, 1)
    assert weight.sum() ** 2 / (weight**2).sum() > 1000
    assert np.abs(found.field - exact).max() < 0.4 * np.abs(mode.field - exact).max()


def test_pixels_that_share_nothing_do_not_hear_their_neighbours(fitted):
    curves, population, bonds, lengths, mode = fitted
    vector = torch.as_tensor(population.vector)
    design = np.stack([population.layout.nothing_shared(vector).numpy(), population.vector])
    alone, heard = field_priors(curves, replace(population, design=design), bonds, lengths, mode)
    nothing = population.layout.shared(torch.as_tensor(design[0]))
    np.testing.assert_array_equal(alone.mean, nothing.mean[:, None].repeat(1, curves.number))
    np.testing.assert_array_equal(alone.factor, nothing.factor.repeat(curves.number, 1, 1))
    assert heard.mean.std() > 0.1


def test_lengths_are_drawn_by_their_chances():
    lengths = Lengths(np.array([2.0, 4.0, 8.0]), np.array([[0.0, 1.0, 0.0], [0.5, 0.25, 0.25]]))
    drawn = np.array(lengths.drawn(12))
    assert set(drawn[:, 0]) == {4.0}
    assert [(drawn[:, 1] == x).sum() for x in (2.0, 4.0, 8.0)] == [6, 3, 3]
    assert lengths.best == (4.0, 2.0)


def rows_of(block, values, labels, lengths):
    known = block.neighbours(values, None, None, labels, lengths=lengths)
    found = block.fit(values, None, None, known)
    names = shared_fields(block.config.parameters.law)
    return {name: found[..., place, 0] for place, name in enumerate(names)}


def test_a_field_is_nearer_the_truth_and_keeps_an_interface(truth, fitted):
    values, log_rate, exponent = truth
    _, population, _, lengths, _ = fitted
    block = SharedBlock({(0, 0): population}, DOSE, ("w",), ExactConfig())
    rows = rows_of(block, values, np.zeros(SHAPE, int), {(0, 0): lengths})
    bare = np.zeros((*SHAPE, 1, 1))
    alone = block.fit(values, None, None, bare)
    half = half_dose(np.exp(log_rate), exponent)
    place = shared_fields(ExactConfig().parameters.law).index("half_integrity_dose")
    error = np.log(rows["half_integrity_dose"] / half)
    before = np.log(alone[..., place, 0] / half)
    assert np.sqrt(np.mean(error**2)) < 0.8 * np.sqrt(np.mean(before**2))
    inside = (rows["half_integrity_dose lower"] < half) & (half < rows["half_integrity_dose upper"])
    assert inside.mean() > 0.85
    # The step of 0.9 is there within two pixels.
    found = np.log(rows["rate"]).mean(axis=0)
    true = log_rate.mean(axis=0)
    assert found[5] - found[6] > 0.6 * (true[5] - true[6])
    assert found[4] - found[7] > 0.85 * (true[4] - true[7])


def test_groups_are_a_hard_border(truth, fitted):
    """A pixel of one group knows nothing of another."""
    values = truth[0]
    _, population, _, lengths, _ = fitted
    labels = np.zeros(SHAPE, int)
    labels[:, 6:] = 1
    populations = {(0, 0): population, (0, 1): population}
    block = SharedBlock(populations, DOSE, ("w",), ExactConfig())
    both = {(0, 0): lengths, (0, 1): lengths}
    first = block.neighbours(values, None, None, labels, lengths=both)
    changed = values.copy()
    changed[:, 6:] = changed[:, :7][:, ::-1]
    second = block.neighbours(changed, None, None, labels, lengths=both)
    np.testing.assert_array_equal(first[:, :6], second[:, :6])
    assert not np.allclose(first[:, 6:], second[:, 6:])


@pytest.mark.parametrize("shape", [(90,), (5, 6, 4)])
def test_lines_and_volumes_have_fields_too(shape):
    values, log_rate, exponent = simulated(shape, noise=0.01, jump=0.0)
    values[(2,) * len(shape)] = np.nan
    curves = curves_of(values)
    population = fit_population(curves, places_of(shape)[curves.alive], n_design=4)
    bonds = Bonds.of(places_of(shape)[curves.alive])
    lengths, _ = find_lengths(
        curves, population.shared, bonds, places_of(shape)[curves.alive], 0.6 * max(shape)
    )
    block = SharedBlock({(0, 0): population}, DOSE, ("w",), ExactConfig())
    rows = rows_of(block, values, np.zeros(shape, int), {(0, 0): lengths})
    assert rows["dead"].sum() == 1
    half = half_dose(np.exp(log_rate), exponent)
    inside = (rows["half_integrity_dose lower"] < half) & (half < rows["half_integrity_dose upper"])
    assert inside[rows["dead"] == 0].mean() > 0.85


def test_first_order_has_one_field():
    random = np.random.default_rng(0)
    log_rate = np.linspace(0.0, 1.0, 60)
    values = 2 * np.exp(-np.exp(log_rate)[:, None] * DOSE) + random.uniform(0, 1, 60)[:, None]
    values = values + 0.03 * random.standard_normal(values.shape)
    config = ExactConfig(law="first order")
    curves = SharedCurves.of(DoseProblem(DOSE, values[:, None], ("w",)), config)
    population = fit_population(curves, np.arange(60)[:, None])
    bonds = Bonds.of(np.arange(60)[:, None])
    mode = find_fields(curves, population.shared, bonds, (20.0,))
    rate = population.shared.mean + population.shared.factor[0, 0] * torch.as_tensor(mode.field)
    assert np.sqrt(np.mean((rate[:, 0].numpy() - log_rate) ** 2)) < 0.1
