# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Posterior of the kinetic parameters, curve by curve, on nodes that follow each curve's ridge.

Readout and noise are integrated out, see `marginal`; priors of ln k and p are those of the
configuration, other parameters are even in their box. Correlated noise and a bound on the offset
are parts of a mixture, see `parts`.

Windows are taken one by one, and then told of each other where the exponent is shared or a
hierarchy joins them, see `coupling`. Robust weights are used as they came out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.curves.preparation import PreparedCurves
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.exact_fit import ExactFit
from hyperspy_dosekin.kinetics.estimate.fit import fit_exact
from hyperspy_dosekin.kinetics.estimate.interval_data import interval_curves
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.model.parameters import Parameters
from hyperspy_dosekin.numerics.batching import map_slices, send
from hyperspy_dosekin.numerics.device import resolve_device

from .coupling import coupled
from .ends import PosteriorSummary, half_dose_moments, quantity_ends
from .mixture import mixed_nodes
from .nodes import Nodes
from .parts import parts_of, zero_errors
from .quantities import Quantity, check_level
from .scan import ScanData

# Curves whose rows are found at once.
_BLOCK = 4096
# Curves at once on another device, where an array of nodes then takes 0.1 GB.
_DEVICE_BLOCK = 2**15
# Nodes of curves are kept between calls up to this number of values.
_KEEP_VALUES = 6_000_000


@dataclass(frozen=True, eq=False)
class _Source:
    """Prepared curves, estimates on their scale of search, what is not dead, and where to work."""

    curves: PreparedCurves
    start: np.ndarray
    grows: np.ndarray
    sigma: np.ndarray
    zero_error: np.ndarray | None
    bounded: np.ndarray | None
    alive: np.ndarray
    device: torch.device


@dataclass(frozen=True, eq=False)
class KineticPosterior:
    """Posterior of the kinetic parameters, curve by curve; made by `kinetic_posterior`.

    Parameters
    ----------
    problem
        The data.
    config
        Options.
    fit
        The estimate that the nodes are placed around.
    """

    problem: DoseProblem
    config: ExactConfig
    fit: ExactFit
    _kept: list[Nodes] = field(default_factory=list, init=False, repr=False)

    @cached_property
    def parameters(self) -> Parameters:
        """The law with its priors."""
        return self.config.parameters

    @cached_property
    def _source(self) -> _Source:
        """What the nodes are made of."""
        curves = interval_curves(self.problem, self.config)
        free = self.parameters.free
        rows = [torch.as_tensor(self.fit.parameters[p.name].reshape(-1)) for p in free]
        start = np.stack(
            [p.to_search(row.clamp(p.lower, p.upper)) for p, row in zip(free, rows, strict=True)]
        )
        weight = np.sqrt(np.maximum(curves.mean_weight, 1e-300))
        # Of curves without a unit nothing is asked.
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            sigma = self.fit.noise_sigma / curves.unit * weight
        return _Source(
            curves,
            start,
            self.fit.amplitude.reshape(-1) < 0,
            sigma.reshape(-1),
            zero_errors(self.config, curves.unit.shape, curves.unit),
            self.config.bounded(curves),
            np.flatnonzero(~(curves.dead | self.fit.dead)),
            resolve_device(self.config.device),
        )

    @property
    def alive(self) -> np.ndarray:
        """Places in ``n_curve · n_window`` of what can be fitted, ascending."""
        return self._source.alive

    @property
    def unit(self) -> np.ndarray:
        """Unit of the values of `parts`, ``(n_curve, n_window)``."""
        return self._source.curves.unit

    @cached_property
    def _pairs(self) -> tuple[tuple[int, int], ...]:
        return self.config.pairs(self.problem.window_names)

    @property
    def _together(self) -> int:
        """Windows that have to be worked on together."""
        n_window = self.problem.values.shape[1]
        coupled = self.config.exponent == "shared" or self._pairs
        return n_window if coupled and n_window > 1 else 1

    def _made(self, part: slice) -> Iterator[Nodes]:
        """Nodes of some of the curves, or of curves with all their windows, that are not dead."""
        number, alive = self._together, self._source.alive
        if number == 1:
            yield from self._alone(alive[part])
            return
        curve = alive // number
        chosen = alive[(curve >= part.start) & (curve < part.stop)]
        if not chosen.size:
            return
        # Curves of a window beside each other: what is done with one window need not look for them.
        alone = self._alone(chosen[np.argsort(chosen % number, kind="stable")])
        shared = self.config.exponent == "shared"
        made = coupled(list(alone), number, shared=shared, pairs=self._pairs)
        # None is kept longer than it is needed.
        while made:
            yield made.pop(0)

    @property
    def _total(self) -> tuple[int, int]:
        """What there is to work on, and how much of it at once."""
        number = self._together
        total = self._source.alive.size
        if number > 1:
            total = self.problem.values.shape[0]
        size = _BLOCK if self._source.device.type == "cpu" else _DEVICE_BLOCK
        return total, max(size // number, 1)

    def _alone(self, index: np.ndarray) -> Iterator[Nodes]:
        """Nodes of some windows, each by itself."""
        source = self._source
        parts, n_bound = self.parts(index)
        start = send(source.start[:, index], source.device)
        shared = self.config.exponent == "shared"
        yield from mixed_nodes(index, parts, n_bound, start, finer=shared)

    def parts(self, index: np.ndarray) -> tuple[list[ScanData], int]:
        """Likelihoods whose mixture the posterior of some curves is, see `parts_of`.

        Parameters
        ----------
        index
            Places of the curves in ``n_curve · n_window``, none of them dead.

        Returns
        -------
        The parts, and how many of them, the last, have the offset at its bound.
        """
        source = self._source
        noise = source.curves.noise_model(self.config.noise)
        data = ScanData.of(source.curves, index, source.device, self.parameters, noise)

        def each(array: np.ndarray | None) -> Tensor | None:
            return None if array is None else send(array.reshape(-1)[index], source.device)

        bounded = each(source.bounded)
        if bounded is not None and not bool(bounded.any()):
            bounded = None
        grows, sigma = each(source.grows), each(source.sigma)
        assert grows is not None
        assert sigma is not None
        zero = each(source.zero_error)
        some = parts_of(data, self.config, grows, sigma.clamp(min=1e-12), zero, bounded)
        return some, 0 if bounded is None else len(some) // 2

    def _for_each(self, work: Callable[[Nodes], None]) -> None:
        """Do something with the nodes of every block, which are kept where they are few."""
        if self._kept:
            for nodes in self._kept:
                work(nodes)
            return
        source = self._source
        total, size = self._total
        kept: dict[int, list[Nodes]] = {}

        def work_on(part: slice) -> None:
            made = kept[part.start] = []
            number = 0
            # Gradients are recorded or not by thread.
            with torch.no_grad():
                for nodes in self._made(part):
                    work(nodes)
                    number += nodes.n_value
                    if number <= _KEEP_VALUES and total <= size:
                        made.append(nodes)
                    del nodes
            if number > _KEEP_VALUES:
                made.clear()

        map_slices(work_on, total, size=size, device=source.device, what="posterior")
        if len(kept) == 1:
            self._kept.extend(nodes for made in kept.values() for nodes in made)

    @property
    def n_kept(self) -> int:
        """Values of the nodes that are kept: 0 before they are made, or where they are too many."""
        return sum(nodes.n_value for nodes in self._kept)

    def on(self, nodes: Sequence[Nodes]) -> KineticPosterior:
        """The same on nodes that somebody else has weighed."""
        found = replace(self)
        found._kept.extend(nodes)
        return found

    def nodes(self) -> Iterator[Nodes]:
        """The weighed nodes of the parameters, block by block of curves that are not dead."""
        if self._kept:
            yield from self._kept
            return
        total, size = self._total
        for begin in range(0, total, size):
            with torch.no_grad():
                made = list(self._made(slice(begin, min(begin + size, total))))
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
        moments = np.full((4, count), np.nan)
        found = {q: np.full((len(tails), count, q.n_value), np.nan) for q in quantities}
        half = Quantity("half_integrity_dose")
        start = self._source.start
        parameters = self.parameters

        def work(nodes: Nodes) -> None:
            at = [send(row[nodes.index], nodes.weight.device) for row in start]
            value = half.evaluate(parameters, nodes.search)
            centre, scale = half.evaluate(parameters, at), self.config.dose_error.scale
            spread = nodes.distribution(value)
            moments[:, nodes.index] = half_dose_moments(value, nodes, centre, scale, spread).cpu()
            probabilities = nodes.weight.new_tensor(tails)
            for quantity in quantities:
                if quantity.name == half.name:
                    ends = quantity_ends(nodes, quantity, probabilities, value, centre, spread)
                    found[quantity][:, nodes.index, 0] = ends.cpu().numpy()
                    continue
                values = quantity.evaluate_all(parameters, nodes.search)
                estimates = quantity.evaluate_all(parameters, at)
                for place, (one, there) in enumerate(zip(values, estimates, strict=True)):
                    ends = quantity_ends(nodes, quantity, probabilities, one, there)
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
        mean, spread, near, evidence = (row.reshape(shape) for row in moments)
        return PosteriorSummary(mean, spread, near, evidence, intervals)

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


def kinetic_posterior(
    problem: DoseProblem, config: ExactConfig | None = None, *, fit: ExactFit | None = None
) -> KineticPosterior:
    """Posterior of the kinetic parameters for every curve and window.

    Parameters
    ----------
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
    >>> dose = np.linspace(100.0, 900.0, 9)
    >>> noise = np.random.default_rng(0).normal(scale=0.01, size=9)
    >>> problem = DoseProblem(dose, (np.exp(-3 * dose / 900) + noise)[None, None], ("C–O",))
    >>> lower, upper = kinetic_posterior(problem).interval("half_integrity_dose")
    >>> bool(lower[0, 0] < np.log(2) / 3 < upper[0, 0])
    True
    """
    config = config or ExactConfig()
    if fit is None:
        fit = fit_exact(problem, config)
    return KineticPosterior(problem, config, fit)
