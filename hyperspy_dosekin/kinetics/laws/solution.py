# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any kinetic law as the estimators take it: doses first, parameters on their scale of search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import torch
from torch import Tensor

from hyperspy_dosekin.numerics.ode import integrate_members

from .closed_form import ClosedForm
from .contract import KineticLaw, check_rate
from .table import dose_table, scaling_table

#: Parameters that a law may have at most, and at least.
MOST_PARAMETERS = 3
#: Names that mean something else in a result.
RESERVED = frozenset(
    {
        *("amplitude", "offset", "residual_sigma", "noise_sigma", "converged", "dead"),
        *(
            "sd_log_half_dose",
            "near_estimate",
            "log_evidence",
            "identifiable",
            "integrity",
            "fitted",
        ),
        *("half_integrity_dose", "critical_dose", "dose_at", "rate_per_dose"),
    }
)
# A rate this far below zero is no rounding of the integration any more.
_GROWTH = -1e-4
# Step of numerical derivatives on the scale of search, as a share of the box.
_DIFFERENCE = 2e-4


def check_law(law: KineticLaw, normalised_dose: Tensor) -> None:
    """Raise if a law cannot be fitted, before any data are looked at.

    Parameters
    ----------
    normalised_dose
        Doses of the frames, ``(n_dose,)``, ascending.

    Raises
    ------
    ValueError
        If it has no parameter or too many, a name that is taken, an integrity that is NaN or
        grows for some parameters in the box, or says that it scales and does not.
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
    if isinstance(law, ClosedForm):
        return
    columns = []
    for parameter in law.parameters:
        low, high = parameter.free_box
        free = torch.linspace(low, high, 5, dtype=torch.float64)
        columns.append(parameter.from_free(free).clamp(parameter.lower, parameter.upper).tolist())
    nodes = [[parameter.start for parameter in law.parameters], *product(*columns)]
    values = torch.tensor(nodes, dtype=torch.float64).T
    integrated(law, normalised_dose, values)
    if law.scales:
        _check_scaling(law, values)


def _check_scaling(law: KineticLaw, values: Tensor) -> None:
    first = law.parameters[0]
    if first.name != "rate" or not first.logarithmic:
        raise ValueError(
            f"kinetic law {law.name!r} says scales=True; its first parameter must then be a "
            f'logarithmic LawParameter named "rate", not {first}.'
        )
    half = values.new_full(values.shape[1:], 0.5)
    unit = torch.cat([torch.ones_like(values[:1]), values[1:]])
    expected = values[0] * law.rate(half, _named(law, unit), 0 * half)
    for dose in (0.0, 0.7):
        found = law.rate(half, _named(law, values), dose * torch.ones_like(half))
        if not torch.allclose(found.expand_as(expected), expected, rtol=1e-6):
            raise ValueError(
                f"kinetic law {law.name!r} says scales=True, but its rate is not proportional to "
                '"rate", or knows the dose; leave scales out.'
            )


def _named(law: KineticLaw, values: Sequence[Tensor] | Tensor) -> Mapping[str, Tensor]:
    names = (parameter.name for parameter in law.parameters)
    return dict(zip(names, values, strict=True))


def streams(law: KineticLaw) -> bool:
    """Whether a law costs no more when it is evaluated dose by dose."""
    return isinstance(law, ClosedForm)


def curve(
    law: KineticLaw, dose: Tensor, search: Sequence[Tensor], *, slopes: Sequence[bool] = ()
) -> tuple[Tensor, list[Tensor | None]]:
    """Integrity, and minus its derivatives, as `ClosedForm.curve` has them, of any law.

    Parameters
    ----------
    dose
        Normalised doses, of a shape that broadcasts with the parameters'; ``(n_dose, 1, …)``
        where the law does not stream.
    search
        The parameters on their scale of search, in order; they broadcast with each other.
    slopes
        Which derivatives are wanted.
    """
    if isinstance(law, ClosedForm):
        return law.curve(dose, search, slopes=slopes)
    if law.scales:
        table = dose_table(law, dose.reshape(-1))
        return table.evaluate(torch.broadcast_tensors(*search), slopes=slopes)
    free = torch.stack(torch.broadcast_tensors(*(each.to(torch.float64) for each in search)))
    wanted = [place for place, slope in enumerate(slopes) if slope]
    boxes = [parameter.search_box for parameter in law.parameters]
    points, steps = [free], []
    for place in wanted:
        low, high = boxes[place]
        pair = free.clone(), free.clone()
        pair[0][place] = (free[place] + _DIFFERENCE * (high - low)).clamp(max=high)
        pair[1][place] = (free[place] - _DIFFERENCE * (high - low)).clamp(min=low)
        steps.append(pair[0][place] - pair[1][place])
        points += pair
    values = torch.stack(
        [
            parameter.from_search(row)
            for parameter, row in zip(law.parameters, torch.stack(points, 1), strict=True)
        ]
    )
    found = integrated(law, dose.reshape(-1), values).movedim(-1, 0)
    columns: list[Tensor | None] = [None] * len(slopes)
    for number, place in enumerate(wanted):
        columns[place] = (found[:, 2 + 2 * number] - found[:, 1 + 2 * number]) / steps[number]
    return found[:, 0], columns


def trajectories(law: KineticLaw, normalised_dose: Tensor, values: Tensor) -> Tensor:
    """Integrity at the same doses for many sets of parameters.

    Parameters
    ----------
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
    if not (isinstance(law, ClosedForm) or law.scales):
        return integrated(law, normalised_dose, values)
    with torch.no_grad():
        search = [
            parameter.to_search(row)
            for parameter, row in zip(law.parameters, values.unbind(0), strict=True)
        ]
        dose = normalised_dose.to(search[0].device)
        if isinstance(law, ClosedForm):
            return law.curve(dose, [each[..., None] for each in search])[0]
        log_time = search[0][..., None] + dose.clamp(min=1e-300).log()
        return scaling_table(law).evaluate(
            log_time, [each[..., None].expand(log_time.shape) for each in search[1:]]
        )


def integrated(law: KineticLaw, normalised_dose: Tensor, values: Tensor) -> Tensor:
    """The same as `trajectories` by integration, or by the law's own solution, checked."""
    shape = values.shape[1:]
    flat = values.reshape(values.shape[0], -1).to(torch.float64)
    dose = normalised_dose.to(flat)
    with torch.no_grad():
        if type(law).solution is not KineticLaw.solution:
            integrity = law.solution(dose, _named(law, flat))
            _check_solution(law, integrity)
            return integrity.reshape(*shape, -1)

        def slope(at: Tensor, state: Tensor, index: Tensor) -> Tensor:
            return -_loss(law, state, flat[:, index], at)

        integrity, _ = integrate_members(
            slope,
            torch.ones_like(flat[0]),
            dose,
            tolerance=float(getattr(law, "tolerance", 1e-8)),
            what=f"kinetic law {law.name!r}",
        )
    return integrity.reshape(*shape, -1)


def dose_at_level(law: KineticLaw, values: Sequence[Tensor] | Tensor, level: float) -> Tensor:
    """Normalised dose at which the integrity first falls to a level, ``(…)``; inf where never.

    Parameters
    ----------
    law
        The law, continued beyond the measured doses.
    values
        The parameters in the order of the law, of shapes that broadcast to ``(…)``.
    level
        Integrity between 0 and 1.
    """
    with torch.no_grad():
        if law.scales and not isinstance(law, ClosedForm):
            pairs = list(zip(law.parameters, values, strict=True))
            shapes = [parameter.to_search(row) for parameter, row in pairs[1:]]
            return scaling_table(law).log_time_at(level, shapes).exp() / values[0]
        if not isinstance(law, ClosedForm):
            values = torch.broadcast_tensors(*values)
        return law.dose_at(level, _named(law, values))


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


def _loss(law: KineticLaw, integrity: Tensor, values: Tensor, dose: Tensor) -> Tensor:
    """Loss per normalised dose, checked."""
    rate = law.rate(integrity.clamp(0.0, 1.0), _named(law, values), dose).expand_as(integrity)
    check_rate(law.name, rate, dose, least=_GROWTH)
    return rate.clamp(min=0.0)
