# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Adam without the optimisers of Torch, the first of which imports Torch's compiler: a second."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim.adamw import adamw


class Adam:
    """Adam with decoupled weight decay: the steps of ``torch.optim.AdamW``, bit by bit.

    Parameters
    ----------
    parameters
        What is trained, in place.
    rate
        Learning rate; may be changed between steps.
    weight_decay
        Share of the rate by which a step shrinks each parameter; 0 is plain Adam.
    fused
        Whether one kernel takes the whole step.

    Examples
    --------
    >>> import torch
    >>> from hyperspy_dosekin.numerics.adam import Adam
    >>> place = torch.tensor([3.0], requires_grad=True)
    >>> optimiser = Adam([place], rate=0.1)
    >>> for _ in range(200):
    ...     optimiser.zero_grad()
    ...     (place - 1).square().sum().backward()
    ...     optimiser.step()
    >>> round(place.item(), 3)
    1.0
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        rate: float,
        weight_decay: float = 0.0,
        *,
        fused: bool = True,
    ) -> None:
        self.rate, self.weight_decay, self.fused = rate, weight_decay, fused
        self._states = [
            (
                each,
                torch.zeros_like(each, memory_format=torch.preserve_format),
                torch.zeros_like(each, memory_format=torch.preserve_format),
                torch.zeros((), device=each.device if fused else None),
            )
            for each in parameters
        ]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter, *_ in self._states:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter that has a gradient."""
        moved = [state for state in self._states if state[0].grad is not None]
        parameters, means, squares, steps = map(list, zip(*moved, strict=True))
        adamw(
            parameters,
            [each.grad for each in parameters],
            means,
            squares,
            [],
            steps,
            fused=self.fused,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=self.rate,
            weight_decay=self.weight_decay,
            eps=1e-8,
            maximize=False,
        )
