# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quantiles over nodes that stay where they are while their weights change.

The mass of a node is spread evenly as far as half way to its neighbours, as `Distribution` does it;
how far, and in what order the nodes lie, is found once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Steps of Newton's method, each of at most so many standard deviations.
_STEPS, _LONGEST = 3, 0.3
# Smallest distance over which the mass of a node is spread, in the largest of its curve.
_SMALLEST = 1e-9


@dataclass(frozen=True, eq=False)
class SpreadNodes:
    """Where the mass of the nodes of each curve lies, arrays ``(n, n_node)``.

    Parameters
    ----------
    value
        Values at the nodes, which may be infinite.
    slope
        Density of a node about its value, whose mass is 1.
    order
        The nodes by their value.
    """

    value: np.ndarray
    slope: np.ndarray
    order: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> SpreadNodes:
        """Of values ``(n_part, n_row, n_node, n)``."""
        n = values.shape[-1]
        known = np.where(np.isfinite(values), values, np.nan)
        room = np.zeros_like(known)
        if known.shape[2] > 1:
            room += np.gradient(known, axis=2) ** 2
        if known.shape[1] > 1:
            room += np.gradient(known.mean(axis=2), axis=1)[:, :, None] ** 2
        room = np.nan_to_num(np.sqrt(room))
        room = np.maximum(room, _SMALLEST * room.max(axis=(0, 1, 2)) + 1e-300)
        flat, room = (each.reshape(-1, n).T.copy() for each in (values, room))
        return cls(flat, 1 / room, flat.argsort(axis=1, kind="stable"))

    def quantiles(
        self, weight: np.ndarray, probabilities: np.ndarray, shift: float, index: np.ndarray
    ) -> np.ndarray:
        """Quantiles ``(n_probability, n)`` of some curves.

        Parameters
        ----------
        weight
            Weights of the nodes, which add up to 1, ``(n_part, n_row, n_node, n)``.
        probabilities
            Which quantiles.
        shift
            Added to all values.
        index
            The curves.
        """
        value, slope, order = (each[index] for each in (self.value, self.slope, self.order))
        plain, weight = (each.reshape(-1, index.size).T for each in (weight, _sharp(weight)))
        in_order = np.take_along_axis(plain, order, 1)
        # Half of the mass of a node lies on either side of it.
        reached = in_order.cumsum(axis=1) - 0.5 * in_order
        at, finite = np.take_along_axis(value, order, 1), np.isfinite(value)
        value, weight = np.where(finite, value, 0.0), np.where(finite, weight, 0.0)
        mean = (weight * value).sum(1, keepdims=True)
        sd = np.sqrt((weight * (value - mean) ** 2).sum(1, keepdims=True))
        found = np.empty((index.size, probabilities.size))
        for row, (here, below) in enumerate(zip(at, reached, strict=True)):
            number = int(np.searchsorted(here, np.inf))
            found[row] = np.interp(probabilities, below[:number], here[:number])
        dense = weight * slope
        for _ in range(_STEPS):
            share = (found[..., None] - value[:, None]) * slope[:, None]
            share += 0.5
            inside = (share > 0) & (share < 1)
            np.clip(share, 0.0, 1.0, out=share)
            missed = np.matmul(share, weight[..., None])[..., 0] - probabilities
            density = np.matmul(inside, dense[..., None])[..., 0]
            step = missed / np.maximum(density, 1e-2 / np.maximum(sd, 1e-300))
            found -= np.clip(step, -_LONGEST * sd, _LONGEST * sd)
        mass = weight.sum(1, keepdims=True)
        return np.where(probabilities > mass, np.inf, found + shift).T


def _sharp(weight: np.ndarray) -> np.ndarray:
    """Weights that, spread evenly from node to node, have the moments of weights on nodes."""
    sharp = weight.copy()
    for axis in (1, 2):
        if weight.shape[axis] > 2:
            rows, to = np.moveaxis(weight, axis, 0), np.moveaxis(sharp, axis, 0)
            to[1:-1] -= (rows[2:] + rows[:-2] - 2 * rows[1:-1]) / 24
    np.maximum(sharp, 0.0, out=sharp)
    return sharp / sharp.sum(axis=(0, 1, 2))
