# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many rows and nodes a curve has, how far they go, and for which curves that is too little."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.model.parameters import known_before

from .nodes import Nodes
from .scan import ScanData


class Detail(NamedTuple):
    """Rows and nodes of laws with one or two free parameters.

    Parameters
    ----------
    rows, nodes
        How many times the usual number of rows, and of nodes on each.
    depth
        Rows are wanted down to this in ln density below the highest, and nodes down to that.
    row_depth
        Nodes are wanted down to this below the highest of their row: not further where they are
        few, since the tails of Student's t would leave none for the middle.
    longest
        Widths that a row reaches at most at first.
    """

    rows: int = 1
    nodes: int = 1
    depth: float = 9.0
    row_depth: float = 7.0
    longest: float = 20.0


USUAL, FINE = Detail(), Detail(2, 2, 11.0, 8.0, 60.0)

# Student's t of so few degrees of freedom has a part of its mass beyond all usual depths.
_FEW_FREE = 4
# Without a prior of the shape: second differences of the ln mass of rows with more than this share
# of the mass that are larger hide where it falls.
_SHARE, _BENT = 0.01, 1.7
# Every other node of a row would say another mass of it by so much, with a prior of the shape and
# without one: peaks between nodes, and walls.
_UNEVEN = 0.1, 0.04
# Mass on the outermost nodes of rows: a peak with long tails, for which nodes are few. Without a
# prior nothing ends these tails.
_OUTERMOST = 0.01, 5e-4


def few_free(data: ScanData) -> Tensor:
    """Curves whose noise is known so badly that their nodes have to be `FINE`, ``(n,)``."""
    if data.noise == "given":
        return torch.zeros_like(data.freedom, dtype=torch.bool)
    return data.freedom <= _FEW_FREE


def too_coarse(nodes: Nodes, *, finer: bool) -> Tensor:
    """Whether the `USUAL` nodes of curves of two parameters are too few, ``(n,)``.

    Parameters
    ----------
    nodes
        Theirs.
    finer
        See `ridge_nodes`.
    """
    parameters = nodes.parameters
    alone = known_before(parameters.free[1], parameters.prior_of_law) is None
    # Where the density has been evaluated.
    weight = nodes.weight[:, :: 4 if finer else 2]
    sign = weight.new_ones(weight.shape[2])
    sign[1::2] = -1
    uneven = (weight * sign[:, None]).sum(2).abs_().sum((0, 1))
    outermost = (weight[:, :, 0] + weight[:, :, -1]).sum((0, 1))
    mass = weight.sum(2)
    total = mass.sum((0, 1))
    coarse = (uneven > _UNEVEN[alone] * total) | (outermost > _OUTERMOST[alone] * total)
    if not alone:
        return coarse
    share = mass / total
    bend = share.clamp(min=1e-12).log_().diff(2, dim=1).abs_()
    return coarse | torch.where(share[:, 1:-1] > _SHARE, bend > _BENT, False).any(1).any(0)
