# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probabilities that mean what they say: temperature, class priors, calibration curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_TINY = 1e-12


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of logits along the last axis."""
    exponential = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponential / exponential.sum(axis=-1, keepdims=True)


def entropy(probability: np.ndarray) -> np.ndarray:
    """Entropy of probabilities along the last axis, in nats."""
    return -(probability * np.log(np.maximum(probability, _TINY))).sum(axis=-1)


def fit_temperature(log_probability: np.ndarray, label: np.ndarray) -> float:
    """Factor on log-probabilities of the largest likelihood of held-out labels.

    Parameters
    ----------
    log_probability
        Shape ``(n, n_class)``.
    label
        True classes, ``(n,)``.

    Returns
    -------
    The inverse temperature, between 0.2 and 5; 1 where the probabilities are calibrated.

    References
    ----------
    arXiv:1706.04599.
    """
    from scipy.optimize import minimize_scalar

    rows = np.arange(len(label))

    def cost(power: float) -> float:
        chosen = softmax(np.exp(power) * log_probability)[rows, label]
        return -float(np.log(np.maximum(chosen, _TINY)).mean())

    found = minimize_scalar(cost, bounds=(np.log(0.2), np.log(5.0)), method="bounded")
    return float(np.exp(found.x))


def reweighted(probability: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Probabilities under other class priors than the uniform one they were trained with."""
    weighted = probability * (share * len(share))
    # However sure a class of no share was, the others share all of it.
    least = np.finfo(np.float64).tiny
    return weighted / np.maximum(weighted.sum(axis=-1, keepdims=True), least)


def estimate_share(probability: np.ndarray, rounds: int = 200) -> np.ndarray:
    """Share of each class among spectra, by expectation–maximisation.

    Parameters
    ----------
    probability
        Probabilities under a uniform prior, ``(n, n_class)``, finite.
    rounds
        Rounds at most.

    Returns
    -------
    Shape ``(n_class,)``, sums to 1. Never zero: half a spectrum more is counted in each class.

    References
    ----------
    M. Saerens, P. Latinne, C. Decaestecker, doi:10.1162/089976602753284446.
    """
    n, n_class = probability.shape
    share = np.full(n_class, 1 / n_class)
    for _ in range(rounds):
        updated = reweighted(probability, share).sum(axis=0) + 0.5
        updated /= n + 0.5 * n_class
        settled = np.abs(updated - share).max() < 1e-5
        share = updated
        if settled:
            break
    return share


@dataclass(frozen=True, eq=False)
class CalibrationCurve:
    """How often a class is right, against how sure it was said to be.

    Parameters
    ----------
    confidence, accuracy
        Mean probability of the most probable class, and share of right ones, in each bin that
        has any.
    weight
        Share of spectra in each bin.
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    weight: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error: mean distance of confidence and accuracy."""
        return float((self.weight * np.abs(self.confidence - self.accuracy)).sum())


def calibration_curve(
    probability: np.ndarray, label: np.ndarray, bins: int = 15
) -> CalibrationCurve:
    """Compare confidence with accuracy in equal bins of confidence.

    Parameters
    ----------
    probability
        Shape ``(n, n_class)``.
    label
        True classes, ``(n,)``.
    bins
        Number of bins between 0 and 1.

    Examples
    --------
    >>> probability = np.array([[0.9, 0.1]] * 10)
    >>> curve = calibration_curve(probability, np.array([0] * 8 + [1] * 2))
    >>> round(curve.error, 3)
    0.1
    """
    confidence = probability.max(axis=1)
    right = probability.argmax(axis=1) == label
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    number = np.bincount(place, minlength=bins)
    used = number > 0
    number = number[used]
    return CalibrationCurve(
        np.bincount(place, confidence, bins)[used] / number,
        np.bincount(place, right, bins)[used] / number,
        number / len(label),
    )
