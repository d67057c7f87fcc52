# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Newton's steps of smooth fields, by conjugate gradients where an earlier factor is near."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import SuperLU

from .smooth import factorised

# A step is solved to this share of its length. Where that takes more products than these, a new
# factor costs less.
_TOLERANCE, _MOST_PRODUCTS = 0.1, 15


def blocks_of(curvature: np.ndarray) -> sparse.csc_matrix:
    """Sparse matrix with the curvature of each pixel, ``(n, d, d)``, on its diagonal."""
    n, d, _ = curvature.shape
    # Column by column, each with the rows of its own pixel.
    rows = np.arange(n * d).reshape(n, d).repeat(d, axis=0).ravel()
    values = curvature.transpose(0, 2, 1).ravel()
    return sparse.csc_matrix((values, rows, np.arange(n * d + 1) * d), shape=(n * d, n * d))


def precision_of(roots: Sequence[sparse.csc_matrix]) -> sparse.csc_matrix:
    """Of all fields, the numbers of a pixel next to each other."""
    squares = [sparse.coo_matrix(root @ root) for root in roots]
    d = len(squares)
    rows = np.concatenate([square.row * d + k for k, square in enumerate(squares)])
    columns = np.concatenate([square.col * d + k for k, square in enumerate(squares)])
    values = np.concatenate([square.data for square in squares])
    # Every pixel has a place on the diagonal, which tells the size.
    return sparse.csc_matrix((values, (rows, columns)))


def pulled(roots: Sequence[sparse.csc_matrix], field: np.ndarray) -> np.ndarray:
    """The precision of all fields times fields ``(n, d)``."""
    return np.stack([root @ (root @ row) for root, row in zip(roots, field.T, strict=True)], 1)


class NewtonSteps:
    """Steps to the mode of fields, each from the curvature where the search is."""

    def __init__(self) -> None:
        self._factor: SuperLU | None = None

    def step(
        self, roots: Sequence[sparse.csc_matrix], curvature: np.ndarray, slope: np.ndarray
    ) -> np.ndarray:
        """(K² + H)⁻¹ times a slope, ``(n, d)``.

        Parameters
        ----------
        roots
            K of each field.
        curvature
            H of each pixel, ``(n, d, d)``.
        slope
            Slope of ln posterior, ``(n, d)``.
        """
        if self._factor is not None:
            found = self._by_products(self._factor, roots, curvature, slope)
            if found is not None:
                return found
        factor = self._factor = factorised(precision_of(roots) + blocks_of(curvature))
        return factor.solve(slope.ravel()).reshape(slope.shape)

    def _by_products(
        self,
        factor: SuperLU,
        roots: Sequence[sparse.csc_matrix],
        curvature: np.ndarray,
        slope: np.ndarray,
    ) -> np.ndarray | None:
        """The same by conjugate gradients; ``None`` if the factor is too far off."""
        found = np.zeros_like(slope)
        left, along, square = slope, slope, 0.0
        for product in range(_MOST_PRODUCTS + 1):
            near = factor.solve(left.ravel()).reshape(slope.shape)
            square, before = float((left * near).sum()), square
            if product == 0:
                first, along = square, near
            elif square <= _TOLERANCE**2 * first:
                return found
            else:
                along = near + square / before * along
            across = pulled(roots, along) + np.einsum("nij,nj->ni", curvature, along)
            length = square / max(float((along * across).sum()), 1e-300)
            found = found + length * along
            left = left - length * across
        return None
