# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quantiles of values that weigh differently, and intervals with their closed end."""

from __future__ import annotations

import numpy as np
import torch

from hyperspy_dosekin.kinetics.posterior.parts import bound_matters


def weighed_quantile(values: np.ndarray, weight: np.ndarray, probability: float) -> np.ndarray:
    """Quantile along the last axis; values may be infinite, NaN where they are."""
    order = np.argsort(values, axis=-1)
    values = np.take_along_axis(values, order, axis=-1)
    weight = np.take_along_axis(weight, order, axis=-1)
    middle = weight.cumsum(axis=-1) - 0.5 * weight
    right = np.clip((middle < probability).sum(axis=-1), 1, values.shape[-1] - 1)[..., None]
    pick = [
        np.take_along_axis(a, right - shift, axis=-1)[..., 0]
        for a in (middle, values)
        for shift in (1, 0)
    ]
    below, above, low, high = pick
    share = np.clip((probability - below) / np.maximum(above - below, 1e-12), 0.0, 1.0)
    open_end = np.isinf(high)
    step = np.where(open_end, 0.0, np.where(open_end, 0.0, high) - np.where(np.isinf(low), 0, low))
    return np.where(open_end & (share > 0.5), high, low + share * step)


def holding(found: np.ndarray, own: np.ndarray, mass: np.ndarray, probability: float) -> np.ndarray:
    """Widen ends of intervals to those with the offset at its bound, where it may be there.

    Parameters
    ----------
    found, own
        Ends over all values, and over those at the bound.
    mass
        Probability of the bound.
    probability
        Of the ends; a median stays what it is.
    """
    if probability == 0.5:
        return found
    matters = np.zeros(mass.size, dtype=bool)
    matters[bound_matters(torch.as_tensor(mass.reshape(-1))).numpy()] = True
    outer = (np.minimum if probability < 0.5 else np.maximum)(found, own)
    return np.where(matters.reshape(mass.shape), outer, found)
