# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Delays between frames: minima between other frames, and delays that all fit alike.

The deviance has a kink wherever a delay meets a frame, where a search comes to a halt, and often a
minimum between any two frames, where it is smooth. Before the first frame a later beginning of
first-order decay is a larger amplitude, and nothing else: the deviance is flat.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.model.objective import Deviance
from hyperspy_dosekin.numerics.batched_minimiser import Minimum
from hyperspy_dosekin.numerics.row_sums import in_whole_vectors

from .minima import better_of, minimise

# Deviances that differ by less are the same.
_ALIKE = {torch.float64: 1e-6, torch.float32: 1e-3}
# How near to a frame a delay is thought to have halted at it, as a share of a gap.
_HALTED = 0.1
# How often a search goes on to the next gap where the last one has lowered the deviance by so much,
# and its steps.
_ROUNDS, _LOWERED, _STEPS = 3, 1e-3, 20


def settle_delays(objective: Deviance, minimum: Minimum, steps: int) -> None:
    """Search in the gaps of frames beside a delay; of delays that fit alike take the middle.

    That is the median of an even density, and does not hang on where a search began.

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
    places = [n for n, each in enumerate(layout.parameters.free) if each.onset]
    if not places:
        return
    rows, parameter = layout.rows_of(places[0]), layout.parameters.free[places[0]]
    every = torch.ones_like(minimum.converged)
    if objective.bound is not None:
        every = ~objective.bound.isnan().all(0)
    frames = _frames(objective)
    index = torch.nonzero(every)[:, 0]
    for _ in range(_ROUNDS):
        before = minimum.objective.clone()
        for low, high in _gaps(frames, minimum.parameters[rows], parameter.upper):
            for row, begin, end in zip(rows, low, high, strict=True):
                moved = in_whole_vectors(index[end[index] > begin[index]])
                start, between = minimum.parameters[:, moved], (begin[moved], end[moved])
                start[row] = torch.lerp(*between, 0.5)
                some = objective.select(moved)
                found = minimise(some, start, min(_STEPS, steps), between=(row, *between))
                better_of(minimum, found, moved)
        index = torch.nonzero(minimum.objective < before - _LOWERED)[:, 0]
    index = in_whole_vectors(torch.nonzero(every)[:, 0])
    some, first = objective.select(index), frames[1, :, index].clamp(max=parameter.upper)
    for row, end in zip(rows, first, strict=True):
        trial = minimum.parameters[:, index]
        flat = trial[row] <= end
        trial[row] = torch.where(flat, 0.5 * end, trial[row])
        value = some.evaluate(trial)[0]
        flat &= value <= minimum.objective[index] + _ALIKE[value.dtype]
        minimum.parameters[row, index[flat]] = trial[row, flat]


def _frames(objective: Deviance) -> Tensor:
    """Doses between which a delay may lie, 0 first, ``(1 + n_dose, n_window, n_curve)``.

    Infinite at the end, where frames are missing.
    """
    dose = objective.dose.expand_as(objective.values)
    if objective.root_weight is not None:
        dose = torch.where(objective.root_weight > 0, dose, torch.inf).sort(0).values
    return torch.cat([torch.zeros_like(dose[:1]), dose])


def _gaps(frames: Tensor, delay: Tensor, upper: float) -> list[tuple[Tensor, Tensor]]:
    """Beginning and end of the gap after each delay, and of the one before; empty where none is.

    A delay that has halted at a frame has one on either side.
    """
    low, high = frames[:-1], frames[1:].clamp(max=upper)
    near = _HALTED * (high - low)
    there = (high > low) & frames[1:].isfinite()
    # Before the first gap is no frame.
    later, earlier = there & (low + near * (low > 0) > delay), there & (high - near < delay)
    after = [torch.where(later, end, torch.inf).amin(0) for end in (low, high)]
    before = [torch.where(earlier, end, -1.0).amax(0) for end in (low, high)]
    return [(after[0], after[1]), (before[0], before[1])]
