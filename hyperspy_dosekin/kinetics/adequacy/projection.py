# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The residuals of a fit as what is left of the noise: r = M ε, M = 1 − Q Qᵀ.

Q spans the columns of the Jacobian (readout and parameters of the law), in units of the noise.
Residuals of few frames are neither independent nor of equal variance, so that no table of a test
fits them; what they would be by chance is simulated with the same M instead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: A column of which less than this share is left, after those before it, adds nothing.
_DEPENDENT = 1e-9


@dataclass(frozen=True, eq=False)
class ProjectedResiduals:
    """Residuals in units of the noise, with the space that the fit has taken from them.

    Parameters
    ----------
    residual
        Outside the space of the fit, ``(n, n_dose)``; 0 where a frame is missing.
    basis
        Orthonormal columns Q, ``(n, n_column, n_dose)``; 0 where a column adds nothing.
    used
        Whether there is a frame, ``(n, n_dose)``.
    """

    residual: np.ndarray
    basis: np.ndarray
    used: np.ndarray

    @classmethod
    def of(
        cls, residual: np.ndarray, columns: np.ndarray, root_weight: np.ndarray
    ) -> ProjectedResiduals:
        """Project residuals.

        Parameters
        ----------
        residual
            Data less fit, ``(n, n_dose)``; anything where the weight is 0.
        columns
            Derivatives of the fit by each free coefficient, ``(n, n_column, n_dose)``; a column
            of zeros is one that was not free.
        root_weight
            1/σ of each frame, up to a factor common to the curve where σ is not known; 0 for
            frames that are missing. Same shape as `residual`.
        """
        used = root_weight > 0
        weight = np.where(used, root_weight, 0.0)
        weighed = np.where(used, residual, 0.0) * weight
        return cls.of_white(weighed, columns * weight[:, None], used)

    @classmethod
    def of_white(
        cls, residual: np.ndarray, columns: np.ndarray, used: np.ndarray
    ) -> ProjectedResiduals:
        """Project residuals in which the noise is white already; the same shapes as for `of`."""
        basis = _orthonormal(columns)
        return cls(_without(residual, basis), basis, used)

    @property
    def rank(self) -> np.ndarray:
        """Number of coefficients that the fit has taken from the data, ``(n,)``."""
        return (self.basis**2).sum(axis=-1).round().sum(axis=-1).astype(int)

    @property
    def n_used(self) -> np.ndarray:
        """Usable frames, ``(n,)``."""
        return self.used.sum(axis=-1)

    @property
    def freedom(self) -> np.ndarray:
        """Frames left over, ``(n,)``."""
        return self.n_used - self.rank

    @property
    def squares(self) -> np.ndarray:
        """Sum of squares of the residuals, ``(n,)``."""
        return (self.residual**2).sum(axis=-1)

    @property
    def variance(self) -> np.ndarray:
        """Variance of each residual in units of that of the noise, the diagonal of M."""
        return np.where(self.used, 1.0 - (self.basis**2).sum(axis=1), 0.0)

    def select(self, index: np.ndarray) -> ProjectedResiduals:
        """Select some of the curves."""
        return ProjectedResiduals(self.residual[index], self.basis[index], self.used[index])

    def closed_up(self) -> ProjectedResiduals:
        """The same with the usable frames first, so that neighbours in dose are neighbours."""
        if self.used.all():
            return self
        order = np.argsort(~self.used, axis=-1, kind="stable")
        return ProjectedResiduals(
            np.take_along_axis(self.residual, order, axis=-1),
            np.take_along_axis(self.basis, order[:, None], axis=-1),
            np.take_along_axis(self.used, order, axis=-1),
        )

    def by_chance(self, normal: np.ndarray) -> np.ndarray:
        """Residuals that noise alone would leave.

        Parameters
        ----------
        normal
            Standard normal draws ``(n_draw, n_dose)``, the same for every curve.

        Returns
        -------
        numpy.ndarray
            ``(n, n_draw, n_dose)``.
        """
        along = np.matmul(normal, self.basis.transpose(0, 2, 1))
        return normal * self.used[:, None] - np.matmul(along, self.basis)


def _without(rows: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Rows ``(n, n_dose)`` less their part in the space of the basis."""
    along = np.einsum("nqj,nj->nq", basis, rows)
    return rows - np.einsum("nqj,nq->nj", basis, along)


def _orthonormal(columns: np.ndarray) -> np.ndarray:
    """Gram–Schmidt, twice over each column: exact to rounding however alike the columns are."""
    basis = np.zeros_like(columns)
    for place in range(columns.shape[1]):
        column = columns[:, place]
        size = np.sqrt((column**2).sum(axis=-1, keepdims=True))
        column = column / np.where(size > 0, size, 1.0)
        left = np.ones_like(size)
        for _ in range(2):
            column = _without(column, basis[:, :place])
            norm = np.sqrt((column**2).sum(axis=-1, keepdims=True))
            left = left * norm
            column = column / np.where(norm > 0, norm, 1.0)
        basis[:, place] = np.where((left > _DEPENDENT) & (size > 0), column, 0.0)
    return basis
