# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wrap arrays as HyperSpy signals with the axes of the series they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from hyperspy.signals import BaseSignal, LazySignal, LazySignal1D, Signal1D

from hyperspy_dosekin.lazy.blocks import wrap
from hyperspy_dosekin.signals.axes.dose_axis import DOSE_NAME

if TYPE_CHECKING:
    from hyperspy_dosekin.lazy.arrays import Array

Axis = dict[str, Any]


def window_axis(n_window: int) -> Axis:
    """The navigation axis of windows, whose value is the index into the window names."""
    return {"name": "window", "size": n_window, "offset": 0, "scale": 1, "navigate": True}


def dose_axis(dose: np.ndarray, unit: str) -> Axis:
    """A signal axis of cumulative dose: uniform where the doses are."""
    step = np.diff(dose)
    common = {"name": DOSE_NAME, "units": unit or None, "navigate": False}
    if step.size and np.allclose(step, step[0], rtol=1e-9, atol=0) and step[0] > 0:
        return {
            **common,
            "size": dose.size,
            "offset": float(dose[0]),
            "scale": float((dose[-1] - dose[0]) / step.size),
        }
    return {**common, "axis": np.asarray(dose)}


def make_map(
    array: Array,
    space_axes: Sequence[Axis],
    window_names: Sequence[str],
    *,
    title: str,
    quantity: str,
) -> BaseSignal:
    """A map from an array ``(window, …space…)``.

    Navigation is the window and the signal is space, so that `plot()` shows an image for each
    window; without space it is a one-dimensional signal over the windows.
    """
    window = window_axis(len(window_names))
    if space_axes:
        axes = [window, *({**axis, "navigate": False} for axis in space_axes)]
    else:
        axes = [{**window, "navigate": False}]
    if len(window_names) == 1:
        title = f"{title}: {window_names[0]}"
    metadata = _metadata(title, quantity, window_names)
    # The registered class of that name says the names of its windows in plots.
    metadata["Signal"]["signal_type"] = "WindowMap"
    return _as_registered(wrap(BaseSignal, LazySignal, array, axes=axes, metadata=metadata))


def make_dose_series(
    array: Array,
    dose: np.ndarray,
    space_axes: Sequence[Axis],
    window_names: Sequence[str],
    *,
    title: str,
    quantity: str,
    dose_unit: str,
    dose_metadata: Mapping[str, Any] | None = None,
) -> Signal1D:
    """A `DoseSeries` from an array ``(…space…, window, dose)``."""
    axes = [{**axis, "navigate": True} for axis in space_axes]
    axes += [window_axis(len(window_names)), dose_axis(dose, dose_unit)]
    metadata = _metadata(title, quantity, window_names)
    metadata["Dose"] = {**(dose_metadata or {}), **metadata["Dose"]}
    metadata["Signal"]["signal_type"] = "DoseSeries"
    return _as_registered(wrap(Signal1D, LazySignal1D, array, axes=axes, metadata=metadata))


def _as_registered(signal: BaseSignal) -> Any:
    """The class that is registered for the signal type; its chunks stay as they are.

    HyperSpy would think of others, which it cannot for a lazy signal without pixels.
    """
    signal._assign_subclass(chunks=getattr(signal.data, "chunks", False))
    return signal


def _metadata(title: str, quantity: str, window_names: Sequence[str]) -> dict[str, Any]:
    return {
        "General": {"title": title},
        "Signal": {"quantity": quantity},
        "Dose": {"window_names": list(window_names)},
    }
