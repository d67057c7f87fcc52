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

from .asked import Asked
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


def by_curve(values: Tensor, n: int) -> np.ndarray:
    """Values ``(n_row, n_node, n_part · n)`` or ``(n_part, n_row, n_node, n)`` by curve.

    Returns an array ``(n, n_part, n_row, n_node)``: what belongs to a curve lies together.
    """
    if values.ndim == 3:
        values = with_parts(values, values.shape[-1] // n)
    return np.ascontiguousarray(values.movedim(-1, 0).numpy())


def suit(weight: np.ndarray, place: Place, parameters: Parameters, shift: float = 0.0) -> bool:
    """Whether nodes still cover the posterior, and closely enough.

    Parameters
    ----------
    weight
        Their weights, ``(n, n_part, n_row, n_node)``.
    place, parameters, shift
        The nodes, and what is added to their rates.
    """
    ends, row_ends = place.ends(len(weight))
    along = [(weight, ends + shift, parameters.free[0].free_box)]
    if len(place.rows) > 1:
        along.append((weight.sum(-1), row_ends, parameters.free[1].free_box))
    for mass, end, (low, high) in along:
        outer = mass[..., [0, -1]] * ((end > low + 1e-6) & (end < high - 1e-6))
        # Of each part by itself.
        if outer.reshape(*outer.shape[:2], -1).sum(-1).max() > _LITTLE:
            return False
        whole, square = mass.sum(-1), np.einsum("...i,...i->...", mass, mass)
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
    _last: float = 0.0
    _decay: Tensor | None = None
    _square: Tensor | None = None
    _spread: SpreadNodes | None = None
    _ends: tuple[np.ndarray, np.ndarray] | None = None

    def search(self, parameters: Parameters, shift: float) -> list[Tensor]:
        """The nodes on the scales of search, of rates in another unit of dose."""
        return searched(parameters, self.rates + shift, self.rows[:, None])

    def ends(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Outermost nodes of each row and outermost rows, by curve, ``(n, n_part, …, 2)``."""
        if self._ends is None:
            rates = by_curve(self.rates, n)[..., [0, -1]]
            self._ends = rates, by_curve(self.rows[:, None], n)[..., [0, -1], 0]
        return self._ends

    def spread_nodes(self, asked: Asked, nodes: Nodes, shift: float) -> tuple[SpreadNodes, float]:
        """How the mass of the nodes is spread over ln D½, and what has to be added to that.

        Parameters
        ----------
        asked, nodes, shift
            What is asked of which nodes, and what was added to their rates.
        """
        n = nodes.weight.shape[-1]
        if not nodes.parameters.law.scales:
            return SpreadNodes.of(by_curve(asked.half(nodes).expand(nodes.weight.shape), n)), 0.0
        # Doses are others by that alone.
        if self._spread is None:
            half = asked.half(nodes) + shift
            self._spread = SpreadNodes.of(by_curve(half.expand(nodes.weight.shape), n))
        return self._spread, -shift

    def integrity(self, asked: Asked, nodes: Nodes) -> np.ndarray:
        """Integrity after the last frame, ``(n, n_part, n_row, n_node)``."""
        n, number = nodes.weight.shape[-1], self._dose.size
        if self._decay is not None and number and self._last == asked.last:
            now = self._decay[:, number - 1].movedim(0, -1)
        else:
            now = asked.integrity(nodes).expand(nodes.weight.shape)
        return by_curve(now, n)

    @cached_property
    def log_room(self) -> Tensor:
        """Logarithm of what each node stands for."""
        rows = steps(self.rows, 0)[:, None] if len(self.rows) > 1 else 1.0
        return (steps(self.rates, 1) * rows).clamp(min=1e-300).log()

    def decayed(
        self, part: ScanData, search: list[Tensor], dose: np.ndarray, last: float
    ) -> BinnedScan:
        """The curves with their decay.

        Parameters
        ----------
        part, search
            The curves, and what `search` gives.
        dose
            Doses of the bins; the decay at those of the time before is there already.
        last
            Dose of the last frame, which has the last bin for itself.
        """
        number = min(dose.size, self._dose.size)
        differ = np.flatnonzero(dose[:number] != self._dose[:number])
        begin = min(int(differ[0]) if differ.size else number, dose.size - 1)
        if self._decay is None or self._square is None:
            n_row, n_node, n = self.rates.shape
            self._decay = self.rates.new_empty(n, MOST_BINS, n_row, n_node)
            self._square = torch.empty_like(self._decay)
        held, square = (each.narrow(1, 0, dose.size) for each in (self._decay, self._square))
        scan = with_decay(part, search, begin)
        assert scan.decay is not None
        held[:, begin:] = scan.decay.movedim(-1, 0)
        torch.mul(held[:, begin:], held[:, begin:], out=square[:, begin:])
        self._dose, self._last = dose, last
        return replace(scan, decay=held.movedim(0, -1), square=square.movedim(0, -1))


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
        centre, spread, rows = (
            torch.lerp(values.gather(0, left), values.gather(0, right), part)
            for values in (centre, spread, rows)
        )
    else:
        rows, n_node = rows.expand(-1, n), 4 * n_node
    reach = torch.linspace(-_WIDTH, _WIDTH, n_node, dtype=rows.dtype)[:, None]
    begin = (centre - _WIDTH * spread).clamp(low, high)
    end = (centre + _WIDTH * spread).clamp(low, high)
    share = (reach + _WIDTH) / (2 * _WIDTH)
    return rows, begin[:, None] + share * (end - begin)[:, None]
