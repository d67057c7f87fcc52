# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the posterior of growing curves is looked at: nodes of ln k on rows of the exponent."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.laws.solution import curve
from hyperspy_dosekin.kinetics.model.parameters import Parameters
from hyperspy_dosekin.kinetics.posterior.nodes import Nodes
from hyperspy_dosekin.kinetics.posterior.scan import ScanData

from .bins import MOST_BINS
from .quantiles import SpreadNodes
from .scan import BinnedScan

# Nodes of the finer grids in ln k and p.
_FINE = (16, 18)
# Rows whose mass is further down, in ln, do not matter; nodes reach so many standard deviations.
_DEPTH, _WIDTH = 7.5, 4.5
# Nodes of the last frame still suit where this much of the mass lies at their ends, and rows of
# more than that mass have so many nodes (1/Σw², 3.5 where one is a standard deviation from the
# next).
_LITTLE, _HEAVY, _CLOSE = 1e-2, 0.1, 2.2


def with_parts(values: Tensor, n_part: int) -> Tensor:
    """Values of parts side by side ``(…, n_part · n)`` as ``(n_part, …, n)``."""
    return values.unflatten(-1, (n_part, -1)).movedim(-2, 0)


def suit(nodes: Nodes, place: Place, parameters: Parameters, shift: float = 0.0) -> bool:
    """Whether nodes still cover the posterior, and closely enough."""
    weight = nodes.weight.movedim(0, -2).flatten(-2).numpy()
    along = [(weight, (place.rates + shift).numpy(), 1, parameters.free[0].free_box)]
    if len(place.rows) > 1:
        along.append((weight.sum(1), place.rows.numpy(), 0, parameters.free[1].free_box))
    for mass, at, axis, (low, high) in along:
        outer, end = (each.take([0, -1], axis) for each in (mass, at))
        outer = outer * ((end > low + 1e-6) & (end < high - 1e-6))
        if outer.reshape(-1, outer.shape[-1]).sum(0).max() > _LITTLE:
            return False
        whole, square = mass.sum(axis), (mass * mass).sum(axis)
        if ((whole * whole < _CLOSE * square) & (whole > _HEAVY)).any():
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
    dose, width = part.dose[begin:], None if part.width is None else part.width[begin:]
    if width is None or not bool(width.any()):
        decay = curve(part.parameters.law, dose.reshape(-1, 1, 1, 1), whole)[0]
        return replace(part, decay=decay)
    # The mean over the frames of a bin: two places have their mean and variance.
    both = torch.stack([dose - width, dose + width], 1).reshape(-1, 1, 1, 1)
    decay = curve(part.parameters.law, both, whole)[0].unflatten(0, (-1, 2)).mean(1)
    return replace(part, decay=decay)


@dataclass(eq=False)
class Place:
    """Nodes of all parts, and the decay at them: a new frame changes that of the last bin alone.

    Parameters
    ----------
    rows, rates
        Rows of the shape ``(n_row, n)`` and nodes of the rate ``(n_row, n_node, n)``; parts are
        side by side, ``n = n_part · n_curve``.
    """

    rows: Tensor
    rates: Tensor
    _dose: np.ndarray = field(default_factory=lambda: np.zeros(0))
    _decay: Tensor | None = None
    _spread: SpreadNodes | None = None

    def search(self, parameters: Parameters, shift: float) -> list[Tensor]:
        """The nodes on the scales of search, of rates in another unit of dose."""
        return searched(parameters, self.rates + shift, self.rows[:, None])

    def spread_nodes(self, values: Tensor, shift: float | None) -> SpreadNodes:
        """How the mass of the nodes is spread over values there.

        Parameters
        ----------
        values
            Logarithms of doses at the nodes, ``(n_part, n_row, n_node, n)``.
        shift
            What was added to the rates, where doses are others by that alone; ``None`` where they
            are not, and nothing can be kept.
        """
        if shift is None:
            return SpreadNodes.of(values.numpy())
        if self._spread is None:
            self._spread = SpreadNodes.of((values + shift).numpy())
        return self._spread

    @cached_property
    def log_room(self) -> Tensor:
        """Logarithm of what each node stands for."""
        rows = steps(self.rows, 0)[:, None] if len(self.rows) > 1 else 1.0
        return (steps(self.rates, 1) * rows).clamp(min=1e-300).log()

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
        whole = self._decay
        if whole is None:
            n_row, n_node, n = self.rates.shape
            self._decay = whole = self.rates.new_empty(n, MOST_BINS, n_row, n_node)
        held = whole.narrow(1, 0, dose.size)
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
