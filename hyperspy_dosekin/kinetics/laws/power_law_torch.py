# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The power law of dose damage in Torch, for speed rather than for the last digit.

`torch.where` over (dose, curve) costs as much as a logarithm: there is none here. With
``t = kφ``, ``e = p − 1`` and ``x = et`` it is ``ln C = −log1p(x)/e``, ``C^p = C/(1 + x)`` and
``−dC/dp = (t/(1 + x) + ln C)·C/e``.
"""

from __future__ import annotations

import torch
from torch import Tensor

# By type: a p keeps this distance from 1, which costs no digit of C …
_NEAREST_TO_ONE = {torch.float64: 1e-12, torch.float32: 1e-6}
# … and below this one the derivative by p comes from its series, for which the other is too near.
_SERIES_LIMIT = {torch.float64: 1e-5, torch.float32: 2e-3}
# Smallest ln C, of which the exponential is 0 exactly, and 1 + x, whose inverse times 0 is 0.
_SMALLEST_LOG = {torch.float64: -800.0, torch.float32: -120.0}
_EXTINCTION = {torch.float64: 1e-14, torch.float32: 1e-7}


def power_law_curve(
    dose: Tensor,
    log_rate: Tensor,
    log_exponent: Tensor,
    *,
    by_rate: bool = False,
    by_exponent: bool = False,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """C, −dC/d ln k and −dC/d ln p, the latter two where they are wanted.

    Parameters
    ----------
    dose
        Normalised dose, of a shape that broadcasts with the others'.
    log_rate, log_exponent
        ln k and ln p.
    by_rate, by_exponent
        Which derivatives are wanted; ``None`` takes the place of others.
    """
    dtype = log_rate.dtype
    rate, exponent = log_rate.exp(), log_exponent.exp()
    excess = exponent - 1.0
    nearest = _NEAREST_TO_ONE[dtype]
    # Added where it is too near: a choice by element costs as much as a logarithm.
    excess = excess + (excess.abs() < nearest).to(dtype) * (2 * nearest)
    if not (by_rate or by_exponent):
        shifted = (dose * (rate * excess)).clamp_(min=-1.0)
        return shifted.log1p_().mul_(-excess.reciprocal()).exp_(), None, None
    t = dose * rate
    shifted = (t * excess).clamp_(min=-1.0)
    logarithm = shifted.log1p().mul_(-excess.reciprocal())
    logarithm = logarithm.clamp_(min=_SMALLEST_LOG[dtype])
    integrity = logarithm.exp()
    t = t.expand(shifted.shape)
    quotient = t / shifted.add_(1.0).clamp_(min=_EXTINCTION[dtype])
    if not by_exponent:
        return integrity, quotient.mul_(integrity), None
    slope = logarithm.add_(quotient).mul_(integrity).mul_(exponent / excess)
    rate_slope = quotient.mul_(integrity)
    near = (excess.abs() < _SERIES_LIMIT[dtype]).expand(shifted.shape)
    if bool(near.any()):
        few = t[near]
        by_series = (2 / 3 * few * excess.expand(shifted.shape)[near] - 0.5) * few * few
        slope[near] = by_series * integrity[near] * exponent.expand(shifted.shape)[near]
    return integrity, rate_slope, slope


def power_law_time(level: float | Tensor, exponent: Tensor) -> Tensor:
    """``kφ`` at which C falls to a level in (0, 1); infinite for a level of 0 and p ≥ 1."""
    level = torch.as_tensor(level, dtype=exponent.dtype, device=exponent.device)
    decades = -level.clamp(min=0.0).log()
    scaled = (exponent - 1.0) * decades
    # expm1(x)/x is accurate for every x but 0 itself.
    scaled = torch.where(scaled == 0, 1e-30, scaled)
    time = torch.where(
        torch.isinf(decades),
        torch.where(exponent < 1, 1 / (1 - exponent), torch.inf),
        torch.expm1(scaled) / scaled * decades,
    )
    return time
