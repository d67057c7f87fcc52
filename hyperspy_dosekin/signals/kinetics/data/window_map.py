# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Maps that know the names of their windows, and say them where they are plotted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hyperspy.signals import (
    BaseSignal,
    LazySignal,
    LazySignal1D,
    LazySignal2D,
    Signal1D,
    Signal2D,
)

from hyperspy_dosekin.signals.axes.recorded_names import SavesNames, recorded_names
from hyperspy_dosekin.signals.drawing import name_windows

if TYPE_CHECKING:
    from hyperspy.axes import BaseDataAxis


class _NamedWindows(SavesNames):
    """What knows the names of its windows."""

    _signal_type = "WindowMap"

    def _assign_subclass(self, *args: Any, **kwargs: Any) -> None:
        super()._assign_subclass(*args, **kwargs)
        # HyperSpy knows no class for three and more signal axes, nor for a single number.
        own = self.metadata.Signal.signal_type == _NamedWindows._signal_type
        if own and not isinstance(self, SavesNames):
            self.__class__ = LazyWindowAreas if self._lazy else WindowAreas

    @property
    def window_axis(self) -> BaseDataAxis | None:
        """The axis that counts windows, or ``None`` where one window was sliced out."""
        axes = self.axes_manager._axes
        return next((axis for axis in axes if axis.name == "window"), None)

    @property
    def window_names(self) -> tuple[str, ...]:
        """Name of each window; names follow their windows through ``inav``."""
        names = recorded_names(self.metadata) or []
        axis = self.window_axis
        if axis is None:
            return tuple(names) if len(names) == 1 else ()
        places = np.rint(axis.axis).astype(int)
        return tuple(names[i] if 0 <= i < len(names) else str(i + 1) for i in places)


class _WindowMap(_NamedWindows):
    """What maps of any dimension have."""

    def plot(self, *args: object, **options: Any) -> None:
        """Plot the map as HyperSpy does, with names of windows in titles and navigator.

        The navigator shows the median over the pixels that have a number.

        Parameters
        ----------
        *args, **options
            Passed to the plot of HyperSpy's signal.
        """
        counted = len(self.axes_manager.navigation_axes) == 1
        if "navigator" not in options and not args and counted and not self._lazy:
            options["navigator"] = _medians(self)
        super().plot(*args, **options)
        name_windows(self, self.window_axis, self.window_names)

    def plot_images(self, **options: Any) -> Any:
        """Draw the images of all windows side by side, each under the name of its window.

        Parameters
        ----------
        **options
            Passed to `hyperspy.api.plot.plot_images`.

        Returns
        -------
        list of Axes
            Axes of Matplotlib.

        Raises
        ------
        ValueError
            If this is no map of two space axes.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series_image(shape=(3, 2), processed=True)
        >>> result = s.fit_dose_pinn(show_progressbar=False)
        >>> axes = result.rate.plot_images(axes_decor="off", colorbar="single")
        >>> [each.get_title() for each in axes]
        ['π–π*', 'C–C', 'C–O', 'M–O']
        """
        import hyperspy.api as hs

        if self.axes_manager.signal_dimension != 2:
            raise ValueError(
                f"{self} has {self.axes_manager.signal_dimension} space axes and images have two; "
                "use plot()."
            )
        chosen = {"label": list(self.window_names), "suptitle": self.metadata.General.title}
        return hs.plot.plot_images(self, **{**chosen, **options})


class WindowAreas(_NamedWindows, BaseSignal):
    """Areas of windows of spectra without a dose axis, which know the names of their windows.

    All axes are for navigation, the windows first. A transpose of one or two signal axes is a
    `WindowMap1D` or a `WindowMap`.

    Examples
    --------
    >>> s = hyperspy_dosekin.data.dose_series().inav[0].process_low_loss()
    >>> areas = s.integrate_windows()
    >>> areas.inav[1:3].window_names
    ('C–C', 'C–O')
    """


class WindowMap(_WindowMap, Signal2D):
    """A quantity of every window in every pixel: images that know the names of their windows.

    The array is ``(window, …space…)``: HyperSpy navigates through the windows and shows space.
    Maps of a `DoseKinetics` are of this class.

    Examples
    --------
    >>> s = hyperspy_dosekin.data.dose_series_image(shape=(3, 2), processed=True)
    >>> result = s.fit_dose_pinn(show_progressbar=False)
    >>> result.rate
    <WindowMap, title: rate, dimensions: (4|2, 3)>
    >>> result.rate.inav[1:3].window_names
    ('C–C', 'C–O')
    """


class WindowMap1D(_WindowMap, Signal1D):
    """A quantity of every window, of one series or along a line; see `WindowMap`.

    Examples
    --------
    >>> s = hyperspy_dosekin.data.dose_series(processed=True)
    >>> s.fit_dose_pinn(estimator="exact").rate
    <WindowMap1D, title: rate, dimensions: (|4)>
    """


class LazyWindowAreas(WindowAreas, LazySignal):
    """Lazy twin of `WindowAreas`."""


class LazyWindowMap(WindowMap, LazySignal2D):
    """Lazy twin of `WindowMap`."""


class LazyWindowMap1D(WindowMap1D, LazySignal1D):
    """Lazy twin of `WindowMap1D`."""


def _medians(signal: BaseSignal) -> BaseSignal:
    """The median of each window over the pixels that have a number, as a navigator."""
    values = np.asarray(signal.data, dtype=float)
    values = values.reshape(len(values), -1)
    known = np.isfinite(values)
    median = np.array(
        [
            np.median(row[which]) if which.any() else 0.0
            for row, which in zip(values, known, strict=True)
        ]
    )
    title = f"Median of {signal.metadata.General.title}"
    return Signal1D(median, metadata={"General": {"title": title}})
