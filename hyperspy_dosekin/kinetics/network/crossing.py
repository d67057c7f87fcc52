# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""At which dose a sampled trajectory falls to a level."""

from __future__ import annotations

import numpy as np


def first_crossing(position: np.ndarray, trajectory: np.ndarray, level: float) -> np.ndarray:
    """Position at which a trajectory first falls to a level, linear between samples.

    Parameters
    ----------
    position
        Ascending positions, ``(n_position,)``.
    trajectory
        Values there, ``(…, n_position)``.
    level
        The level.

    Returns
    -------
    numpy.ndarray
        Shape ``(…)``; NaN where the trajectory stays above the level.

    Examples
    --------
    >>> first_crossing(np.array([0.0, 1.0, 2.0]), np.array([1.0, 0.6, 0.4]), 0.5).round(6).item()
    1.5
    """
    below = trajectory <= level
    last = np.argmax(below, axis=-1)[..., np.newaxis]
    first = np.maximum(last - 1, 0)
    high = np.take_along_axis(trajectory, first, axis=-1)[..., 0]
    low = np.take_along_axis(trajectory, last, axis=-1)[..., 0]
    start, end = position[first[..., 0]], position[last[..., 0]]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(high > low, (high - level) / (high - low), 1.0)
    return np.where(below.any(axis=-1), start + share * (end - start), np.nan)
