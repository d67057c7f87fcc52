# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first grid of the posterior of growing curves; the only one that those of maps have."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.laws.parameter import LawParameter
from hyperspy_dosekin.kinetics.model.parameters import Parameters, known_before
from hyperspy_dosekin.kinetics.posterior.nodes import Nodes
from hyperspy_dosekin.kinetics.posterior.scan import ScanData, Sums

from .nodes import searched, steps, with_decay
from .scan import BinnedScan

# Nodes in ln k and p.
_COARSE = (64, 12)
# A prior is looked at this far from its mean, in standard deviations.
_REACH = 3.5
# Nodes whose posterior is further down for every curve, in ln, are left out.
_FAR = 12.0


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
    def of(cls, data: BinnedScan) -> Grid:
        """That of the law of some curves, at their bins."""
        row, rate = first_grid(data.parameters)
        search = searched(data.parameters, rate[None, :, None], row[:, None, None])
        decay = with_decay(data, search).decay
        assert decay is not None
        return cls(row, rate, search, decay)

    @property
    def step(self) -> float:
        """Distance of the nodes in ln k."""
        return float(self.rate[1] - self.rate[0])

    def weighed(
        self, data: BinnedScan, parts: list[ScanData], sums: Sums, alive: np.ndarray, n_bound: int
    ) -> Nodes:
        """Those nodes that matter to any of some curves, with the weights of each.

        Sums over doses are in double precision, and what follows from them in single precision.

        Parameters
        ----------
        data, parts
            The curves, and the parts of their posterior.
        sums
            Those of the curves at all nodes, with a free offset where none is known.
        alive, n_bound
            As for `Nodes`.
        """
        prior = data.parameters.log_prior(list(self.search))
        deviance = data.deviance_of(sums.squares) - 2 * prior
        deviance = deviance.reshape(-1, data.count)
        near = ((deviance - deviance.amin(0)).amin(1) < 2 * _FAR).nonzero()[:, 0]

        def chosen(array: Tensor) -> Tensor:
            """At the nodes that matter, on a single row, ``(…, 1, n_node, n)``."""
            return array.flatten(-3, -2).index_select(-2, near)[..., None, :, :]

        shape = (self.row.numel(), self.rate.numel(), 1)
        search = [chosen(each.expand(shape)) for each in self.search]
        room = steps(self.rate, 0)[None, :, None]
        if self.row.numel() > 1:
            room = room * steps(self.row, 0)[:, None, None]
        room = chosen(room.expand(shape)).log().float()
        decay = chosen(self.decay.expand(-1, *shape))
        found = []
        for part in parts:
            assert isinstance(part, BinnedScan)
            if part.offset_free:
                known = Sums(*(chosen(getattr(sums, name)) for name in Sums.__dataclass_fields__))
            else:
                known = replace(part, decay=decay).sums(search)
            scan = replace(part, found=known, decay=None).single()
            density = scan.log_density([each.float() for each in search])[0]
            found.append((search, density + room))
        return Nodes.of_parts(alive, data.parameters, found, ordered=True, n_bound=n_bound)


def first_grid(parameters: Parameters) -> tuple[Tensor, Tensor]:
    """Rows of the shape and nodes of the rate, on their scales of estimation."""

    def spread(parameter: LawParameter, number: int) -> Tensor:
        low, high = parameter.free_box
        known = known_before(parameter, parameters.prior_of_law)
        if known is not None:
            mean, width = known
            low, high = max(low, mean - _REACH * width), min(high, mean + _REACH * width)
        return torch.linspace(low, high, number, dtype=torch.float64)

    rate, *other = parameters.free
    row = spread(other[0], _COARSE[1]) if other else torch.zeros(1, dtype=torch.float64)
    return row, spread(rate, _COARSE[0])
