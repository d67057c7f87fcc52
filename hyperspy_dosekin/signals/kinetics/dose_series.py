# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Intensities against cumulative dose, as a HyperSpy signal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from hyperspy.signals import LazySignal1D, Signal1D

from hyperspy_dosekin.numerics.arguments import check_callable
from hyperspy_dosekin.numerics.progress import never_stop
from hyperspy_dosekin.signals.axes.dose_axis import is_dose
from hyperspy_dosekin.signals.axes.recorded_names import recorded_names
from hyperspy_dosekin.signals.axes.shared_error import slice_shared_errors
from hyperspy_dosekin.signals.axes.variance_hooks import keep_in_step
from hyperspy_dosekin.signals.drawing import name_windows
from hyperspy_dosekin.signals.kinetics.options.fit_options import FitOptions, takes_fit_options
from hyperspy_dosekin.windows.definitions import Window

if TYPE_CHECKING:
    from hyperspy.axes import BaseDataAxis

    from hyperspy_dosekin.signals.kinetics.result.result import DoseKinetics

_POSITION_NAMES = {"x", "y", "z"}
_POSITION_UNITS = {"m", "mm", "µm", "μm", "um", "nm", "Å", "pm", "px", "pixel", "pixels"}


def _are_places(values: np.ndarray, number: float = np.inf) -> bool:
    """Whether the values of an axis can be places of `number` names."""
    places = np.rint(np.asarray(values, dtype=np.float64))
    whole = np.array_equal(places, values) and np.unique(places).size == places.size
    return bool(whole and places.min() >= 0 and places.max() < number)


@keep_in_step
class _Followed(Signal1D):
    """A signal whose noise variance stays in step; apart, so that these are not our methods."""

    def _slicer(self, slices: object, isNavigation: object = None, out: object = None) -> object:
        result = super()._slicer(slices, isNavigation, out)
        slice_shared_errors(self, out if result is None else result, slices, isNavigation)
        return result


class DoseSeries(_Followed):
    """Intensities of one or more windows against cumulative dose.

    The array is ``(…space…, window, dose)``; HyperSpy prints ``(window, x, y|dose)``. The signal
    axis holds the cumulative dose of each frame, counted from the first electron, in e⁻/Å² or any
    other unit, which the results keep. The windows may be energy windows of EELS, diffraction
    spots, EDS lines: any intensity.

    See Also
    --------
    hyperspy_dosekin.signals.windows.integrate.integrate_windows : makes one from low-loss EELS.

    Examples
    --------
    Three diffraction spots in nine frames of 152 e⁻/Å²:

    >>> dose = 152.0 * np.arange(1, 10)
    >>> spots = np.exp(-np.outer([1, 2, 5], dose) / 1000)
    >>> s = hs.signals.Signal1D(spots, axes=[{"size": 3}, {"axis": dose, "name": "dose"}])
    >>> s.set_signal_type("DoseSeries")
    >>> s
    <DoseSeries, title: , dimensions: (3|9)>
    >>> s.window_names
    ('1', '2', '3')
    """

    _signal_type = "DoseSeries"

    def _assign_subclass(self, *args: Any, **kwargs: Any) -> None:
        super()._assign_subclass(*args, **kwargs)
        own = self.metadata.Signal.signal_type == DoseSeries._signal_type
        doses = [each for each in self.axes_manager._axes if is_dose(each)]
        # HyperSpy has no class for the areas of windows at one dose, or of the sum of all.
        if own and not self.axes_manager.signal_dimension and not doses:
            self.set_signal_type("WindowMap")

    def __repr__(self) -> str:
        """One line, which says so where the series was opened from the file of a result."""
        text = super().__repr__()
        if self.metadata.has_item("Dosekin.kinetics"):
            text = f"{text[:-1]}, from a saved fit: hyperspy_dosekin.load(path) gives the result>"
        return text

    @property
    def dose(self) -> np.ndarray:
        """Cumulative dose of each frame, shape ``(n_dose,)``, in the units of the signal axis."""
        return np.asarray(self.axes_manager.signal_axes[0].axis, dtype=np.float64)

    @property
    def window_axis(self) -> BaseDataAxis | None:
        """The navigation axis that counts windows, or ``None`` where there is a single window.

        It is the axis called "window". Without one it is the navigation axis next to the dose (the
        first that HyperSpy prints), unless that is a position (named x, y or z, or in units of
        length). If the metadata name windows, it is the first axis that is no position and has as
        many entries as there are names, or whose values are places of names; there is none if
        `integrate_windows` made the windows and they have been sliced away.
        """
        axes = self.axes_manager.navigation_axes
        named = [axis for axis in axes if axis.name == "window"]
        if named:
            return named[0]
        if self.metadata.has_item("Dose.window_ranges"):
            return None
        likely = [
            axis
            for axis in axes
            if str(axis.name).lower() not in _POSITION_NAMES and axis.units not in _POSITION_UNITS
        ]
        names = recorded_names(self.metadata)
        if names is None:
            likely = [axis for axis in likely if axis is axes[0]]
        else:
            # All of them, or some that were sliced out of them.
            whole = [axis for axis in likely if axis.size == len(names)]
            likely = whole or [axis for axis in likely if _are_places(axis.axis, len(names))]
        return likely[0] if likely else None

    @property
    def window_names(self) -> tuple[str, ...]:
        """One label for each window.

        The value of the window axis is the place of a name in ``metadata.Dose.window_names``, so
        names follow their windows through ``inav``. Windows without a name are "1", "2", ….
        """
        recorded = recorded_names(self.metadata) or []
        if self.window_axis is None and len(recorded) != 1:
            return ("1",)
        return tuple(
            recorded[place] if place < len(recorded) else str(place + 1)
            for place in self._window_places
        )

    @property
    def windows(self) -> tuple[Window, ...] | None:
        """The windows with limits and unit; ``None`` where they are no ranges of a spectrum."""
        ranges = self.metadata.get_item("Dose.window_ranges", None)
        places, names = self._window_places, self.window_names
        if ranges is None or max(places) >= len(ranges):
            return None
        if self.window_axis is None and len(ranges) != 1:
            return None
        unit = str(self.metadata.get_item("Dose.window_units", "eV"))
        return tuple(
            Window(name, float(ranges[place][0]), float(ranges[place][1]), unit)
            for name, place in zip(names, places, strict=True)
        )

    @property
    def _window_places(self) -> list[int]:
        """Place of each window among those of the metadata."""
        axis = self.window_axis
        if axis is None:
            return [0]
        # Where somebody calibrated the axis, its values are no places any more.
        if not _are_places(axis.axis):
            return list(range(axis.size))
        return [int(place) for place in np.rint(axis.axis)]

    def plot(self, *args: object, **options: Any) -> None:
        """Plot as HyperSpy does, with names of windows in titles and navigator.

        Parameters
        ----------
        *args, **options
            Passed to the plot of `hyperspy.signals.Signal1D`.
        """
        super().plot(*args, **options)
        name_windows(self, self.window_axis, self.window_names)

    @takes_fit_options()
    def fit_dose_pinn(
        self,
        *,
        show_progressbar: bool | None = None,
        stop: Callable[[], bool] | None = None,
        **options: Any,
    ) -> DoseKinetics:
        """Fit the degradation kinetics of every window.

        Each window i has a latent integrity C_i(φ) that starts at 1 and obeys
        dC_i/dφ = −k_i C_i^{p_i}, with φ the dose divided by the largest dose, and is read out as
        the intensity a_i C_i + b_i, where a_i may have either sign; `law` puts another law in
        the place of that one. Frames with NaN are left out, and frames out of order are sorted
        by dose, each with a warning. ``fit_dose_kinetics`` is another name of this method.

        Parameters
        ----------
        **options
            Options of the fit, see `FitOptions` and `NetworkConfig`.
        show_progressbar
            Whether to show progress; ``None`` takes HyperSpy's preference.
        stop
            Function that is asked now and then; when it returns ``True`` the fit ends and keeps
            what is there, as Ctrl-C does.

        Returns
        -------
        DoseKinetics
            Parameters, trajectories, plots; ``print`` it for a table.

        Raises
        ------
        ValueError
            If fewer than 4 doses differ, doses are negative, a window does not change with
            dose, an option is not one of those above, or a law gives NaN or lets the
            integrity grow.
        TypeError
            If the data are complex, or an option is unknown.

        References
        ----------
        G. T. dos Santos, R. dos Reis, V. P. Dravid, arXiv:2605.01697 (2026).

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> result = s.integrate_windows().fit_dose_pinn(
        ...     seeds=(1, 2), gauss_newton_iterations=5, show_progressbar=False
        ... )
        >>> result
        <DoseKinetics, 4 windows, 9 doses, network, 2 members...>
        """
        from hyperspy_dosekin.signals.kinetics.fit import fit_dose_series

        check_callable("stop", stop)
        return fit_dose_series(
            self,
            FitOptions.of(**options),
            show_progressbar=show_progressbar,
            stop=stop or never_stop,
        )

    fit_dose_kinetics = fit_dose_pinn


class LazyDoseSeries(DoseSeries, LazySignal1D):
    """Lazy twin of `DoseSeries`."""
