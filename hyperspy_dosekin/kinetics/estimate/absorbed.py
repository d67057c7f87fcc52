# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parameters of which all values fit alike, such as a plateau beside an offset that is free."""

from __future__ import annotations

import torch

from hyperspy_dosekin.kinetics.model.objective import Deviance
from hyperspy_dosekin.numerics.batched_minimiser import Minimum

# Deviances that differ by less are the same.
ALIKE = {torch.float64: 1e-6, torch.float32: 1e-3}


def settle_absorbed(objective: Deviance, minimum: Minimum) -> None:
    """Take the usual value of what the amplitude and the offset absorb, where it fits alike.

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
        trial[layout.rows_of(place)] = parameter.to_search(torch.tensor(parameter.start).to(trial))
        value = objective.evaluate(trial)[0]
        alike = value <= minimum.objective + ALIKE[value.dtype]
        minimum.parameters[:, alike] = trial[:, alike]
