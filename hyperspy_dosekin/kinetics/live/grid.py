# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first grid of the posterior of growing curves; the only one that those of maps have."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.laws.parameter import LawParameter
from hyperspy_dosekin.kinetics.model.parameters import Parameters, known_before

from .nodes import searched, with_decay
from .scan import BinnedScan

#: Nodes in ln k and p: of curves that get others, and of maps, whose only ones they are.
COARSE, OF_MAPS = (64, 12), (128, 12)
# A prior is looked at this far from its mean, in standard deviations.
_REACH = 3.5


@dataclass(frozen=True, eq=False)
class Grid:
    """The first grid, the same for all curves.

    Parameters
    ----------
    row, rate
        Rows of the shape and nodes of the rate, on their scales of estimation.
    search
        Both on their scales of search.
    decay
        C at the bins and the nodes.
    """

    row: Tensor
    rate: Tensor
    search: list[Tensor]
    decay: Tensor

    @classmethod
    def of(cls, data: BinnedScan, number: tuple[int, int] = COARSE) -> Grid:
        """That of the law of some curves, at their bins.

        Parameters
        ----------
        number
            Nodes in ln k and p.
        """
        row, rate = first_grid(data.parameters, number)
        search = searched(data.parameters, rate[None, :, None], row[:, None, None])
        decay = with_decay(data, search).decay
        assert decay is not None
        return cls(row, rate, search, decay)

    @property
    def step(self) -> float:
        """Distance of the nodes in ln k."""
        return float(self.rate[1] - self.rate[0])


def first_grid(parameters: Parameters, number: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Rows of the shape and nodes of the rate, on their scales of estimation."""

    def spread(parameter: LawParameter, count: int) -> Tensor:
        low, high = parameter.free_box
        known = known_before(parameter, parameters.prior_of_law)
        if known is not None:
            mean, width = known
            low, high = max(low, mean - _REACH * width), min(high, mean + _REACH * width)
        return torch.linspace(low, high, count, dtype=torch.float64)

    rate, *other = parameters.free
    row = spread(other[0], number[1]) if other else torch.zeros(1, dtype=torch.float64)
    return row, spread(rate, number[0])
