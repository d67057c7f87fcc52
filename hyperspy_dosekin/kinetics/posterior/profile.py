# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Profile likelihood intervals: what the data alone allow, without any prior.

Everything that fits nearly as well as the best is kept: the region of (k, p) where the sum of
squares, with the readout projected out, stays below ``S_min·(1 + F/ν)``, F the quantile of
F(1, ν) and ν the frames less the estimated coefficients; with a given variance below
``S_min + χ²(1)``. The interval of a quantity is its range over that region, which is the hull of
its profile likelihood interval.

F holds for straight models; this one is bent and has corners (extinction). The quantile is
therefore taken at ``1 − 0.8·(1 − level)``: so the worst rates and exponents that were tried keep
their nominal coverage. p lies in the box of the estimator; k in a wider one, and an interval that
runs to its end is open: infinite (or zero), a one-sided limit.
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
from hyperspy_dosekin.kinetics.estimate.interval_data import (
    exponent_is_free,
    interval_curves,
    known_exponent,
)
from hyperspy_dosekin.kinetics.laws.prior import EXPONENT_BOX
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.numerics.batching import map_slices, send
from hyperspy_dosekin.numerics.device import resolve_device

from .quantities import Quantity, check_level
from .rows import Rows, best_on_rows, interpolate_rows, spread_rows
from .scan import ScanData

#: Box of ln k, wider than that of the estimator so that open intervals show.
PROFILE_LOG_RATE_BOX = (math.log(1e-3), math.log(100.0))
_N_ROW, _N_COARSE = 32, 24
_ZOOMS, _EXPANSIONS, _BISECTIONS = 4, 10, 14
_BLOCK, _DEVICE_BLOCK = 256, 2**15
# Share of the nominal error that is spent; see above.
_SPENT = 0.8


@dataclass(frozen=True, eq=False)
class Region:
    """Corners of the region of (k, p) that is allowed, for some curves.

    Parameters
    ----------
    log_rate
        ``(n_point, n)``: least and largest ln k of each row, then the two tips.
    exponent
        p there, same shape.
    inside
        Which of these points belong to the region, same shape.
    reaches_slow, reaches_fast
        Whether the region runs into the lower or upper end of the box of ln k, ``(n,)``.
    """

    log_rate: Tensor
    exponent: Tensor
    inside: Tensor
    reaches_slow: Tensor
    reaches_fast: Tensor


def _started_rows(data: ScanData, exponent: Tensor) -> tuple[Rows, Tensor, Tensor]:
    """Best rates of rows from a coarse search, with its nodes ``(n_coarse,)`` and squares."""
    coarse = torch.linspace(*PROFILE_LOG_RATE_BOX, _N_COARSE, dtype=exponent.dtype)
    coarse = coarse.to(exponent.device)
    squares = data.squares(coarse[None, :, None], exponent[:, None])
    start = coarse[squares.argmin(1)]
    rows = best_on_rows(data, exponent, start, None, box=PROFILE_LOG_RATE_BOX)
    return rows, coarse, squares


def _zoomed_rows(
    data: ScanData, best: Tensor, limit: Tensor
) -> tuple[Rows, Tensor, Tensor, Tensor]:
    """Rows that resolve the region; also the coarse search on them, and the limit of squares.

    `best` holds ln k and ln p of the least-squares estimate, ``(2, n)``; `limit` turns the least
    sum of squares into the largest that is allowed, as (factor, addend).
    """
    least = data.squares(best[0], best[1].exp())
    low = torch.full_like(least, EXPONENT_BOX[0])
    high = torch.full_like(least, EXPONENT_BOX[1])
    rows, coarse, squares = _started_rows(data, spread_rows(low, high, _N_ROW))
    places = torch.arange(_N_ROW, device=least.device)[:, None]
    for _ in range(_ZOOMS):
        least = torch.minimum(least, rows.squares.amin(0))
        allowed = limit[0] * least + limit[1]
        nearest = (rows.exponent - best[1].exp()).abs().argmin(0)
        active = (rows.squares <= allowed) | (places == nearest)
        first = torch.where(active, places, _N_ROW).amin(0)
        last = torch.where(active, places, -1).amax(0)
        again = torch.nonzero(last - first < _N_ROW // 3)[:, 0]
        if again.numel() == 0:
            break
        low = rows.exponent.gather(0, (first - 1).clamp(min=0)[None])[0]
        high = rows.exponent.gather(0, (last + 1).clamp(max=_N_ROW - 1)[None])[0]
        new = spread_rows(low[again], high[again], _N_ROW)
        part, _, part_squares = _started_rows(data.select(again), new)
        # The neighbours' best rates are a second guess where the coarse search misleads.
        guess = interpolate_rows(new, rows.exponent[:, again], rows.log_rate[:, again])
        other = best_on_rows(data.select(again), new, guess, None, box=PROFILE_LOG_RATE_BOX)
        better = other.squares < part.squares
        for name in ("exponent", "log_rate", "width", "squares"):
            chosen = torch.where(better, getattr(other, name), getattr(part, name))
            getattr(rows, name)[:, again] = chosen
        squares[..., again] = part_squares
    least = torch.minimum(least, rows.squares.amin(0))
    return rows, coarse, squares, limit[0] * least + limit[1]


def _edge(
    data: ScanData, rows: Rows, allowed: Tensor, inside: Tensor, step: Tensor, sign: float
) -> tuple[Tensor, Tensor]:
    """Where each row leaves the region upwards (`sign` 1) or downwards, and if not in the box."""
    bound = PROFILE_LOG_RATE_BOX[1] if sign > 0 else PROFILE_LOG_RATE_BOX[0]
    exponent = rows.exponent
    outside = inside + sign * step
    reached = torch.zeros_like(inside, dtype=torch.bool)
    open_ = torch.ones_like(reached)
    for _ in range(_EXPANSIONS):
        outside = outside.clamp(*PROFILE_LOG_RATE_BOX)
        within = data.squares(outside, exponent) <= allowed
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
        within = data.squares(middle, exponent) <= allowed
        inside = torch.where(within, middle, inside)
        outside = torch.where(within, outside, middle)
    return inside, open_


def _tip(rows: Rows, allowed: Tensor, active: Tensor, end: int) -> tuple[Tensor, Tensor, Tensor]:
    """Find ln k and p where the region ends along p, and whether there is such a place."""
    n_row = rows.exponent.shape[0]
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

    return between(rows.log_rate), between(rows.exponent), exists


def _region(data: ScanData, best: Tensor, limit: Tensor, fixed: float | None) -> Region:
    """Find the allowed region of a block of curves."""
    if fixed is None:
        rows, coarse, squares, allowed = _zoomed_rows(data, best, limit)
    else:
        rows, coarse, squares = _started_rows(data, torch.full_like(best[:1], fixed))
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
    return Region(
        torch.cat([low, high, *[tip[0][None] for tip in tips]]),
        torch.cat([rows.exponent, rows.exponent, *[tip[1][None] for tip in tips]]),
        torch.cat([active, active, *[tip[2][None] for tip in tips]]),
        (open_low & active).any(0),
        (open_high & active).any(0),
    )


@dataclass(frozen=True, eq=False)
class KineticProfile:
    """Profile likelihood of every curve; made by `kinetic_profile`.

    Parameters
    ----------
    problem
        The data.
    config
        Options; offset, exponent, loss and device are used. Priors, a shared exponent and the
        hierarchy are not: every window stands by itself.
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
        free = exponent_is_free(self.config)
        alive = np.flatnonzero(~(curves.dead | self.fit.dead))
        freedom = curves.freedom.ravel() - 1 - free
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
                data = ScanData.of(curves, index, device)
                start = np.stack([self.fit.rate.ravel()[index], self.fit.exponent.ravel()[index]])
                best = send(np.log(start), device)
                if curves.variance_known:
                    rise = float(stats.chi2.ppf(confidence, 1))
                    limit = torch.stack([torch.ones_like(best[0]), torch.full_like(best[0], rise)])
                else:
                    quantile = stats.f.ppf(confidence, 1, freedom[index]) / freedom[index]
                    factor = send(1 + quantile, device)
                    limit = torch.stack([factor, torch.zeros_like(factor)])
                fixed = None if free else known_exponent(self.config)
                region = _region(data, best, limit, fixed)
                for quantity in quantities:
                    for place in range(quantity.n_value):
                        ends = _range(quantity, region, place)
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


def _range(quantity: Quantity, region: Region, place: int) -> Tensor:
    """Least and largest value over the region, ``(2, n)``."""
    value = quantity.evaluate(region.log_rate, region.exponent, place)
    lower = torch.where(region.inside, value, math.inf).amin(0)
    upper = torch.where(region.inside, value, -math.inf).amax(0)
    ends = quantity.finish(torch.stack([lower, upper]))
    if quantity.name == "exponent":
        open_below = ends[0] <= EXPONENT_BOX[0] + 1e-6
        open_above = ends[1] >= EXPONENT_BOX[1] - 1e-6
        if region.exponent.shape[0] == 4:  # one row: a known exponent
            open_below, open_above = torch.zeros_like(open_below), torch.zeros_like(open_above)
    elif quantity.name == "rate":
        open_below, open_above = region.reaches_slow, region.reaches_fast
    else:
        # A small rate is a large dose and an integrity of 1.
        open_below, open_above = region.reaches_fast, region.reaches_slow
    top = 1.0 if quantity.name == "integrity" else math.inf
    if quantity.name == "integrity" and quantity.normalised_dose[place] == 0:
        return ends
    return torch.stack(
        [torch.where(open_below, 0.0, ends[0]), torch.where(open_above, top, ends[1])]
    )


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
