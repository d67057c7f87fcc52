# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Posterior of rate and exponent on a grid that follows each curve's ridge.

Readout and noise are marginalised: b is flat, σ has 1/σ (its marginal is Student's t, which nine
frames need), a is flat in ln|a| where it rises above its standard error σ_a, ``1/√(a² + σ_a²)``,
so that neither a unit nor the long ridge a → ∞, k → 0 is preferred. With priors, |a|/σ is also
expected to be about 50, give or take a factor of seven (`scan.SIGNAL_TO_NOISE`): the coverage
of weak windows needs it, clear ones do not notice. With a given variance σ is that variance: if
it is only known up to a factor, leave it out or scale it first. Priors of ln k and p are those of
the configuration; without them the box of the estimator is the prior, and an interval that runs
into the box is open: its end is then infinite (or zero).

Windows are taken one by one: a shared exponent and the hierarchy are not used here, so that
intervals are, if anything, too wide for such fits. Robust weights are used as they came out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.curves.preparation import PreparedCurves
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.fit import ExactFit, fit_exact
from hyperspy_dosekin.kinetics.estimate.interval_data import interval_curves
from hyperspy_dosekin.kinetics.laws.prior import EXPONENT_BOX, LOG_RATE_BOX
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.numerics.batching import map_slices, send
from hyperspy_dosekin.numerics.device import resolve_device

from .quantities import Quantity, check_level
from .ridge import N_NODE, N_ROW, Nodes, exponent_quantiles, grid_nodes, quantiles
from .rows import row_steps
from .scan import ScanData

# Curves at once, and those whose nodes are: 24 × 18 nodes of 128 curves make 0.4 MB an array.
_BLOCK, _PIECE = 4096, 128
# Curves at once on another device, where an array of nodes then takes 0.1 GB.
_DEVICE_BLOCK = 2**15
# Nodes of curves are kept between calls up to this number of values.
_KEEP_VALUES = 6_000_000
# Without a prior an interval is open where the density at the box is above this share of its peak.
_OPEN_SHARE = 0.05


@dataclass(frozen=True, eq=False)
class PosteriorSummary:
    """What one pass over the posterior gave, arrays ``(n_curve, n_window)``, NaN where dead.

    Parameters
    ----------
    mean_log_half_dose, sd_log_half_dose
        Mean and standard deviation of ln D½ (D½ in normalised dose).
    intervals
        Lower and upper ends for each (quantity, level) that was asked for;
        ``(n_curve, n_window, n_dose)`` for an integrity at several doses.
    """

    mean_log_half_dose: np.ndarray
    sd_log_half_dose: np.ndarray
    intervals: dict[tuple[Quantity, float], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, eq=False)
class _Source:
    """Prepared curves, ln k and ln p of their estimates, which are not dead, and where to work."""

    curves: PreparedCurves
    start: np.ndarray
    alive: np.ndarray
    device: torch.device


@dataclass(frozen=True, eq=False)
class KineticPosterior:
    """Posterior of rate and exponent, curve by curve; made by `kinetic_posterior`.

    Parameters
    ----------
    problem
        The data.
    config
        Options; prior, offset, exponent, loss and device are used.
    fit
        The estimate that the grid is built around.
    """

    problem: DoseProblem
    config: ExactConfig
    fit: ExactFit
    _kept: list[Nodes] = field(default_factory=list, init=False, repr=False)

    @cached_property
    def _source(self) -> _Source:
        """What the nodes are made of."""
        curves = interval_curves(self.problem, self.config)
        with np.errstate(divide="ignore", invalid="ignore"):
            start = np.stack([np.log(self.fit.rate).ravel(), np.log(self.fit.exponent).ravel()])
        alive = np.flatnonzero(~(curves.dead | self.fit.dead))
        return _Source(curves, start, alive, resolve_device(self.config.device))

    def _made(self, part: slice) -> Iterator[Nodes]:
        """Nodes of some of the curves that are not dead."""
        source = self._source
        index, device = source.alive[part], source.device
        data = ScanData.of(source.curves, index, device)
        point = send(source.start[:, index], device)
        piece = _PIECE if device.type == "cpu" else index.size
        return grid_nodes(data, index, point, self.config, max(piece, 1))

    def _for_each(self, work: Callable[[Nodes], None]) -> None:
        """Do something with the nodes of every block, which are kept where they are few."""
        if self._kept:
            for nodes in self._kept:
                work(nodes)
            return
        source = self._source
        keep = source.alive.size * 2 * N_ROW * N_NODE <= _KEEP_VALUES
        kept: dict[int, list[Nodes]] = {}

        def work_on(part: slice) -> None:
            made = kept[part.start] = []
            # Gradients are recorded or not by thread.
            with torch.no_grad():
                for nodes in self._made(part):
                    work(nodes)
                    if keep:
                        made.append(nodes)

        size = _BLOCK if source.device.type == "cpu" else _DEVICE_BLOCK
        map_slices(work_on, source.alive.size, size=size, device=source.device, what="posterior")
        self._kept.extend(nodes for start in sorted(kept) for nodes in kept[start])

    def nodes(self) -> Iterator[Nodes]:
        """The weighed nodes of rate and exponent, block by block of curves that are not dead."""
        if self._kept:
            yield from self._kept
            return
        number = self._source.alive.size
        for begin in range(0, number, _BLOCK):
            with torch.no_grad():
                made = list(self._made(slice(begin, min(begin + _BLOCK, number))))
            yield from made

    def summarise(
        self, quantities: Sequence[Quantity] = (), levels: Sequence[float] = (0.95,)
    ) -> PosteriorSummary:
        """Moments of ln D½ and intervals of any quantities, in one pass over the curves.

        Parameters
        ----------
        quantities
            What intervals are wanted of.
        levels
            Probabilities of the central intervals.

        Returns
        -------
        Arrays ``(n_curve, n_window)``, or ``(n_curve, n_window, n_dose)`` for an integrity.

        Raises
        ------
        ValueError
            If a level does not lie between 0 and 1.
        """
        for level in levels:
            check_level(level)
        shape = self.problem.values.shape[:2]
        count = shape[0] * shape[1]
        tails = sorted({tail for level in levels for tail in ((1 - level) / 2, (1 + level) / 2)})
        mean, deviation = np.full(count, np.nan), np.full(count, np.nan)
        found = {q: np.full((len(tails), count, q.n_value), np.nan) for q in quantities}
        half = Quantity("half_integrity_dose")

        def work(nodes: Nodes) -> None:
            value = half.evaluate(nodes.log_rate, nodes.exponent)
            average = (nodes.weight * value).sum((0, 1))
            spread = (nodes.weight * (value - average) ** 2).sum((0, 1)).sqrt()
            mean[nodes.index], deviation[nodes.index] = average.cpu(), spread.cpu()
            probabilities = value.new_tensor(tails)
            for quantity in quantities:
                for place in range(quantity.n_value):
                    if quantity.varies_with_rate:
                        value = quantity.evaluate(nodes.log_rate, nodes.exponent, place)
                        ends = quantiles(value, nodes.weight, probabilities)
                    else:
                        ends = exponent_quantiles(nodes, probabilities)
                    ends = quantity.finish(ends)
                    if self.config.prior is None:
                        ends = _opened(ends, quantity, nodes, probabilities)
                    found[quantity][:, nodes.index, place] = ends.cpu().numpy()

        self._for_each(work)
        intervals = {}
        for quantity, ends in found.items():
            last = (quantity.n_value,) if quantity.name == "integrity" else ()
            for level in levels:
                lower, upper = (tails.index(tail) for tail in ((1 - level) / 2, (1 + level) / 2))
                intervals[quantity, level] = (
                    ends[lower].reshape(*shape, *last),
                    ends[upper].reshape(*shape, *last),
                )
        return PosteriorSummary(mean.reshape(shape), deviation.reshape(shape), intervals)

    def interval(
        self,
        name: str,
        level: float = 0.95,
        *,
        dose_level: float | None = None,
        normalised_dose: Sequence[float] = (),
    ) -> tuple[np.ndarray, np.ndarray]:
        """Central interval of one quantity.

        Parameters
        ----------
        name
            A name of `Quantity`.
        level
            Its probability.
        dose_level, normalised_dose
            As for `Quantity`.

        Returns
        -------
        (lower, upper), each ``(n_curve, n_window)`` or ``(n_curve, n_window, n_dose)``.
        """
        quantity = Quantity(name, dose_level, tuple(normalised_dose))
        return self.summarise([quantity], [level]).intervals[quantity, level]


def _opened(ends: Tensor, quantity: Quantity, nodes: Nodes, tails: Tensor) -> Tensor:
    """Move ends to 0 or ∞ where the density has not fallen off at the box it stands on."""
    if quantity.name == "integrity":
        return ends
    lower, upper = tails[:, None] < 0.5, tails[:, None] > 0.5
    if quantity.name == "exponent":
        mass = nodes.weight.sum(1) / row_steps(nodes.exponent[:, 0]).clamp(min=1e-300)
        open_below = (mass[0] > _OPEN_SHARE * mass.amax(0)) & (
            nodes.exponent[0, 0] <= EXPONENT_BOX[0] + 1e-9
        )
        open_above = (mass[-1] > _OPEN_SHARE * mass.amax(0)) & (
            nodes.exponent[-1, 0] >= EXPONENT_BOX[1] - 1e-9
        )
    else:
        slow = _edge_share(nodes, LOG_RATE_BOX[0], 1.0)
        fast = _edge_share(nodes, LOG_RATE_BOX[1], -1.0)
        # A small rate is a large dose.
        open_below, open_above = (slow, fast) if quantity.name == "rate" else (fast, slow)
    ends = torch.where(lower & open_below, 0.0, ends)
    return torch.where(upper & open_above, math.inf, ends)


def _edge_share(nodes: Nodes, edge: float, inward: float) -> Tensor:
    """Tell whether ln k has, within half a unit of an edge, a mass that is not a tail."""
    near = ((nodes.log_rate - edge) * inward < 0.5).to(nodes.weight)
    # Flat over the box would put 0.5/7.6 there.
    return (near * nodes.weight).sum((0, 1)) > _OPEN_SHARE * 0.5


def kinetic_posterior(
    problem: DoseProblem, config: ExactConfig | None = None, *, fit: ExactFit | None = None
) -> KineticPosterior:
    """Posterior of rate and exponent for every curve and window.

    Parameters
    ----------
    problem
        The data.
    config
        Options, those of `fit_exact`.
    fit
        Its result with the same options, if it is there already.

    Returns
    -------
    An object that gives intervals; curves are worked on in blocks, so that memory does not grow
    with their number.

    Examples
    --------
    >>> import numpy as np
    >>> dose = np.linspace(100.0, 900.0, 9)
    >>> noise = np.random.default_rng(0).normal(scale=0.01, size=9)
    >>> problem = DoseProblem(dose, (np.exp(-3 * dose / 900) + noise)[None, None], ("C–O",))
    >>> lower, upper = kinetic_posterior(problem).interval("half_integrity_dose")
    >>> bool(lower[0, 0] < np.log(2) / 3 < upper[0, 0])
    True
    """
    config = config or ExactConfig()
    if fit is None:
        fit = fit_exact(problem, replace(config, hierarchy=()))
    return KineticPosterior(problem, config, fit)
