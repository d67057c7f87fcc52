# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
from scipy import stats

from hyperspy_dosekin.kinetics.live.quantiles import SpreadNodes

WANTED = np.array([0.025, 0.5, 0.975])


def nodes(ridge):
    """Two normal numbers on 18 rows × 16 nodes; values follow both, ``(1, row, node, curve)``."""
    row, node = np.linspace(-4, 4, 18), np.linspace(-4.5, 4.5, 16)
    weight = stats.norm.pdf(row)[:, None] * stats.norm.pdf(node)
    values = np.stack([slope * row[:, None] + node for slope in ridge], axis=-1)
    weight = np.broadcast_to((weight / weight.sum())[..., None], values.shape)
    return values[None], weight[None]


def test_quantiles_of_normal_numbers():
    """Also where the rows of a ridge are much further from each other than the nodes of a row."""
    ridge = np.array([0.0, 1.0, 7.0])
    values, weight = nodes(ridge)
    found = SpreadNodes.of(values).quantiles(weight, WANTED, 0.5, np.arange(3))
    sd = np.hypot(ridge, 1)
    expected = stats.norm.ppf(WANTED)[:, None] * sd + 0.5
    np.testing.assert_allclose(found / sd, expected / sd, atol=0.03)


def test_some_curves_and_those_that_never_get_there():
    values, weight = nodes([1.0, 2.0])
    values[:, -9:] = np.inf
    found = SpreadNodes.of(values).quantiles(weight[..., [1]], WANTED, 0.0, np.array([1]))
    assert np.isfinite(found[0, 0])
    assert np.isinf(found[2, 0])
