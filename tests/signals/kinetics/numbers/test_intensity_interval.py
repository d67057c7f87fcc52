# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The interval of the fitted intensity, for every law."""

from dataclasses import replace

import numpy as np
import pytest

from hyperspy_dosekin.kinetics.posterior.posterior import KineticPosterior
from hyperspy_dosekin.signals.axes.wrapping import make_dose_series
from hyperspy_dosekin.signals.kinetics.numbers.kinetics_numbers import KineticsNumbers
from hyperspy_dosekin.signals.kinetics.result.result import DoseKinetics

DOSE = 150.0 * np.arange(1, 11)
GRID = np.linspace(0.0, DOSE[-1], 7)
N_WINDOW, NOISE = 24, 0.02
LAWS = ("power law", "first order", "power law with plateau")


def truth(dose):
    """An exponential that is not made by any code of ours, ``(n_window, n_dose)``."""
    rate = np.linspace(1.0, 3.0, N_WINDOW)[:, np.newaxis]
    return 0.4 + np.exp(-rate * dose / DOSE[-1])


@pytest.fixture(scope="module")
def series():
    noise = np.random.default_rng(5).normal(scale=NOISE, size=(N_WINDOW, DOSE.size))
    names = [str(place) for place in range(N_WINDOW)]
    return make_dose_series(
        truth(DOSE) + noise, DOSE, (), names, title="", quantity="", dose_unit="e⁻/Å²"
    )


@pytest.mark.parametrize("law", LAWS)
def test_covers_the_true_curve(series, law):
    result = series.fit_dose_pinn(estimator="exact", law=law)
    lower, upper = result.intensity_interval(GRID)
    assert lower.shape == upper.shape == (N_WINDOW, GRID.size)
    inside = (lower < truth(GRID)) & (truth(GRID) < upper)
    # 95 % are meant; 24 windows of 7 doses that go together are some 50 independent trials.
    assert inside[:, 1:].mean() > 0.86
    # No wider than the scatter of a frame allows, where there are frames.
    assert np.median((upper - lower)[:, 2:-1]) < 4 * NOISE


@pytest.fixture
def made(monkeypatch):
    """The posteriors of which nodes are made."""
    made, make = [], KineticPosterior._made
    monkeypatch.setattr(
        KineticPosterior, "_made", lambda self, part: made.append(self) or make(self, part)
    )
    return made


# Where there are many, results do not hold them before they are asked for something.
@pytest.mark.parametrize(("law", "times"), [*zip(LAWS, (1, 1, 2), strict=True)])
def test_nodes_of_a_fit_are_used_again_and_change_no_number(series, law, times, made):
    result = series.inav[:3].fit_dose_pinn(estimator="exact", law=law)
    asked = [("rate", 0.8), ("half_integrity_dose", 0.5), ("integrity", 0.95)]
    found = [result.interval(*each) for each in asked]
    band = result.intensity_interval(GRID)
    assert len(made) == times
    again = KineticsNumbers(replace(result.maps), result.options)
    for each, ends in zip(asked, found, strict=True):
        for end, other in zip(ends, DoseKinetics(again).interval(*each), strict=True):
            np.testing.assert_array_equal(end.data, other.data)
    for end, other in zip(band, again.intensity_interval(GRID), strict=True):
        np.testing.assert_array_equal(end, other)
    assert len(made) == times + 1


@pytest.mark.parametrize("change", ["values", "config"])
def test_nodes_are_never_those_of_other_data(series, change, made):
    maps = series.inav[:3].fit_dose_pinn(estimator="exact").maps
    if change == "values":
        maps = replace(maps, data=replace(maps.data, values=maps.data.values * [1.1] * 10))
    else:
        maps = replace(maps, config=replace(maps.config, nonnegative=False))
    maps.interval("rate", 0.8, "posterior")
    assert len(made) == 2


def test_lazy_stays_lazy(series):
    values = np.stack([series.data[:2], series.data[2:4]])
    axes = ({"name": "x", "size": 2},)
    image = make_dose_series(
        values, DOSE, axes, ("a", "b"), title="", quantity="", dose_unit="e⁻/Å²"
    )
    lazy = image.as_lazy().fit_dose_pinn().intensity_interval(GRID)
    eager = image.fit_dose_pinn().intensity_interval(GRID)
    for found, expected in zip(lazy, eager, strict=True):
        assert hasattr(found, "dask")
        np.testing.assert_allclose(found.compute(), expected)
        assert expected.shape == (2, 2, GRID.size)


def test_no_estimate_no_interval(series):
    broken = series.deepcopy()
    broken.data[3] = 7.0
    lower, upper = broken.inav[2:5].fit_dose_pinn(estimator="exact").intensity_interval(GRID)
    assert np.isnan(lower[1]).all()
    assert np.isnan(upper[1]).all()
    assert np.isfinite(lower[[0, 2]]).all()
