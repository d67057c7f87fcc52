# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ordinary differential equations for very many members at once.

The integrator is the Dormand–Prince pair of orders 5 and 4 [1]_. `integrate` is differentiable in
whatever the slope depends on, with one step for the whole batch. In `integrate_members` each
member has its own step, so that a few that end early do not keep all steps tiny; it is not
differentiable, and can also find where a member falls to a level. The state is held at 0 once it
has been used up.

References
----------
.. [1] J. R. Dormand, P. J. Prince, J. Comput. Appl. Math. 6, 19 (1980),
   doi:10.1016/0771-050X(80)90013-3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_NODES = (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
_STAGES = (
    (),
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
# Weights of order 5 minus those of order 4: the error estimate.
_ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
_MOST_STEPS = 20_000
# Below this step the equation is taken to end here (a vertical tangent, for instance).
_SMALLEST_STEP = 1e-10
# Beyond 1: a change smaller than this for each factor of e in the argument has ended.
_ENDED = 1e-7
# Where a level is looked for, a step changes the state by no more: a cubic finds the place then.
_LARGEST_CHANGE = 0.1


def _weighed(weights: Sequence[float], stages: Sequence[Tensor]) -> Tensor:
    first, *others = (w * stage for w, stage in zip(weights, stages, strict=True) if w)
    return sum(others, first)


def _step(
    slope: Callable[[Any, Tensor], Tensor],
    position: Any,
    state: Tensor,
    length: Any,
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """State after one step, the error of it, and the slopes on the way.

    The last slope is that at the end ("first same as last").
    """
    stages: list[Tensor] = []
    end = state
    for node, weights in zip(_NODES, _STAGES, strict=True):
        if stages:
            end = state + length * _weighed(weights, stages)
        stages.append(slope(position + node * length, end))
    error = (length * _weighed(_ERROR, [stage.detach() for stage in stages])).abs()
    return end, torch.nan_to_num(error, nan=torch.inf), stages


def _too_stiff(what: str) -> RuntimeError:
    return RuntimeError(
        f"{what} needs more than {_MOST_STEPS} steps; it is too stiff for its parameters: narrow "
        "their boxes or raise the tolerance."
    )


def _check_points(points: Tensor) -> None:
    if points.ndim != 1 or (points.numel() and (points[0] < 0 or (points.diff() < 0).any())):
        raise ValueError(f"doses {points.tolist()} must be a not negative, ascending sequence.")


def integrate(
    slope: Callable[[float, Tensor], Tensor],
    start: Tensor,
    points: Tensor,
    *,
    tolerance: float = 1e-8,
    what: str = "the equation",
) -> Tensor:
    """State at the points, from `start` at 0.

    Parameters
    ----------
    slope
        ``slope(point, state)`` → derivative of the state, of its shape.
    start
        State at 0, shape ``(...)``, float64; not negative.
    points
        Where the state is wanted, shape ``(n,)``, ascending and not negative.
    tolerance
        Largest error of the state in one step.
    what
        What is integrated, for messages.

    Returns
    -------
    Shape ``(..., n)``, differentiable.

    Raises
    ------
    ValueError
        If the points are not ascending.
    RuntimeError
        If the equation is too stiff for the number of steps allowed.
    """
    _check_points(points)
    current = start
    position, step, count, recorded = 0.0, 1e-3, 0, []
    for target in points.tolist():
        while position < target:
            length = min(step, target - position)
            proposal, error, _ = _step(slope, position, current, length)
            worst = error.max().item() if error.numel() else 0.0
            count += 1
            if worst <= tolerance or length <= _SMALLEST_STEP:
                current, position = proposal.clamp(min=0.0), position + length
            factor = 0.9 * (tolerance / max(worst, 1e-300)) ** 0.2
            step = max(length * min(max(factor, 0.2), 5.0), _SMALLEST_STEP)
            if count > _MOST_STEPS:
                raise _too_stiff(what)
            if target - position < 1e-14:
                position = target
        recorded.append(current)
    return torch.stack(recorded, dim=-1)


@dataclass
class _Members:
    """What is still on its way; each tensor has one entry for each member."""

    index: Tensor
    state: Tensor
    position: Tensor
    step: Tensor
    place: Tensor

    def select(self, keep: Tensor) -> _Members:
        return _Members(*(getattr(self, name)[keep] for name in self.__dataclass_fields__))


def integrate_members(
    slope: Callable[[Tensor, Tensor, Tensor], Tensor],
    start: Tensor,
    points: Tensor,
    *,
    tolerance: float = 1e-8,
    level: float | None = None,
    what: str = "the equation",
) -> tuple[Tensor, Tensor]:
    """State of a falling quantity at the points, and where it first falls to a level.

    Parameters
    ----------
    slope
        ``slope(point, state, index)`` → derivative, ``(n,)``, not positive, of the members
        `index`.
    start
        State at 0, ``(n_member,)``, float64.
    points
        Where the state is wanted, ``(n_point,)``, ascending and not negative.
    tolerance
        Largest error of the state in one step.
    level
        A level; a member is not followed further than to it.
    what
        What is integrated, for messages.

    Returns
    -------
    The states ``(n_member, n_point)``, and the places of the level ``(n_member,)``, infinite
    where it is not reached.

    Raises
    ------
    ValueError
        If the points are not ascending.
    RuntimeError
        If the equation is too stiff for the number of steps allowed.
    """
    _check_points(points)
    n, count = start.numel(), points.numel()
    found = torch.full((n, count), torch.nan, dtype=start.dtype, device=start.device)
    crossing = torch.full_like(start, torch.inf)
    places = torch.arange(count, device=start.device)
    members = _Members(
        torch.arange(n, device=start.device),
        start,
        torch.zeros_like(start),
        torch.full_like(start, 1e-3),
        torch.zeros(n, dtype=torch.long, device=start.device),
    )
    for _ in range(_MOST_STEPS):
        if members.index.numel() == 0:
            return found, crossing
        index, begin, position = members.index, members.state, members.position
        goal = points[members.place]
        length = torch.minimum(members.step, goal - position)
        if level is not None:
            first = slope(position, begin, index).abs()
            length = torch.minimum(length, _LARGEST_CHANGE / first.clamp(min=1e-12))
        proposal, error, slopes = _step(
            lambda at, state, index=index: slope(at, state, index), position, begin, length
        )
        accepted = (error <= tolerance) | (length <= _SMALLEST_STEP)
        end = torch.where(accepted, torch.minimum(proposal.clamp(min=0.0), begin), begin)
        factor = (0.9 * (tolerance / error.clamp(min=1e-300)) ** 0.2).clamp(0.2, 5.0)
        # A step that was cut short at a target says nothing against the one that was planned.
        planned = torch.where(
            accepted & (error <= 0.1 * tolerance),
            torch.maximum(members.step, length * factor),
            length * factor,
        )
        members.step = planned.clamp(min=_SMALLEST_STEP)
        members.state = end
        members.position = torch.where(accepted, position + length, position)
        arrived = accepted & (goal - members.position <= 1e-14 * (1 + goal))
        members.position = torch.where(arrived, goal, members.position)
        found[index[arrived], members.place[arrived]] = end[arrived]
        members.place = members.place + arrived.to(torch.long)
        finished = members.place >= count
        extinct = end <= 0
        if bool(extinct.any()):
            rest = places >= members.place[extinct][:, None]
            found[index[extinct]] = torch.where(rest, 0.0, found[index[extinct]])
            finished |= extinct
        if level is not None:
            passed = accepted & (end <= level)
            if bool(passed.any()):
                rise = (length * slopes[0])[passed], (length * slopes[-1])[passed]
                share = _cubic_crossing(begin[passed], end[passed], *rise, level)
                crossing[index[passed]] = position[passed] + share * length[passed]
            ended = (members.position >= 1.0) & (slopes[0].abs() * members.position < _ENDED)
            finished |= passed | ended
        if bool(finished.any()):
            members = members.select(torch.nonzero(~finished)[:, 0])
    raise _too_stiff(what)


def _cubic_crossing(
    first: Tensor, last: Tensor, rise_first: Tensor, rise_last: Tensor, level: float
) -> Tensor:
    """Where in a step the cubic through its ends, with its slopes, falls to a level."""
    low, high = torch.zeros_like(first), torch.ones_like(first)
    for _ in range(24):
        x = 0.5 * (low + high)
        value = (
            (1 + 2 * x) * (1 - x) ** 2 * first
            + x * (1 - x) ** 2 * rise_first
            + x**2 * (3 - 2 * x) * last
            - x**2 * (1 - x) * rise_last
        )
        above = value > level
        low, high = torch.where(above, x, low), torch.where(above, high, x)
    return 0.5 * (low + high)
