# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Neighbours share information: a Potts field over the class probabilities, in mean field.

A pixel's class c has the prior ``exp(h_c + Σ_d J_cd n_d)``, with n_d the number of its neighbours
in class d. Couplings J and fields h maximise the pseudo-likelihood, the product over pixels of the
probability of each given its neighbours (J. Besag, doi:10.2307/2987782).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hyperspy_dosekin.numerics.threads import one_blas_thread

#: Rounds of couplings and beliefs, and sweeps of beliefs in each and at the end.
_ROUNDS = 5
_SWEEPS_IN_ROUND = 3
_SWEEPS = 20
#: Pixels from which couplings are fitted, at most.
_MANY = 20_000
#: Share of the fitted couplings that is applied. What confounds the classes, such as thickness, is
#: smooth over the specimen too, so that neighbours err together and are worth less than they seem.
_DISCOUNT = 0.45
_RIDGE = 1e-4
_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class PottsField:
    """Prior of a pixel given its neighbours.

    Parameters
    ----------
    coupling
        J, symmetric, ``(n_class, n_class)``, for a neighbour at the distance of one pixel.
    field
        h, ``(n_class,)``.
    """

    coupling: np.ndarray
    field: np.ndarray

    @property
    def strength(self) -> float:
        """Mean gain of a class from a neighbour of its own over one of another class."""
        n_class = len(self.field)
        own = np.trace(self.coupling) / n_class
        other = (self.coupling.sum() - np.trace(self.coupling)) / (n_class * (n_class - 1))
        return float(own - other)


def uniform_field(strength: float, share: np.ndarray) -> PottsField:
    """Field in which all classes couple alike.

    Raises
    ------
    ValueError
        If the strength is negative.
    """
    if not strength >= 0:
        raise ValueError(f"strength={strength} must not be negative; 0 smooths nothing.")
    return PottsField(np.eye(len(share)) * strength, _log(share))


def fit_field(
    probability: np.ndarray, share: np.ndarray, axes: Sequence[int] = (-3, -2)
) -> PottsField:
    """Couplings and fields from class probabilities.

    Parameters
    ----------
    probability
        Class probabilities of single pixels, ``(…, n_class)``; NaN where there are none.
    share
        Class prior that they contain, ``(n_class,)``.
    axes
        Axes along which pixels are neighbours.
    """
    evidence, valid, axes = _evidence(probability, share, axes)
    n_class = len(share)
    found = PottsField(np.zeros((n_class, n_class)), _log(share))
    if not valid.any():
        return found
    belief = np.where(valid[..., None], np.nan_to_num(probability), 0.0)
    start = np.concatenate([0.5 * np.eye(n_class).ravel(), found.field])
    for _ in range(_ROUNDS):
        start = _maximise(evidence[valid], _neighbours(belief, axes)[valid], start)
        coupling = start[: n_class**2].reshape(n_class, n_class)
        found = PottsField((coupling + coupling.T) / 2, start[n_class**2 :])
        belief = _sweeps(found, evidence, valid, axes, belief, _SWEEPS_IN_ROUND)
    return PottsField(
        _DISCOUNT * found.coupling, _DISCOUNT * found.field + (1 - _DISCOUNT) * _log(share)
    )


def apply_field(
    probability: np.ndarray,
    *,
    potts: PottsField,
    share: np.ndarray,
    along: Sequence[int] = (-3, -2),
) -> np.ndarray:
    """Class probabilities of pixels given their neighbours.

    Parameters
    ----------
    probability
        Class probabilities of single pixels, ``(…, n_class)``; NaN where there are none.
    share
        Class prior that the probabilities contain, ``(n_class,)``.
    along
        Axes along which pixels are neighbours; if two or more, diagonal neighbours in the first
        two count as well, by their distance.

    Returns
    -------
    Same shape; NaN where the input is.
    """
    evidence, valid, axes = _evidence(probability, share, along)
    belief = np.where(valid[..., None], np.nan_to_num(probability), 0.0)
    belief = _sweeps(potts, evidence, valid, axes, belief, _SWEEPS)
    return np.where(valid[..., None], belief, np.nan).astype(probability.dtype)


def _log(share: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(share, 1e-6))


def _evidence(
    probability: np.ndarray, share: np.ndarray, axes: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    """Log-likelihood of each class up to a constant, where there are data, and checked axes."""
    valid = np.asarray(np.isfinite(probability).all(axis=-1))
    filled = np.where(valid[..., None], np.nan_to_num(probability), 1.0).astype(np.float64)
    evidence = np.log(np.maximum(filled, _TINY)) - _log(share)
    evidence -= evidence.max(axis=-1, keepdims=True)
    return evidence, valid, tuple(axis % probability.ndim for axis in axes)


def _sweeps(
    potts: PottsField,
    evidence: np.ndarray,
    valid: np.ndarray,
    axes: Sequence[int],
    belief: np.ndarray,
    number: int,
) -> np.ndarray:
    for _ in range(number):
        before = belief
        prior = potts.field + _neighbours(belief, axes) @ potts.coupling
        belief = np.where(valid[..., None], _softmax(evidence + prior), 0.0)
        if np.abs(belief - before).max(initial=0.0) < 1e-3:
            break
    return belief


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


def _maximise(evidence: np.ndarray, neighbours: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Couplings, row by row, and fields of the largest pseudo-likelihood of the evidence."""
    from scipy.optimize import minimize

    n_class = evidence.shape[1]
    step = -(-len(evidence) // _MANY)
    likelihood, neighbours = np.exp(evidence[::step]), neighbours[::step]

    def cost(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        coupling = parameters[: n_class**2].reshape(n_class, n_class)
        prior = _softmax(parameters[n_class**2 :] + neighbours @ coupling.T)
        joint = prior * likelihood
        evident = joint.sum(axis=1, keepdims=True)
        slope = prior - joint / evident
        value = -np.log(evident).mean() + _RIDGE * (coupling**2).sum()
        gradient = np.concatenate([(slope.T @ neighbours).ravel(), slope.sum(axis=0)])
        gradient /= len(likelihood)
        gradient[: n_class**2] += 2 * _RIDGE * coupling.ravel()
        return float(value), gradient

    with one_blas_thread():
        found = minimize(cost, start, jac=True, method="L-BFGS-B", options={"maxiter": 60})
    return found.x
