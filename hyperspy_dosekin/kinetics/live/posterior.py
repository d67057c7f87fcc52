# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Posterior of the half-integrity dose of growing curves, fast enough for every frame.

The likelihood is that of `KineticPosterior`, over the bins of `DoseBins`, with the same prior and
the same bound on the offset; noise is white. Nodes lie on rows of the exponent. A first grid is the
same for all curves. Where there are few, two finer ones follow the ridge of each; of maps the first
one has to do, and what it is coarser by is added to the standard deviation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.curves.preparation import PreparedCurves, prepare_curves
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
from hyperspy_dosekin.kinetics.laws.solution import streams
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.model.parameters import Parameters
from hyperspy_dosekin.kinetics.posterior.nodes import Nodes
from hyperspy_dosekin.kinetics.posterior.parts import parts_of, zero_errors
from hyperspy_dosekin.kinetics.posterior.scan import ScanData, Sums

from .asked import Asked, LiveEstimate
from .bins import BinnedCurves
from .grid import Grid
from .maps import MapGrid, log_weights, near_pairs, of_many
from .nodes import Place, by_curve, finer, searched, suit, with_decay, with_parts
from .scan import BinnedScan, joined
from .summary import of_few

#: Curves that get finer grids.
FEW = 64
# The first grid is looked at again when there is this much more to see.
_AGE = 1.5


def check_live_law(law: KineticLaw, parameters: Parameters) -> None:
    """Refuse laws that no posterior can be had of between two frames.

    Raises
    ------
    ValueError
        If the law has more than two free parameters, or is integrated numerically.
    """
    rate, *others = parameters.free
    if len(others) > 1 or not (streams(law) or law.scales) or not rate.logarithmic:
        raise ValueError(
            f"the law {law.name!r} has no posterior that is ready for the next frame: it must have "
            "one or two free parameters, the first of them the rate, and a closed form or "
            "scales=True. Watch with another law, and fit this one afterwards."
        )


@dataclass(frozen=True, eq=False)
class _Held:
    """Nodes of the last frame, which will do for some frames more.

    Parameters
    ----------
    scale
        The dose scale that the rates are per.
    alive
        The curves.
    grows, sigma
        As for `parts_of`.
    freedom
        Degrees of freedom of the curves when they were last looked at on the first grid.
    place
        The nodes.
    """

    scale: float
    alive: np.ndarray
    grows: Tensor
    sigma: Tensor
    freedom: Tensor
    place: Place

    def is_of(self, alive: np.ndarray, freedom: Tensor) -> bool:
        """Whether they are of these curves, and not of much shorter ones."""
        if not np.array_equal(self.alive, alive):
            return False
        return bool((freedom <= _AGE * self.freedom + 1).all())


@dataclass(frozen=True, eq=False)
class _Known:
    """What is known of the offsets of all curves.

    Parameters
    ----------
    zero, bounded
        Errors of the zero in units of the values, and which offsets cannot be negative,
        ``(n_curve,)``; ``None``: none.
    """

    zero: np.ndarray | None
    bounded: np.ndarray | None

    @classmethod
    def of(cls, config: ExactConfig, prepared: PreparedCurves) -> _Known:
        """What the options and the curves say."""
        zero = zero_errors(config, prepared.unit.shape, prepared.unit)
        bounded = config.bounded(prepared)
        return cls(*(None if each is None else each.reshape(-1) for each in (zero, bounded)))

    def parts(
        self,
        data: BinnedScan,
        config: ExactConfig,
        alive: np.ndarray,
        grows: Tensor,
        sigma: Tensor,
    ) -> tuple[list[ScanData], int]:
        """Parts of the posterior, and how many of them have the offset at its bound."""
        zero = None if self.zero is None else torch.as_tensor(self.zero[alive])
        some = None
        if self.bounded is not None and self.bounded[alive].any():
            some = torch.as_tensor(self.bounded[alive])
        parts = parts_of(data, config, grows, sigma, zero, some)
        return parts, 0 if some is None else len(parts) // 2


class LivePosterior:
    """Estimates of D½ of growing curves.

    Parameters
    ----------
    config
        Options; the offset is that of the next argument, and the noise is white.
    offset
        Known offset of each curve, or ``None``.
    dose_scale
        Dose that counts as 1; the last one if not given.
    level
        Integrity below which the curves may have fallen.
    weighted
        Whether weights are inverse variances, and not numbers of frames.

    Raises
    ------
    ValueError
        If the law is not fit for it.
    """

    def __init__(
        self,
        config: ExactConfig,
        *,
        offset: np.ndarray | None = None,
        dose_scale: float | None = None,
        level: float = 0.5,
        weighted: bool = True,
    ) -> None:
        assert isinstance(config.law, KineticLaw)
        check_live_law(config.law, config.parameters)
        self.config = replace(config, correlated=False, offset=None)
        self.offset, self.dose_scale = offset, dose_scale
        self.level, self.weighted = level, weighted
        self._held: _Held | None = None
        self._grid: MapGrid | None = None

    def estimate(
        self, curves: BinnedCurves, last_dose: float, index: np.ndarray | slice = slice(None)
    ) -> LiveEstimate:
        """Estimate D½.

        Several threads may do so at once where there are more than `FEW` curves in each.

        Parameters
        ----------
        curves
            The curves; of a map some hundred at once, whose arrays stay in the cache.
        last_dose
            Dose of the last frame.
        index
            Which of the curves these are.
        """
        config, parameters = self.config, self.config.parameters
        found = LiveEstimate.unknown(curves.values.shape[0])
        offset = None if self.offset is None else self.offset[index]
        needed = len(parameters.free) + 1 + (offset is None)
        usable = np.isfinite(curves.values).sum(-1)
        if curves.dose.size < needed or curves.dose[-1] <= 0:
            return found
        scale = last_dose if self.dose_scale is None else self.dose_scale
        prepared, inner = _prepared(curves, config, offset, scale, self.weighted)
        alive = np.flatnonzero(~prepared.dead.reshape(-1) & (usable >= needed))
        if not alive.size:
            return found
        asked = Asked(config, scale, last_dose, self.level)
        few = curves.values.shape[0] <= FEW
        noise = prepared.noise_model(config.noise)
        data = BinnedScan.of(prepared, alive, torch.device("cpu"), parameters, noise)
        freedom = data.freedom + torch.as_tensor(curves.freedom[alive], dtype=torch.float64)
        data = replace(
            data,
            inner=torch.as_tensor(inner[alive]),
            width=torch.as_tensor(curves.width / scale),
            freedom=freedom,
            few=few,
        )
        known = _Known.of(config, prepared)
        with torch.no_grad():
            if not few:
                found.put(alive, self._of_map(data, known, alive, asked))
                return found
            nodes = self._again(data, known, alive, asked, curves.dose)
            if nodes is None:
                nodes = self._nodes(data, known, alive, scale)
            held = self._held
            assert held is not None
            shift = float(np.log(scale / held.scale))
            found.put(alive, of_few(nodes, asked, held.place, shift))
        return found

    def _of_map(
        self, data: BinnedScan, known: _Known, alive: np.ndarray, asked: Asked
    ) -> LiveEstimate:
        """Estimates of curves that all have the same nodes, those of the last call if they suit."""
        grid = self._grid
        if grid is None or not grid.is_of(data, asked):
            self._grid = grid = MapGrid.of(data, asked)
        moments = replace(data, decay=grid.decay).moments()
        sums = data.projected(moments)
        grows, sigma = _best_of(data, sums)
        parts, n_bound = known.parts(data, self.config, alive, grows, sigma)
        pairs = near_pairs(data, grid, sums.squares)
        weights = log_weights(data, parts, grid, moments, sums, pairs)
        return of_many(weights, grid, pairs, n_bound, asked)

    def _again(
        self,
        data: BinnedScan,
        known: _Known,
        alive: np.ndarray,
        asked: Asked,
        dose: np.ndarray,
    ) -> Nodes | None:
        """The nodes of the last frame with new weights, or nodes a step nearer, where they suit."""
        held, parameters = self._held, data.parameters
        if held is None or not held.is_of(alive, data.freedom):
            return None
        parts, n_bound = known.parts(data, self.config, alive, held.grows, held.sigma)
        if len(parts) * data.count != held.place.rows.shape[-1]:
            return None
        scan, place = joined(parts), held.place
        scale, n = asked.scale, alive.size
        shift = float(np.log(scale / held.scale))
        # Of laws that do not scale, the same nodes are others in another unit of dose.
        dose = dose if parameters.law.scales else dose / scale
        search = place.search(parameters, shift)
        density = place.decayed(scan, search, dose, asked.last).log_density(search)[0]
        nodes = _nodes_of(alive, parameters, place, search, density, n_bound)
        if suit(by_curve(nodes.weight, n), place, parameters, shift):
            return nodes
        nodes, place = _followed(scan, place.rows, place.rates + shift, density, alive, n_bound, 1)
        if not suit(by_curve(nodes.weight, n), place, parameters):
            return None
        self._held = replace(held, scale=scale, place=place)
        return nodes

    def _nodes(self, data: BinnedScan, known: _Known, alive: np.ndarray, scale: float) -> Nodes:
        """Nodes placed anew."""
        grid = Grid.of(data)
        sums = replace(data, decay=grid.decay).sums(grid.search)
        grows, sigma = _best_of(data, sums)
        parts, n_bound = known.parts(data, self.config, alive, grows, sigma)
        scan = replace(joined(parts), decay=grid.decay)
        rows = grid.row[:, None]
        rates = grid.rate[None, :, None].expand(grid.row.numel(), -1, 1)
        density = scan.log_density(grid.search)[0]
        nodes, place = _followed(scan, rows, rates, density, alive, n_bound, 2)
        self._held = _Held(scale, alive, grows, sigma, data.freedom, place)
        return nodes


def _best_of(data: BinnedScan, sums: Sums) -> tuple[Tensor, Tensor]:
    """Whether the best amplitude of each curve is negative, and the noise that goes with it."""
    least, best = sums.squares.reshape(-1, data.count).min(0)
    amplitude = sums.amplitude.reshape(-1, data.count).gather(0, best[None])[0]
    sigma = torch.ones_like(least)
    if data.noise != "given":
        sigma = (least / data.freedom.clamp(min=1)).sqrt().clamp(min=1e-12)
    return amplitude < 0, sigma


def _nodes_of(
    alive: np.ndarray,
    parameters: Parameters,
    place: Place,
    search: list[Tensor],
    density: Tensor,
    n_bound: int,
) -> Nodes:
    """Weighed nodes, by part."""
    n_part = density.shape[-1] // alive.size
    wide = [each.expand(*each.shape[:-1], density.shape[-1]) for each in search]
    by_part = zip(*(with_parts(each, n_part) for each in wide), strict=True)
    weight = with_parts(density + place.log_room, n_part)
    found = [(list(each), row) for each, row in zip(by_part, weight, strict=True)]
    return Nodes.of_parts(alive, parameters, found, ordered=True, n_bound=n_bound)


def _followed(
    scan: BinnedScan,
    rows: Tensor,
    rates: Tensor,
    density: Tensor,
    alive: np.ndarray,
    n_bound: int,
    steps: int,
) -> tuple[Nodes, Place]:
    """Nodes that follow a density better, step by step."""
    parameters, search = scan.parameters, []
    for _ in range(steps):
        rows, rates = finer(parameters, rows, rates, density)
        search = searched(parameters, rates, rows[:, None])
        density = with_decay(scan, search).log_density(search)[0]
    place = Place(rows, rates)
    return _nodes_of(alive, parameters, place, search, density, n_bound), place


def _prepared(
    curves: BinnedCurves,
    config: ExactConfig,
    offset: np.ndarray | None,
    scale: float,
    weighted: bool,
) -> tuple[PreparedCurves, np.ndarray]:
    """Bins as curves, and what is left within them, in the same unit."""
    weight = curves.weight
    with np.errstate(divide="ignore"):
        variance = np.where(weight > 0, 1 / weight, np.nan)
    problem = DoseProblem(curves.dose, curves.values[:, None], ("",), variance[:, None], scale)
    prepared = prepare_curves(
        problem,
        offset=None if offset is None else offset[:, None],
        parameters=[parameter.name for parameter in config.parameters.free],
        absolute_variance=weighted and config.noise != "relative",
    )
    # Weights have a mean of 1 there.
    number = prepared.n_usable.reshape(-1) / np.maximum(weight.sum(-1), 1e-300)
    # Squares of intensities at the limit of float64 are beyond it, and their curves unknown.
    with np.errstate(over="ignore", invalid="ignore"):
        return prepared, curves.squares * number / prepared.unit.reshape(-1) ** 2
