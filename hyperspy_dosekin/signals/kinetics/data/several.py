# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several series read for a fit of all of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.numerics.arguments import short
from hyperspy_dosekin.signals.kinetics.data.series_data import SeriesData

if TYPE_CHECKING:
    from hyperspy_dosekin.kinetics.curves.problem import DoseProblem


def read_series(signal: Any, windows: Any = None) -> SeriesData:
    """The mean over space of a dose series, or of windows of spectra, in memory.

    Raises
    ------
    TypeError
        If it is no dose series and cannot be made one.
    """
    if hasattr(signal, "integrate_windows"):
        signal = signal.integrate_windows(windows)
    if not hasattr(signal, "window_names"):
        raise TypeError(
            f"{short(signal)} is no dose series: give it a dose axis with set_dose_axis, or make "
            'one with set_signal_type("DoseSeries").'
        )
    return SeriesData.of(signal).averaged()


def scaled_problem(data: SeriesData, scale: float | None) -> DoseProblem:
    """The problem of one series, with what its frames share of the error of processing."""
    errors = [np.asarray(error)[None] for error in data.shared_errors.values()]
    shared = np.stack(errors) if errors else None
    return replace(data.problem(), dose_scale=scale, shared_error=shared)
