# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Neighbours share information: a Potts field over the class probabilities, in mean field.

A pixel's class has the prior ``exp(h_c + β n_c)``, with n_c the number of its neighbours in class
c. The strength β and the fields h maximise the pseudo-likelihood, the product over pixels of the
probability of each given its neighbours (J. Besag, doi:10.2307/2987782).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: Largest strength: beyond it a pixel would count for nothing against its neighbours.
_STRONGEST = 3.0
_SWEEPS = 12
_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class PottsField:
    """Result of the smoothing.

    Parameters
    ----------
    probability
        Smoothed probabilities, ``(…, n_class)``, NaN where the input was.
    strength
        β, for a pair of neighbours along an axis.
    """

    probability: np.ndarray
    strength: float


def smooth(
    probability: np.ndarray,
    share: np.ndarray,
    axes: Sequence[int] = (-3, -2),
    strength: float | None = None,
) -> PottsField:
    """Smooth class probabilities over neighbouring pixels.

    Parameters
    ----------
    probability
        Class probabilities of single pixels, ``(…, n_class)``; NaN where there are none.
    share
        Class prior that they contain, ``(n_class,)``.
    axes
        Axes along which pixels are neighbours, diagonals of the first two included.
    strength
        β; by default the one of the largest pseudo-likelihood.

    Raises
    ------
    ValueError
        If the strength is negative.
    """
    if strength is not None and not strength >= 0:
        raise ValueError(f"strength={strength} must not be negative; 0 smooths nothing.")
    valid = np.isfinite(probability).all(axis=-1)
    filled = np.where(valid[..., None], probability, 1.0)
    evidence = np.log(np.maximum(filled, _TINY)) - np.log(np.maximum(share, _TINY))
    evidence -= evidence.max(axis=-1, keepdims=True)
    axes = tuple(axis % probability.ndim for axis in axes)
    belief = np.where(valid[..., None], filled, 0.0)
    field, beta = np.log(np.maximum(share, _TINY)), strength
    for _ in range(_SWEEPS if strength is None else 1):
        neighbours = _neighbours(belief, axes)
        if strength is None:
            beta, field = _fit(evidence[valid], neighbours[valid], beta or 0.5, field)
        before = belief
        for _ in range(3):
            belief = _softmax(evidence + field + beta * _neighbours(belief, axes))
            belief = np.where(valid[..., None], belief, 0.0)
        if np.abs(belief - before).max(initial=0.0) < 1e-3:
            break
    else:
        if strength is not None:
            for _ in range(3 * _SWEEPS):
                belief = _softmax(evidence + field + beta * _neighbours(belief, axes))
                belief = np.where(valid[..., None], belief, 0.0)
    return PottsField(np.where(valid[..., None], belief, np.nan), float(beta or 0.0))


def _neighbours(belief: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    """Expected number of neighbours in each class; diagonal ones count by their distance."""
    total = np.zeros_like(belief)
    for axis in axes:
        total += _beside(belief, axis)
    if len(axes) >= 2:
        total += _beside(_beside(belief, axes[0]), axes[1]) / np.sqrt(2)
    return total


def _beside(belief: np.ndarray, axis: int) -> np.ndarray:
    """Sum of the two neighbours along an axis, with nothing beyond the edges."""
    moved = np.moveaxis(belief, axis, 0)
    total = np.zeros_like(moved)
    total[1:] += moved[:-1]
    total[:-1] += moved[1:]
    return np.moveaxis(total, 0, axis)


def _softmax(values: np.ndarray) -> np.ndarray:
    exponential = np.exp(values - values.max(axis=-1, keepdims=True))
    return exponential / exponential.sum(axis=-1, keepdims=True)


def _fit(
    evidence: np.ndarray, neighbours: np.ndarray, beta: float, field: np.ndarray
) -> tuple[float, np.ndarray]:
    """Strength and fields of the largest pseudo-likelihood of the evidence."""
    from scipy.optimize import minimize

    n, n_class = evidence.shape
    if n > 20_000:
        step = n // 20_000 + 1
        evidence, neighbours = evidence[::step], neighbours[::step]

    def cost(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        prior = _softmax(parameters[1:] + parameters[0] * neighbours)
        joint = prior * np.exp(evidence)
        evident = joint.sum(axis=1, keepdims=True)
        slope = prior - joint / evident
        gradient = np.concatenate([[(slope * neighbours).sum()], slope.sum(axis=0)])
        return -float(np.log(evident).sum()) / len(evidence), gradient / len(evidence)

    found = minimize(
        cost,
        np.concatenate([[beta], field - field.mean()]),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, _STRONGEST), *[(-6.0, 6.0)] * n_class],
        options={"maxiter": 60},
    )
    return float(found.x[0]), found.x[1:]
