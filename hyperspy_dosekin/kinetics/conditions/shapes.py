# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shapes of a law that several curves share, on a grid that follows their mass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
import torch

from hyperspy_dosekin.kinetics.laws.parameter import LawParameter
from hyperspy_dosekin.kinetics.laws.prior import Prior
from hyperspy_dosekin.kinetics.model.parameters import assumed_before

# Nodes along each parameter, by their number.
_NODES = {1: 17, 2: 9}
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
