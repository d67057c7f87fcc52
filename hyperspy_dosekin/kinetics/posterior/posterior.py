# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Posterior of the kinetic parameters, curve by curve, on nodes that follow each curve's ridge.

Readout and noise are integrated out, see `marginal`; priors of ln k and p are those of the
configuration, other parameters are even in their box. Without priors the box is the prior, and an
interval that runs into it is open: its end is then infinite (or zero). Correlated noise and a bound
on the offset are parts of a mixture, see `parts`. An interval always holds the estimate of the
fit, the mode of the posterior.

Windows are taken one by one, and then told of each other where the exponent is shared or a
hierarchy joins them, see `coupling`. Robust weights are used as they came out.
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
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.model.parameters import Parameters, known_before
from hyperspy_dosekin.numerics.batched_minimiser import minimise_batched
from hyperspy_dosekin.numerics.batching import map_slices, send
from hyperspy_dosekin.numerics.device import resolve_device

from .coupling import coupled
from .nodes import Distribution, Nodes, quantiles
from .parts import bound_matters, parts_of, zero_errors
from .quantities import Quantity, check_level
from .ridge import ridge_nodes, ridge_rows
from .rows import Rows
from .sampling import sampled_nodes
from .scan import ScanData

# Curves whose rows are found at once, and those whose nodes are: 35 × 31 nodes of 64 curves make
# half a MB an array.
_BLOCK, _PIECE, _SAMPLED_PIECE = 1024, 128, 32
# Curves at once on another device, where an array of nodes then takes 0.1 GB.
_DEVICE_BLOCK = 2**15
# Nodes of curves are kept between calls up to this number of values.
_KEEP_VALUES = 6_000_000
# Without a prior an interval is open where more than this share of the mass lies within half a
# unit of ln k of its box: even over the box it would be 0.066.
_OPEN_SHARE, _EDGE = 0.025, 0.5
# An interval begins at a bound of a box if this share of the mass lies within this share of its
# width of it; an even density would have about twice that.
_BOUND_MASS, _BOUND_REACH = 0.05, 0.1
# A part whose mode is so far below that of another in ln density is left out.
_NEGLIGIBLE = 11.0
#: Probability of never reaching ½ above which nothing is said of the spread of D½.
NEVER = 0.025
#: Distance in ln D½ from the estimate that counts as near it.
NEAR = 0.2


@dataclass(frozen=True, eq=False)
class PosteriorSummary:
    """What one pass over the posterior gave, arrays ``(n_curve, n_window)``, NaN where dead.

    Parameters
    ----------
    mean_log_half_dose, sd_log_half_dose
        Mean and standard deviation of ln D½ (D½ in normalised dose); infinite where ½ may well
        never be reached.
    near_estimate
        Probability that ln D½ lies within `NEAR` of the estimate.
    log_evidence
        See `Nodes`.
    intervals
        Lower and upper ends for each (quantity, level) that was asked for;
        ``(n_curve, n_window, n_dose)`` for an integrity at several doses.
    """

    mean_log_half_dose: np.ndarray
    sd_log_half_dose: np.ndarray
    near_estimate: np.ndarray
    log_evidence: np.ndarray
    intervals: dict[tuple[Quantity, float], tuple[np.ndarray, np.ndarray]]


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
        sigma = self.fit.noise_sigma / curves.unit * np.sqrt(np.maximum(curves.mean_weight, 1e-300))
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
        made = list(self._alone(alive[(curve >= part.start) & (curve < part.stop)]))
        shared = self.config.exponent == "shared"
        yield from coupled(made, number, shared=shared, pairs=self._pairs)

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
        ordered = len(self.parameters.free) < 3
        piece = _PIECE if ordered else _SAMPLED_PIECE
        if self._source.device.type != "cpu":
            piece = index.size
        parts, n_bound = self.parts(index)
        starts = self._starts(parts, index)
        highest = [some.log_density(list(at))[0] for some, at in zip(parts, starts, strict=True)]
        likely = torch.stack(highest) > torch.stack(highest).amax(0) - _NEGLIGIBLE
        # Where nothing can be computed, the first part shows it.
        likely[0] |= ~likely.any(0)
        rows: list[Rows | None] = []
        if ordered:
            for some, at, who in zip(parts, starts, likely, strict=True):
                where = torch.nonzero(who)[:, 0]
                if where.numel() == 0:
                    rows.append(None)
                    continue
                rows.append(ridge_rows(some.select(where), at[:, where]).placed(where, index.size))
        shared = self.config.exponent == "shared"
        piece = max(2 * piece // (1 + len(parts)), 1)
        for begin in range(0, index.size, piece):
            every = torch.arange(begin, min(begin + piece, index.size), device=likely.device)
            found, which = [], []
            for number, some in enumerate(parts):
                few = every[likely[number, every]]
                if few.numel() == 0:
                    continue
                data = some.select(few)
                placed = rows[number] if ordered else None
                if placed is not None:
                    nodes = ridge_nodes(data, placed.select(few), finer=shared)
                else:
                    nodes = sampled_nodes(data, starts[number][:, few])
                found.append(_at_places(*nodes, few - begin, every.numel()))
                which.append(number)
            yield Nodes.of_parts(
                index[begin : begin + piece],
                self.parameters,
                found,
                ordered=ordered,
                n_bound=sum(number >= len(parts) - n_bound for number in which),
                parts=which,
            )

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

    def _starts(self, parts: list[ScanData], index: np.ndarray) -> list[Tensor]:
        """Modes of some parts or near them, each ``(n_free, n)``."""
        start = send(self._source.start[:, index], self._source.device)
        free = parts[0].offset_free
        return [start if some.offset_free == free else _restarted(some, start) for some in parts]

    def _for_each(self, work: Callable[[Nodes], None]) -> None:
        """Do something with the nodes of every block, which are kept where they are few."""
        if self._kept:
            for nodes in self._kept:
                work(nodes)
            return
        source = self._source
        kept: dict[int, list[Nodes]] = {}

        def work_on(part: slice) -> None:
            made = kept[part.start] = []
            number = 0
            # Gradients are recorded or not by thread.
            with torch.no_grad():
                for nodes in self._made(part):
                    work(nodes)
                    number += nodes.n_value
                    if number <= _KEEP_VALUES:
                        made.append(nodes)
            if number > _KEEP_VALUES:
                made.clear()

        total, size = self._total
        map_slices(work_on, total, size=size, device=source.device, what="posterior")
        if len(kept) == 1:
            self._kept.extend(nodes for made in kept.values() for nodes in made)

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


def quantity_ends(
    nodes: Nodes,
    quantity: Quantity,
    probabilities: Tensor,
    value: Tensor,
    estimate: Tensor,
    spread: Distribution | None = None,
) -> Tensor:
    """Ends of the central intervals of a quantity, ``(n_probability, n)``.

    Parameters
    ----------
    nodes
        The weighed nodes.
    quantity
        What is asked for.
    probabilities
        Of the ends.
    value, estimate
        Its value at the nodes and at the estimate, which intervals hold, as
        `Quantity.evaluate_all` gives them.
    spread
        Its distribution, if that is there already.
    """
    parameters = nodes.parameters
    spread = nodes.distribution(value) if spread is None else spread
    ends = spread.quantiles(probabilities)
    if nodes.n_bound:
        ends = holding_bound(ends, value, nodes, probabilities)
    ends = _to_bounds(ends, quantity, value, nodes, probabilities)
    ends = _opened(ends, quantity, nodes, probabilities)
    ends = _holding(ends, estimate, probabilities)
    return quantity.finish(parameters, ends)


def _at_places(
    search: list[Tensor], log_weight: Tensor, place: Tensor, count: int
) -> tuple[list[Tensor], Tensor]:
    """Nodes of some of `count` curves as nodes of all, of which the others have no weight."""
    if place.numel() == count:
        return search, log_weight
    whole = log_weight.new_full((*log_weight.shape[:-1], count), -torch.inf)
    whole[..., place] = log_weight
    wide = []
    for each in search:
        of_all = each[..., :1].expand(*each.shape[:-1], count).clone()
        of_all[..., place] = each
        wide.append(of_all)
    return wide, whole


def _restarted(data: ScanData, start: Tensor) -> Tensor:
    """Mode of a part that lies elsewhere than the estimate, ``(n_free, n)``."""
    free = data.parameters.free
    number = {1: 48, 2: 24, 3: 14}[len(free)]
    axes = []
    for place, parameter in enumerate(free):
        low, high = parameter.search_box
        n_node = number if place == 0 else max(number // 3, 5)
        axes.append(start.new_tensor(np.linspace(low, high, n_node + 2)[1:-1]))
    grid = torch.stack([axis.reshape(-1) for axis in torch.meshgrid(*axes, indexing="ij")])
    density = data.log_density([row[:, None] for row in grid])[0]
    best = grid[:, density.argmax(0)]
    objective = _Whole(data)
    lower, upper = start.new_tensor([parameter.search_box for parameter in free]).T
    found = minimise_batched(
        objective,
        best,
        lower,
        upper,
        largest_step=torch.minimum(0.3 * (upper - lower), torch.ones_like(lower)),
        tolerance=1e-3,
        max_iterations=20,
    )
    return found.parameters


@dataclass(frozen=True, eq=False)
class _Whole:
    """Deviance in all free parameters, an objective of `minimise_batched`."""

    data: ScanData

    def select(self, index: Tensor) -> _Whole:
        return _Whole(self.data.select(index))

    def evaluate(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.data.evaluate(list(parameters), [True] * len(parameters))


def half_dose_moments(
    value: Tensor,
    nodes: Nodes,
    estimate: Tensor,
    scale: float,
    spread: Distribution | None = None,
) -> Tensor:
    """Mean and deviation of ln D½, probability near the estimate, and evidence, ``(4, n)``.

    The relative error `scale` of all doses is in deviation and probability; `spread` is the
    distribution of the values, if it is there already.
    """
    spread = nodes.distribution(value) if spread is None else spread
    known = torch.isfinite(estimate)
    estimate = torch.where(known, estimate, 0.0)
    if scale:
        distance = (value - estimate).abs()
        near = torch.special.ndtr((NEAR - distance) / scale)
        near = near - torch.special.ndtr((-NEAR - distance) / scale)
        near = (nodes.weight * near.nan_to_num(0.0)).sum((0, 1, 2))
    else:
        near = spread.below(estimate + NEAR) - spread.below(estimate - NEAR)
    deviation = (spread.spread**2 + scale**2).sqrt()
    if spread.finite_mass is not None:
        deviation = torch.where(spread.finite_mass < 1 - NEVER, torch.inf, deviation)
    return torch.stack([spread.mean, deviation, torch.where(known, near, 0.0), nodes.log_evidence])


def _holding(ends: Tensor, estimate: Tensor, tails: Tensor) -> Tensor:
    """Widen intervals ``(n_tail, n)`` that do not hold the estimate."""
    lower, upper = tails[:, None] < 0.5, tails[:, None] > 0.5
    ends = torch.where(lower, torch.minimum(ends, estimate), ends)
    return torch.where(upper, torch.maximum(ends, estimate), ends)


def holding_bound(ends: Tensor, value: Tensor, nodes: Nodes, tails: Tensor) -> Tensor:
    """Widen intervals to those of the parts at the bound, where the data do not speak against."""
    weight = nodes.weight[-nodes.n_bound :]
    mass = weight.sum((0, 1, 2))
    index = bound_matters(mass)
    if index.numel() == 0:
        return ends
    value = value.expand(nodes.weight.shape)[-nodes.n_bound :][..., index]
    weight = weight[..., index] / mass[index]
    own = quantiles(value, weight, tails, ordered=nodes.ordered)
    some = ends[:, index]
    lower, upper = torch.minimum(some, own), torch.maximum(some, own)
    ends[:, index] = torch.where(tails[:, None] < 0.5, lower, upper)
    return ends


def _to_bounds(
    ends: Tensor, quantity: Quantity, value: Tensor, nodes: Nodes, tails: Tensor
) -> Tensor:
    """Move the ends of a parameter without a prior to its box where the density has not fallen.

    Those of an exponent, of which the box is no knowledge, go on to 0 or infinity.
    """
    parameters = nodes.parameters
    chosen = [p for p in parameters.free if p.name == quantity.name]
    if not chosen or chosen[0].name == "rate":
        return ends
    if known_before(chosen[0], parameters.prior_of_law) is not None:
        return ends
    low, high = chosen[0].free_box
    outer = (0.0, math.inf) if chosen[0].name == "exponent" else (low, high)
    reach = _BOUND_REACH * (ends.amax(0) - ends.amin(0))
    for bound, end, side in (
        (low, outer[0], tails[:, None] < 0.5),
        (high, outer[1], tails[:, None] > 0.5),
    ):
        near = (nodes.weight * ((value - bound).abs() < reach)).sum((0, 1, 2)) > _BOUND_MASS
        ends = torch.where(side & near, end, ends)
    return ends


def _opened(ends: Tensor, quantity: Quantity, nodes: Nodes, tails: Tensor) -> Tensor:
    """Open the ends of rates and doses whose mass stands on the box of a rate without a prior."""
    parameters = nodes.parameters
    rate = parameters.free[0]
    known = known_before(rate, parameters.prior_of_law)
    if known is not None or not (rate.name == "rate" and rate.logarithmic):
        return ends
    if quantity.name not in ("rate", "half_integrity_dose", "dose_at"):
        return ends
    low, high = rate.search_box
    slow = (nodes.weight * (nodes.search[0] < low + _EDGE)).sum((0, 1, 2)) > _OPEN_SHARE
    fast = (nodes.weight * (nodes.search[0] > high - _EDGE)).sum((0, 1, 2)) > _OPEN_SHARE
    # A small rate is a large dose.
    below, above = (slow, fast) if quantity.name == "rate" else (fast, slow)
    ends = torch.where((tails[:, None] < 0.5) & below, -math.inf, ends)
    return torch.where((tails[:, None] > 0.5) & above, math.inf, ends)


def kinetic_posterior(
    problem: DoseProblem, config: ExactConfig | None = None, *, fit: ExactFit | None = None
) -> KineticPosterior:
    """Posterior of the kinetic parameters for every curve and window.

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
        fit = fit_exact(problem, config)
    return KineticPosterior(problem, config, fit)
