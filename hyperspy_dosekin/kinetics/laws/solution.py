# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trajectories of any kinetic law for very many sets of parameters, and when they fall to a level.

`numerics.ode.integrate` has one step for the whole batch, which a few members that go extinct
keep tiny. Here every member has its own step (Dormand–Prince [1]_), so that a batch takes as long
as its slowest member. Nothing here is differentiable.

References
----------
.. [1] J. R. Dormand, P. J. Prince, J. Comput. Appl. Math. 6, 19 (1980),
   doi:10.1016/0771-050X(80)90013-3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from hyperspy_dosekin.numerics.ode import ERROR, NODES, STAGES

from .contract import KineticLaw

#: Largest normalised dose that is looked at: a level not reached by then counts as never reached.
HORIZON = 1e4
#: Parameters that a law may have at most, and at least.
MOST_PARAMETERS = 3
#: Names that mean something else in a result.
RESERVED = frozenset(
    {
        *("amplitude", "offset", "residual_sigma", "noise_sigma", "converged", "dead"),
        *("sd_log_half_dose", "profile_width", "identifiable", "integrity", "fitted"),
        *("half_integrity_dose", "critical_dose", "dose_at", "rate_per_dose"),
    }
)
_MOST_STEPS = 5000
_SMALLEST_STEP = 1e-10
# A rate this far below zero is no rounding of the integration any more.
_GROWTH = -1e-4
# Beyond the measured doses: a loss smaller than this for each factor of e in dose has ended.
_ENDED = 1e-7
# Where a level is looked for, a step loses no more: a cubic finds the place to 1e-5 of the dose.
_LARGEST_LOSS = 0.1


def check_law(law: KineticLaw, normalised_dose: Tensor) -> None:
    """Raise if a law cannot be fitted, before any data are looked at.

    Parameters
    ----------
    law
        The law.
    normalised_dose
        Doses of the frames, ``(n_dose,)``, ascending.

    Raises
    ------
    ValueError
        If it has no parameter or too many, a name that is taken, or an integrity that is NaN or
        grows for some parameters in the box.
    """
    names = [parameter.name for parameter in law.parameters]
    if not 1 <= len(names) <= MOST_PARAMETERS or len(set(names)) != len(names):
        raise ValueError(
            f"kinetic law {law.name!r} has the parameters {names}; a law that is fitted has one to "
            f"{MOST_PARAMETERS}, all different. Write what is known into the law."
        )
    wrong = [name for name in names if name in RESERVED or not name.isidentifier()]
    if wrong:
        raise ValueError(
            f"kinetic law {law.name!r} has parameters named {wrong}; a name must be an identifier "
            f"and none of {sorted(RESERVED)}. Rename them."
        )
    columns = []
    for parameter in law.parameters:
        low, high = parameter.free_box
        free = torch.linspace(low, high, 5, dtype=torch.float64)
        columns.append(parameter.from_free(free).clamp(parameter.lower, parameter.upper).tolist())
    nodes = [[parameter.start for parameter in law.parameters], *product(*columns)]
    trajectories(law, normalised_dose, torch.tensor(nodes, dtype=torch.float64).T)


def trajectories(law: KineticLaw, normalised_dose: Tensor, values: Tensor) -> Tensor:
    """Integrity at the same doses for many sets of parameters, float64.

    Parameters
    ----------
    law
        The law.
    normalised_dose
        ``(n_dose,)``, ascending.
    values
        The parameters in the order of the law, ``(n_parameter, …)``.

    Returns
    -------
    Shape ``(…, n_dose)``.

    Raises
    ------
    ValueError
        If the law gives NaN or lets the integrity grow, naming the law.
    """
    shape = values.shape[1:]
    flat = values.reshape(values.shape[0], -1)
    with torch.no_grad():
        if type(law).solution is KineticLaw.solution:
            integrity = _march(law, normalised_dose, flat)[0]
        else:
            integrity = law.solution(normalised_dose, _named(law, flat))
            _check_solution(law, integrity)
    return integrity.reshape(*shape, -1)


def dose_at_level(law: KineticLaw, values: Tensor, level: float) -> Tensor:
    """Normalised dose at which the integrity first falls to a level, ``(…)``; inf where never.

    Parameters
    ----------
    law
        The law, continued beyond the measured doses.
    values
        The parameters in the order of the law, ``(n_parameter, …)``.
    level
        Integrity between 0 and 1.
    """
    flat = values.reshape(values.shape[0], -1)
    with torch.no_grad():
        target = torch.tensor([HORIZON], dtype=torch.float64, device=values.device)
        return _march(law, target, flat, level)[1].reshape(values.shape[1:])


def _named(law: KineticLaw, values: Tensor) -> Mapping[str, Tensor]:
    names = (parameter.name for parameter in law.parameters)
    return dict(zip(names, values.unbind(0), strict=True))


def _check_solution(law: KineticLaw, integrity: Tensor) -> None:
    if bool(torch.isnan(integrity).any()):
        raise ValueError(
            f"kinetic law {law.name!r} returned NaN; make its solution finite for every parameter "
            "in its box."
        )
    if bool((integrity.diff(dim=-1) > 1e-6).any()):
        raise ValueError(
            f"kinetic law {law.name!r} lets the integrity grow with dose; its solution must start "
            "at 1 and never rise."
        )


def _loss(
    law: KineticLaw, integrity: Tensor, values: Tensor, dose: Tensor, *, strict: bool
) -> Tensor:
    """Loss per normalised dose, checked; `strict` where the integrity is a result."""
    rate = law.rate(integrity.clamp(0.0, 1.0), _named(law, values), dose)
    rate = rate.expand_as(integrity)
    wrong = torch.isnan(rate)
    if bool(wrong.any()):
        raise ValueError(
            f"kinetic law {law.name!r} returned NaN at normalised dose "
            f"{dose[wrong][0].item():.4g}; make its rate finite for every integrity in [0, 1] and "
            "every parameter in its box."
        )
    if strict and bool((rate < _GROWTH).any()):
        raise ValueError(
            f"kinetic law {law.name!r} lets the integrity grow at normalised dose "
            f"{dose[rate < _GROWTH][0].item():.4g} (rate {rate.min().item():.4g}); its function "
            "is the loss −dC/dφ and must not be negative."
        )
    return rate.clamp(min=0.0)


@dataclass
class _Members:
    """What is still on its way; each tensor has one entry for each member."""

    index: Tensor
    values: Tensor
    integrity: Tensor
    position: Tensor
    step: Tensor
    place: Tensor

    def select(self, keep: Tensor) -> _Members:
        return _Members(
            self.index[keep],
            self.values[:, keep],
            self.integrity[keep],
            self.position[keep],
            self.step[keep],
            self.place[keep],
        )


def _march(
    law: KineticLaw, targets: Tensor, values: Tensor, level: float | None = None
) -> tuple[Tensor, Tensor]:
    """Integrity at the targets ``(n, n_target)``, and the dose of a level ``(n,)`` if one is given.

    With a level a member ends where it falls to it.
    """
    n, device = values.shape[1], values.device
    values = values.to(torch.float64)
    targets = targets.to(device, torch.float64)
    tolerance = float(getattr(law, "tolerance", 1e-8))
    found = torch.full((n, targets.numel()), torch.nan, dtype=torch.float64, device=device)
    crossing = torch.full((n,), torch.inf, dtype=torch.float64, device=device)
    ones = torch.ones(n, dtype=torch.float64, device=device)
    members = _Members(
        torch.arange(n, device=device),
        values,
        ones,
        torch.zeros_like(ones),
        torch.full_like(ones, 1e-3),
        torch.zeros(n, dtype=torch.long, device=device),
    )
    weights = torch.zeros((len(NODES), len(NODES)), dtype=torch.float64, device=device)
    for number, row in enumerate(STAGES):
        weights[number, : len(row)] = weights.new_tensor(row)
    error_weights = weights.new_tensor(ERROR)
    for _ in range(_MOST_STEPS):
        if members.index.numel() == 0:
            return found, crossing
        start, position = members.integrity, members.position
        goal = targets[members.place]
        stages = torch.empty((len(NODES), start.numel()), dtype=torch.float64, device=device)
        stages[0] = _loss(law, start, members.values, position, strict=True)
        length = torch.minimum(members.step, goal - position)
        if level is not None:
            length = torch.minimum(length, _LARGEST_LOSS / stages[0].clamp(min=1e-12))
        for number, node in enumerate(NODES[1:], start=1):
            state = start - length * (weights[number, :number] @ stages[:number])
            at = position + node * length
            stages[number] = _loss(law, state, members.values, at, strict=False)
        error = torch.nan_to_num((length * (error_weights @ stages)).abs(), nan=torch.inf)
        accepted = (error <= tolerance) | (length <= _SMALLEST_STEP)
        # The last stage stands at the end of the step ("first same as last").
        end = torch.where(accepted, torch.minimum(state.clamp(min=0.0), start), start)
        factor = (0.9 * (tolerance / error.clamp(min=1e-300)) ** 0.2).clamp(0.2, 5.0)
        # A step that was cut short at a target says nothing against the one that was planned.
        planned = torch.where(accepted, torch.maximum(members.step, length * factor), 0.0)
        planned = torch.where(accepted & (error > 0.1 * tolerance), length * factor, planned)
        members.step = torch.where(accepted, planned, length * factor).clamp(min=_SMALLEST_STEP)
        members.integrity = end
        members.position = torch.where(accepted, position + length, position)
        arrived = accepted & (goal - members.position <= 1e-14 * (1 + goal))
        members.position = torch.where(arrived, goal, members.position)
        found[members.index[arrived], members.place[arrived]] = end[arrived]
        members.place = members.place + arrived.to(torch.long)
        finished = members.place >= targets.numel()
        extinct = end <= 0
        if bool(extinct.any()):
            rest = torch.arange(targets.numel(), device=device) >= members.place[extinct][:, None]
            which = members.index[extinct]
            found[which] = torch.where(rest, 0.0, found[which])
            finished |= extinct
        if level is not None:
            passed = accepted & (end <= level)
            if bool(passed.any()):
                rise = -(length * stages[0])[passed], -(length * stages[-1])[passed]
                share = _cubic_crossing(start[passed], end[passed], rise[0], rise[1], level)
                crossing[members.index[passed]] = position[passed] + share * length[passed]
            ended = (members.position >= 1.0) & (stages[0] * members.position < _ENDED)
            finished |= passed | ended
        if bool(finished.any()):
            members = members.select(torch.nonzero(~finished)[:, 0])
    raise RuntimeError(
        f"kinetic law {law.name!r} needs more than {_MOST_STEPS} steps; it is too stiff for its "
        "parameters: narrow their boxes or raise its tolerance."
    )


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
