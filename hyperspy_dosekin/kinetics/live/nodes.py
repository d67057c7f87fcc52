# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the posterior of growing curves is looked at: nodes of ln k on rows of the exponent."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.laws.solution import curve
from hyperspy_dosekin.kinetics.model.parameters import Parameters
from hyperspy_dosekin.kinetics.posterior.nodes import Nodes
from hyperspy_dosekin.kinetics.posterior.scan import ScanData

from .bins import MOST_BINS
from .scan import BinnedScan

# Nodes of the finer grids in ln k and p.
_FINE = (16, 18)
# Rows whose mass is further down, in ln, do not matter; nodes reach so many standard deviations.
_DEPTH, _WIDTH = 7.5, 4.5
# Nodes of the last frame still suit where this much of the mass lies at their ends, and rows of
# more than that mass have so many nodes (1/Σw², 3.5 where one is a standard deviation from the
# next).
_LITTLE, _HEAVY, _CLOSE = 1e-2, 0.1, 2.2


def weighed(
    rows: Tensor, rates: Tensor, search: list[Tensor], density: Tensor
) -> tuple[list[Tensor], Tensor]:
    """Nodes on the scale of search, and the logarithms of their weights."""
    spacing = steps(rates, 1) * (steps(rows, 0)[:, None] if len(rows) > 1 else 1.0)
    return search, density + spacing.clamp(min=1e-300).log()


def suit(nodes: Nodes, places: list[Place], parameters: Parameters, shift: float = 0.0) -> bool:
    """Whether nodes still cover the posterior, and closely enough."""
    for weight, place_ in zip(nodes.weight, places, strict=True):
        rows, rates = place_.rows, place_.rates + shift
        if float(weight.sum((0, 1)).amax()) < _LITTLE:
            continue
        along = [(weight, rates, 1, parameters.free[0].free_box)]
        if len(rows) > 1:
            along.append((weight.sum(1), rows, 0, parameters.free[1].free_box))
        for mass, place, dim, (low, high) in along:
            inside = (place > low + 1e-6) & (place < high - 1e-6)
            ends = torch.tensor([0, mass.shape[dim] - 1])
            outer = (mass * inside).index_select(dim, ends)
            if float(outer.reshape(-1, outer.shape[-1]).sum(0).amax()) > _LITTLE:
                return False
            whole = mass.sum(dim)
            number = whole * whole / (mass * mass).sum(dim).clamp(min=1e-300)
            if bool(((number < _CLOSE) & (whole > _HEAVY)).any()):
                return False
    return True


def with_decay(part: ScanData, search: list[Tensor], begin: int = 0) -> BinnedScan:
    """The curves with their decay at bins and nodes, ``(n_dose, n_row, n_node, n)``.

    Parameters
    ----------
    part, search
        The curves, and the nodes on their scale of search.
    begin
        First of the bins that are wanted.
    """
    assert isinstance(part, BinnedScan)
    whole = part.parameters.complete(search)
    decay = curve(part.parameters.law, part.dose[begin:].reshape(-1, 1, 1, 1), whole)[0]
    return replace(part, decay=decay)


@dataclass(eq=False)
class Place:
    """Nodes of a part, and the decay at them: a new frame changes that of the last bin alone.

    Parameters
    ----------
    rows, rates
        Rows of the shape ``(n_row, n)`` and nodes of the rate ``(n_row, n_node, n)``.
    """

    rows: Tensor
    rates: Tensor
    _dose: np.ndarray = field(default_factory=lambda: np.zeros(0))
    _decay: Tensor | None = None

    def search(self, parameters: Parameters, shift: float) -> list[Tensor]:
        """The nodes on the scales of search, of rates in another unit of dose."""
        return searched(parameters, self.rates + shift, self.rows[:, None])

    def decayed(self, part: ScanData, search: list[Tensor], dose: np.ndarray) -> BinnedScan:
        """The curves with their decay.

        Parameters
        ----------
        part, search
            The curves, and what `search` gives.
        dose
            Doses of the bins; the decay at those of the time before is there already.
        """
        number = min(dose.size, self._dose.size)
        differ = np.flatnonzero(dose[:number] != self._dose[:number])
        begin = int(differ[0]) if differ.size else number
        if self._decay is None:
            n_row, n_node, n = self.rates.shape
            self._decay = self.rates.new_empty(n, MOST_BINS, n_row, n_node)
        held = self._decay[:, : dose.size]
        scan = with_decay(part, search, min(begin, dose.size - 1))
        assert scan.decay is not None
        held[:, min(begin, dose.size - 1) :] = scan.decay.movedim(-1, 0)
        self._dose = dose
        return replace(scan, decay=held.movedim(0, -1))


def searched(parameters: Parameters, rate: Tensor, row: Tensor) -> list[Tensor]:
    """Nodes on the scales of search."""
    free = parameters.free
    if len(free) == 1:
        return [rate]
    return [rate, free[1].to_search(free[1].from_free(row))]


def steps(values: Tensor, dim: int) -> Tensor:
    """Width that each node stands for: half way to its neighbours."""
    half = 0.5 * values.diff(dim=dim)
    nothing = torch.zeros_like(half.narrow(dim, 0, 1))
    return torch.cat([nothing, half], dim) + torch.cat([half, nothing], dim)


def finer(
    parameters: Parameters, rows: Tensor, rates: Tensor, density: Tensor
) -> tuple[Tensor, Tensor]:
    """Rows ``(n_row, n)`` and nodes ``(n_row, n_node, n)`` that follow the ridge of each curve."""
    n = density.shape[-1]
    rates = rates.expand(density.shape)
    peak = density.amax(1, keepdim=True)
    weight = (density - peak).exp()
    mass = weight.sum(1)
    centre = (weight * rates).sum(1) / mass
    spacing = rates[:, 1] - rates[:, 0]
    spread = (weight * (rates - centre[:, None]) ** 2).sum(1) / mass
    spread = (spread + spacing**2 / 6).sqrt()
    log_mass = peak[:, 0] + (mass * spacing).log()
    rate = parameters.free[0]
    low, high = rate.free_box
    n_node = _FINE[0]
    if len(rows) > 1:
        rows = rows.expand(-1, n)
        # Rows are close where the mass is, and reach into the tails: its root decides.
        root = (0.5 * (log_mass - log_mass.amax(0))).clamp(min=-0.5 * _DEPTH).exp()
        root = torch.where(log_mass > log_mass.amax(0) - _DEPTH, root, 0.0)
        piece = 0.5 * (root[1:] + root[:-1]) * rows.diff(dim=0)
        function = torch.cat([torch.zeros_like(piece[:1]), piece.cumsum(0)])
        function = (function / function[-1]).T.contiguous()
        wanted = torch.linspace(0, 1, _FINE[1], dtype=rows.dtype).expand(n, -1).contiguous()
        right = torch.searchsorted(function, wanted, right=True).clamp(1, len(rows) - 1)
        # The last place with anything beyond it, of several equal ones.
        right = torch.minimum(right, (function < 1).sum(1, keepdim=True)).clamp(min=1).T
        left = right - 1
        below, above = function.T.gather(0, left), function.T.gather(0, right)
        part = ((wanted.T - below) / (above - below).clamp(min=1e-300)).clamp(0, 1)
        new = torch.lerp(rows.gather(0, left), rows.gather(0, right), part)

        def between(values: Tensor) -> Tensor:
            return torch.lerp(values.gather(0, left), values.gather(0, right), part)

        centre, spread, rows = between(centre), between(spread), new
    else:
        rows, n_node = rows.expand(-1, n), 4 * n_node
    reach = torch.linspace(-_WIDTH, _WIDTH, n_node, dtype=rows.dtype)[:, None]
    begin = (centre - _WIDTH * spread).clamp(low, high)
    end = (centre + _WIDTH * spread).clamp(low, high)
    share = (reach + _WIDTH) / (2 * _WIDTH)
    return rows, begin[:, None] + share * (end - begin)[:, None]
