# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Posterior of rate and exponent on a grid that follows each curve's ridge.

Readout and noise are marginalised: b is flat, σ has 1/σ (its marginal is Student's t, which nine
frames need), a is flat in ln|a| where it rises above its standard error σ_a, ``1/√(a² + σ_a²)``,
so that neither a unit nor the long ridge a → ∞, k → 0 is preferred. With priors, |a|/σ is also
expected to be about 100, give or take a factor of seven (`scan.SIGNAL_TO_NOISE`): the coverage
of weak windows needs it, clear ones do not notice. With a given variance σ is that variance: if
it is only known up to a factor, leave it out or scale it first. Priors of ln k and p are those of
the configuration; without them the box of the estimator is the prior, and an interval that runs
into the box is open: its end is then infinite (or zero).

Windows are taken one by one: a shared exponent and the hierarchy are not used here, so that
intervals are, if anything, too wide for such fits. Robust weights are used as they came out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.numerics.device import resolve_device

from .exact import ExactConfig, ExactFit, fit_exact
from .interval_data import exponent_is_free, interval_curves
from .objective import Deviance, Layout
from .prior import EXPONENT_BOX, LOG_RATE_BOX, Prior
from .problem import DoseProblem
from .quantities import Quantity, check_level
from .scan import Rows, ScanData, best_on_rows, interpolate_rows, row_steps, spread_rows

_N_ROW, _N_NODE = 28, 20
# Rows are wanted down to this in ln density below the highest, nodes below that of their row: not
# further, since the tails of Student's t would leave no nodes for the middle.
_DEPTH, _ROW_DEPTH = 9.0, 6.0
_ROUNDS = 4
# Lines between two rows when quantiles are taken.
_SUBROWS = 3
# Halvings of the range of a value: far below what the nodes resolve.
_BISECTIONS = 14
# Curves at once: 28 × 20 nodes of 256 curves make 1 MB an array.
_BLOCK = 256
# Nodes of curves are kept between calls up to this number of values.
_KEEP_VALUES = 6_000_000
# Without a prior an interval is open where the density at the box is above this share of its peak.
_OPEN_SHARE = 0.05


@dataclass(frozen=True, eq=False)
class Nodes:
    """Weighed nodes of some curves: ln k and p with their probabilities.

    Parameters
    ----------
    index
        Place of the curves in ``n_curve · n_window``.
    log_rate, weight
        ``(n_row, n_node, n)``; weights of a curve add up to 1.
    exponent
        ``(n_row, 1, n)``.
    """

    index: np.ndarray
    log_rate: Tensor
    exponent: Tensor
    weight: Tensor

    @property
    def n_value(self) -> int:
        """Numbers held."""
        return 2 * self.log_rate.numel()


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


def _log_density(data: ScanData, log_rate: Tensor, exponent: Tensor, prior: Prior | None) -> Tensor:
    """Log posterior density in (ln k, p), up to a constant."""
    density = -0.5 * data.deviance(log_rate, exponent, weigh_signal=prior is not None)
    if prior is None:
        return density
    mean, width = prior.log_rate
    density = density - 0.5 * ((log_rate - mean) / width) ** 2
    mean, width = prior.exponent
    return density - 0.5 * ((exponent - mean) / width) ** 2


def _first_rows(data: ScanData, start: Tensor, config: ExactConfig) -> tuple[Tensor, Tensor]:
    """Rows of p that the curvature at the estimate suggests, with rates along the ridge."""
    layout = Layout(1, "free", data.offset_free, config.prior)
    root = None if data.root_weight is None else data.root_weight[:, None]
    freedom = None if data.variance_known else data.freedom.clamp(min=1)[None]
    objective = Deviance(layout, data.dose[:, None, None], data.values[:, None], root, freedom)
    hessian = objective.evaluate(start)[2]
    determinant = hessian[0, 0] * hessian[1, 1] - hessian[0, 1] ** 2
    safe = determinant > 1e-10 * hessian[0, 0] * hessian[1, 1]
    spread = torch.where(safe, hessian[0, 0] / determinant.clamp(min=1e-300), 1e6).sqrt()
    best = start[1].exp()
    reach = 8 * (best * spread).clamp(min=1e-4)
    # Ends at the corners of extinction hide curvature: never less than a little of the box.
    lower = (best - reach).clamp(*EXPONENT_BOX)
    upper = (best + reach).clamp(*EXPONENT_BOX)
    rows = spread_rows(lower, upper, _N_ROW)
    slope = -hessian[0, 1] / hessian[0, 0].clamp(min=1e-12)
    rates = start[0] + slope.clamp(-3, 3) * (rows.log() - start[1])
    return rows, rates.clamp(*LOG_RATE_BOX)


def _row_mass(data: ScanData, rows: Rows, prior: Prior | None) -> Tensor:
    """Laplace estimate of ln ∫ density d ln k on each row."""
    log_density = _log_density(data, rows.log_rate, rows.exponent, prior)
    return log_density + rows.width.log()


def _adapted_rows(data: ScanData, start: Tensor, config: ExactConfig) -> Rows:
    """Rows that cover the posterior of p, and not much more."""
    exponent, rate = _first_rows(data, start, config)
    rows = best_on_rows(data, exponent, rate, config.prior)
    for _ in range(_ROUNDS):
        mass = _row_mass(data, rows, config.prior)
        active = mass > mass.amax(0) - _DEPTH
        places = torch.arange(_N_ROW, device=active.device)[:, None]
        first = torch.where(active, places, _N_ROW).amin(0)
        last = torch.where(active, places, -1).amax(0)
        span = rows.exponent[-1] - rows.exponent[0]
        low = rows.exponent.gather(0, (first - 1).clamp(min=0)[None])[0]
        high = rows.exponent.gather(0, (last + 1).clamp(max=_N_ROW - 1)[None])[0]
        low = torch.where(first == 0, (low - span).clamp(min=EXPONENT_BOX[0]), low)
        high = torch.where(last == _N_ROW - 1, (high + span).clamp(max=EXPONENT_BOX[1]), high)
        outside = (low < rows.exponent[0]) | (high > rows.exponent[-1])
        coarse = last - first < _N_ROW // 2
        # A box-wide scan with half its rows idle is still fine; one of a few rows is not.
        again = torch.nonzero(outside | (coarse & (high - low < 0.9 * span)))[:, 0]
        if again.numel() == 0:
            break
        new = spread_rows(low[again], high[again], _N_ROW)
        guess = interpolate_rows(new, rows.exponent[:, again], rows.log_rate[:, again])
        part = best_on_rows(data.select(again), new, guess, config.prior)
        for name in ("exponent", "log_rate", "width", "squares"):
            getattr(rows, name)[:, again] = getattr(part, name)
    return rows


def _adapted_nodes(
    data: ScanData, rows: Rows, prior: Prior | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Nodes of ln k on each row, ln densities, and their spacing ``(n_row, n)``."""
    share = torch.linspace(0, 1, _N_NODE, dtype=torch.float64, device=data.dose.device)
    share = share[:, None]
    # Where a normal (σ known) or Student's t of seven (σ marginalised) is down by _ROW_DEPTH.
    reach = 3.5 if data.variance_known else 4.8
    low = (rows.log_rate - reach * rows.width).clamp(*LOG_RATE_BOX)
    high = (rows.log_rate + reach * rows.width).clamp(*LOG_RATE_BOX)
    low, high = low.reshape(-1), high.reshape(-1)
    n_row, n = rows.exponent.shape
    # Worked on as pairs of row and curve, row by row; most pairs are right at once.
    exponent = rows.exponent.reshape(-1)
    curve = torch.arange(n, device=low.device).repeat(n_row)
    log_rate = torch.empty(_N_NODE, n_row * n).to(low)
    density = torch.empty_like(log_rate)
    work = torch.arange(n_row * n, device=low.device)
    places = torch.arange(_N_NODE, device=low.device)[:, None]
    highest = None
    for round_ in range(_ROUNDS):
        lower, span = low[work], (high - low)[work]
        nodes = lower + share * span
        if round_ == 0:
            # All pairs: the curves need not be copied for each row.
            table = nodes.reshape(_N_NODE, n_row, n)
            value = _log_density(data, table, rows.exponent, prior).reshape(_N_NODE, -1)
        else:
            value = _log_density(data.select(curve[work]), nodes, exponent[work], prior)
        log_rate[:, work], density[:, work] = nodes, value
        peak = value.amax(0)
        if highest is None:
            highest = peak.reshape(n_row, n).amax(0)
        active = value > peak - _ROW_DEPTH
        first = torch.where(active, places, _N_NODE).amin(0)
        last = torch.where(active, places, -1).amax(0)
        step = span / (_N_NODE - 1)
        new_low = lower + step * torch.where(first == 0, -_N_NODE / 3, first - 1.0)
        new_high = (
            lower
            + span
            + step * torch.where(last == _N_NODE - 1, _N_NODE / 3, last + 2.0 - _N_NODE)
        )
        new_low, new_high = new_low.clamp(*LOG_RATE_BOX), new_high.clamp(*LOG_RATE_BOX)
        wrong = (new_low < lower - 1e-9) | (new_high > lower + span + 1e-9)
        wrong |= (last - first < _N_NODE // 2) & (new_high - new_low < 0.9 * span)
        # Rows far down do not matter.
        wrong &= peak > highest[curve[work]] - _DEPTH
        if round_ == _ROUNDS - 1 or not bool(wrong.any()):
            break
        low[work] = torch.where(wrong, new_low, lower)
        high[work] = torch.where(wrong, new_high, lower + span)
        work = work[wrong]
    shape = (_N_NODE, n_row, n)
    log_rate, density = (array.reshape(shape).transpose(0, 1) for array in (log_rate, density))
    return log_rate, density, (log_rate[:, -1] - log_rate[:, 0]) / (_N_NODE - 1)


def _nodes(data: ScanData, index: np.ndarray, start: Tensor, config: ExactConfig) -> Nodes:
    """Weighed nodes of a block of curves."""
    if exponent_is_free(config):
        rows = _adapted_rows(data, start, config)
    else:
        exponent = torch.full_like(start[:1], float(config.exponent))
        rows = best_on_rows(data, exponent, start[:1], config.prior)
    log_rate, density, spacing = _adapted_nodes(data, rows, config.prior)
    weight = (density - density.amax((0, 1))).exp()
    weight[:, 0] *= 0.5
    weight[:, -1] *= 0.5
    weight *= (spacing * row_steps(rows.exponent))[:, None]
    weight /= weight.sum((0, 1))
    return Nodes(index, log_rate, rows.exponent[:, None], weight)


def _between_rows(values: Tensor) -> Tensor:
    """Values on `_SUBROWS` lines between every two rows; a single row stays as it is."""
    if values.shape[0] == 1:
        return values
    share = (torch.arange(_SUBROWS).to(values) + 0.5) / _SUBROWS
    share = share.reshape(1, -1, *([1] * (values.ndim - 1)))
    lines = values[:-1, None] + share * values.diff(dim=0)[:, None]
    return lines.flatten(0, 1)


def _segment_masses(nodes: Nodes) -> Tensor:
    """Probability of the segments between neighbouring nodes, on lines between the rows."""
    steps = row_steps(nodes.exponent[:, 0]).clamp(min=1e-300)[:, None]
    line = nodes.weight / steps
    # The first and last node of a row carry half a weight.
    line[:, 0] *= 2
    line[:, -1] *= 2
    pair = 0.5 * (line[:, :-1] + line[:, 1:])
    if pair.shape[0] == 1:
        return pair
    gaps = nodes.exponent.diff(dim=0).repeat_interleave(_SUBROWS, dim=0) / _SUBROWS
    return _between_rows(pair) * gaps


def _quantiles(values: Tensor, masses: Tensor, probabilities: Tensor) -> Tensor:
    """Quantiles of a value given at the nodes, ``(n_probability, n)``, by bisection.

    The mass of a segment is spread evenly between the values at its ends: the nodes by themselves
    would come in clumps, one for each row of a narrow ridge.
    """
    n = values.shape[-1]
    values = _between_rows(values)
    low = torch.minimum(values[:, :-1], values[:, 1:]).reshape(-1, n)
    width = values.diff(dim=1).abs().reshape(-1, n).clamp(min=1e-12)
    masses = masses.reshape(-1, n)
    least, largest = low.amin(0), (low + width).amax(0)
    inverse = width.reciprocal()
    constant = -low * inverse
    found = []
    for probability in probabilities.tolist():
        below, above = least, largest
        for _ in range(_BISECTIONS):
            middle = 0.5 * (below + above)
            share = torch.addcmul(constant, middle.expand_as(width), inverse)
            reached = share.clamp_(0.0, 1.0).mul_(masses).sum(0) < probability
            below = torch.where(reached, middle, below)
            above = torch.where(reached, above, middle)
        found.append(0.5 * (below + above))
    return torch.stack(found)


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

    def _blocks(self) -> Iterator[Nodes]:
        """Nodes of all curves that are not dead, block by block."""
        if self._kept:
            yield from self._kept
            return
        curves = interval_curves(self.problem, self.config)
        device = resolve_device(self.config.device)
        alive = np.flatnonzero(~(curves.dead | self.fit.dead))
        per_curve = 2 * _N_ROW * _N_NODE
        keep = alive.size * per_curve <= _KEEP_VALUES
        with np.errstate(divide="ignore", invalid="ignore"):
            start = np.stack([np.log(self.fit.rate).ravel(), np.log(self.fit.exponent).ravel()])
        kept = []
        with torch.no_grad():
            for begin in range(0, alive.size, _BLOCK):
                index = alive[begin : begin + _BLOCK]
                data = ScanData.of(curves, index, device)
                point = torch.as_tensor(start[:, index], device=device)
                nodes = _nodes(data, index, point, self.config)
                if keep:
                    kept.append(nodes)
                yield nodes
        self._kept.extend(kept)

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
        for nodes in self._blocks():
            value = half.evaluate(nodes.log_rate, nodes.exponent)
            average = (nodes.weight * value).sum((0, 1))
            spread = (nodes.weight * (value - average) ** 2).sum((0, 1)).sqrt()
            mean[nodes.index], deviation[nodes.index] = average.cpu(), spread.cpu()
            probabilities = value.new_tensor(tails)
            masses = _segment_masses(nodes)
            for quantity in quantities:
                for place in range(quantity.n_value):
                    value = quantity.evaluate(nodes.log_rate, nodes.exponent, place)
                    ends = quantity.finish(_quantiles(value, masses, probabilities))
                    if self.config.prior is None:
                        ends = _opened(ends, quantity, nodes, probabilities)
                    found[quantity][:, nodes.index, place] = ends.cpu().numpy()
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
    """Whether ln k has, within half a unit of an edge, a mass that is not a tail."""
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
