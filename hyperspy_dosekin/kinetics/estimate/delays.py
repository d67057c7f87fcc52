# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Delays between frames: searches that came to a halt at one, and delays that all fit alike.

The deviance has a kink wherever a delay meets a frame. Before the first frame a later beginning of
first-order decay is a larger amplitude, and nothing else: the deviance is flat, a search stays
where it came to, and sees nothing of a better delay behind the frame.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.model.objective import Deviance
from hyperspy_dosekin.numerics.batched_minimiser import Minimum
from hyperspy_dosekin.numerics.row_sums import in_whole_vectors

from .absorbed import ALIKE
from .minima import better_of, minimise

# Where a second search begins, as a share of the way from a frame to the next.
_BEHIND = 0.3


def settle_delays(objective: Deviance, minimum: Minimum, steps: int) -> None:
    """Search once more behind a frame, and take the middle of delays that all fit alike.

    The middle is the median of an even density, and does not hang on where a search began.

    Parameters
    ----------
    objective
        The curves; where the offset is held at bounds, those without one are left as they are.
    minimum
        What was found; changed in place.
    steps
        Steps at most.
    """
    layout = objective.layout
    delays = [n for n, each in enumerate(layout.parameters.free) if each.onset]
    if not delays:
        return
    rows, upper = layout.rows_of(delays[0]), layout.parameters.free[delays[0]].upper
    frame, following, first = _frames(objective, minimum.parameters[rows])
    behind = torch.lerp(frame, following, _BEHIND)
    near = (minimum.parameters[rows] < behind).any(0)
    if objective.bound is not None:
        near &= ~objective.bound.isnan().all(0)
    index = in_whole_vectors(torch.nonzero(near)[:, 0])
    if index.numel() == 0:
        return
    some, trial = objective.select(index), minimum.parameters[:, index]
    trial[rows] = torch.maximum(trial[rows], behind[:, index])
    better_of(minimum, minimise(some, trial, steps), index)
    for row, end in zip(rows, first[:, index], strict=True):
        middle = minimum.parameters[:, index]
        flat = middle[row] <= end
        middle[row] = torch.where(flat, 0.5 * end.clamp(max=upper), middle[row])
        value = some.evaluate(middle)[0]
        flat &= value <= minimum.objective[index] + ALIKE[value.dtype]
        minimum.parameters[row, index[flat]] = middle[row, flat]


def _frames(objective: Deviance, delay: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Doses of the last frame before each delay, or else the first, of the next, and of the first.

    Each ``(n_window, n_curve)``.
    """
    dose = objective.dose.expand_as(objective.values)
    if objective.root_weight is not None:
        dose = torch.where(objective.root_weight > 0, dose, torch.inf)
    first = dose.amin(0)
    last = torch.where(dose <= delay, dose, first).amax(0)
    following = torch.where(dose > last, dose, torch.inf).amin(0)
    return last, torch.where(following.isfinite(), following, last), first
