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
#: Where rows alone are too few, and otherwise.
FINER = Detail(rows=2), FINE

# Student's t of so few degrees of freedom has a part of its mass beyond all usual depths.
_FEW_FREE = 4
# Rows with more than this share of the mass count. Second differences of their ln mass that are
# larger, here and not everywhere, hide where it falls: of a normal distribution they are all alike.
_SHARE, _BENT, _HERE = 0.01, 1.7, 2.5
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
    """What curves of two parameters need instead of the `USUAL` nodes, ``(n,)``.

    The number of one of `FINER`, from 1; 0 where the usual ones do.

    Parameters
    ----------
    nodes
        Theirs.
    finer
        See `ridge_nodes`.
    """
    # Where the density has been evaluated.
    weight = nodes.weight[:, :: 4 if finer else 2]
    sign = weight.new_ones(weight.shape[2])
    sign[1::2] = -1
    uneven = (weight * sign[:, None]).sum(2).abs_().sum((0, 1))
    outermost = (weight[:, :, 0] + weight[:, :, -1]).sum((0, 1))
    mass = weight.sum(2)
    total = mass.sum((0, 1))
    share = mass / total
    bend = share.clamp(min=1e-12).log_().diff(2, dim=1).abs_()
    inner = share[:, 1:-1]
    mean = (bend * inner).sum((0, 1))
    most = torch.where(inner > _SHARE, bend, 0.0).amax((0, 1))
    parameters = nodes.parameters
    alone = known_before(parameters.free[1], parameters.prior_of_law) is None
    bent = most > (_BENT if alone else torch.clamp(_HERE * mean, min=_BENT))
    fine = (uneven > _UNEVEN[alone] * total) | (outermost > _OUTERMOST[alone] * total)
    return bent.long().masked_fill_(fine | bent if alone else fine, 2)
