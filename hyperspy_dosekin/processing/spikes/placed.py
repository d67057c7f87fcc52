# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The subspace where it lies in spectra, and its products with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from types import ModuleType

import numpy as np

from hyperspy_dosekin.numerics.arrays import namespace
from hyperspy_dosekin.processing.spikes.subspace import Subspace

#: Numbers in a matrix that BLAS takes on one thread.
_PORTION = 2**13
#: Share of the largest below which a direction is none.
_NO_DIRECTION = 1e-6
#: Channels that stand for those beside them.
FEW = slice(2, None, 5)


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

    @cached_property
    def few(self) -> Placed:
        """The channels `FEW` alone."""
        return self._each(lambda values: np.ascontiguousarray(values[..., FEW]))

    @cached_property
    def single(self) -> Placed:
        """The same in single precision."""
        return self._each(
            lambda values: values.astype(np.float32) if values.dtype.kind == "f" else values
        )

    def on(self, xp: ModuleType) -> Placed:
        """The same as tensors, for the functions of a device, which `namespace` gives."""
        return self if xp is np else _placed_on(self, xp)

    @cached_property
    def residual_scale(self) -> np.ndarray:
        """Square of the scale that residuals of the fit itself have, shape ``(n_channels,)``."""
        return (1 - self.leverage) * self.scale**2

    def _each(self, change: Callable[[np.ndarray], np.ndarray]) -> Placed:
        return Placed(*(change(getattr(self, each.name)) for each in fields(self)))

    def uncertainty(self, coefficients: np.ndarray) -> np.ndarray:
        """Variance of these spectra due to the noise of the components."""
        return _product(coefficients**2, self.variance)

    def uncertainty_at(self, coefficients: np.ndarray, channel: np.ndarray) -> np.ndarray:
        """The same in some channels of each spectrum, shape ``(n_spectra, n)``."""
        return (coefficients[:, np.newaxis] ** 2 * self.variance.T[channel]).sum(axis=-1)


@lru_cache(maxsize=64)
def place(subspace: Subspace, start: int, n_channels: int) -> Placed:
    """Put the subspace where a spectrum begins with channel `start` of it."""
    index = start + np.arange(n_channels)
    covered = (index >= subspace.covered[0]) & (index < subspace.covered[1])
    index = np.clip(index, 0, subspace.weight.size - 1)
    # Row by row in memory, which indices alone do not make: products take a fifth of the time.
    components = np.where(covered, np.ascontiguousarray(subspace.components[:, index]), 0.0)
    weight = np.where(covered, subspace.weight[index], 0.0)
    weighted = components * weight
    inverse = _pseudoinverse(weighted)
    leverage = np.clip((weighted * inverse).sum(axis=0), 0.0, 1 - 1e-6)
    return Placed(
        components,
        np.ascontiguousarray(subspace.variance[:, index]),
        inverse * weight,
        subspace.scale[index],
        leverage,
        weight > 0,
        covered,
    )


@lru_cache(maxsize=64)
def _placed_on(placed: Placed, xp: ModuleType) -> Placed:
    # Copied, not computed: the copy is there when this returns, for the streams of all threads.
    return Placed(*(xp.asarray(getattr(placed, each.name)) for each in fields(placed)))


def _pseudoinverse(rows: np.ndarray) -> np.ndarray:
    """That of the transpose of a few rows ``(n, m)``, by the small matrix of their products."""
    size = np.sqrt((rows**2).sum(axis=-1, keepdims=True))
    unit = rows / np.where(size > 0, size, 1.0)
    power, vectors = np.linalg.eigh(unit @ unit.T)
    # Their directions have no more than half of the digits.
    kept = power > _NO_DIRECTION**2 * power[-1]
    inverse = vectors[:, kept] / power[kept] @ vectors[:, kept].T
    return inverse @ unit / np.where(size > 0, size, 1.0)


def _product(rows: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Matrix product, row by row, so that the result for one does not depend on the others.

    In portions that are so small that BLAS keeps to one thread: the threads are ours. A device
    takes all at once.
    """
    if namespace(rows) is not np:
        return rows @ matrix
    rows = rows[:, np.newaxis]
    n_in, n_out = matrix.shape
    step = max(_PORTION // min(n_in, n_out), 1)
    if n_in > n_out:
        parts = [slice(first, first + step) for first in range(0, n_in, step)]
        return np.sum([np.matmul(rows[..., part], matrix[part])[:, 0] for part in parts], axis=0)
    product = np.empty((len(rows), 1, n_out), np.result_type(rows, matrix))
    for first in range(0, n_out, step):
        part = slice(first, first + step)
        np.matmul(rows, matrix[:, part], out=product[..., part])
    return product[:, 0]
