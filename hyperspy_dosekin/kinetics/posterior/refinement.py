# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Densities half way between rows, and between the nodes of a row."""

from __future__ import annotations

import torch
from torch import Tensor

# Nodes so far below the highest ln density do not matter.
_MATTERS = 6.0
# Second differences of ln densities that are larger than this cannot be interpolated: a decay would
# be over before a frame that still has some of it.
_SHARP = 2.0


def bent_rows(density: Tensor) -> Tensor:
    """Places between rows ``(n_row - 1, n)`` about which the density bends sharply.

    Where it matters, from row to row. Bends along a row hardly count: its nodes stand closer where
    it falls.

    Parameters
    ----------
    density
        Ln density at nodes, ``(n_row, n_node, n)``.
    """
    matters = density > density.amax((0, 1)) - _MATTERS
    inner = matters[:-2] & matters[1:-1] & matters[2:]
    bent = ((density.diff(2, dim=0).abs_() > _SHARP) & inner).any(1)
    none = torch.zeros_like(bent[:1])
    return torch.cat([none, bent]) | torch.cat([bent, none])


def refined(values: Tensor, dim: int) -> Tensor:
    """Values at nodes ``(n_row, n_node, n)`` and half way between the rows, or the nodes.

    Parabolas with the harmonic mean of the bends of the two that meet there, near to the flatter
    one: densities fall off like a wall where a decay would be extinct before a frame that still has
    some of it.

    Parameters
    ----------
    values
        At the nodes.
    dim
        0 for rows, 1 for nodes.
    """
    bend = values.diff(2, dim=dim)
    number = bend.shape[dim]
    bend = torch.cat([bend.narrow(dim, 0, 1), bend, bend.narrow(dim, number - 1, 1)], dim)
    pair = bend.narrow(dim, 0, number + 1), bend.narrow(dim, 1, number + 1)
    flatter, total = (pair[0] * pair[1]).clamp_(min=0.0), pair[0] + pair[1]
    # Where both bends are 0, so is the mean.
    flatter.div_(total.add_(torch.finfo(total.dtype).tiny))
    left, right = values.narrow(dim, 0, number + 1), values.narrow(dim, 1, number + 1)
    both = values.new_empty(*values.shape[:dim], 2 * number + 3, *values.shape[dim + 1 :])
    places = (slice(None),) * dim
    both[(*places, slice(0, None, 2))] = values
    middle = both[(*places, slice(1, None, 2))]
    torch.add(left, right, out=middle).mul_(0.5).sub_(flatter, alpha=0.25)
    return both
