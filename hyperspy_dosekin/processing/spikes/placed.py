# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The subspace where it lies in spectra, and its products with them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hyperspy_dosekin.processing.spikes.subspace import Subspace

#: Numbers in a matrix that BLAS takes on one thread.
_PORTION = 2**13


@dataclass(frozen=True, eq=False)
class Placed:
    """The subspace where it lies in spectra with their zero-loss peak in one channel.

    Parameters
    ----------
    components, variance
        Shape ``(n_component, n_channels)``.
    projection
        From spectra to coefficients, same shape.
    scale, leverage
        As in `Subspace`; and the share of a channel in its own prediction; ``(n_channels,)``.
    fitted, covered
        Channels that are fitted, and those that the subspace has; boolean, same shape.
    """

    components: np.ndarray
    variance: np.ndarray
    projection: np.ndarray
    scale: np.ndarray
    leverage: np.ndarray
    fitted: np.ndarray
    covered: np.ndarray

    def coefficients(self, spectra: np.ndarray) -> np.ndarray:
        """Coefficients of spectra, shape ``(n_spectra, n_component)``."""
        return _product(spectra, self.projection.T)

    def expected(self, coefficients: np.ndarray) -> np.ndarray:
        """Spectra of coefficients, shape ``(n_spectra, n_channels)``."""
        return _product(coefficients, self.components)

    def uncertainty(self, coefficients: np.ndarray, channels: slice = slice(None)) -> np.ndarray:
        """Variance of these spectra, or some channels, due to the noise of the components."""
        return _product(coefficients**2, self.variance[:, channels])

    def uncertainty_at(self, coefficients: np.ndarray, channel: np.ndarray) -> np.ndarray:
        """The same in some channels of each spectrum, shape ``(n_spectra, n)``."""
        return (coefficients[:, np.newaxis] ** 2 * self.variance.T[channel]).sum(axis=-1)


@lru_cache(maxsize=64)
def place(subspace: Subspace, start: int, n_channels: int, single: bool = False) -> Placed:
    """Put the subspace where a spectrum begins with channel `start` of it.

    With `single`, in single precision.
    """
    if single:
        double = vars(place(subspace, start, n_channels)).items()
        return Placed(
            **{
                name: each.astype(np.float32) if each.dtype.kind == "f" else each
                for name, each in double
            }
        )
    index = start + np.arange(n_channels)
    covered = (index >= subspace.covered[0]) & (index < subspace.covered[1])
    index = np.clip(index, 0, subspace.weight.size - 1)
    components = np.where(covered, subspace.components[:, index], 0.0)
    weight = np.where(covered, subspace.weight[index], 0.0)
    weighted = components * weight
    inverse = np.linalg.pinv(weighted.T, rcond=1e-6)
    leverage = np.clip((weighted * inverse).sum(axis=0), 0.0, 1 - 1e-6)
    return Placed(
        components,
        subspace.variance[:, index],
        inverse * weight,
        subspace.scale[index],
        leverage,
        weight > 0,
        covered,
    )


def _product(rows: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Matrix product, row by row, so that the result for one does not depend on the others.

    In portions that are so small that BLAS keeps to one thread: the threads are ours.
    """
    rows = rows[:, np.newaxis]
    n_in, n_out = matrix.shape
    step = max(_PORTION // min(n_in, n_out), 1)
    if n_in > n_out:
        parts = [slice(first, first + step) for first in range(0, n_in, step)]
        return np.sum([np.matmul(rows[..., part], matrix[part])[:, 0] for part in parts], axis=0)
    parts = [slice(first, first + step) for first in range(0, n_out, step)]
    return np.concatenate([np.matmul(rows, matrix[:, part])[:, 0] for part in parts], axis=-1)
