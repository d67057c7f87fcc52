# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Smooth fields on pixels: sparse precision matrices of Matérn fields whose bonds may be weak.

A Matérn field of unit variance has the precision c·K², K = κ² + GᵀWG, with G the differences of
neighbours and W the weights of these bonds (Lindgren, Rue, Lindström,
doi:10.1111/j.1467-9868.2011.00777.x). Bonds across which the field jumps get little weight, as
differences of Student's t have it, so that interfaces are not smeared.

The smoothness ν is that of K², 2 − n/2 on n axes (1 on two), and is not estimated. Evidence prefers
K⁴ or K⁸ for most fields that are smoothed noise, but with them intervals hold fewer of the truths
than with K² (`docs/benchmarks/fields.rst`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import SuperLU, splu

# Degrees of freedom of Student's t of the differences; what a bond keeps at least. With as few as 3
# fields break where nothing but noise jumps: ln k and p of a mode were then rougher than the truth.
_FREEDOM, _LEAST_WEIGHT = 10.0, 1e-3
# Points along each axis of the lattice that variances are computed on.
_LATTICE = {1: 512, 2: 128, 3: 48}


@dataclass(frozen=True, eq=False)
class Bonds:
    """Pixels and their neighbours.

    Parameters
    ----------
    number
        Number of pixels.
    n_axis
        Number of axes.
    differences
        Sparse matrix of the differences of neighbours, ``(n_bond, number)``.
    """

    number: int
    n_axis: int
    differences: Any

    @classmethod
    def of(cls, places: np.ndarray) -> Bonds:
        """Neighbours among pixels at whole places, ``(n, n_axis)``."""
        places = np.asarray(places, dtype=np.int64)
        places = places - places.min(axis=0, initial=0)
        number, n_axis = places.shape
        index = np.full(tuple(places.max(axis=0, initial=0) + 2), -1)
        index[tuple(places.T)] = np.arange(number)
        first, second = [], []
        for axis in range(n_axis):
            shifted = places.copy()
            shifted[:, axis] += 1
            other = index[tuple(shifted.T)]
            first.append(np.flatnonzero(other >= 0))
            second.append(other[other >= 0])
        one, two = np.concatenate(first), np.concatenate(second)
        rows = np.arange(one.size)
        data = np.concatenate([np.ones(one.size), -np.ones(one.size)])
        matrix = sparse.csr_matrix(
            (data, (np.concatenate([rows, rows]), np.concatenate([one, two]))),
            shape=(one.size, number),
        )
        return cls(number, n_axis, matrix)

    @property
    def n_bond(self) -> int:
        """Number of bonds."""
        return int(self.differences.shape[0])

    def root(self, length: float, weight: np.ndarray) -> sparse.csc_matrix:
        """√c·K of fields of a length, whose square is their precision, ``(number, number)``."""
        return self.roots([length], weight)[0]

    def roots(self, lengths: Sequence[float], weight: np.ndarray) -> list[sparse.csc_matrix]:
        """The same for the lengths of several fields."""
        bound = self.differences.T @ sparse.diags(weight) @ self.differences
        found = []
        for length in lengths:
            kappa2, variance, _ = lattice(self.n_axis, length)
            whole = (kappa2 * sparse.identity(self.number) + bound) * np.sqrt(variance)
            found.append(whole.tocsc())
        return found

    def weights(self, field: np.ndarray, lengths: Sequence[float]) -> np.ndarray:
        """Weights of the bonds of fields ``(number, n_field)`` of unit variance."""
        jump = self.differences @ field
        expected = np.array([lattice(self.n_axis, length)[2] for length in lengths])
        d = field.shape[1]
        square = (jump**2 / expected).sum(axis=1)
        return np.clip((_FREEDOM + d) / (_FREEDOM + square), _LEAST_WEIGHT, 1.0)


@lru_cache(maxsize=256)
def lattice(n_axis: int, length: float) -> tuple[float, float, float]:
    """κ², variance of a field of precision K², and mean square of a difference of neighbours.

    Parameters
    ----------
    n_axis
        Number of axes.
    length
        Distance in pixels at which the correlation has fallen to about a tenth.
    """
    smoothness = 2 - n_axis / 2
    kappa2 = 8 * smoothness / length**2
    wave = 2 - 2 * np.cos(2 * np.pi * np.arange(_LATTICE[n_axis]) / _LATTICE[n_axis])
    total = np.sum(np.meshgrid(*[wave] * n_axis, indexing="ij"), axis=0)
    spectrum = (kappa2 + total) ** -2
    variance = float(spectrum.mean())
    shape = [-1] + [1] * (n_axis - 1)
    jump = float((spectrum * wave.reshape(shape)).mean()) / variance
    return kappa2, variance, jump


def factorised(matrix: sparse.spmatrix) -> SuperLU:
    """Factor a symmetric, positive definite sparse matrix."""
    return splu(
        sparse.csc_matrix(matrix),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )


def log_determinant(factor: SuperLU) -> float:
    """Ln |det| of a factored matrix."""
    return float(np.log(np.abs(factor.U.diagonal())).sum())
