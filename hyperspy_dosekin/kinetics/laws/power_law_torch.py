# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The power law of dose damage in closed form, in Torch, with exact gradients.

Automatic differentiation of a ``where(small, series, formula)`` gives NaN at p = 1 and at
extinction, since the unused branch is differentiated too; the analytic derivatives are put in its
place. They are not themselves differentiable (no double backward).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .power_law import evaluate_power_law


def power_law_value_and_derivatives(
    dose: Tensor, rate: Tensor, exponent: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Integrity with its derivatives, outside the automatic differentiation.

    Parameters
    ----------
    dose
        Normalised dose φ ≥ 0.
    rate
        k per normalised dose.
    exponent
        p. The three are floating tensors of one type and device whose shapes broadcast.

    Returns
    -------
    (C, dC/dk, dC/dp), each of the broadcast shape.

    Examples
    --------
    >>> import torch
    >>> value, by_rate, _ = power_law_value_and_derivatives(
    ...     torch.tensor([0.0, 1.0]), torch.tensor(2.0), torch.tensor(1.5)
    ... )
    >>> value.tolist()
    [1.0, 0.25]
    """
    with torch.no_grad():
        integrity, powered, by_exponent = evaluate_power_law(
            torch, dose, rate, exponent, derivatives=True
        )
        return integrity, -dose * powered, by_exponent


class _PowerLaw(torch.autograd.Function):
    """C(φ, k, p), once differentiable in all three."""

    @staticmethod
    def forward(ctx: Any, dose: Tensor, rate: Tensor, exponent: Tensor) -> Tensor:
        integrity, powered, by_exponent = evaluate_power_law(
            torch, dose, rate, exponent, derivatives=True
        )
        ctx.save_for_backward(dose, rate, powered, by_exponent)
        ctx.exponent_shape = exponent.shape
        return integrity

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        dose, rate, powered, by_exponent = ctx.saved_tensors
        by_dose = by_rate = by_power = None
        if ctx.needs_input_grad[0]:
            by_dose = (-gradient * rate * powered).sum_to_size(dose.shape)
        if ctx.needs_input_grad[1]:
            by_rate = (-gradient * dose * powered).sum_to_size(rate.shape)
        if ctx.needs_input_grad[2]:
            by_power = (gradient * by_exponent).sum_to_size(ctx.exponent_shape)
        return by_dose, by_rate, by_power


def power_law_integrity_torch(dose: Tensor, rate: Tensor, exponent: Tensor) -> Tensor:
    """Integrity C(φ) of the power law, differentiable in dose, rate and exponent.

    Parameters
    ----------
    dose, rate, exponent
        As for `power_law_value_and_derivatives`.

    Returns
    -------
    C, of the broadcast shape; gradients are finite at p = 1, at k = 0 and at extinction.

    Examples
    --------
    >>> import torch
    >>> exponent = torch.tensor(1.0, requires_grad=True)
    >>> power_law_integrity_torch(torch.tensor(1.0), torch.tensor(1.0), exponent).backward()
    >>> round(exponent.grad.item(), 4)
    0.1839
    """
    return _PowerLaw.apply(dose, rate, exponent)
