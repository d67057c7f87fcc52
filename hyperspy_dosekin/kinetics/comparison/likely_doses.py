# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Equally likely values that stand for a posterior, and the doses that they give."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
from hyperspy_dosekin.kinetics.laws.solution import dose_at_level, trajectories
from hyperspy_dosekin.kinetics.posterior.nodes import Nodes

from .half_change import SHARES, half_change

#: Equally likely values that stand for a posterior.
N_VALUES = 101


def likely_values(nodes: Nodes, number: int = N_VALUES, last: int = 0) -> Tensor:
    """Equally likely values of all parameters of a law, ``(n_parameter, 3·number, n)``.

    Parameters
    ----------
    number
        A third of how many.
    last
        Of how many parts, the last, to take them; 0 takes all.
    """
    n = nodes.weight.shape[-1]
    weight = nodes.weight.clone()
    weight[: len(weight) - last if last else 0] = 0.0
    cumulated = weight.reshape(-1, n).cumsum(0).T.contiguous()
    wanted = (torch.arange(3 * number).to(cumulated) + 0.5) / (3 * number) * cumulated[:, -1:]
    place = torch.searchsorted(cumulated, wanted).clamp(max=cumulated.shape[1] - 1).T
    search = [
        each.expand(nodes.weight.shape).reshape(-1, n).gather(0, place) for each in nodes.search
    ]
    return nodes.parameters.values(search)


def log_doses(
    law: KineticLaw, likely: Tensor, normalised_dose: np.ndarray
) -> tuple[Tensor, Tensor, Tensor]:
    """Values of ln D½ and of the ln of the half-change dose, and trajectories.

    The half-change dose is that at which half of the change within the measured range is done,
    C halfway between 1 and its last value: between measured frames, so that it hardly depends on
    the law.

    Parameters
    ----------
    likely
        Its `likely_values`, three times ``n_value``.
    normalised_dose
        Doses of the frames, ``(n_dose,)``.

    Returns
    -------
    half, change : Tensor
        Equally likely values, ``(n_value, n)``, ascending; doses normalised.
    integrity : Tensor
        C of some of the likely values at the frames, ``(n_value, n, n_dose)``.
    """
    half = dose_at_level(law, likely, 0.5).log()
    doses = np.concatenate([SHARES * normalised_dose[-1], normalised_dose])
    order = np.argsort(doses, kind="stable")
    place = torch.as_tensor(np.argsort(order))
    some = likely[:, 1::3].contiguous()
    found = trajectories(law, torch.as_tensor(doses[order]), some)[..., place]
    on_grid, at_frames = found[..., : SHARES.size], found[..., SHARES.size :]
    change = torch.as_tensor(np.log(half_change(on_grid.numpy()) * normalised_dose[-1]))
    return half.sort(dim=0)[0][1::3], change.sort(dim=0)[0], at_frames
