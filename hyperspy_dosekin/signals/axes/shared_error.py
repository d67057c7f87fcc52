# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors that the frames of a dose series share, kept beside its data.

Noise is another in each frame; what processing does wrong is much the same in all of them, or grows
along the series. Each such error is a signal of the shape of the series in its metadata, one
standard deviation large and *relative* to the intensities, so that a factor changes nothing. One
whose axes are not those of the data any more is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from hyperspy.signals import BaseSignal, LazySignal, LazySignal1D, Signal1D

from hyperspy_dosekin.lazy.blocks import wrap

#: Where the errors are, by name.
NODE = "Dosekin.shared_errors"
#: One standard deviation of the share of a drift that is wrong: the rms of all between 0 and 1.
DRIFT_SHARE = 3**-0.5


def attach_shared_errors(series: BaseSignal, errors: Mapping[str, object]) -> None:
    """Give a series the errors that its frames share, in place of those that it has.

    Parameters
    ----------
    series
        A dose series.
    errors
        Relative errors by name, NumPy or dask arrays that broadcast to the shape of the data.
    """
    if series.metadata.has_item(NODE):
        del series.metadata.Dosekin.shared_errors
    names = list(errors)
    if not names:
        return
    series.metadata.set_item(f"{NODE}.names", names)
    for place, name in enumerate(names):
        _put(series, place, errors[name])


def _put(series: Any, place: int, array: Any) -> None:
    whole = np.broadcast_to(array, series.data.shape)
    axes = [
        {**axis.get_axis_dictionary(), "navigate": axis.navigate}
        for axis in series.axes_manager._axes
    ]
    one = series.axes_manager.signal_dimension == 1
    eager, lazy = (Signal1D, LazySignal1D) if one else (BaseSignal, LazySignal)
    metadata = {"General": {"title": "Shared error"}}
    signal = wrap(eager, lazy, whole, axes=axes, metadata=metadata)
    series.metadata.set_item(f"{NODE}.error_{place}", signal)


def shared_errors_of(series: BaseSignal) -> dict[str, Any]:
    """The errors that the frames of a series share, by name, in the unit of its data.

    Arrays of the shape of the data, lazy where these are.
    """
    found = {}
    for place, name in enumerate(series.metadata.get_item(f"{NODE}.names", [])):
        signal = series.metadata.get_item(f"{NODE}.error_{place}")
        if signal is not None and _axes(signal) == _axes(series):
            found[str(name)] = signal.data * series.data
    return found


def _axes(signal: BaseSignal) -> list[tuple[str, int]]:
    return [(str(axis.name), axis.size) for axis in signal.axes_manager._axes]


def slice_shared_errors(
    series: BaseSignal, sliced: BaseSignal, slices: Any, is_navigation: Any
) -> None:
    """Slice the errors of a series as the series has been, and put them into what came out."""
    if sliced is None or not series.metadata.has_item(f"{NODE}.names"):
        return
    for place in range(len(series.metadata.get_item(f"{NODE}.names"))):
        signal = series.metadata.get_item(f"{NODE}.error_{place}")
        if signal is None or _axes(signal) != _axes(series):
            continue
        # By the values of the axes of the series, which may have been calibrated since.
        signal.axes_manager = series.axes_manager.deepcopy()
        part = signal._slicer(slices, is_navigation)
        sliced.metadata.set_item(f"{NODE}.error_{place}", part)
