# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The likelihood along rows of constant shape, following the ridge of each curve.

The likelihood of (k, shape) is a bent ridge, between a fiftieth of an exponent wide and everything.
A grid that is the same for all curves would miss a narrow one, so each curve has its own: rows of
the shape, and on every row nodes of ln k about the best rate of that row. Posterior and profile
both stand on it. Shapes are on their scale of estimation here, rates on that of search.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.laws.parameter import LawParameter, free_to_search
from hyperspy_dosekin.kinetics.posterior.scan import ScanData

if TYPE_CHECKING:
    from typing_extensions import Self

# Largest step in ln k, damping of a step that was none, and the share of a row's width that counts.
_STEP, _DAMPED, _NEAR = 1.5, 1.0, 0.03
# Rows whose deviance cannot come so near to the least one by a step do not matter.
_FAR = 50.0


@dataclass(frozen=True, eq=False)
class ByCurve:
    """Arrays whose last dimension is that of the curves."""

    def select(self, index: Tensor) -> Self:
        """Select some of the curves."""
        return replace(self, **{name: each[..., index] for name, each in self._arrays()})

    def placed(self, index: Tensor, count: int) -> Self:
        """These as those of some of `count` curves, with nothing for the others."""

        def wide(array: Tensor) -> Tensor:
            return array.new_zeros(*array.shape[:-1], count).index_copy_(-1, index, array)

        return replace(self, **{name: wide(each) for name, each in self._arrays()})

    def replaced(self, index: Tensor, part: Self) -> None:
        """Put others in the place of those of some curves."""
        for name, each in self._arrays():
            each[..., index] = getattr(part, name)

    def _arrays(self) -> list[tuple[str, Tensor]]:
        return [(name, getattr(self, name)) for name in self.__dataclass_fields__]


@dataclass(frozen=True, eq=False)
class Rows(ByCurve):
    """Best rate on rows of constant shape.

    Parameters
    ----------
    shape
        ``(n_row, n)``; zeros where the law has no free shape.
    log_rate
        Best rate of each row, on its scale of search, same shape.
    width
        Standard deviation of that by the curvature there, same shape.
    """

    shape: Tensor
    log_rate: Tensor
    width: Tensor


def searched(data: ScanData, log_rate: Tensor, shape: Tensor) -> list[Tensor]:
    """Free parameters on their scale of search from a rate and a shape that broadcast."""
    free = data.parameters.free
    if len(free) == 1:
        return [log_rate]
    return [log_rate, free_to_search(free[1], shape)]


def row_density(data: ScanData, log_rate: Tensor, shape: Tensor) -> Tensor:
    """Log posterior density in the rate on its scale of search and the shape."""
    density = data.log_density(searched(data, log_rate, shape))[0]
    rate = data.parameters.free[0]
    # A rate that is even on its own scale is not on its logarithm.
    return density if rate.direct else density + log_rate


def best_on_rows(
    data: ScanData,
    shape: Tensor,
    start: Tensor,
    *,
    box: tuple[float, float] | None = None,
    iterations: int = 12,
    near: float = _NEAR,
) -> Rows:
    """Best rate for every row of constant shape, by damped Gauss–Newton steps.

    Where the integrity is a straight line in it, no steps are needed.

    Parameters
    ----------
    shape, start
        The shape and a first guess of the rate, ``(n_row, n)``.
    box
        Box of the rate on its scale of search; that of the law if not given.
    iterations
        Steps at most.
    near
        Share of the width of a row within which its best rate is wanted.
    """
    box = data.parameters.free[0].search_box if box is None else box
    if data.straight:
        log_rate, precision = data.best_on_lines(searched(data, start, shape)[1:])
        return Rows(shape, log_rate, precision.rsqrt().clamp(max=box[1] - box[0]))
    slopes = [True, False][: len(data.parameters.free)]

    def along(some: ScanData, log_rate: Tensor, shape: Tensor) -> Tensor:
        value, gradient, hessian = some.evaluate(searched(some, log_rate, shape), slopes)
        return torch.stack([log_rate, value, gradient[0], hessian[0, 0].clamp(min=1e-12)])

    best = along(data, start.clamp(*box), shape)
    damping = torch.zeros_like(start)
    index = torch.arange(start.shape[1], device=start.device)
    some, rows = data, shape
    # Whether the last step was so short that the next one cannot matter.
    short = torch.zeros_like(start, dtype=torch.bool)
    for round_ in range(iterations + 1):
        at = best[..., index]
        step = at[2] / at[3] / (1 + damping[:, index])
        promised = at[1] - 2 * at[2] * at[2] / at[3]
        matters = promised < at[1].amin(0) + _FAR
        # Curves are done when none of their rows moves by a share of its width, or can.
        going = matters & ~short & (step.abs() * at[3].sqrt() > near)
        undone = torch.nonzero(going.any(0))[:, 0]
        if undone.numel() == 0 or round_ == iterations:
            break
        if undone.numel() < 0.7 * index.numel():
            index, step, at, short, going = (
                each[..., undone] for each in (index, step, at, short, going)
            )
            some, rows = data.select(index), shape[:, index]
        trial = along(some, (at[0] - step.clamp(-_STEP, _STEP)).clamp(*box), rows)
        # A curve that is done rests, so that its rows do not depend on what is fitted beside it.
        moving = going.any(0)
        better = (trial[1] < at[1]) & moving
        # Products with 0 and 1 are many times faster than a choice by element.
        taken = better.to(at)
        near_by = better & ((trial[0] - at[0]).abs() * trial[3].sqrt() <= near)
        short = near_by | (short & ~moving)
        best[..., index] = at + taken * (trial - at)
        old = damping[:, index]
        damping[:, index] = 0.15 * old * taken + (_DAMPED + 6 * old) * (1 - taken)
    log_rate, _, _, hessian = best
    return Rows(shape, log_rate, hessian.rsqrt().clamp(max=box[1] - box[0]))


def spread_rows(lower: Tensor, upper: Tensor, count: int, parameter: LawParameter) -> Tensor:
    """Rows from `lower` to `upper`, each ``(n,)``: ``(count, n)``.

    Even in the square root of a positive parameter, between even, as a prior of p is, and even in
    the logarithm, as the shapes of decays are.
    """
    share = torch.linspace(0.0, 1.0, count, dtype=lower.dtype, device=lower.device)[:, None]
    if parameter.direct:
        return lower + share * (upper - lower)
    root = lower.sqrt() + share * (upper.sqrt() - lower.sqrt())
    return root * root


def row_steps(shape: Tensor, parameter: LawParameter) -> Tensor:
    """Weight of each of some `spread_rows` in an integral over the shape."""
    even = shape if parameter.direct else shape.sqrt()
    step = (even[-1] - even[0]) / (shape.shape[0] - 1)
    slope = torch.ones_like(even) if parameter.direct else 2 * even
    return slope * step * end_weights(shape.shape[0]).to(shape)[:, None]


@lru_cache(maxsize=16)
def end_weights(count: int) -> Tensor:
    """Weights of even nodes, one but for the ends, that integrate cubics exactly (Gregory)."""
    weight = torch.ones(count, dtype=torch.float64)
    ends = torch.tensor([3 / 8, 7 / 6, 23 / 24], dtype=torch.float64)
    weight[:3], weight[-3:] = ends, ends.flip(0)
    return weight


def interpolate_rows(
    position: Tensor, known: Tensor, values: Tensor, parameter: LawParameter
) -> Tensor:
    """Cubic interpolation along `spread_rows` `known`; all ``(n_row, n)``."""
    if not parameter.direct:
        position, known = position.sqrt(), known.sqrt()
    number = known.shape[0]
    span = (known[-1] - known[0]).clamp(min=1e-300)
    x = ((position - known[0]) / span).clamp(0.0, 1.0) * (number - 1)
    first = (x.floor() - 1).clamp(0, number - 4)
    # What is not a number stays none, and has no place.
    place, found = first.nan_to_num(0.0).long(), torch.zeros_like(x)
    for node, weight in enumerate(cubic_weights(x - first)):
        found.addcmul_(weight, values.gather(0, place + node))
    return found


def cubic_weights(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Weights of values at 0, 1, 2, 3 for a cubic at `x`."""
    b, c, d = x - 1, x - 2, x - 3
    return -b * c * d / 6, x * c * d / 2, -x * b * d / 2, x * b * c / 6
