# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Show the spectra of a dose series and where the windows lie in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.lazy.blocks import compute
from hyperspy_dosekin.numerics.arguments import check_arguments
from hyperspy_dosekin.plotting.spectra.windows import plot_spectra
from hyperspy_dosekin.signals.axes.dose_axis import doses_of, find_dose_axis
from hyperspy_dosekin.signals.axes.energy import energy_in_ev, ev_per_unit
from hyperspy_dosekin.windows.definitions import parse_windows

if TYPE_CHECKING:
    from matplotlib.figure import FigureBase

    from hyperspy_dosekin.signals.axes.dose_axis import AxisLike
    from hyperspy_dosekin.windows.definitions import WindowsLike


def plot_windows(
    self: Any,
    windows: WindowsLike | None = None,
    *,
    dose_axis: AxisLike | None = None,
    energies: tuple[float, float] | None = None,
    difference: bool | None = None,
    logarithmic: bool | None = None,
    fig: FigureBase | None = None,
    figsize: tuple[float, float] | None = None,
) -> FigureBase:
    """Plot the spectra of a dose series, coloured by dose, with the windows shaded.

    Spectra are means over all space axes. A second panel shows each less the first: what the
    dose has changed, and whether a window catches it. Lazy signals are read once.

    Parameters
    ----------
    windows, dose_axis
        As for `integrate_windows`.
    energies
        Range (left, right) of the axis in eV; by default from 0, or from below the zero-loss peak
        where the data still have it, to a third beyond the last window.
    difference
        Whether to draw the second panel; by default unless intensities are on a logarithmic axis.
    logarithmic
        Whether intensities are on a logarithmic axis; by default where a zero-loss peak would
        hide all else.
    fig
        Empty figure or subfigure to draw in, instead of a new one.
    figsize
        Width and height in inches.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.

    Raises
    ------
    ValueError
        If there is no dose axis, or nothing of the energy axis lies in the range.

    Examples
    --------
    >>> from hyperspy_dosekin.data import dose_series
    >>> figure = dose_series(processed=True).plot_windows()
    """
    check_arguments(plot_windows, locals())
    axis = find_dose_axis(self, dose_axis)
    if axis is None:
        raise ValueError(
            "there is no dose axis to colour spectra by; calibrate one with s.set_dose_axis(…)."
        )
    signal_axis = self.axes_manager.signal_axes[0]
    energy = np.asarray(energy_in_ev(signal_axis), dtype=np.float64)
    factor = 1.0 if windows is None else ev_per_unit(signal_axis)
    chosen = {
        window.name: (window.left * factor, window.right * factor)
        for window in parse_windows(windows)
    }
    space = tuple(place for place in range(self.data.ndim - 1) if place != axis.index_in_array)
    # Spectra without a zero-loss peak are NaN, and no reason to see nothing.
    (spectra,) = compute(np.nanmean(self.data, axis=space) if space else self.data)
    spectra = np.asarray(spectra, dtype=np.float64)
    if energies is None:
        begin = min(0.0, *(left for left, _ in chosen.values()))
        middle = float(np.median(np.abs(spectra)))
        if np.max(np.abs(spectra), initial=0.0) > 100 * middle:
            begin = min(begin, -3.0)
        energies = (begin, 4 / 3 * max(right for _, right in chosen.values()))
    order = np.argsort(energy)
    order = order[(energy[order] >= energies[0]) & (energy[order] <= energies[1])]
    if order.size < 2:
        raise ValueError(
            f"energies=({energies[0]:g}, {energies[1]:g}) eV hold {order.size} channel(s) of the "
            f"axis, which runs from {energy.min():g} to {energy.max():g} eV."
        )
    dose, unit = doses_of(axis.axis, axis.units)
    return plot_spectra(
        energy[order],
        spectra[:, order],
        dose,
        chosen,
        dose_unit=unit,
        quantity=str(self.metadata.get_item("Signal.quantity", "") or "Intensity"),
        difference=difference,
        logarithmic=logarithmic,
        fig=fig,
        figsize=figsize,
    )
