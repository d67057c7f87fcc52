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
    value, finite
        Values at the nodes, 0 where they are infinite, and whether they are finite.
    slope
        Density of a node about its value, whose mass is 1.
    order, ascending
        The nodes by their value, and the values in that order.
    """

    value: np.ndarray
    finite: np.ndarray
    slope: np.ndarray
    order: np.ndarray
    ascending: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> SpreadNodes:
        """Of values ``(n, n_part, n_row, n_node)``."""
        n = len(values)
        finite = np.isfinite(values)
        known = np.where(finite, values, np.nan)
        room = np.zeros_like(known)
        if known.shape[3] > 1:
            room += np.gradient(known, axis=3) ** 2
        if known.shape[2] > 1:
            room += np.gradient(known.mean(axis=3), axis=2)[..., None] ** 2
        room = np.nan_to_num(np.sqrt(room)).reshape(n, -1)
        room = np.maximum(room, _SMALLEST * room.max(axis=1, keepdims=True) + 1e-300)
        flat, finite = values.reshape(n, -1), finite.reshape(n, -1)
        order = flat.argsort(axis=1, kind="stable")
        ascending = np.take_along_axis(flat, order, 1)
        return cls(np.where(finite, flat, 0.0), finite, 1 / room, order, ascending)

    def quantiles(
        self, weight: np.ndarray, probabilities: np.ndarray, index: np.ndarray | slice = slice(None)
    ) -> np.ndarray:
        """Quantiles ``(n_probability, n)`` of some curves.

        Parameters
        ----------
        weight
            Weights of the nodes, which add up to 1, ``(n, n_part, n_row, n_node)``.
        probabilities
            Which quantiles.
        index
            The curves.
        """
        n = len(weight)
        value, slope = self.value[index], self.slope[index]
        in_order = np.take_along_axis(weight.reshape(n, -1), self.order[index], 1)
        # Half of the mass of a node lies on either side of it.
        reached = in_order.cumsum(axis=1)
        reached -= 0.5 * in_order
        sharp = _sharp(weight).reshape(n, -1) * self.finite[index]
        mean, mass = np.einsum("ij,ij->i", sharp, value), sharp.sum(1)
        square = np.einsum("ij,ij,ij->i", sharp, value, value)
        # Infinite values take no place among the others.
        sd = np.sqrt(np.maximum(square - (2 - mass) * mean**2, 1e-24 * square))[:, None]
        found = np.empty((n, probabilities.size))
        for row, here, below in zip(found, self.ascending[index], reached, strict=True):
            number = here.size if here[-1] < np.inf else int(np.searchsorted(here, np.inf))
            row[:] = np.interp(probabilities, below[:number], here[:number])
        dense = sharp * slope
        for _ in range(_STEPS):
            share = (found[..., None] - value[:, None]) * slope[:, None]
            share += 0.5
            inside = (share > 0) & (share < 1)
            np.clip(share, 0.0, 1.0, out=share)
            missed = np.matmul(share, sharp[..., None])[..., 0] - probabilities
            density = np.matmul(inside, dense[..., None])[..., 0]
            step = missed / np.maximum(density, 1e-2 / np.maximum(sd, 1e-300))
            found -= np.clip(step, -_LONGEST * sd, _LONGEST * sd)
        return np.where(probabilities > mass[:, None], np.inf, found).T


def _sharp(weight: np.ndarray) -> np.ndarray:
    """Weights that, spread evenly from node to node, have the moments of weights on nodes."""
    sharp = weight.copy()
    if weight.shape[3] > 2:
        sharp[..., 1:-1] -= (weight[..., 2:] + weight[..., :-2] - 2 * weight[..., 1:-1]) / 24
    if weight.shape[2] > 2:
        rows = weight[:, :, 2:] + weight[:, :, :-2] - 2 * weight[:, :, 1:-1]
        sharp[:, :, 1:-1] -= rows / 24
    np.maximum(sharp, 0.0, out=sharp)
    return sharp / sharp.reshape(len(sharp), -1).sum(1)[:, None, None, None]
