# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pixels say of their noise: all of it, and nothing of a law that is wrong."""

import numpy as np
import pytest

from hyperspy_dosekin.kinetics.adequacy.scatter import mixing, pixel_scatter

PHI = np.arange(1, 10) / 9


def powers(phi, k, p):
    return (1 + (p - 1) * k * phi) ** (-1 / (p - 1))


def late(phi, k, p):
    return powers(np.maximum(phi - 0.2, 0), k, p)


def coming_back(phi, k, p):
    back = np.clip((phi - 0.6) / 0.4, 0, 1)
    return powers(phi, k, p) + 0.4 * back * (1 - powers(np.minimum(phi, 0.6), k, p))


def two(phi, k, p):
    return 0.6 * np.exp(-4 * k * phi) + 0.4 * np.exp(-0.2 * k * phi)


def pixels(law, *, n=360, windows=3, gain=0.0, noise=0.01, spread=0.15, seed=5):
    """Windows 4 + a·C of pixels that differ in a and k, with noise and a gain of each frame."""
    random = np.random.default_rng(seed)
    k = np.linspace(1.5, 2.5, windows)[:, None] * np.exp(spread * random.standard_normal((n, 1, 1)))
    a = np.exp(0.3 * random.standard_normal((n, 1, 1)))
    clean = a * (4 + law(PHI, k, 1.4))
    values = clean * (1 + gain * random.standard_normal((n, 1, 9)))
    values += noise * random.standard_normal(values.shape)
    return values, np.full(values.shape, noise**2)


@pytest.mark.parametrize("law", [powers, late, coming_back, two])
def test_no_law_is_noise(law):
    found = pixel_scatter(*pixels(law))
    np.testing.assert_allclose(found, np.eye(3, 4, 1) + np.eye(1, 4), atol=1e-12)


@pytest.mark.parametrize("law", [powers, late])
def test_a_gain_of_every_frame_is(law):
    """Variance and correlation are those of a gain of 0.5 % of 4 to 5 beside noise of 1 %."""
    found = pixel_scatter(*pixels(law, gain=0.005, n=2000))
    share = (0.005 * 4.4 / 0.01) ** 2
    np.testing.assert_allclose(found[:, 0], 1 + share, rtol=0.1)
    np.testing.assert_allclose(found[:, 1:][~np.eye(3, dtype=bool)], share / (1 + share), atol=0.05)


def test_what_is_missing_and_too_few_pixels():
    values, variance = pixels(powers, gain=0.005)
    expected = pixel_scatter(values, variance)
    holes = values.copy()
    holes[::7, 1] = np.nan
    holes[:, :, 3] = np.nan
    np.testing.assert_allclose(pixel_scatter(holes, variance)[:, 0], expected[:, 0], rtol=0.2)
    dead = values.copy()
    dead[:, 1] = np.nan
    found = pixel_scatter(dead, variance)
    assert found[1, 0] == 1
    assert found[0, 2] == 0
    assert found[0, 3] > 0.7
    assert (pixel_scatter(values[:80], variance[:80])[:, 0] == 1).all()
    assert (pixel_scatter(values[..., :5], variance[..., :5])[:, 0] == 1).all()
    without = pixel_scatter(values, None)
    assert (without[:, 0] == 1).all()
    np.testing.assert_allclose(without[0, 2], expected[0, 2], atol=0.1)


def test_draws_are_correlated_as_asked():
    correlation = np.array([[1.0, 0.8, 0.0], [0.8, 1.0, -0.3], [0.0, -0.3, 1.0]])
    root = mixing(correlation)
    np.testing.assert_allclose(root @ root.T, correlation, atol=1e-12)
    # Estimates of correlations need not fit together.
    np.testing.assert_allclose((mixing(1.5 * np.eye(3) - 0.5) ** 2).sum(axis=1), 1.0)
