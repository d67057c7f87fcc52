# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take out of curves what errors that their frames share have in them.

Noise of unit variance and errors e, each one standard deviation large, have the covariance
Σ = 1 + E Eᵀ. With the singular value decomposition E = Q s Vᵀ its root is Σ^{-1/2} = 1 − B Bᵀ,
B = Q (1 − (1 + s²)^{-1/2})^{1/2}: a curve loses what it has along the errors, the more the larger
they are, and what is left has unit variance.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hyperspy_dosekin.numerics.row_sums import row_sum

#: Squares below this are no error.
_NOTHING = 1e-24


def basis_of(errors: Tensor) -> Tensor:
    """B of the errors of every curve, float64.

    Parameters
    ----------
    errors
        In standard deviations of the noise, ``(n_dose, n_error, …)``.

    Returns
    -------
    Tensor
        Of the same shape.
    """
    by_curve = errors.double().movedim((0, 1), (-2, -1))
    squares, turn = torch.linalg.eigh(by_curve.mT @ by_curve)
    squares = squares.clamp(min=_NOTHING)
    # Without the difference of numbers near 1 for small errors.
    root = (1 + squares).sqrt()
    share = squares / (root * (1 + root))
    return ((by_curve @ turn) * (share / squares).sqrt()[..., None, :]).movedim((-2, -1), (0, 1))


def without_shared(columns: Tensor, basis: Tensor | None) -> Tensor:
    """Columns in which noise and shared errors together have unit variance.

    Parameters
    ----------
    columns
        Weighed, so that noise has unit variance, ``(n_dose, …)``.
    basis
        B, ``(n_dose, n_error, …)``, or ``None`` where there are no shared errors.
    """
    if basis is None:
        return columns
    left = columns
    for number in range(basis.shape[1]):
        along = basis[:, number]
        left = left - along * row_sum(along * columns)
    return left


def with_shared(columns: Tensor, basis: Tensor | None) -> Tensor:
    """The columns that `without_shared` makes these of."""
    if basis is None:
        return columns
    whole = columns
    for number in range(basis.shape[1]):
        along = basis[:, number]
        size = along.square().sum(0)
        whole = whole + along * (row_sum(along * columns) / (1 - size))
    return whole


def log_share(basis: Tensor | None) -> Tensor | float:
    """Logarithm of the determinant of 1 − B Bᵀ for every curve, that of Σ^{-1/2}."""
    return 0.0 if basis is None else torch.log1p(-basis.square().sum(0)).sum(0)
