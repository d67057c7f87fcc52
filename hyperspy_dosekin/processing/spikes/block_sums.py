# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a model of spectra at one place says of blocks of channels, and its products."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hyperspy_dosekin.processing.spikes.subspace import Placed

#: Channels that are summed up.
BLOCK = 16
#: Numbers in a matrix that BLAS takes on one thread.
_PORTION = 2**13


@dataclass(frozen=True, eq=False)
class Sums:
    """What a placed model has in blocks of channels, those near the zero-loss peak left out.

    Parameters
    ----------
    used
        Whether a channel is taken, shape ``(n_channels,)``.
    number, usual
        Channels, and variance of the usual spectrum, shape ``(n_block,)``.
    basis, noise
        Sums of the components and of the noise of their sources, shape ``(…, n_block)``.
    """

    used: np.ndarray
    number: np.ndarray
    usual: np.ndarray
    basis: np.ndarray
    noise: np.ndarray

    def of(self, values: np.ndarray) -> np.ndarray:
        """Sums of ``(…, n_channels)``."""
        return _summed(values, self.used)


def _summed(values: np.ndarray, used: np.ndarray) -> np.ndarray:
    return np.add.reduceat(values * used, np.arange(0, used.size, BLOCK), axis=-1)


@lru_cache(maxsize=64)
def block_sums(placed: Placed) -> Sums:
    """Sum up a placed model, once for all spectra that are there."""
    used = placed.weight > 0
    return Sums(
        used=used,
        number=np.maximum(_summed(np.ones(used.size), used), 1.0),
        usual=_summed(1 / np.where(used, placed.weight, 1.0) ** 2, used),
        basis=_summed(placed.basis, used),
        noise=_summed(placed.noise, used).astype(np.float64),
    )


def coefficients_of(spectra: np.ndarray, placed: Placed) -> np.ndarray:
    """Shape ``(n_spectra, n_component)``."""
    return product(spectra, placed.projection.T)


def product(rows: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Matrix product, row by row, so that the result for one does not depend on the others.

    In portions that are so small that BLAS keeps to one thread: the threads are ours.
    """
    rows = rows[:, np.newaxis]
    n_in, n_out = matrix.shape
    if n_in * n_out <= _PORTION:
        return np.matmul(rows, matrix)[:, 0]
    if n_in > n_out:
        step = max(_PORTION // n_out, 1)
        parts = [slice(first, first + step) for first in range(0, n_in, step)]
        return np.sum([np.matmul(rows[..., part], matrix[part])[:, 0] for part in parts], axis=0)
    step = max(_PORTION // n_in, 1)
    parts = [slice(first, first + step) for first in range(0, n_out, step)]
    return np.concatenate([np.matmul(rows, matrix[:, part])[:, 0] for part in parts], axis=-1)
