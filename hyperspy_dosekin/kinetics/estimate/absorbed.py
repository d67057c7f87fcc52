# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parameters of which all values fit alike, such as a plateau beside an offset that is free."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.model.objective import Deviance, Layout
from hyperspy_dosekin.kinetics.model.parameters import Parameters
from hyperspy_dosekin.numerics.batched_minimiser import Minimum

# Deviances that differ by less are the same.
ALIKE = {torch.float64: 1e-6, torch.float32: 1e-3}


def beside_offset(parameters: Parameters) -> Parameters:
    """What is left to search for where the offset is free."""
    law = parameters.law.beside_offset
    if law is None:
        return parameters
    names = {parameter.name for parameter in law.parameters}
    held = tuple(pair for pair in parameters.held if pair[0] in names)
    return replace(parameters, law=law, held=held)


def with_absorbed(rows: Tensor, layout: Layout, whole: Layout) -> Tensor:
    """Rows of all free parameters from those that were searched for; the others at their start.

    Parameters
    ----------
    rows
        What was found, ``(n_row, n_curve)`` of `layout`.
    layout, whole
        Of what was searched for, and of the whole law.
    """
    if layout is whole:
        return rows
    found = rows.new_empty((whole.n_row, rows.shape[1]))
    sought = [parameter.name for parameter in layout.parameters.free]
    for place, parameter in enumerate(whole.parameters.free):
        if parameter.name in sought:
            own = rows[layout.rows_of(sought.index(parameter.name))]
        else:
            own = parameter.to_search(rows.new_tensor(parameter.start))
        found[whole.rows_of(place)] = own
    return found


def settle_absorbed(objective: Deviance, minimum: Minimum) -> None:
    """Take the usual value of what the integrity is linear in, where it fits alike.

    A search comes to any value of it, by rounding alone.

    Parameters
    ----------
    objective
        The curves.
    minimum
        What was found; changed in place.
    """
    layout = objective.layout
    for place, parameter in enumerate(layout.parameters.free):
        if parameter.name != layout.parameters.law.linear:
            continue
        trial = minimum.parameters.clone()
        trial[layout.rows_of(place)] = parameter.to_search(trial.new_tensor(parameter.start))
        value = objective.evaluate(trial)[0]
        alike = value <= minimum.objective + ALIKE[value.dtype]
        minimum.parameters[:, alike] = trial[:, alike]
