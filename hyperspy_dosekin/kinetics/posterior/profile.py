# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Profile likelihood intervals: what the data alone allow, without any prior.

Everything that fits nearly as well as the best is kept: the region of the parameters where the sum
of squares, with the readout projected out, stays below ``S_min·(1 + F/ν)``, F the quantile of
F(1, ν) and ν the frames less the estimated coefficients; with a given variance below
``S_min + χ²(1)``. The interval of a quantity is its range over that region, which is the hull of
its profile likelihood interval.

F holds for straight models; this one is bent and has corners (extinction). The quantile is
therefore taken at ``1 − 0.8·(1 − level)``: so the worst rates and exponents that were tried keep
their nominal coverage. Shapes lie in the box of the law; k in a wider one, and an interval that
runs to its end is open: infinite (or zero), a one-sided limit.

With one or two free parameters the edge of the region is found; with three it is that of the nodes
of a posterior without priors that lie inside.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.fit import ExactFit, fit_exact
from hyperspy_dosekin.kinetics.estimate.interval_data import interval_curves
from hyperspy_dosekin.kinetics.laws.prior import LOG_RATE_BOX
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.model.parameters import Parameters
from hyperspy_dosekin.numerics.batching import map_slices, send
from hyperspy_dosekin.numerics.device import resolve_device

from .quantities import DERIVED, Quantity, check_level
from .rows import Rows, best_on_rows, interpolate_rows, searched, spread_rows
from .sampling import sampled_nodes
from .scan import ScanData

#: Box of ln k, wider than that of the estimator so that open intervals show.
PROFILE_LOG_RATE_BOX = (math.log(1e-3), math.log(1000.0))
_N_ROW, _N_COARSE = 32, 24
_ZOOMS, _EXPANSIONS, _BISECTIONS = 4, 10, 14
_BLOCK, _DEVICE_BLOCK = 256, 2**15
# Share of the nominal error that is spent; see above.
_SPENT = 0.8
# Nodes of a law with three free parameters so near the box of ln k stand for its edge.
_EDGE = 0.5


@dataclass(frozen=True, eq=False)
class Region:
    """Corners of the region of the parameters that is allowed, for some curves.

    Parameters
    ----------
    search
        Free parameters on their scale of search, each ``(n_point, n)``: least and largest rate of
        each row, then the two tips; or all nodes.
    inside
        Which of these points belong to the region, same shape.
    reaches_slow, reaches_fast
        Whether the region runs into the lower or upper end of the box of ln k, ``(n,)``.
    """

    search: list[Tensor]
    inside: Tensor
    reaches_slow: Tensor
    reaches_fast: Tensor


def rate_box(parameters: Parameters) -> tuple[float, float]:
    """Box of the first parameter on its scale of search, wider than that of the estimator."""
    first = parameters.free[0]
    if not (first.name == "rate" and first.logarithmic):
        return first.search_box
    low, high = first.search_box
    wider = zip(PROFILE_LOG_RATE_BOX, LOG_RATE_BOX, strict=True)
    (below, usual_low), (above, usual_high) = wider
    return low + below - usual_low, high + above - usual_high


def _squares(data: ScanData, log_rate: Tensor, shape: Tensor) -> Tensor:
    return data.sums(searched(data, log_rate, shape)).squares


@dataclass(frozen=True, eq=False)
class _SizedRows(Rows):
    """Rows with the sum of squares at the best rate of each, ``(n_row, n)``."""

    squares: Tensor

    @classmethod
    def best(
        cls, data: ScanData, shape: Tensor, start: Tensor, box: tuple[float, float]
    ) -> _SizedRows:
        """Rows with the best rate of each, from a first guess."""
        rows = best_on_rows(data, shape, start, box=box)
        return cls(shape, rows.log_rate, rows.width, _squares(data, rows.log_rate, shape))


def _started_rows(data: ScanData, shape: Tensor) -> tuple[_SizedRows, Tensor, Tensor]:
    """Best rates of rows from a coarse search, with its nodes ``(n_coarse,)`` and squares."""
    box = rate_box(data.parameters)
    coarse = torch.linspace(*box, _N_COARSE, dtype=shape.dtype).to(shape.device)
    squares = _squares(
        data,
        coarse[None, :, None].expand(*shape[:, None].shape[:1], -1, shape.shape[1]),
        shape[:, None],
    )
    start = coarse[squares.argmin(1)]
    return _SizedRows.best(data, shape, start, box), coarse, squares


def _zoomed_rows(
    data: ScanData, best: Tensor, limit: Tensor
) -> tuple[_SizedRows, Tensor, Tensor, Tensor]:
    """Rows that resolve the region; also the coarse search on them, and the limit of squares.

    `best` holds the least-squares estimate, rate on its scale of search and shape on that of
    estimation, ``(2, n)``; `limit` turns the least sum of squares into the largest that is
    allowed, as (factor, addend).
    """
    parameter = data.parameters.free[1]
    box = rate_box(data.parameters)
    least = _squares(data, best[0], best[1])
    low, high = (torch.full_like(least, bound) for bound in parameter.free_box)
    rows, coarse, squares = _started_rows(data, spread_rows(low, high, _N_ROW, parameter))
    places = torch.arange(_N_ROW, device=least.device)[:, None]
    for _ in range(_ZOOMS):
        least = torch.minimum(least, rows.squares.amin(0))
        allowed = limit[0] * least + limit[1]
        nearest = (rows.shape - best[1]).abs().argmin(0)
        active = (rows.squares <= allowed) | (places == nearest)
        first = torch.where(active, places, _N_ROW).amin(0)
        last = torch.where(active, places, -1).amax(0)
        again = torch.nonzero(last - first < _N_ROW // 3)[:, 0]
        if again.numel() == 0:
            break
        low = rows.shape.gather(0, (first - 1).clamp(min=0)[None])[0]
        high = rows.shape.gather(0, (last + 1).clamp(max=_N_ROW - 1)[None])[0]
        new = spread_rows(low[again], high[again], _N_ROW, parameter)
        part, _, part_squares = _started_rows(data.select(again), new)
        # The neighbours' best rates are a second guess where the coarse search misleads.
        known = rows.shape[:, again], rows.log_rate[:, again]
        guess = interpolate_rows(new, *known, parameter)
        other = _SizedRows.best(data.select(again), new, guess, box)
        better = other.squares < part.squares
        chosen = [
            torch.where(better, getattr(other, name), getattr(part, name))
            for name in ("shape", "log_rate", "width", "squares")
        ]
        rows.replaced(again, _SizedRows(*chosen))
        squares[..., again] = part_squares
    least = torch.minimum(least, rows.squares.amin(0))
    return rows, coarse, squares, limit[0] * least + limit[1]


def _edge(
    data: ScanData, rows: Rows, allowed: Tensor, inside: Tensor, step: Tensor, sign: float
) -> tuple[Tensor, Tensor]:
    """Where each row leaves the region upwards (`sign` 1) or downwards, and if not in the box."""
    box = rate_box(data.parameters)
    bound = box[1] if sign > 0 else box[0]
    outside = inside + sign * step
    reached = torch.zeros_like(inside, dtype=torch.bool)
    open_ = torch.ones_like(reached)
    for _ in range(_EXPANSIONS):
        outside = outside.clamp(*box)
        within = _squares(data, outside, rows.shape) <= allowed
        advance = within & ~reached
        inside = torch.where(advance, outside, inside)
        reached |= ~within
        open_ = ~reached & ((outside - bound).abs() < 1e-9)
        if bool((reached | open_).all()):
            break
        outside = torch.where(reached, outside, outside + sign * 2 * (outside - inside + step))
        outside = torch.where(~reached, inside + sign * 2 * step, outside)
        step = torch.where(reached, step, 2 * step)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (inside + outside)
        within = _squares(data, middle, rows.shape) <= allowed
        inside = torch.where(within, middle, inside)
        outside = torch.where(within, outside, middle)
    return inside, open_


def _tip(
    rows: _SizedRows, allowed: Tensor, active: Tensor, end: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Find ln k and p where the region ends along p, and whether there is such a place."""
    n_row = rows.shape.shape[0]
    places = torch.arange(n_row, device=active.device)[:, None]
    if end > 0:
        inner = torch.where(active, places, -1).amax(0)
        outer = (inner + 1).clamp(max=n_row - 1)
    else:
        inner = torch.where(active, places, n_row).amin(0)
        outer = (inner - 1).clamp(min=0)
    exists = active.any(0) & (inner != outer)
    inner = inner.clamp(0, n_row - 1)[None]
    outer = outer[None]
    s_in, s_out = rows.squares.gather(0, inner)[0], rows.squares.gather(0, outer)[0]
    share = ((allowed - s_in) / (s_out - s_in).clamp(min=1e-300)).clamp(0, 1)

    def between(array: Tensor) -> Tensor:
        return torch.lerp(array.gather(0, inner)[0], array.gather(0, outer)[0], share)

    return between(rows.log_rate), between(rows.shape), exists


def _region(data: ScanData, best: Tensor, limit: Tensor) -> Region:
    """Find the allowed region of a block of curves."""
    if len(best) == 3:
        return _region_of_nodes(data, best, limit)
    if len(best) == 2:
        shape = data.parameters.free[1]
        direct = shape.logarithmic or shape.lower <= 0
        pair = best if direct else torch.stack([best[0], best[1].exp()])
        rows, coarse, squares, allowed = _zoomed_rows(data, pair, limit)
    else:
        rows, coarse, squares = _started_rows(data, torch.zeros_like(best[:1]))
        allowed = limit[0] * rows.squares.amin(0) + limit[1]
    active = rows.squares <= allowed
    # How far a parabola would reach the limit; at least something.
    rise = ((allowed - rows.squares) / rows.squares.clamp(min=1e-300)).clamp(min=0)
    step = (rows.width * (data.freedom.clamp(min=1) * rise).sqrt()).clamp(1e-4, 3.0) * 1.1
    # A second basin of the coarse search counts too: start from the outermost allowed node.
    kept = squares <= allowed
    lowest = torch.where(kept, coarse[:, None], math.inf).amin(1)
    highest = torch.where(kept, coarse[:, None], -math.inf).amax(1)
    low, open_low = _edge(data, rows, allowed, torch.minimum(rows.log_rate, lowest), step, -1.0)
    high, open_high = _edge(data, rows, allowed, torch.maximum(rows.log_rate, highest), step, 1.0)
    tips = [_tip(rows, allowed, active, end) for end in (-1, 1)]
    log_rate = torch.cat([low, high, *[tip[0][None] for tip in tips]])
    shapes = torch.cat([rows.shape, rows.shape, *[tip[1][None] for tip in tips]])
    return Region(
        searched(data, log_rate, shapes),
        torch.cat([active, active, *[tip[2][None] for tip in tips]]),
        (open_low & active).any(0),
        (open_high & active).any(0),
    )


def _region_of_nodes(data: ScanData, best: Tensor, limit: Tensor) -> Region:
    """Nodes of a law with three free parameters that are allowed."""
    search, _ = sampled_nodes(data, best)
    found = torch.stack(
        [torch.cat([each[0], row[None]]) for each, row in zip(search, best, strict=True)]
    )
    squares = data.sums(list(found)).squares
    allowed = limit[0] * squares.amin(0) + limit[1]
    inside = squares <= allowed
    first = data.parameters.free[0]
    low, high = first.search_box
    rates = found[0]
    is_rate = first.name == "rate" and first.logarithmic
    slow = (inside & (rates < low + _EDGE)).any(0) & is_rate
    fast = (inside & (rates > high - _EDGE)).any(0) & is_rate
    return Region(list(found), inside, slow, fast)


@dataclass(frozen=True, eq=False)
class KineticProfile:
    """Profile likelihood of every curve; made by `kinetic_profile`.

    Parameters
    ----------
    problem
        The data.
    config
        Options; priors, a shared exponent and the hierarchy are not used: every window stands by
        itself.
    fit
        The least-squares estimate.
    """

    problem: DoseProblem
    config: ExactConfig
    fit: ExactFit

    def intervals(
        self, quantities: Sequence[Quantity], level: float = 0.95
    ) -> dict[Quantity, tuple[np.ndarray, np.ndarray]]:
        """Intervals of any quantities, in one pass over the curves.

        Parameters
        ----------
        quantities
            What intervals are wanted of.
        level
            Their confidence.

        Returns
        -------
        (lower, upper) for each quantity, ``(n_curve, n_window)`` or ``(n_curve, n_window,
        n_dose)``; NaN where dead, 0 or ∞ where open. Without a degree of freedom for the noise
        everything is open.
        """
        check_level(level)
        curves = interval_curves(self.problem, self.config)
        device = resolve_device(self.config.device)
        shape = curves.dead.shape
        parameters = self.config.parameters
        free = parameters.free
        alive = np.flatnonzero(~(curves.dead | self.fit.dead))
        freedom = curves.freedom.ravel() - len(free)
        confidence = 1 - _SPENT * (1 - level)
        found = {q: np.full((2, curves.dead.size, q.n_value), np.nan) for q in quantities}

        def work(part: slice) -> None:
            index = alive[part]
            if not curves.variance_known:
                blind = index[freedom[index] < 1]
                for quantity in quantities:
                    found[quantity][0, blind] = 0.0
                    found[quantity][1, blind] = 1.0 if quantity.name == "integrity" else np.inf
                index = index[freedom[index] >= 1]
            if index.size == 0:
                return
            # Gradients are recorded or not by thread.
            with torch.no_grad():
                data = ScanData.of(curves, index, device, parameters)
                rows = [send(self.fit.parameters[p.name].ravel()[index], device) for p in free]
                best = torch.stack([p.to_search(row) for p, row in zip(free, rows, strict=True)])
                if curves.variance_known:
                    rise = float(stats.chi2.ppf(confidence, 1))
                    limit = torch.stack([torch.ones_like(best[0]), torch.full_like(best[0], rise)])
                else:
                    quantile = stats.f.ppf(confidence, 1, freedom[index]) / freedom[index]
                    factor = send(1 + quantile, device)
                    limit = torch.stack([factor, torch.zeros_like(factor)])
                region = _region(data, best, limit)
                for quantity in quantities:
                    for place in range(quantity.n_value):
                        ends = _range(quantity, parameters, region, place)
                        found[quantity][:, index, place] = ends.cpu().numpy()

        size = _BLOCK if device.type == "cpu" else _DEVICE_BLOCK
        map_slices(work, alive.size, size=size, device=device, what="profile")
        result = {}
        for quantity, ends in found.items():
            last = (quantity.n_value,) if quantity.name == "integrity" else ()
            result[quantity] = (ends[0].reshape(*shape, *last), ends[1].reshape(*shape, *last))
        return result

    def interval(
        self,
        name: str,
        level: float = 0.95,
        *,
        dose_level: float | None = None,
        normalised_dose: Sequence[float] = (),
    ) -> tuple[np.ndarray, np.ndarray]:
        """Interval of one quantity; see `Quantity` for the names.

        Parameters
        ----------
        name, dose_level, normalised_dose
            As for `Quantity`.
        level
            Its confidence.

        Returns
        -------
        (lower, upper), each ``(n_curve, n_window)`` or ``(n_curve, n_window, n_dose)``.
        """
        quantity = Quantity(name, dose_level, tuple(normalised_dose))
        return self.intervals([quantity], level)[quantity]


def _range(quantity: Quantity, parameters: Parameters, region: Region, place: int) -> Tensor:
    """Least and largest value over the region, ``(2, n)``."""
    value = quantity.evaluate(parameters, region.search, place).expand(region.inside.shape)
    lower = torch.where(region.inside, value, math.inf).amin(0)
    upper = torch.where(region.inside, value, -math.inf).amax(0)
    ends = quantity.finish(parameters, torch.stack([lower, upper]))
    first = parameters.free[0]
    if quantity.name == "integrity":
        if quantity.normalised_dose[place] == 0:
            return ends
        below, above, top = region.reaches_fast, region.reaches_slow, 1.0
    elif quantity.name == first.name:
        below, above, top = region.reaches_slow, region.reaches_fast, math.inf
    elif quantity.name in DERIVED:
        # A small rate is a large dose and an integrity of 1.
        below, above, top = region.reaches_fast, region.reaches_slow, math.inf
    else:
        chosen = [p for p in parameters.free if p.name == "exponent" == quantity.name]
        if not chosen:
            return ends
        below = ends[0] <= chosen[0].lower + 1e-6
        above = ends[1] >= chosen[0].upper - 1e-6
        top = math.inf
    return torch.stack([torch.where(below, 0.0, ends[0]), torch.where(above, top, ends[1])])


def kinetic_profile(
    problem: DoseProblem, config: ExactConfig | None = None, *, fit: ExactFit | None = None
) -> KineticProfile:
    """Profile likelihood of rate and exponent for every curve and window.

    Parameters
    ----------
    problem
        The data.
    config
        Options, those of `fit_exact`; priors and couplings are left out.
    fit
        The least-squares estimate with these options (``prior=None``), if it is there already.

    Examples
    --------
    >>> import numpy as np
    >>> dose = np.linspace(100.0, 900.0, 9)
    >>> noise = np.random.default_rng(0).normal(scale=0.01, size=9)
    >>> problem = DoseProblem(dose, (np.exp(-3 * dose / 900) + noise)[None, None], ("C–O",))
    >>> lower, upper = kinetic_profile(problem).interval("rate")
    >>> bool(lower[0, 0] < 3 < upper[0, 0])
    True
    """
    config = replace(config or ExactConfig(), prior=None, hierarchy=())
    if config.exponent == "shared":
        config = replace(config, exponent=None)
    if fit is None:
        fit = fit_exact(problem, config)
    return KineticProfile(problem, config, fit)
