# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of a posterior: correlations of the noise, and the bound on the offset.

A posterior is a mixture of parts, each the likelihood of the same curves under another assumption
with its prior probability: the correlation ρ of neighbouring frames, and, for intensities that
cannot be negative, whether the bound is met exactly (b = 0 where the window falls, a + b = 0 where
it grows) or not (b flat up to the largest value).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.model.config import ExactConfig

from .scan import ScanData, log_sigma_integral

#: Correlations that are integrated over, all equally likely.
CORRELATIONS = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95)
#: Frames from which on a series can tell them.
ENOUGH_FRAMES = 30
#: Prior probability that the bound is met: more would draw windows that end above zero down to it.
AT_BOUND = 0.03
# Logarithm of a weight that is none.
_NOTHING = -1e4
#: The posterior odds of the bound over its prior odds from which on an interval holds that of the
#: bound (exp(−χ²/2) with χ² the 95 % quantile of one degree of freedom): where nothing is left of a
#: window, the truth is at the end of what is possible and a central interval would miss it.
LEAST_ODDS = 0.147


def is_correlated(config: ExactConfig, n_dose: int) -> bool:
    """Whether the correlation of neighbouring frames is integrated over."""
    return n_dose >= ENOUGH_FRAMES if config.correlated is None else config.correlated


def parts_of(
    data: ScanData,
    config: ExactConfig,
    grows: Tensor,
    sigma: Tensor,
    zero_error: Tensor | None,
    bounded: Tensor | None,
) -> list[ScanData]:
    """Parts of the posterior of some curves; those with the offset at its bound come last.

    Parameters
    ----------
    data
        The curves, with white noise.
    grows
        Whether each window grows, ``(n,)``.
    sigma
        Standard deviation of the noise, in units of the values, ``(n,)``.
    zero_error
        Standard deviation of the zero of the intensities, in units of the values, ``(n,)``.
    bounded
        Whether the intensity of each window cannot be negative, ``(n,)``; ``None``: of none.
    """
    variants = [data]
    if bounded is not None:
        variants = [
            _above(data, zero_error, bounded),
            _at_bound(data, grows, sigma, zero_error, bounded),
        ]
    correlations: Sequence[float] = (0.0,)
    if is_correlated(config, data.dose.numel()):
        correlations = CORRELATIONS
    return [
        _with_constant(variant.with_correlation(correlation), sigma, zero_error, len(correlations))
        for variant in variants
        for correlation in correlations
    ]


def _above(data: ScanData, zero_error: Tensor | None, bounded: Tensor) -> ScanData:
    zero = torch.zeros_like(data.freedom) if zero_error is None else zero_error
    # A bound that is infinitely soft is none, but for the half of it that is on the right side.
    constant = torch.where(bounded, math.log(1 - AT_BOUND), math.log(2.0)).to(zero)
    softness = torch.where(bounded, zero, torch.inf)
    constant = data.log_constant + constant
    return replace(data, bounded=True, softness=softness, log_constant=constant)


def _at_bound(
    data: ScanData,
    grows: Tensor,
    sigma: Tensor,
    zero_error: Tensor | None,
    bounded: Tensor,
) -> ScanData:
    raw = data.uncentred()
    share = None
    if zero_error is not None:
        ratio = (zero_error / sigma) ** 2 * data.weight_sum
        share = ratio / (1 + ratio)
    return replace(
        raw,
        share=share,
        pin=grows.to(raw.values),
        freedom=raw.freedom + 1,
        log_constant=raw.log_constant + torch.where(bounded, math.log(AT_BOUND), _NOTHING),
    )


def _with_constant(
    data: ScanData, sigma: Tensor, zero_error: Tensor | None, number: int
) -> ScanData:
    """What the integrals over noise and offset have beside the deviance, and the prior."""
    constant = data.log_constant - math.log(number) + log_sigma_integral(data.freedom, data.noise)
    if data.offset_free:
        # b is flat up to the largest value.
        constant = constant + 0.5 * torch.log(2 * math.pi / data.weight_sum) - data.extent.log()
    elif data.share is not None and zero_error is not None:
        constant = constant - 0.5 * torch.log1p((zero_error / sigma) ** 2 * data.weight_sum)
    return replace(data, log_constant=constant)


def bound_matters(mass: Tensor) -> Tensor:
    """Curves of whose intervals that of the bound is a part, by the mass of the bound ``(n,)``."""
    odds = mass / (1 - mass).clamp(min=1e-300) * ((1 - AT_BOUND) / AT_BOUND)
    # Where the bound has nearly all of the mass, the interval is its own.
    return torch.nonzero((odds > LEAST_ODDS) & (mass < 0.99))[:, 0]


def zero_errors(config: ExactConfig, shape: tuple[int, ...], unit: np.ndarray) -> np.ndarray | None:
    """Errors of the zero in units of the values, ``(n_curve, n_window)``.

    Raises
    ------
    ValueError
        If they are negative or do not fit the curves and windows.
    """
    if config.zero_error is None:
        return None
    error = np.asarray(config.zero_error, dtype=np.float64)
    try:
        error = np.broadcast_to(error, shape)
    except ValueError as problem:
        raise ValueError(
            f"zero_error of shape {error.shape} does not fit {shape[0]} curves and {shape[1]} "
            "windows; pass one number, or one for each window."
        ) from problem
    if not np.all(error >= 0):
        raise ValueError(f"zero_error={config.zero_error!r} must not be negative.")
    return np.maximum(error / unit, 1e-12)
