# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pixels under a mixture of populations, all on the same nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.posterior.quantities import Quantity

from .curves import SharedCurves
from .pixels import Modes, PixelNodes, PixelPrior, find_modes
from .readout import Shared

# Quantiles between which the centre of a parameter is the mean.
_MIDDLE = 0.25, 0.75
# Rounds of placing nodes by the moments of the mixture, of so many of its parts.
_ROUNDS = (4, 4, 12)


@dataclass(frozen=True, eq=False)
class Assumed:
    """One of the populations, and what it says of the pixels before their own data.

    Parameters
    ----------
    shared
        The population.
    prior
        Priors of the pixels.
    repeats
        Neighbours that have one amplitude and offset, see `repeats`: what the prior has heard of
        these from the others is not said again.
    weight
        How likely it is beside the others.
    """

    shared: Shared
    prior: PixelPrior
    repeats: float = 1.0
    weight: float = 1.0

    def select(self, index: Tensor) -> Assumed:
        """For some of the pixels."""
        return replace(self, prior=self.prior.select(index))


@dataclass(frozen=True, eq=False)
class Piece:
    """Nodes of some pixels with the weights of the mixture.

    Parameters
    ----------
    index
        Places of the pixels.
    nodes, weight
        Their nodes, and the weights of these, ``(n_node, n)``.
    value
        Ln D½ at the nodes.
    spread
        Variance of ln D½ under each population, ``(n_design, n)``.
    assumed
        The populations.
    """

    index: np.ndarray
    nodes: PixelNodes
    weight: Tensor
    value: Tensor
    spread: Tensor
    assumed: Sequence[Assumed]


def placed(curves: SharedCurves, assumed: Sequence[Assumed]) -> Modes:
    """Where the mixture has its mass."""
    shares = [share for _, share in shares_of(assumed)]
    prior = PixelPrior.merged([each.prior for each in assumed], shares)
    modes = find_modes(curves, assumed[0].shared, prior)
    for most in _ROUNDS:
        nodes = PixelNodes.around(curves, modes, few=True)
        some = assumed[:: max(len(assumed) // most, 1)]
        parts = [share * weights_of(nodes, each) for each, share in shares_of(some)]
        modes = nodes.moments(torch.stack(parts).sum(0))
    return modes


def piece_of(curves: SharedCurves, assumed: Sequence[Assumed]) -> Piece:
    """The nodes of some pixels and the weights of the mixture."""
    nodes = PixelNodes.around(curves, placed(curves, assumed))
    half = Quantity("half_integrity_dose")
    value = half.evaluate(curves.parameters, curves.search(nodes.free))
    known = value.clamp(max=1e3)
    # The population does not hear of a single pixel: it has heard of all already.
    weight, spread = torch.zeros_like(nodes.log_volume), []
    for each, share in shares_of(assumed):
        part = weights_of(nodes, each)
        weight += share * part
        mean = (part * known).sum(0)
        spread.append((part * (known - mean) ** 2).sum(0))
    weight /= weight.sum(0)
    return Piece(curves.alive, nodes, weight, value, torch.stack(spread), assumed)


def possible(assumed: Sequence[Assumed]) -> list[Assumed]:
    """Those that have any weight."""
    return [each for each in assumed if each.weight > 0]


def shares_of(assumed: Sequence[Assumed]) -> list[tuple[Assumed, float]]:
    """Populations with their shares of all."""
    whole = sum(each.weight for each in assumed)
    return [(each, each.weight / whole) for each in assumed]


def centre(piece: Piece) -> Tensor:
    """Means of the middle half of the parameters, ``(d, n)``.

    Pixels that share nothing have long tails, which would carry a mean away. Along a ridge, where
    one parameter follows the other, the middles of all belong together.
    """
    return torch.stack([middle(row, piece.weight) for row in piece.nodes.free])


def middle(value: Tensor, weight: Tensor) -> Tensor:
    """Mean of what lies between two quantiles, of each column.

    Parameters
    ----------
    value, weight
        Values and their weights, which add up to 1 in every column, ``(n_node, n)``.

    Examples
    --------
    >>> value = torch.tensor([[0.0], [1.0], [2.0], [100.0]])
    >>> middle(value, torch.full((4, 1), 0.25))
    tensor([1.5000])
    """
    value, order = value.sort(0)
    weight = weight.gather(0, order)
    below = weight.cumsum(0)
    inside = below.clamp(*_MIDDLE) - (below - weight).clamp(*_MIDDLE)
    return (inside * value).sum(0) / inside.sum(0)


def weights_of(nodes: PixelNodes, assumed: Assumed) -> Tensor:
    """Weights of the nodes under one population, ``(n_node, n)``."""
    weight = nodes.log_weight(assumed.shared, assumed.prior, assumed.repeats)
    return torch.softmax(weight, 0).nan_to_num(0.0)
