# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest

from hyperspy_dosekin.kinetics.live.bins import MOST_BINS, DoseBins


def filled(dose, values, weight=None):
    bins = DoseBins(values.shape[0])
    for place, each in enumerate(dose):
        bins.add(each, values[:, place], None if weight is None else weight[:, place])
    return bins


def test_few_frames_are_kept_as_they_are():
    dose = np.array([3.0, 4.5, 9.0])
    values = np.random.default_rng(0).normal(size=(2, 3))
    found = filled(dose, values).curves()
    np.testing.assert_array_equal(found.dose, dose)
    np.testing.assert_allclose(found.values, values, rtol=1e-14)
    assert found.freedom.tolist() == [0, 0]


@pytest.mark.parametrize("number", [49, 200, 5000])
def test_many_frames_keep_mean_scatter_and_freedom(number):
    random = np.random.default_rng(1)
    dose = np.arange(1.0, number + 1)
    noise = 0.02
    values = 5 - 3 * dose / number + noise * random.normal(size=(3, number))
    found = filled(dose, values).curves()
    assert found.dose.size <= MOST_BINS
    assert found.weight.sum(axis=-1).tolist() == [number] * 3
    # A straight line is kept whole, so that only the noise is left within the bins.
    fitted = 5 - 3 * found.dose / number
    residual = (found.weight * (found.values - fitted) ** 2).sum(axis=-1) + found.squares
    freedom = found.freedom + found.dose.size
    np.testing.assert_allclose(np.sqrt(residual / freedom), noise, rtol=6 / np.sqrt(2 * freedom[0]))


def test_missing_values_leave_the_other_curves_alone():
    dose = np.arange(1.0, 101)
    values = np.stack([2 * dose, 3 * dose])
    values[0, ::3] = np.nan
    found = filled(dose, values).curves()
    np.testing.assert_allclose(found.values[1], 3 * found.dose, rtol=1e-12)
    known = np.isfinite(found.values[0])
    np.testing.assert_allclose(found.values[0, known], 2 * found.dose[known], rtol=0.02)
    assert found.weight[0].sum() == np.isfinite(values[0]).sum()


def test_a_curve_that_begins_late_has_no_values_before():
    values = np.full((2, 6), np.nan)
    values[0], values[1, 4:] = 1.0, 7.0
    found = filled(np.arange(1.0, 7), values).curves()
    assert np.isnan(found.values[1, :4]).all()
    assert found.values[1, 4:].tolist() == [7.0, 7.0]


def test_large_levels_lose_no_scatter():
    random = np.random.default_rng(2)
    values = 1e9 + random.normal(size=(1, 400))
    found = filled(np.arange(1.0, 401), values).curves()
    np.testing.assert_allclose(found.squares / found.freedom, 1.0, rtol=0.4)


def test_some_of_the_curves():
    values = np.random.default_rng(3).normal(size=(5, 60))
    bins = filled(np.arange(1.0, 61), values)
    some = bins.curves(np.array([1, 4]))
    np.testing.assert_array_equal(some.values, bins.curves().values[[1, 4]])
    np.testing.assert_array_equal(some.squares, bins.curves().squares[[1, 4]])
