# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The methods that this package adds to exspy's ``EELSSpectrum``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hyperspy_dosekin.numerics.arguments import check_callable
from hyperspy_dosekin.signals.axes.dose import set_dose_axis
from hyperspy_dosekin.signals.axes.dose_axis import find_dose_axis, no_dose_axis
from hyperspy_dosekin.signals.classification.classify import classify_vae
from hyperspy_dosekin.signals.kinetics.options.fit_options import FitOptions, takes_fit_options
from hyperspy_dosekin.signals.processing.core_loss import process_core_loss
from hyperspy_dosekin.signals.processing.low_loss import process_low_loss
from hyperspy_dosekin.signals.processing.plot import plot_processing
from hyperspy_dosekin.signals.processing.record import processing_diagnostics
from hyperspy_dosekin.signals.processing.unprocessed import warn_if_unprocessed
from hyperspy_dosekin.signals.spectra.fit import fit_dose_spectra
from hyperspy_dosekin.signals.tools import dose_kinetics_tool
from hyperspy_dosekin.signals.windows.integrate import integrate_windows
from hyperspy_dosekin.signals.windows.plot import plot_windows

if TYPE_CHECKING:
    from hyperspy_dosekin.signals.axes.dose_axis import AxisLike
    from hyperspy_dosekin.signals.kinetics.result.result import DoseKinetics
    from hyperspy_dosekin.windows.definitions import WindowsLike


@takes_fit_options()
def fit_dose_pinn(
    self: Any,
    windows: WindowsLike | None = None,
    *,
    dose_axis: AxisLike | None = None,
    show_progressbar: bool | None = None,
    stop: Callable[[], bool] | None = None,
    **options: Any,
) -> DoseKinetics:
    """Integrate windows and fit degradation kinetics to their dose dependence.

    The same as ``s.integrate_windows(windows).fit_dose_pinn(…)``. ``fit_dose_kinetics`` is another
    name of this method.

    Parameters
    ----------
    windows, dose_axis
        As for `integrate_windows`.
    **options
        Options of the fit, see `FitOptions` and `NetworkConfig`.
    show_progressbar
        Whether to show progress; ``None`` takes HyperSpy's preference.
    stop
        Function that is asked now and then; when it returns ``True`` the fit ends and keeps what
        is there, as Ctrl-C does.

    Returns
    -------
    DoseKinetics
        The fitted kinetics of every window.

    Raises
    ------
    ValueError
        If there is no dose axis, or for the reasons of `integrate_windows` and of the fit.
    TypeError
        For the reasons of `integrate_windows`, or if an option is unknown.

    References
    ----------
    arXiv:2605.01697.

    Examples
    --------
    >>> import exspy
    >>> s = exspy.signals.EELSSpectrum(np.ones(1024))
    >>> s.fit_dose_pinn()
    Traceback (most recent call last):
        ...
    ValueError: there is no dose axis: this signal is a single spectrum...
    """
    # Before the spectra are read, which may take long.
    FitOptions.of(**options)
    check_callable("stop", stop)
    if find_dose_axis(self, dose_axis) is None:
        raise ValueError(no_dose_axis(self))
    warn_if_unprocessed(self)
    series = integrate_windows(self, windows, dose_axis=dose_axis)
    return series.fit_dose_pinn(show_progressbar=show_progressbar, stop=stop, **options)


#: Further names of methods.
ALIASES = {"fit_dose_kinetics": fit_dose_pinn}

#: Functions that become methods of ``EELSSpectrum``, each under its own name.
METHODS = (
    set_dose_axis,
    integrate_windows,
    fit_dose_pinn,
    fit_dose_spectra,
    classify_vae,
    process_low_loss,
    process_core_loss,
    processing_diagnostics,
    plot_processing,
    plot_windows,
    dose_kinetics_tool,
)
