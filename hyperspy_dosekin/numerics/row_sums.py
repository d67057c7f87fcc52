# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sums over rows, powers and hyperbolic functions that do not depend on how many columns there are.

Torch adds rows in one order where columns fill its vectors and in another in the columns that are
left over, and takes powers of 2 there by another function. Whole vectors of columns, the last of
which are repeated or zeros, are all treated alike.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Numbers in four vectors of any processor: so many columns are summed at once.
_VECTORS = 64
# Powers of 2 take a third of the time of those of e.
_LOG2_E = 1 / math.log(2.0)


def in_whole_vectors(index: Tensor) -> Tensor:
    """Indices of columns, the last repeated until they fill vectors.

    Examples
    --------
    >>> index = in_whole_vectors(torch.arange(3))
    >>> index.shape[0], index[-1].item()
    (64, 2)
    """
    missing = -index.numel() % _VECTORS
    return torch.cat([index, index[-1:].expand(missing)]) if missing else index


def row_sum(rows: Tensor) -> Tensor:
    """Sum over the first dimension of ``(n_row, …)``.

    Examples
    --------
    >>> rows = torch.linspace(0, 1, 900).log1p().reshape(9, 100)
    >>> bool((row_sum(rows)[:7] == row_sum(rows[:, :7])).all())
    True
    """
    count = rows[0].numel()
    missing = -count % _VECTORS
    if not missing:
        return rows.sum(0)
    wide = rows.new_zeros(len(rows), count + missing)
    wide[:, :count] = rows.flatten(1)
    return wide.sum(0)[:count].reshape(rows.shape[1:])


def power_of_two(exponent: Tensor) -> Tensor:
    """``2^x`` in place.

    Examples
    --------
    >>> exponent = torch.linspace(0, 1, 9)
    >>> bool((power_of_two(exponent.clone())[:5] == power_of_two(exponent[:5].clone())).all())
    True
    """
    left_over = exponent.numel() % _VECTORS
    if not left_over or not exponent.is_contiguous():
        return exponent.exp2_()
    flat = exponent.view(-1)
    last = flat.new_zeros(_VECTORS)
    last[:left_over] = flat[-left_over:]
    exponent.exp2_()
    flat[-left_over:] = last.exp2_()[:left_over]
    return exponent


def log_row_sum(rows: Tensor) -> Tensor:
    """Logarithm of the sum of exponentials over the first dimension, as `row_sum`.

    Examples
    --------
    >>> log_row_sum(torch.tensor([[0.0], [0.0]]).double())
    tensor([0.6931], dtype=torch.float64)
    """
    highest = rows.amax(0)
    return highest + row_sum((rows - highest).exp_()).log_()


def hyperbolic(place: Tensor) -> tuple[Tensor, Tensor]:
    """Hyperbolic sine and cosine of moderate numbers, from one exponential.

    Examples
    --------
    >>> sinh, cosh = hyperbolic(torch.tensor(1.0))
    >>> round(sinh.item(), 4), round(cosh.item(), 4)
    (1.1752, 1.5431)
    """
    half = power_of_two(place * _LOG2_E).mul_(0.5)
    other = 0.25 / half
    return half - other, half + other
