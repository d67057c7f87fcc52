# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The unit of counts that were divided."""

import numpy as np
import pytest

from hyperspy_dosekin.processing.divided_counts import counts_of, divided_apart

COUNTS = np.random.default_rng(0).poisson(np.geomspace(3, 3e5, 200), (3, 5, 200))
FACTORS = np.random.default_rng(1).uniform(0.1, 1e4, (3, 5, 1))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("pedestal", [0, 700])
def test_counts_come_back(dtype, pedestal):
    counts = COUNTS + pedestal
    block = (counts / FACTORS).astype(dtype)
    found, unit = counts_of(block)
    np.testing.assert_array_equal(found, counts)
    np.testing.assert_allclose(unit, 1 / FACTORS[..., 0], rtol=1e-6)
    assert divided_apart([block])
    assert not divided_apart([(counts / 7.3).astype(dtype)])


@pytest.mark.parametrize("factors", [(1, 2), (2, 1), (1, 1, 3), (3, 3, 1)])
def test_units_that_are_parts_of_each_other_are_told_apart(factors):
    """Counts of one and of two seconds: all are multiples of the smaller unit."""
    block = np.stack([row / factor for row, factor in zip(COUNTS[0], factors, strict=False)])
    assert divided_apart([block])
    assert not divided_apart([np.stack([block[0]] * 3 + [COUNTS[1, 0] / factors[0]])])


def test_a_spectrum_without_a_unit_takes_that_of_the_others():
    block = COUNTS[0] / 4.0
    block[2] += np.random.default_rng(2).normal(0, 1, 200)
    block[3, 7] = np.nan
    found, unit = counts_of(block)
    np.testing.assert_allclose(unit, 0.25)
    np.testing.assert_allclose(found[2], 4 * block[2])
    assert np.isnan(found[3, 7])
    assert not divided_apart([block])


@pytest.mark.parametrize(
    "spectra",
    [
        np.random.default_rng(0).normal(0, 1, (4, 300)),
        np.random.default_rng(0).uniform(0.5, 1, (4, 300)).astype("f4"),
        np.ones((4, 300)),
        np.zeros((4, 300)),
        np.full((4, 300), np.nan),
        np.random.default_rng(0).poisson(10.0, (4, 300)),
    ],
    ids=["normal", "rounded", "one value", "zeros", "nan", "integers"],
)
def test_other_data_are_not_divided_counts(spectra):
    assert not divided_apart([spectra])
