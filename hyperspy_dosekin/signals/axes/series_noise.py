# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A noise variance that somebody set, beside the scatter between the frames of a dose series."""

from __future__ import annotations

from typing import Any

import numpy as np
from hyperspy.signals import BaseSignal

from hyperspy_dosekin.lazy.blocks import is_lazy
from hyperspy_dosekin.signals.axes.variance import follows, variance_of, warn_user

#: Fourth differences of neighbouring frames: what a decay does smoothly cancels.
_WEIGHTS = np.array([1.0, -4.0, 6.0, -4.0, 1.0])
#: Median of the square of a standard normal number, and the relative error of the median of n such
#: squares times √n. Neighbouring differences share frames, so that a quarter of them count.
_MEDIAN_SQUARE, _ERROR, _SHARED = 0.4549364, 2.4, 4
#: The data win beyond this factor and so many standard errors.
_FACTOR, _ERRORS = 2.0, 3.0
#: Series that are looked at.
_MOST = 4096


def scatter_by_claim(data: np.ndarray, variance: np.ndarray) -> tuple[float, float]:
    """Variance between frames by that claimed, and the factor within which it is not known.

    Parameters
    ----------
    data, variance
        Series and their claimed variance, shape ``(n_series, n_frames)``.

    Returns
    -------
    ratio, within
        NaN and infinity for fewer than five frames.
    """
    number = data.shape[-1] - _WEIGHTS.size + 1
    if number < 1:
        return np.nan, np.inf
    difference, claim = np.zeros((len(data), number)), np.zeros((len(data), number))
    # Infinities, of either sign, are not finite below.
    with np.errstate(over="ignore", invalid="ignore"):
        for place, weight in enumerate(_WEIGHTS):
            part = slice(place, place + number)
            difference += weight * data[:, part]
            claim += weight**2 * variance[:, part]
    known = np.isfinite(difference) & (claim > 0)
    if not known.any():
        return np.nan, np.inf
    with np.errstate(over="ignore", invalid="ignore"):
        square = difference[known] ** 2 / claim[known]
    error = _ERROR / np.sqrt(square.size / _SHARED)
    return float(np.median(square) / _MEDIAN_SQUARE), float(_FACTOR * np.exp(_ERRORS * error))


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
    ratio, within = scatter_by_claim(rows[::step], claim[::step].astype(np.float64))
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
