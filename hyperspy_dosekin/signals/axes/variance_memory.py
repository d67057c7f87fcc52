# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A few values that tell whether data or their variance were changed since they were put together.

``s.data *= 2`` passes by every method of a signal. Some values of the data and of the variance are
kept with the variance; what has become of them says what was done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hyperspy.signals import BaseSignal

from hyperspy_dosekin.lazy.blocks import is_lazy

if TYPE_CHECKING:
    from hyperspy_dosekin.lazy.arrays import Array

#: Where the values are, in the metadata of the variance, and how many.
_NODE, _NUMBER = "Dosekin.remembered", 64
#: Relative difference that a change of type makes.
_SAME = 1e-4
#: Share of the values that may be others: a few channels or frames were put right by hand.
_FEW = 0.5


def remember(signal: BaseSignal, variance: BaseSignal) -> None:
    """Keep some values of a signal and its variance; lazy ones are not looked at."""
    if is_lazy(signal.data) or is_lazy(variance.data) or not signal.data.size:
        if variance.metadata.has_item(_NODE):
            del variance.metadata.Dosekin.remembered
        return
    variance.metadata.set_item(
        _NODE,
        {
            "shape": list(signal.data.shape),
            "data": _some(signal.data),
            "variance": _some(variance.data),
        },
    )


#: Values may be infinite, or so large that their differences are.
_WHATEVER_VALUES = np.errstate(over="ignore", invalid="ignore")


@_WHATEVER_VALUES
def factor_since(signal: BaseSignal, variance: BaseSignal) -> float | None:
    """By which factor the variance has to be multiplied to be that of the data as they are.

    Returns
    -------
    float or None
        1 where nothing has changed, where only a constant was added, or where the variance was
        changed too, so that somebody knew what they did. ``None`` if the data have been changed in
        another way than by a factor.
    """
    before = _remembered(signal, variance)
    if before is None or not _alike(before[1], _some(variance.data)).all():
        return 1.0
    was, now = before[0], _some(signal.data)
    known = np.isfinite(was) & np.isfinite(now)
    was, now = was[known], now[known]
    if _alike(was, now).mean() >= _FEW if was.size else True:
        return 1.0
    if np.allclose(now - was, (now - was).mean(), rtol=_SAME, atol=_SAME * np.ptp(was)):
        return 1.0
    large = np.abs(was) > 0.1 * np.abs(was).max()
    factor = float(np.median(now[large] / was[large])) if large.any() else np.nan
    return factor**2 if _alike(factor * was, now, np.abs(now).max()).all() else None


@_WHATEVER_VALUES
def set_by_hand(signal: BaseSignal, variance: BaseSignal) -> bool:
    """Whether somebody has changed the variance since it was put to its data."""
    before = _remembered(signal, variance)
    return before is not None and not _alike(before[1], _some(variance.data)).all()


def _remembered(signal: BaseSignal, variance: BaseSignal) -> tuple[np.ndarray, np.ndarray] | None:
    """Values of data and variance as they were, if they are those of a signal of this shape."""
    node = variance.metadata.get_item(_NODE)
    if node is None or is_lazy(signal.data) or is_lazy(variance.data):
        return None
    # One number of a NeXus file is read as no list.
    if (
        tuple(np.atleast_1d(node.shape)) != signal.data.shape
        or variance.data.shape != signal.data.shape
    ):
        return None
    return np.asarray(node.data), np.asarray(node.variance)


def _some(array: Array) -> np.ndarray:
    flat = np.linspace(0, array.size - 1, min(_NUMBER, array.size)).astype(np.intp)
    return np.array(array[np.unravel_index(flat, array.shape)], dtype=np.float64)


def _alike(one: np.ndarray, other: np.ndarray, size: Any = 0.0) -> np.ndarray:
    near = np.abs(one - other) <= _SAME * np.maximum(np.abs(one), 1e-2 * size)
    return near | (~np.isfinite(one) & ~np.isfinite(other))
