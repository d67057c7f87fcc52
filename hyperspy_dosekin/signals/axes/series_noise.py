# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A noise variance that somebody set, beside the scatter between the frames of a dose series."""

from __future__ import annotations

from typing import Any

import numpy as np
from hyperspy.signals import BaseSignal

from hyperspy_dosekin.lazy.blocks import is_lazy
from hyperspy_dosekin.signals.axes.variance import follows, variance_of, warn_user

#: Orders of the differences between frames: what a decay does smoothly over five of them cancels
#: in the first of these, and more of it in the others.
_ORDERS = (4, 6, 8)
#: What is left of a decay in differences of an even order has the sign of its amplitude. The lower
#: quartile is that of noise alone or above it, and of a standard normal number this.
_QUARTILE = -0.6744898
#: Median of the square of a standard normal number, and the relative error of the median of n such
#: squares times √n. Neighbouring differences share frames, so that a quarter of them count.
_MEDIAN_SQUARE, _ERROR, _SHARED = 0.4549364, 2.4, 4
#: The data win beyond this factor and so many standard errors.
_FACTOR, _ERRORS = 2.0, 3.0
#: A frame whose variance is so much larger than that of others is one that was left out by it.
_LEFT_OUT = 1e4
#: Series that are looked at.
_MOST = 4096


def scatter_by_claim(
    data: np.ndarray, variance: np.ndarray, dose: np.ndarray
) -> tuple[float, float]:
    """Variance between frames by that claimed, and the factor within which it is not known.

    Parameters
    ----------
    data, variance
        Series and their claimed variance, shape ``(n_series, n_frames)``.
    dose
        Doses of the frames, ``(n_frames,)``, which need not be evenly spaced.

    Returns
    -------
    ratio, within
        NaN and infinity for fewer than five frames.
    """
    left_out = variance > _LEFT_OUT * np.median(variance, axis=-1, keepdims=True)
    data = np.where(left_out, np.nan, data)
    found = _differences(data, variance, dose, _ORDERS[0])
    if not found.size:
        return np.nan, np.inf
    ratio = float(np.median(found**2)) / _MEDIAN_SQUARE
    if ratio > 1:
        # Of precise data the differences hold the decay.
        each = (_differences(data, variance, dose, order) for order in _ORDERS)
        lowest = min(np.quantile(values, 0.25) for values in each if values.size)
        ratio = min(ratio, max(float(min(lowest, 0.0) / _QUARTILE) ** 2, 1.0))
    error = _ERROR / np.sqrt(found.size / _SHARED)
    return ratio, float(_FACTOR * np.exp(_ERRORS * error))


def _differences(
    data: np.ndarray, variance: np.ndarray, dose: np.ndarray, order: int
) -> np.ndarray:
    """Divided differences of neighbouring frames over the deviations that they should have.

    Those of a polynomial of a lower order are zero, however its doses are spaced. A decay has
    positive ones, and so has a window that grows: its sign is turned.
    """
    usable = np.isfinite(data)
    early, late = (
        np.where(usable, data, 0.0)[:, part].sum(-1) / np.maximum(usable[:, part].sum(-1), 1)
        for part in np.array_split(np.arange(data.shape[-1]), 2)
    )
    falls = (early >= late) == (dose[0] < dose[-1])
    found = [np.zeros(0)]
    for place in range(data.shape[-1] - order):
        part = slice(place, place + order + 1)
        apart = dose[part, np.newaxis] - dose[part]
        apart = apart / np.abs(apart).max() + np.eye(order + 1)
        weight = 1 / apart.prod(axis=-1)
        weight /= np.abs(weight).max()
        # Infinities, of either sign, are not finite below.
        with np.errstate(over="ignore", invalid="ignore"):
            difference, claim = data[:, part] @ weight, variance[:, part] @ weight**2
            known = np.isfinite(difference) & (claim > 0)
            sign = np.where(falls[known], 1.0, -1.0)
            found.append(sign * difference[known] / np.sqrt(claim[known]))
    return np.concatenate(found)


def checked_variance(series: BaseSignal) -> Any:
    """The noise variance of a series: a number, a signal or ``None``, as `variance_of` has it.

    One that was set by hand and is far from the scatter between frames is multiplied by what the
    scatter says, with a warning once for each series.

    Parameters
    ----------
    series
        A dose series, array ``(…, dose)``.
    """
    recorded = variance_of(series)
    if recorded is None or follows(series) or is_lazy(series.data):
        return recorded
    variance = recorded.data if isinstance(recorded, BaseSignal) else np.asarray(recorded)
    if is_lazy(variance) or not series.data.size:
        return recorded
    shape = (-1, series.data.shape[-1])
    rows = np.asarray(series.data, dtype=np.float64).reshape(shape)
    claim = np.broadcast_to(variance, series.data.shape).reshape(shape)
    step = -(-len(rows) // _MOST)
    dose = np.asarray(series.axes_manager.signal_axes[0].axis, dtype=np.float64)
    ratio, within = scatter_by_claim(rows[::step], claim[::step].astype(np.float64), dose)
    if not ratio > 0 or 1 / within < ratio < within:
        return recorded
    note = (
        f"the frames scatter with {ratio:.2g} times the noise variance that was set for this "
        "series. The data are believed, and the variance is multiplied by that. Set the right one "
        "with s.set_noise_variance."
    )
    if getattr(series, "_dosekin_noise_said", None) != note:
        series._dosekin_noise_said = note
        warn_user(note)
    if not isinstance(recorded, BaseSignal):
        return float(recorded) * ratio
    return recorded._deepcopy_with_new_data(variance * ratio)
