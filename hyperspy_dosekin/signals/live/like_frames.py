# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals like the frames of a series, for the file that frames are written to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from hyperspy.signals import BaseSignal, Signal1D

from hyperspy_dosekin.signals.files import read_signal

from .growing import Exposure

if TYPE_CHECKING:
    from os import PathLike

# Where the noise of a signal says how it follows from the intensity.
_MODEL = "Signal.Noise_properties.Variance_linear_model"


def like_frame(
    frame: Any, energy_ev: np.ndarray | None, exposure: Exposure, dose_unit: str
) -> Callable[[np.ndarray], BaseSignal]:
    """What makes a signal ``(1, …, channel)`` of data, like a frame.

    Parameters
    ----------
    frame
        The frame, a signal or an array.
    energy_ev
        Energies of its channels, where they are known.
    exposure, dose_unit
        Of the series.
    """
    first = {"name": "frame", "size": 1, "offset": 0, "scale": 1, "navigate": True}
    if exposure.step:
        first |= {"name": "dose", "units": dose_unit}
        first |= {"offset": exposure.dose(0), "scale": exposure.step}

    def of_signal(data: np.ndarray) -> BaseSignal:
        axes = [
            {**axis.get_axis_dictionary(), "navigate": axis.navigate}
            for axis in frame.axes_manager._axes
        ]
        metadata = frame.metadata.as_dictionary()
        metadata.get("Signal", {}).pop("Noise_properties", None)
        made = type(frame)(data, axes=[first, *axes], metadata=metadata)
        model = frame.metadata.get_item(_MODEL)
        if model is not None:
            made.metadata.set_item(_MODEL, model.as_dictionary())
        return made

    def of_array(data: np.ndarray) -> BaseSignal:
        axes = [{"size": size, "navigate": True} for size in data.shape[1:-1]]
        if energy_ev is None:
            last = {"size": data.shape[-1], "name": "window"}
        else:
            last = {"axis": energy_ev, "name": "Energy", "units": "eV"}
        signal = Signal1D(data, axes=[first, *axes, {**last, "navigate": False}])
        if energy_ev is not None:
            signal.set_signal_type("EELS")
        return signal

    return of_signal if isinstance(frame, BaseSignal) else of_array


def template_of(path: str | PathLike[str]) -> Any:
    """A signal like the frames of a file, without data; ``None`` where frames are areas."""
    signal = read_signal(path, lazy=True)
    if signal.axes_manager.signal_axes[0].name == "window":
        return None
    # HyperSpy counts navigation axes from the last one of the array.
    keys = [slice(None)] * (signal.axes_manager.navigation_dimension - 1)
    return signal.inav[(*keys, 0)]
