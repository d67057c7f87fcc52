# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Areas of windows without a dose axis: plain signals, but for how they are saved."""

from __future__ import annotations

from hyperspy.signals import LazySignal

from hyperspy_dosekin.signals.axes.recorded_names import SavesNames


class WindowAreas(SavesNames):
    """Areas of windows of spectra without a dose axis.

    HyperSpy makes a plain signal of it where the axes change, and of a file.

    Examples
    --------
    >>> from hyperspy_dosekin.data import dose_series
    >>> dose_series().inav[:2].mean().integrate_windows({"a": (4, 7), "b": (10, 15)})
    <WindowAreas, title: Window areas of Simulated low-loss dose series, dimensions: (2|)>
    """


class LazyWindowAreas(WindowAreas, LazySignal):
    """Lazy twin of `WindowAreas`."""
