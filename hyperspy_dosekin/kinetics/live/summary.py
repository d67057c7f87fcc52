# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of a few growing curves, from nodes of their own."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.posterior.nodes import Nodes
from hyperspy_dosekin.kinetics.posterior.parts import bound_matters

from .asked import PROBABILITIES, Asked, LiveEstimate
from .nodes import Place, by_curve

_WANTED = np.asarray(PROBABILITIES)


def of_few(nodes: Nodes, asked: Asked, place: Place, shift: float) -> LiveEstimate:
    """Of curves that have nodes of their own.

    Parameters
    ----------
    nodes, asked
        The nodes, and what is asked.
    place, shift
        Where the nodes are, and what makes their rates those of `nodes`.
    """
    n = nodes.weight.shape[-1]
    weight = by_curve(nodes.weight, n)
    flat = weight.reshape(n, -1)
    spread, added = place.spread_nodes(asked, nodes, shift)
    ends = torch.from_numpy(spread.quantiles(weight, _WANTED))
    if nodes.n_bound:
        # Where they matter, the parts at the bound are curves of their own beside the whole.
        part = weight[:, -nodes.n_bound :]
        mass = part.reshape(n, -1).sum(1)
        held = bound_matters(torch.from_numpy(mass)).numpy()
        if held.size:
            alone = np.zeros_like(weight[held])
            alone[:, -nodes.n_bound :] = part[held] / mass[held, None, None, None]
            own = torch.from_numpy(spread.quantiles(alone, _WANTED, held))
            ends = with_bound(ends, own, torch.from_numpy(held))
    certain = flat * spread.finite
    mass = np.maximum(certain.sum(1), 1e-300)
    mean = np.einsum("ij,ij->i", certain, spread.value) / mass
    left = spread.value - mean[:, None]
    variance = np.einsum("ij,ij,ij->i", certain, left, left) / mass
    now = place.integrity(asked, nodes).reshape(n, -1)
    found = variance, np.einsum("ij,ij->i", flat, now), (flat * (now < asked.level)).sum(1)
    return asked.estimate(ends + added, *map(torch.from_numpy, found))


def with_bound(ends: Tensor, own: Tensor, index: Tensor) -> Tensor:
    """Lower end, median and upper end ``(3, n)``, which hold those of the bound of some curves."""
    some = ends[:, index]
    ends = ends.clone()
    ends[0, index] = torch.minimum(some[0], own[0])
    ends[2, index] = torch.maximum(some[2], own[2])
    return ends
