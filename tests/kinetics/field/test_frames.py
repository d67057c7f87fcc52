# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames that are wrong, and noise that grows with the intensity, against draws by NumPy."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.field.curves import SharedCurves
from hyperspy_dosekin.kinetics.field.frames import only_a_jump
from hyperspy_dosekin.kinetics.field.population import fit_population
from hyperspy_dosekin.kinetics.field.readout import (
    Shared,
    Sums,
    likelihood_by_curve,
    readout_after,
)
from hyperspy_dosekin.kinetics.model.config import ExactConfig

DOSE = np.arange(1, 10) / 9
PLACES = np.argwhere(np.ones((12, 13), dtype=bool))


def drawn(seed=0):
    """Intensities of pixels without noise, ``(n, 9)``, and what draws the noise."""
    random = np.random.default_rng(seed)
    n = len(PLACES)
    log_rate = 0.3 + 0.3 * random.standard_normal((n, 1))
    exponent = 1.3 + 0.2 * random.standard_normal((n, 1))
    curve = (1 + (exponent - 1) * np.exp(log_rate) * DOSE).clip(min=0) ** (-1 / (exponent - 1))
    amplitude, offset = 1 + 0.2 * random.standard_normal((2, n, 1))
    return amplitude * curve + 0.5 * offset, random


def curves_of(values):
    return SharedCurves.of(DoseProblem(DOSE, values[:, None], ("w",)), ExactConfig())


@pytest.fixture(scope="module")
def plain():
    """Pixels of equal noise, and their population."""
    values, random = drawn()
    curves = curves_of(values + 0.01 * random.standard_normal(values.shape))
    return curves, fit_population(curves, PLACES)


def test_equal_noise_is_left_alone(plain):
    _, population = plain
    assert population.gain == 0.0
    assert population.scale.frame_noise == ()


def test_a_gain_of_whole_frames_is_found():
    values, random = drawn(1)
    gain = 1 + 0.03 * random.standard_normal(9)
    population = fit_population(
        curves_of(values * gain + 0.01 * random.standard_normal(values.shape)), PLACES
    )
    assert 0.015 < population.gain < 0.09


def test_noise_that_grows_with_the_intensity_is_found():
    values, random = drawn(2)
    noise = np.hypot(0.005, 0.03 * values)
    population = fit_population(
        curves_of(values + noise * random.standard_normal(values.shape)), PLACES
    )
    assert population.gain == 0.0
    found, true = np.array(population.scale.frame_noise), (noise**2).mean(0)
    assert found[0] / found[-1] == pytest.approx(true[0] / true[-1], rel=0.3)


@pytest.mark.parametrize("noise", [0.005, 0.05])
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_jump_of_all_pixels_is_no_decay(noise, sign):
    values, random = drawn(3)
    noise = noise * random.standard_normal(values.shape)
    step = sign * random.uniform(0.3, 1.5, (len(PLACES), 1)) * (np.arange(9) < 4)
    jump = only_a_jump(curves_of(step + noise), noise.std() / np.median(np.ptp(step + noise, 1)))
    np.testing.assert_allclose(jump, (DOSE[3], DOSE[4]))
    # Where nothing changes it may be anywhere, and a decay is more than a jump.
    assert only_a_jump(curves_of(noise), noise.std() / np.median(np.ptp(noise, 1))) == (1 / 9, 1)
    for each in (values, sign * values * random.choice([-1, 1], (len(PLACES), 1))):
        curves = curves_of(each + noise)
        assert only_a_jump(curves, noise.std() / curves.scale.unit) is None


@pytest.mark.parametrize("bounded", [False, True])
def test_derivatives_of_the_likelihood_are_those_of_torch(plain, bounded):
    curves, population = plain
    curves = replace(curves.select(np.arange(20)), nonnegative=bounded)
    shared: Shared = population.shared
    free = shared.mean[:, None] + shared.factor @ torch.linspace(-1, 1, 40).reshape(2, 20).double()
    integrity = curves.integrity(free)
    after = readout_after(curves, Sums.of(curves, integrity), free, shared)
    value, by_curve, by_mean = likelihood_by_curve(curves, after, integrity, free, shared)
    leaves = [each.clone().requires_grad_() for each in (integrity, free, shared.readout)]
    again = readout_after(
        curves, Sums.of(curves, leaves[0]), leaves[1], replace(shared, readout=leaves[2])
    ).log_likelihood
    expected = torch.autograd.grad(again.sum(), leaves)
    torch.testing.assert_close(value, again.detach())
    torch.testing.assert_close(by_curve, expected[0])
    torch.testing.assert_close(
        torch.einsum("in,ik->kn", torch.stack(by_mean), shared.slope), expected[1]
    )
    torch.testing.assert_close(torch.stack(by_mean).sum(1), expected[2])
