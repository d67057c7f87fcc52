# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""An ordinary differential equation for a batch, differentiable in whatever its slope depends on.

The integrator is the Dormand–Prince pair of orders 5 and 4 [1]_ with one step size for the whole
batch, controlled by its worst member and never longer than the distance to the next point. The
state is held at 0 once it has been used up.

References
----------
.. [1] J. R. Dormand, P. J. Prince, J. Comput. Appl. Math. 6, 19 (1980),
   doi:10.1016/0771-050X(80)90013-3.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

NODES = (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
STAGES = (
    (),
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
# Weights of order 5 minus those of order 4: the error estimate.
ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
_MAXIMUM_STEPS = 20_000
# Below this step the equation is taken to end here (a vertical tangent, for instance).
_SMALLEST_STEP = 1e-10


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
    if points.ndim != 1 or (points.numel() and (points[0] < 0 or (points.diff() < 0).any())):
        raise ValueError(f"doses {points.tolist()} must be a not negative, ascending sequence.")
    current = start
    position, step, count, recorded = 0.0, 1e-3, 0, []
    for target in points.tolist():
        while position < target:
            length = min(step, target - position)
            stages: list[Tensor] = []
            for node, weights in zip(NODES, STAGES, strict=True):
                state = current
                for weight, stage in zip(weights, stages, strict=True):
                    if weight:
                        state = state + length * weight * stage
                stages.append(slope(position + node * length, state))
            # The last stage's state is the fifth-order result ("first same as last").
            proposal = state
            error = torch.zeros_like(current)
            for weight, stage in zip(ERROR, stages, strict=True):
                error = error + weight * stage
            worst = (length * error.detach()).abs().max().item() if error.numel() else 0.0
            count += 1
            if worst <= tolerance or length <= _SMALLEST_STEP:
                current, position = proposal.clamp(min=0.0), position + length
            factor = 0.9 * (tolerance / max(worst, 1e-300)) ** 0.2
            step = max(length * min(max(factor, 0.2), 5.0), _SMALLEST_STEP)
            if count > _MAXIMUM_STEPS:
                raise RuntimeError(
                    f"{what} needs more than {_MAXIMUM_STEPS} steps; it is too "
                    "stiff for its parameters: narrow their boxes or raise the tolerance."
                )
            if target - position < 1e-14:
                position = target
        recorded.append(current)
    return torch.stack(recorded, dim=-1)
