# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest

from hyperspy_dosekin.numerics.medians import median, order_of
from hyperspy_dosekin.processing.low_loss.survey import _median_where


@pytest.mark.parametrize("kind", [np.int32, np.float32, np.float64])
@pytest.mark.parametrize("number", [1, 2, 5, 64, 101])
def test_medians_are_those_of_numpy(kind, number):
    values = (np.random.default_rng(number).normal(size=(3, 4, number)) * 100).astype(kind)
    if kind is np.float64:
        values[0, 0, 0], values[1, 1, number // 2] = np.nan, np.inf
    np.testing.assert_allclose(median(values), np.median(values, axis=-1), rtol=1e-6)
    assert median(values, keepdims=True).shape == (3, 4, 1)


def test_medians_of_a_part_are_those_of_numpy():
    rng = np.random.default_rng(1)
    values, where = rng.normal(size=(40, 9)), rng.random((40, 9)) < 0.5
    values[0, :3], where[1] = np.nan, False
    expected = [np.nanmedian(row[some]) if some.any() else np.nan
                for row, some in zip(values, where, strict=True)]  # fmt: skip
    np.testing.assert_allclose(_median_where(values, where), expected)


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_the_order_is_that_of_a_stable_sort(scale):
    rng = np.random.default_rng(2)
    # Many are alike, as counts are.
    values = np.concatenate([rng.poisson(3.0, 500) - 2.0, [-0.0, np.inf, np.nan, -np.inf]])
    values = rng.permutation(values) * scale
    np.testing.assert_array_equal(order_of(values), np.argsort(values, kind="stable"))
    assert order_of(values[:0]).size == 0
