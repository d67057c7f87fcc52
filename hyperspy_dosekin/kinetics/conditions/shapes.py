# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shapes of a law that several curves share, on a grid that follows their mass."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import torch

from hyperspy_dosekin.kinetics.laws.parameter import LawParameter
from hyperspy_dosekin.kinetics.laws.prior import Prior
from hyperspy_dosekin.kinetics.model.parameters import assumed_before

# Nodes along each parameter, by their number.
_NODES = {1: 17, 2: 9}
#: Nodes of a parameter that follow its peak.
FOLLOWING = 17
# Looks for a peak at most, each between the ends that the one before has found.
_LOOKS = 14
# How many of them have to hold the peak, and how far down in ln density: of five frames beyond the
# coefficients a thousandth of the mass is lower.
_HOLD, _DEPTH = 9, 6.0
# Mass at the ends of a range that is left out of a closer look.
_LEFT_OUT = 1e-4


def shape_grid(
    free: Sequence[LawParameter],
    prior: Prior | None,
    ranges: Sequence[tuple[float, float]] | None = None,
    number: int | None = None,
) -> tuple[list[np.ndarray], np.ndarray]:
    """Shapes on a grid, and the logarithms of their prior probabilities.

    Parameters
    ----------
    free
        Parameters of the shape.
    prior
        What is known of them.
    ranges
        Of each, on its scale of estimation; by default where its prior has its mass.
    number
        Nodes along each.

    Returns
    -------
    (values, each ``(n_shape,)``; log probabilities ``(n_shape,)``)
    """
    if not free:
        return [], np.zeros(1)
    columns, weights = [], []
    for place, parameter in enumerate(free):
        before = assumed_before(parameter, prior)
        low, high = before.ppf([1e-3, 1 - 1e-3]) if ranges is None else ranges[place]
        nodes = np.linspace(low, high, number or _NODES.get(len(free), 7))
        columns.append(parameter.from_free(torch.as_tensor(nodes)).numpy())
        weights.append(before.logpdf(nodes) + math.log(nodes[1] - nodes[0]))
    values = np.array(list(product(*columns))).T
    weight = np.array([sum(each) for each in product(*weights)])
    return [row.copy() for row in values], weight


def marginals(
    free: Sequence[LawParameter], shapes: Sequence[np.ndarray], mass: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Nodes of each parameter, on its scale of estimation, and their shares of the mass."""
    found = []
    for parameter, row in zip(free, shapes, strict=True):
        value = parameter.to_free(torch.as_tensor(row)).numpy()
        nodes, place = np.unique(value, return_inverse=True)
        found.append((nodes, np.bincount(place.ravel(), weights=mass, minlength=nodes.size)))
    return found


def closer(
    free: Sequence[LawParameter], shapes: Sequence[np.ndarray], mass: np.ndarray
) -> list[tuple[float, float]]:
    """Ranges in which shapes have their mass, with a node to spare."""
    found = []
    for nodes, share in marginals(free, shapes, mass):
        below, above = share.cumsum(), share[::-1].cumsum()[::-1]
        inside = np.flatnonzero((below > _LEFT_OUT) & (above > _LEFT_OUT))
        low, high = max(inside[0] - 1, 0), min(inside[-1] + 1, nodes.size - 1)
        found.append((float(nodes[low]), float(nodes[high])))
    return found


def followed(
    log_density: Callable[[np.ndarray], np.ndarray], low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Nodes of a parameter that follow its peak on each of several rows.

    Where two parameters lie on a narrow ridge, no grid of both has a node on it. Here each row, a
    value of the first, has nodes of the second about its own peak.

    Parameters
    ----------
    log_density
        Log density at nodes ``(n_row, n_node)``.
    low, high
        Ends that are looked at first, ``(n_row,)``.

    Returns
    -------
    (nodes, log density there), each ``(n_row, n_node)``; nodes of a row are evenly spaced.

    Examples
    --------
    >>> ridge = np.array([[1.0], [2.0]])
    >>> nodes, _ = followed(lambda x: -0.5 * ((x - ridge) / 1e-6) ** 2, -np.ones(2), 3 * np.ones(2))
    >>> nodes.mean(axis=1).round(4).tolist()
    [1.0, 2.0]
    """
    share, rows = np.linspace(0, 1, FOLLOWING), np.arange(low.size)
    for _ in range(_LOOKS):
        nodes = low[:, None] + share * (high - low)[:, None]
        values = log_density(nodes)
        near = values > values.max(axis=1, keepdims=True) - _DEPTH
        wanted = near.sum(axis=1) < _HOLD
        if not wanted.any():
            break
        first = np.maximum(near.argmax(axis=1) - 1, 0)
        last = np.minimum(FOLLOWING - near[:, ::-1].argmax(axis=1), FOLLOWING - 1)
        low = np.where(wanted, nodes[rows, first], nodes[:, 0])
        high = np.where(wanted, nodes[rows, last], nodes[:, -1])
    return nodes, values


def between(
    old: Sequence[np.ndarray],
    nodes: np.ndarray,
    rows: Sequence[np.ndarray],
    ends: Sequence[float],
) -> tuple[np.ndarray, np.ndarray]:
    """Ends for `followed` of new rows: those of the old rows on both sides of each.

    Parameters
    ----------
    old, nodes
        Old rows, and the nodes on them; empty where there are none.
    rows
        New rows.
    ends
        What is looked at where old rows do not say.
    """
    number = len(rows[0]) if rows else 1
    if len(rows) != 1 or len(old) != 1 or not nodes.size:
        return np.full(number, ends[0]), np.full(number, ends[1])
    above = np.searchsorted(old[0], rows[0]).clip(1, len(old[0]) - 1)
    low, high = nodes[:, 0], nodes[:, -1]
    return np.minimum(low[above - 1], low[above]), np.maximum(high[above - 1], high[above])


def quantiles_of(
    nodes: np.ndarray, share: np.ndarray, probabilities: Sequence[float]
) -> np.ndarray:
    """Quantiles of a number by the shares of its nodes, each spread half way to the next ones."""
    nodes, place = np.unique(nodes, return_inverse=True)
    share = np.bincount(place.ravel(), weights=share, minlength=nodes.size)
    edges = np.concatenate([[nodes[0]], 0.5 * (nodes[1:] + nodes[:-1]), [nodes[-1]]])
    function = np.concatenate([[0.0], share.cumsum()])
    return np.interp(probabilities, function / function[-1], edges)


def ratio_ends(angles: np.ndarray, share: np.ndarray) -> tuple[float, float, float]:
    """Ends of the 95 % interval and median of b/a, by the shares of nodes of its angle."""
    low, middle, high = quantiles_of(angles, share, (0.025, 0.5, 0.975))
    # At a right angle the amplitude is 0 and changes its sign.
    certain = not low < math.pi / 2 < high
    ends = (math.tan(low), math.tan(high)) if certain else (-math.inf, math.inf)
    return ends[0], math.tan(middle), ends[1]
