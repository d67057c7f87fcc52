# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Likelihood of the kinetic parameters with the readout and the noise integrated out.

Written for one node: S the sum of squares with the readout projected out, E the squares that the
decay explains, ν the frames less the coefficients of the readout.

* b is flat; the amplitude is flat in ln|a| but for values that the noise hides,
  ``1/√(a² + σ_a²)``: neither a unit nor the long ridge a → ∞, k → 0 is preferred.
* σ unknown under 1/σ: ``ν ln S + ln(E + S/ν)``; σ given: ``S + ln(E + 1)``; σ at least the given
  one: as given where S ≤ ν, as unknown beyond, ``ν + ν ln(S/ν) + ln(E + S/ν)``. The integral over
  all larger σ would take it for a fifth more where the given one is right, and call a quarter
  fewer windows determined.
* With priors, ln(|a|/σ) is normal about `SIGNAL_TO_NOISE` and a is integrated out with that: the
  coverage of weak windows needs it, clear ones do not notice. Where a decay is over before a frame
  could see it, any amplitude fits, and the integral is the chance that a is as small as that.
* A bound on the offset is the share of b's distribution (Student's t, normal for a given σ) on
  the right side of it.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from scipy import special
from torch import Tensor

#: Mean and standard deviation of ln(|a|/σ) where priors are used: about fifty, with a factor
#: of seven either way. Signals that the noise would hide, and ridges that end at absurd
#: amplitudes, are no more likely than that.
SIGNAL_TO_NOISE = (math.log(50.0), 2.0)
#: One standard deviation above it: what a is within where the data say nothing about it.
LARGEST_SIGNAL = math.exp(sum(SIGNAL_TO_NOISE))

# A table is linear between nodes so close that the error of a logarithm is below 1e-4.
_ASINH = (-9.0, 9.0, 1801)
# Logarithm of about the smallest number of full precision.
_LOG_SMALLEST = -690.0
# Below these scores Φ is taken from its tail: erfc has no digits left there, and a series has all.
_TAIL = {torch.float32: -8.0, torch.float64: -30.0}
# Larger squares of a in standard deviations say the same.
_LARGEST_SCORE = 1e30
# What is further down, in ln, adds nothing to a sum.
_NOTHING = -40.0


@lru_cache(maxsize=64)
def _student_table(freedom: int) -> Tensor:
    """Ln of the distribution function of Student's t on even asinh."""
    place = np.sinh(np.linspace(*_ASINH))
    with np.errstate(divide="ignore"):
        found = np.log(special.stdtr(freedom, place))
    # Of many frames the tail is below the smallest number: the first term of the series of the
    # incomplete beta function, with the next ones as a geometric series.
    half, share = freedom / 2, freedom / (freedom + place**2)
    tail = half * np.log(share) - special.betaln(half, 0.5) - math.log(freedom)
    tail -= 0.5 * np.log1p(-share * (half + 0.5) / (half + 1))
    return torch.as_tensor(np.where(found < _LOG_SMALLEST, tail, found))


def _looked_up(tables: Tensor, row: Tensor | None, place: Tensor) -> Tensor:
    low, high, count = _ASINH
    x = ((place - low) * ((count - 1) / (high - low))).clamp(0, count - 1.001)
    left = x.floor()
    # Where the place is no number, nor is what is found.
    left = left.nan_to_num(0.0)
    index = left.long() if row is None else row * count + left.long()
    flat = tables.reshape(-1).to(place)
    return torch.lerp(flat[index], flat[index + 1], x - left)


def log_normal_share(score: Tensor) -> Tensor:
    """Ln Φ to the rounding of 1; `torch.special.log_ndtr`, which is not vectorised, takes longer.

    Parameters
    ----------
    score
        Any numbers.

    Examples
    --------
    >>> score = torch.tensor([-300.0, -30.1, -29.9, -1.0, 0.0, 7.0], dtype=torch.float64)
    >>> known = torch.special.log_ndtr(score)
    >>> bool(torch.allclose(log_normal_share(score), known, rtol=1e-12, atol=1e-15))
    True
    """
    tail = _TAIL[score.dtype]
    found = torch.log(0.5 * torch.erfc(score.clamp(min=tail) * -math.sqrt(0.5)))
    if bool((score < tail).any()):
        far = score.clamp(max=tail)
        inverse = far**-2
        series = torch.log1p((-1 + (3 - (15 - 105 * inverse) * inverse) * inverse) * inverse)
        beyond = series - 0.5 * far * far - torch.log(-far) - 0.5 * math.log(2 * math.pi)
        found = torch.where(score < tail, beyond, found)
    return found


def inverse_sinh(place: Tensor) -> Tensor:
    """`torch.asinh`, which is not vectorised, from a logarithm that is."""
    size = place.abs()
    return torch.log1p(size + size * size / (1 + (1 + size * size).sqrt())).copysign(place)


class StudentShare:
    """Ln of the distribution function of Student's t of curves of different degrees of freedom."""

    def __init__(self, freedom: Tensor) -> None:
        numbers = freedom.clamp(min=1).round().long()
        # Nearly always all curves have as many frames.
        known, self.row = numbers[:1], None
        if bool((numbers != known).any()):
            known, self.row = torch.unique(numbers, return_inverse=True)
        self.tables = torch.stack([_student_table(int(number)) for number in known]).to(freedom)

    def __call__(self, place: Tensor) -> Tensor:
        """Value at the asinh of t, ``(…, n)``."""
        return _looked_up(self.tables, self.row, place)


def marginal_deviance(
    squares: Tensor,
    explained: Tensor,
    norm: Tensor,
    freedom: Tensor,
    *,
    noise: str,
    weigh_signal: bool,
) -> tuple[Tensor, Tensor]:
    """−2 ln likelihood up to a constant, and the variance of the noise that goes with it.

    Parameters
    ----------
    squares, explained, norm
        S, E and the sum of squares of the decay itself, ``(…, n)``.
    freedom
        ν, ``(n,)``.
    noise
        ``"free"``, ``"given"`` or ``"floor"``.
    weigh_signal
        Whether ln(|a|/σ) is normal about `SIGNAL_TO_NOISE` and not flat.
    """
    if noise == "given":
        variance, deviance, log_variance = torch.ones_like(squares), squares, None
    else:
        log_squares = squares.log()
        variance, log_variance = squares / freedom, log_squares - freedom.log()
        if noise == "floor":
            variance, log_variance = variance.clamp_(min=1.0), log_variance.clamp_(min=0.0)
            deviance = squares.minimum(freedom).addcmul_(freedom, log_variance)
        else:
            deviance = freedom * log_squares
    if not weigh_signal:
        return deviance + torch.log(explained + variance), variance
    if log_variance is not None:
        deviance = deviance + log_variance
    # Ratios, of which the last digits do not matter, in single precision.
    score = (explained / variance).clamp_(max=_LARGEST_SCORE).float()
    if noise == "given":
        absent = -0.5 * score
    else:
        freedom = freedom.float()
        absent = torch.log1p(score / freedom).mul_(-0.5 * (freedom + 1))
    return deviance - 2 * log_of_amplitude(score, absent, norm.float()), variance


def log_of_amplitude(score: Tensor, absent: Tensor, norm: Tensor) -> Tensor:
    """Ln of the likelihood with a integrated out, over that of the best a.

    With t = a/σ_a, s = σ_a/σ, and (μ, τ) of `SIGNAL_TO_NOISE` it is the mixture ``(1 − q)·P + q·Q``
    of an amplitude that is seen, ``P = exp(−x²/2) / (2τ √(1 + t²))`` at
    ``x = (ln √(1 + t²) + ln s − μ) / τ``, and of one that the noise hides,
    ``Q = Φ((ln s − μ + ½) / τ)``, where q is the likelihood of a = 0. It is the integral in the
    limits of large and of small t; between them its logarithm differs by 0.35 at most.

    Parameters
    ----------
    score
        t², ``(…, n)``.
    absent
        ln q, ``(…, n)``.
    norm
        1/s², ``(…, n)``.
    """
    mean, width = SIGNAL_TO_NOISE
    hidden = -0.5 * torch.log(norm.clamp(min=1e-30)) - mean
    half = 0.5 * torch.log1p(score)
    seen = -0.5 * ((half + hidden) / width).square() - half - math.log(2 * width)
    if bool((absent < seen.clamp(max=0.0) + _NOTHING).all()):
        # Every amplitude is seen clearly.
        return seen
    seen = seen + torch.log(-torch.expm1(absent))
    return torch.logaddexp(seen, absent + log_normal_share((hidden + 0.5) / width))
