# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
from scipy import stats

from hyperspy_dosekin.kinetics.live.quantiles import SpreadNodes

WANTED = np.array([0.025, 0.5, 0.975])


def nodes(ridge):
    """Two normal numbers on 18 rows × 16 nodes; values follow both, ``(curve, 1, row, node)``."""
    row, node = np.linspace(-4, 4, 18), np.linspace(-4.5, 4.5, 16)
    weight = stats.norm.pdf(row)[:, None] * stats.norm.pdf(node)
    values = np.stack([slope * row[:, None] + node for slope in ridge])
    weight = np.broadcast_to(weight / weight.sum(), values.shape)
    return values[:, None], weight[:, None]


def test_quantiles_of_normal_numbers():
    """Also where the rows of a ridge are much further from each other than the nodes of a row."""
    ridge = np.array([0.0, 1.0, 7.0])
    values, weight = nodes(ridge)
    found = SpreadNodes.of(values).quantiles(weight, WANTED)
    sd = np.hypot(ridge, 1)
    expected = stats.norm.ppf(WANTED)[:, None] * sd
    np.testing.assert_allclose(found / sd, expected / sd, atol=0.03)


def test_some_curves_and_those_that_never_get_there():
    values, weight = nodes([1.0, 2.0])
    values[:, :, -9:] = np.inf
    found = SpreadNodes.of(values).quantiles(weight[[1]], WANTED, np.array([1]))
    assert np.isfinite(found[0, 0])
    assert np.isinf(found[2, 0])
