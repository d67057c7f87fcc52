# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plural scattering out of a measured low loss, against sums that are written out here."""

import numpy as np
import pytest

from hyperspy_dosekin.classification.plural import Scattering, scattering_of


def low_loss(t_over_lambda, step=0.25, counts=1e6, centre=0.0):
    """Zero-loss peak and all orders of a plasmon, by Poisson's law; noise of counts."""
    energy = np.arange(-25, 120, step) + centre
    peak = np.exp(-0.5 * ((energy - centre) / 0.35) ** 2)
    peak /= peak.sum()
    once = np.exp(-0.5 * ((energy - centre - 20) / 2.5) ** 2)
    once /= once.sum()
    total, order, factor = peak.copy(), peak, 1.0
    first = round((energy[0] - centre) / step)
    for n in (1, 2, 3, 4):
        order = np.convolve(order, once)[-first : -first + energy.size]
        factor *= t_over_lambda / n
        total = total + factor * order
    expected = counts * np.exp(-t_over_lambda) * total
    return energy, np.random.default_rng(0).poisson(expected).astype(float)


@pytest.mark.parametrize("t_over_lambda", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("centre", [0.0, 1.5])
def test_strength_is_that_of_poissons_law(t_over_lambda, centre):
    """Of all electrons exp(−t/λ) have no loss; the rest has one, and orders 1 to 4 hold it."""
    found = scattering_of(*low_loss(t_over_lambda, centre=centre))
    assert found.strength == pytest.approx(np.expm1(t_over_lambda), rel=0.02)
    assert found.loss_ev[found.density.argmax()] == pytest.approx(20, abs=1.5)
    assert found.loss_ev[0] == 0


def test_a_spectrum_is_convolved_on_any_steps():
    loss = 0.5 * np.arange(100)
    density = np.exp(-0.5 * ((loss - 15) / 3) ** 2)
    scattering = Scattering(loss, density)
    fine = 500 + 0.5 * np.arange(160)
    edge = 2 + 1.5 / (1 + np.exp(-(fine - 520)))
    expected = np.convolve(edge - edge[0], density)[:160] * 0.5
    assert scattering.again(fine, edge) == pytest.approx(expected, abs=1e-9)
    uneven = np.sort(np.random.default_rng(1).uniform(500, 579, 120))
    uneven[[0, -1]] = 500, 579
    found = scattering.again(uneven, np.interp(uneven, fine, edge))
    assert found == pytest.approx(np.interp(uneven, fine, expected), abs=0.01 * expected.max())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e, x: (e[e > 3], x[e > 3]), "no zero-loss peak"),
        (lambda e, x: (e[e < 10], x[e < 10]), "20 eV above"),
        (lambda e, x: (e, np.where(e > 50, np.nan, x)), "NaN"),
        (lambda e, x: (e, 0 * x), "no zero-loss peak"),
    ],
)
def test_what_is_no_low_loss_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        scattering_of(*change(*low_loss(0.5)))
