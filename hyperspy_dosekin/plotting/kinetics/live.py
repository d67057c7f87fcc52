# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drawings that are changed in place, many times a minute: frames of a series, and fits of windows.

They are drawn once; afterwards only their data change, which is several times faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.plotting import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Sequential, and told apart by lightness alone.
DOSE_COLOURS = "viridis"
#: Its pale end would vanish on white.
_DARKEST, _PALEST = 0.0, 0.92
#: Panels side by side.
COLUMNS = 4


def plain_number(value: float, place: float = 0.0) -> str:
    """Text of a tick without an offset beside the axis, for which there is no room."""
    text = f"{value:.4g}".replace("e+0", "e").replace("e-0", "e-").replace("e+", "e")
    return text.replace("-", "\N{MINUS SIGN}")


class Frames:
    """The spectra of all frames over each other, coloured by dose, with a colour bar.

    Parameters
    ----------
    axes
        Where to draw.
    bar
        Axes of the colour bar.
    """

    def __init__(self, axes: Axes, bar: Axes) -> None:
        from matplotlib import colormaps
        from matplotlib.cm import ScalarMappable
        from matplotlib.collections import LineCollection
        from matplotlib.colors import LinearSegmentedColormap

        colours = colormaps[DOSE_COLOURS](np.linspace(_DARKEST, _PALEST, 256))
        self._map = ScalarMappable(cmap=LinearSegmentedColormap.from_list("dose", colours))
        self.axes = axes
        self.lines = LineCollection([], lw=1.0, zorder=2)
        axes.add_collection(self.lines)
        root: object = axes.figure
        self.bar = root.colorbar(self._map, cax=bar)
        bar.tick_params(labelsize=style.TINY)

    def update(
        self,
        energy: np.ndarray,
        spectra: np.ndarray,
        dose: np.ndarray,
        label: str,
    ) -> None:
        """Show other spectra.

        Parameters
        ----------
        energy
            ``(n_channel,)``.
        spectra
            ``(n_dose, n_channel)``.
        dose
            ``(n_dose,)``.
        label
            What the colours mean, with the unit of the doses.
        """
        low, high = float(np.min(dose)), float(np.max(dose))
        self._map.set_clim(low, high if high > low else low + 1)
        points = np.empty((*spectra.shape, 2))
        points[..., 0], points[..., 1] = energy, spectra
        self.lines.set_segments(list(points))
        self.lines.set_color([tuple(colour) for colour in self._map.to_rgba(dose)])
        self.bar.update_normal(self._map)
        self.bar.set_label(label, fontsize=style.SMALL)


@dataclass(frozen=True, eq=False, kw_only=True)
class LiveCurve:
    """One window against dose.

    Parameters
    ----------
    name
        Its label.
    dose, values
        Data, ``(n_dose,)`` each; doses in one unit throughout, NaN marks a missing frame.
    sigma
        Standard deviation of the noise, ``(n_dose,)``, or ``None``.
    shared
        What errors that frames share have most likely added to the values, or ``None``.
    grid, fitted, lower, upper
        Fit and its interval, ``(n_grid,)`` each; NaN where there is none.
    other
        Another fit on the grid, or ``None``.
    half_dose, half_dose_lower, half_dose_upper, half_value
        D½ with its interval, and the intensity at which it lies; NaN where there is none.
    identifiable, reached
        Whether the data determine D½, and whether it is among the measured doses.
    """

    name: str
    dose: np.ndarray
    values: np.ndarray
    sigma: np.ndarray | None
    grid: np.ndarray
    fitted: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    shared: np.ndarray | None = None
    other: np.ndarray | None = None
    half_dose: float = np.nan
    half_dose_lower: float = np.nan
    half_dose_upper: float = np.nan
    half_value: float = np.nan
    identifiable: bool = False
    reached: bool = False

    @property
    def status(self) -> str:
        """What is known of D½, in a few words."""
        if not np.isfinite(self.fitted).any():
            return "no estimate"
        if not self.identifiable:
            # There is no room for the interval, which the bar shows.
            return style.half_dose_status(self.half_dose, True, False)
        lower, upper = self.half_dose_lower, self.half_dose_upper
        text = style.half_dose_status(self.half_dose, True, True, lower, upper)
        return text if self.reached else f"{text}, extrapolated"


class CurvePanel:
    """Data, fit, its interval and D½ of one window, in axes of their own."""

    def __init__(self, axes: Axes, look: style.WindowStyle) -> None:
        from matplotlib.collections import LineCollection

        self.axes = axes
        self._look = look
        self._band: Any = None
        self._bars = LineCollection([], color="0.25", lw=1.0, zorder=3)
        axes.add_collection(self._bars, autolim=False)
        (self._points,) = axes.plot(
            [], [], look.marker, color=look.colour, ms=5, mec="black", mew=0.5, zorder=4
        )
        (self._measured,) = axes.plot([], [], ".", color=style.GREY, ms=4, zorder=2)
        (self._fit,) = axes.plot([], [], color=look.colour, lw=1.8, zorder=3)
        (self._other,) = axes.plot([], [], color="black", lw=1.4, ls=(0, (4, 2)), zorder=3.5)
        (self._half_line,) = axes.plot([], [], color="black", lw=1.1, zorder=5)
        (self._half,) = axes.plot([], [], "o", mfc="white", mec="black", mew=1.4, ms=7, zorder=6)
        self._ends = [
            axes.plot([], [], marker, color="black", ms=7, mew=1.2, zorder=5)[0]
            for marker in ("|", "|")
        ]
        self._title = axes.set_title("", fontsize=10, loc="left", pad=14, color="black")
        style.as_they_are([self._title])
        self._status = axes.annotate(
            "",
            (0, 1),
            xytext=(0, 3),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=style.TINY,
            color="0.2",
            va="bottom",
        )
        axes.tick_params(labelsize=style.SMALL)
        axes.yaxis.set_major_formatter(plain_number)
        axes.locator_params(axis="x", nbins=4)
        axes.locator_params(axis="y", nbins=5)

    @property
    def fit_line(self) -> object:
        """The line of the fit."""
        return self._fit

    def update(self, curve: LiveCurve) -> None:
        """Show another curve."""
        present = np.isfinite(curve.values)
        dose, values = curve.dose[present], curve.values[present]
        limits = [values]
        self._measured.set_data([], [])
        if curve.shared is not None:
            self._measured.set_data(dose, values)
            values = values - curve.shared[present]
            limits.append(values)
        self._points.set_data(dose, values)
        self._bars.set_segments([])
        if curve.sigma is not None:
            sigma = np.nan_to_num(curve.sigma[present])
            ends = np.stack([values - sigma, values + sigma], axis=1)
            at = np.stack([dose, dose], axis=1)
            self._bars.set_segments(list(np.stack([at, ends], axis=-1)))
            limits.append(ends)
        self._fit.set_data(curve.grid, curve.fitted)
        self._other.set_data(([], []) if curve.other is None else (curve.grid, curve.other))
        if self._band is not None:
            self._band.remove()
        self._band = self.axes.fill_between(
            curve.grid, curve.lower, curve.upper, color=self._look.colour, alpha=0.22, lw=0
        )
        inside = curve.grid >= curve.dose.min() if curve.dose.size else slice(None)
        limits += [curve.fitted, curve.lower[inside], curve.upper[inside]]
        found = style.data_limits(*limits)
        self.axes.set_ylim(*(found or (0.0, 1.0)))
        last = float(curve.grid[-1])
        self.axes.set_xlim(0, 1.04 * last)
        self._show_half_dose(curve, 1.04 * last)
        self._title.set_text(curve.name)
        self._status.set_text(curve.status)

    def _show_half_dose(self, curve: LiveCurve, limit: float) -> None:
        lower, upper, height = curve.half_dose_lower, curve.half_dose_upper, curve.half_value
        shown = np.isfinite(height) and np.isfinite(lower) and not np.isnan(upper)
        shown = shown and lower < 0.975 * limit
        # Arrows end inside the axes, and do not reach into the neighbour's numbers.
        edge = 0.975 * limit
        ends = (max(lower, 0.0), min(upper, edge)) if shown else ()
        self._half_line.set_data(ends, [height] * len(ends))
        self._half_line.set_linestyle("-" if curve.identifiable else "--")
        for place, (mark, open_mark) in enumerate((("|", "<"), ("|", ">"))):
            is_open = shown and (lower <= 0 if place == 0 else upper > edge)
            self._ends[place].set_marker(open_mark if is_open else mark)
            self._ends[place].set_data(ends[place : place + 1], [height] * len(ends[:1]))
        at = [curve.half_dose] if curve.identifiable and curve.half_dose <= limit else []
        self._half.set_data(at, [height] * len(at))


class CurvePanels:
    """A panel for each window; the figure is laid out anew only when the windows are others.

    Parameters
    ----------
    figure
        Figure to fill.
    quantity
        Label of the intensities, with their unit.
    dose_unit
        Unit of the doses.
    """

    def __init__(self, figure: Figure, quantity: str, dose_unit: str = "") -> None:
        self.figure = figure
        self.quantity = quantity
        self.dose_unit = dose_unit
        self.panels: list[CurvePanel] = []

    def update(
        self,
        curves: Sequence[LiveCurve],
        quantity: str | None = None,
        dose_unit: str | None = None,
    ) -> None:
        """Show other curves, of as many windows as there are."""
        labels = (
            self.quantity if quantity is None else quantity,
            self.dose_unit if dose_unit is None else dose_unit,
        )
        if labels != (self.quantity, self.dose_unit):
            (self.quantity, self.dose_unit), self.panels = labels, []
        if len(curves) != len(self.panels):
            self._lay_out(len(curves))
        for panel, curve in zip(self.panels, curves, strict=True):
            panel.update(curve)

    def _lay_out(self, number: int) -> None:
        self.figure.clear()
        columns = min(number, COLUMNS)
        rows = -(-number // columns) if number else 0
        self.panels = []
        for place, look in enumerate(style.window_styles(number)):
            axes = self.figure.add_subplot(rows, columns, place + 1)
            axes.set_xlabel(style.dose_label(self.dose_unit), fontsize=style.SMALL)
            if place % columns == 0:
                axes.set_ylabel(style.wrap(self.quantity, 24), fontsize=style.SMALL)
            self.panels.append(CurvePanel(axes, look))
        if rows:
            width, height = self.figure.get_size_inches()
            self.figure.subplots_adjust(
                left=0.72 / width,
                right=1 - 0.08 / width,
                bottom=0.44 / height,
                top=1 - 0.42 / height,
                wspace=0.36,
                hspace=0.95 / (height / rows - 0.9),
            )

    def height(self, number: int) -> float:
        """Height in inches that so many windows want."""
        return 2.5 * -(-number // COLUMNS) + 0.1
