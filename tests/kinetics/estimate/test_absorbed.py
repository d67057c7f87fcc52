# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plateau beside a free offset: every height fits alike, and the estimate is always the same."""

import numpy as np
import pytest

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.fit import fit_exact
from hyperspy_dosekin.kinetics.model.config import ExactConfig

DOSE = np.arange(1.0, 13.0)
PLATEAU = 0.3


def a_map(n, seed):
    """Decays by first order that end at a part of their amplitude, without offset."""
    random = np.random.default_rng(seed)
    rate = np.exp(random.normal(1.0, 0.3, (n, 1)))
    decay = PLATEAU + (1 - PLATEAU) * np.exp(-rate * DOSE / 12)
    return (decay + random.normal(scale=0.01, size=decay.shape))[:, None]


def fit(values, **options):
    problem = DoseProblem(DOSE, values, ("C–O",))
    return fit_exact(problem, ExactConfig(law="power law with plateau", **options))


def test_the_height_that_an_offset_absorbs_does_not_hang_on_rounding():
    values = a_map(100, 5)
    plain, rounded = fit(values), fit(values.astype(np.float32).astype(float))
    assert len(np.unique(plain.parameters["plateau"])) == 1
    np.testing.assert_allclose(rounded.dose_at(0.5), plain.dose_at(0.5), rtol=1e-4)
    moved = fit(3.0 * values + 5.0)
    np.testing.assert_allclose(moved.dose_at(0.5), plain.dose_at(0.5), rtol=1e-4)


def test_where_no_offset_is_free_it_is_estimated():
    """At the bound b = 0, too: the readout there has the height of the plateau."""
    values = a_map(100, 6)
    known = fit(values, offset=0.0).parameters["plateau"]
    assert abs(np.median(known) - PLATEAU) < 0.02
    bounded = fit(values - 0.25, nonnegative=True)
    held = np.isclose(bounded.offset, 0.0)
    height = (bounded.offset + bounded.amplitude * bounded.parameters["plateau"])[held]
    assert held.sum() > 20
    assert abs(np.median(height) - (PLATEAU - 0.25)) < 0.03


@pytest.mark.parametrize(
    "options", [{}, {"prior": None}, {"exponent": "shared"}, {"hierarchy": (("C–O", "C–C"),)}]
)
def test_what_is_searched_for_is_the_power_law(options):
    values = a_map(60, 7).reshape(30, 2, -1)
    problem = DoseProblem(DOSE, values, ("C–O", "C–C"))
    laws = ("power law", "power law with plateau")
    plain, other = (fit_exact(problem, ExactConfig(law=law, **options)) for law in laws)
    for name in ("rate", "exponent", "objective", "converged", "noise_sigma", "residual_sigma"):
        np.testing.assert_allclose(getattr(other, name), getattr(plain, name), rtol=1e-12)
    np.testing.assert_array_equal(other.parameters["plateau"], 0.1)
    np.testing.assert_allclose(other.amplitude * 0.9, plain.amplitude, rtol=1e-12)
    np.testing.assert_allclose(other.fitted(DOSE / 12), plain.fitted(DOSE / 12), rtol=1e-10)


def test_a_height_that_is_held_stays():
    found = fit(a_map(10, 8), held=(("plateau", 0.25),))
    np.testing.assert_array_equal(found.parameters["plateau"], 0.25)
    np.testing.assert_array_equal(found.rate, fit(a_map(10, 8)).rate)
