# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From probabilities to labels, and how unsure they are."""

from __future__ import annotations

import numpy as np

from hyperspy_dosekin.classification.calibration import entropy

#: Label of a pixel without data.
NO_CLASS = -1


def most_probable(probability: np.ndarray) -> np.ndarray:
    """Most probable class, ``(…)``; −1 where probabilities ``(…, n_class)`` are NaN."""
    known = np.isfinite(probability).all(axis=-1)
    return np.where(known, np.nan_to_num(probability).argmax(axis=-1), NO_CLASS).astype(np.int16)


def labels_with_unknown(
    probability: np.ndarray, novelty: np.ndarray, *, threshold: float
) -> np.ndarray:
    """Most probable class, or the number of classes where the novelty is beyond the threshold.

    Parameters
    ----------
    probability
        Shape ``(…, n_class)``.
    novelty
        Shape ``(…)``.
    threshold
        In the unit of the novelty.
    """
    labels = most_probable(probability)
    unknown = (labels != NO_CLASS) & (np.nan_to_num(novelty) > threshold)
    return np.where(unknown, probability.shape[-1], labels).astype(np.int16)


def is_marked(parts: np.ndarray) -> np.ndarray:
    """Whether the last of ``(…, n_part)`` is 1, ``(…)``; false where it is NaN."""
    return parts[..., -1] == 1


def uncertainty_parts(probability: np.ndarray, noise_free: np.ndarray) -> np.ndarray:
    """Entropy of the class in nats: from noise, from overlapping classes, and their sum.

    Parameters
    ----------
    probability
        Shape ``(…, n_class)``.
    noise_free
        Entropy expected to be left without noise, ``(…)``.

    Returns
    -------
    Shape ``(…, 3)``: encoding, classifier, total.
    """
    total = entropy(probability.astype(np.float64))
    classifier = np.minimum(noise_free, total)
    return np.stack([total - classifier, classifier, total], axis=-1).astype(np.float32)


def peak_ratio(spectra: np.ndarray, peak: np.ndarray, shoulder: np.ndarray) -> np.ndarray:
    """Mean intensity in some channels over that in others, ``(n,)``; NaN where that is below 0.

    Parameters
    ----------
    spectra
        Shape ``(n, n_channels)``.
    peak, shoulder
        Indices of channels.
    """
    below = spectra[:, shoulder].mean(axis=1)
    return spectra[:, peak].mean(axis=1) / np.where(below > 0, below, np.nan)
