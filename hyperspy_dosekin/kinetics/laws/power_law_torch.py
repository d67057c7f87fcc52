# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The power law of dose damage in Torch, for speed rather than for the last digit.

With ``t = kφ``, ``e = p − 1`` and ``x = et`` it is ``ln C = −log1p(x)/e``, ``C^p = C/(1 + x)`` and
``−dC/dp = (t/(1 + x) + ln C)·C/e``. Every walk over (dose, curve) counts: they are in place, powers
are of 2, which take a third of the time of those of e, and there is no `torch.where`, which takes
as long as a logarithm.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hyperspy_dosekin.numerics.row_sums import power_of_two

# By type: a p keeps this distance from 1, which costs no digit of C …
_NEAREST_TO_ONE = {torch.float64: 1e-12, torch.float32: 1e-6}
# … and below this one the derivative by p comes from its series, for which the other is too near.
_SERIES_LIMIT = {torch.float64: 1e-5, torch.float32: 2e-3}
# Smallest log₂ C, of which the power is 0 exactly, and 1 + x, whose inverse times 0 is 0.
_SMALLEST_LOG = {torch.float64: -1150.0, torch.float32: -170.0}
_EXTINCTION = {torch.float64: 1e-14, torch.float32: 1e-7}
_LOG_2 = math.log(2.0)


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
    rate, exponent = (power_of_two(each * (1 / _LOG_2)) for each in (log_rate, log_exponent))
    excess = exponent - 1.0
    nearest = _NEAREST_TO_ONE[dtype]
    too_near = excess.abs() < nearest
    # Another device would be waited for.
    if excess.device.type != "cpu" or bool(too_near.any()):
        excess = excess + too_near.to(dtype) * (2 * nearest)
    per_log2 = (excess * -_LOG_2).reciprocal_()
    if not (by_rate or by_exponent):
        shifted = (dose * (rate * excess)).clamp_(min=-1.0)
        return power_of_two(shifted.log1p_().mul_(per_log2)), None, None
    t = dose * rate
    shifted = (t * excess).clamp_(min=-1.0)
    logarithm = shifted.log1p().mul_(per_log2).clamp_(min=_SMALLEST_LOG[dtype])
    integrity = power_of_two(logarithm.clone())
    shifted.add_(1.0).clamp_(min=_EXTINCTION[dtype])
    quotient = torch.div(t, shifted, out=shifted)
    slope = None
    if by_exponent:
        slope = torch.add(quotient, logarithm, alpha=_LOG_2, out=logarithm)
        slope = slope.mul_(integrity).mul_(exponent / excess)
        _put_series(slope, t, excess, integrity, exponent)
    return integrity, quotient.mul_(integrity), slope


def _put_series(
    slope: Tensor, t: Tensor, excess: Tensor, integrity: Tensor, exponent: Tensor
) -> None:
    """Replace −dC/d ln p by its series where p is near 1, in place.

    Whole columns are replaced: of the axes before the first along which p differs.
    """
    near = excess.abs() < _SERIES_LIMIT[excess.dtype]
    if not bool(near.any()):
        return
    shape = slope.shape or (1,)
    own = (1,) * (len(shape) - near.ndim) + near.shape
    first = next((axis for axis, size in enumerate(own) if size > 1), len(shape) - 1)
    places = near.reshape(own[first:]).expand(shape[first:]).nonzero(as_tuple=True)

    def few(array: Tensor) -> Tensor:
        return array.expand(shape)[(..., *places)]

    time = few(t)
    series = (2 / 3 * time * few(excess) - 0.5) * time * time * few(integrity) * few(exponent)
    slope.expand(shape)[(..., *places)] = series


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
