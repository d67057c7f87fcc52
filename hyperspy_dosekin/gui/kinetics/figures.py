# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures of the kinetics tool: spectra with their windows, and curves against dose.

Spans are HyperSpy's regions of interest on HyperSpy's plots; matplotlib only, no widgets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.gui.kinetics.state import DoseKineticsTool
from hyperspy_dosekin.plotting import style
from hyperspy_dosekin.plotting.kinetics.growing import plot_growing
from hyperspy_dosekin.plotting.kinetics.live import CurvePanels, Frames, LiveCurve, plain_number

if TYPE_CHECKING:
    from matplotlib.backend_bases import MouseEvent
    from matplotlib.figure import Figure

#: Opacity of a span, through which spectra are still seen.
_ALPHA = 0.13
#: Heights of the labels of windows, in turn, as shares of the axes.
_LABEL_HEIGHTS = (0.985, 0.905)


class LiveFigure:
    """A figure that follows a part of the tool until it is closed.

    Parameters
    ----------
    tool
        What it shows.
    figure
        Figure to draw in.
    """

    def __init__(self, tool: DoseKineticsTool, figure: Figure) -> None:
        self.tool = tool
        self.figure = figure
        self.alive = True
        self.drawn: Callable[[], None] | None = None
        self._observed: list[tuple[Any, Any, str]] = []
        figure.canvas.mpl_connect("close_event", lambda event: self.close())

    def follow(self, what: Any, handler: Callable[[Any], None], name: str) -> None:
        """Call `handler` when a trait changes, as long as the figure is open."""
        what.observe(handler, name)
        self._observed.append((what, handler, name))

    def close(self) -> None:
        """Follow nothing more; the tool goes on."""
        if not self.alive:
            return
        self.alive = False
        for what, handler, name in self._observed:
            what.observe(handler, name, remove=True)
        self._observed = []

    def redraw(self) -> None:
        """Draw when there is time, and tell who shows a copy."""
        if not self.alive:
            return
        self.figure.canvas.draw_idle()
        if self.drawn is not None:
            self.drawn()


class SpectraFigure(LiveFigure):
    """All frames over each other, and a span for each window, to be dragged."""

    def __init__(self, tool: DoseKineticsTool, figure: Figure) -> None:
        super().__init__(tool, figure)
        self._host = _host(tool)
        with pyplot_left_alone():
            self._host.plot(fig=figure)
        self.axes = self._host._plot.signal_plot.ax
        # The plot is there for the spans; its line has nothing to say.
        self._host._plot.signal_plot.ax_lines[0].line.set_visible(False)
        width, height = figure.get_size_inches()
        left, right, bottom, top = 0.75 / width, 1.0 / width, 0.46 / height, 0.12 / height
        self.axes.set_position([left, bottom, 1 - left - right, 1 - bottom - top])
        bar = figure.add_axes(
            (1 - 0.9 / width, bottom, 0.13 / width, 1 - bottom - top), label="dose"
        )
        self.frames = Frames(self.axes, bar)
        self.axes.set_title("")
        self.axes.set_xlabel(f"Energy loss ({tool.energy_units})", fontsize=9)
        self.axes.tick_params(labelsize=style.SMALL)
        self.axes.yaxis.set_major_formatter(plain_number)
        self._labels: dict[int, Any] = {}
        self._widgets: dict[int, Any] = {}
        self._scaled = False
        self._list()
        self._show_spectra()
        self.follow(tool.windows, lambda event: self._list(), "listed")
        self.follow(tool.windows, lambda event: self._place_labels(), "moved")
        self.follow(tool, lambda event: self._show_spectra(), "prepared")
        figure.canvas.mpl_connect("button_press_event", self._pressed)
        figure.canvas.mpl_connect("button_release_event", self._released)

    def close(self) -> None:
        """Take the spans away; windows keep their limits."""
        if self.alive:
            self.tool.windows.release()
            self._widgets = {}
        super().close()

    def _pressed(self, event: MouseEvent) -> None:
        if event.inaxes is self.axes:
            self.tool.windows.hold()

    def _released(self, event: object) -> None:
        if self.tool.windows.held:
            self.tool.attempt(self.tool.windows.release)
            self._place_labels()

    def _list(self) -> None:
        """A span for each window, in its colour."""
        if not self.alive:
            return
        rows = self.tool.windows.rows
        kept = {id(row): row for row in rows}
        for key, (row, _) in list(self._widgets.items()):
            if key not in kept:
                row.roi.remove_widget(self._host, render_figure=False)
                self._labels.pop(key).remove()
                del self._widgets[key]
        for row, look in zip(rows, style.window_styles(len(rows)), strict=True):
            key = id(row)
            if key not in self._widgets:
                widget = row.roi.add_widget(self._host, color=look.colour, snap=False, alpha=_ALPHA)
                label = self.axes.text(
                    0,
                    1,
                    "",
                    transform=self.axes.get_xaxis_transform(),
                    ha="center",
                    va="top",
                    fontsize=9,
                    fontweight="bold",
                    clip_on=True,
                    parse_math=False,
                    zorder=8,
                    bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1.0},
                )
                self._widgets[key] = (row, widget)
                self._labels[key] = label
            self._widgets[key][1].color = look.colour
            self._labels[key].set(text=row.name, color=look.colour)
        self._place_labels()

    def _place_labels(self) -> None:
        for place, row in enumerate(self.tool.windows.rows):
            label = self._labels.get(id(row))
            if label is not None:
                left, right = row.limits
                height = _LABEL_HEIGHTS[place % len(_LABEL_HEIGHTS)]
                label.set(x=(left + right) / 2, y=height)
        self.redraw()

    def _show_spectra(self) -> None:
        prepared = self.tool.prepared
        if prepared is None or not self.alive:
            return
        label = style.dose_label(prepared.dose_unit) if prepared.has_doses else "Frame"
        self.frames.update(prepared.energy, prepared.spectra, prepared.dose, label)
        quantity = prepared.signal.metadata.get_item("Signal.quantity", "") or "Intensity"
        self.axes.set_ylabel(style.wrap(quantity, 30), fontsize=9)
        limits = self.tool.windows.as_dict().values()
        left, right = min(left for left, _ in limits), max(right for _, right in limits)
        if not self._scaled:
            # Afterwards a person may have zoomed.
            margin = 0.12 * (right - left)
            energy = self.tool.windows.energies
            self.axes.set_xlim(max(left - margin, energy[0]), min(right + 2 * margin, energy[-1]))
            self._scaled = True
        low, high = self.axes.get_xlim()
        # What is left of the first window is the zero-loss peak, which would hide the rest.
        seen = (prepared.energy >= max(left, low)) & (prepared.energy <= high)
        found = style.data_limits(prepared.spectra[:, seen]) if seen.any() else None
        if found is not None:
            room = 0.18 * (found[1] - found[0])
            self.axes.set_ylim(found[0], found[1] + room)
        self.redraw()


class CurvesFigure(LiveFigure):
    """Areas against dose with the exact fit and its interval, a panel for each window."""

    def __init__(self, tool: DoseKineticsTool, figure: Figure) -> None:
        super().__init__(tool, figure)
        self.panels = CurvePanels(figure, "Window area")
        self._show()
        self.follow(tool, lambda event: self._show(), "live")
        self.follow(tool, lambda event: self._show(), "network")

    def _show(self) -> None:
        if not self.alive:
            return
        live = self.tool.live
        if live is None:
            self.panels.update([])
            self.figure.clear()
            self.figure.text(
                0.5, 0.5, "no fit: see the message", ha="center", va="center", color=style.GREY
            )
            self.redraw()
            return
        data = live.kinetics.maps.data
        self.panels.update(live_curves(self.tool), data.quantity, data.dose_unit)
        self.redraw()


class GrowingFigure(LiveFigure):
    """Areas and D½ of the frames of a folder that is followed."""

    def __init__(self, tool: DoseKineticsTool, figure: Figure) -> None:
        super().__init__(tool, figure)
        figure.set_layout_engine("constrained")
        self.follow(tool.following, lambda event: self._show(), "picture")

    def _show(self) -> None:
        picture = self.tool.following.picture
        if picture is None or not self.alive:
            return
        plot_growing(picture, fig=self.figure)
        self.redraw()


def live_curves(tool: DoseKineticsTool) -> list[LiveCurve]:
    """What the panels show of the present fit."""
    live = tool.live
    assert live is not None
    data, numbers = live.kinetics.maps.data, live.kinetics.numbers
    names = ("half_integrity_dose", "amplitude", "offset", "identifiable", "reached")
    half, amplitude, offset, identifiable, reached = (numbers.map(name) for name in names)
    half_lower, half_upper = numbers.interval("half_integrity_dose")
    shared = numbers.likely_shared
    other = None
    if tool.network is not None:
        other = tool.network.estimate.intensity(live.grid).mean(axis=0)
    curves = []
    for place, name in enumerate(data.window_names):
        variance = None if data.variance is None else data.variance[place]
        curves.append(
            LiveCurve(
                name=name,
                dose=data.dose,
                values=np.asarray(data.values[place], dtype=float),
                sigma=None if variance is None else np.sqrt(np.maximum(variance, 0.0)),
                shared=None if shared is None else shared[place],
                grid=live.grid,
                fitted=live.fitted[place],
                lower=live.lower[place],
                upper=live.upper[place],
                other=None if other is None else other[place],
                half_dose=float(half[place]),
                half_dose_lower=float(half_lower[place]),
                half_dose_upper=float(half_upper[place]),
                half_value=float(amplitude[place] / 2 + offset[place]),
                identifiable=bool(identifiable[place]),
                reached=bool(reached[place]),
            )
        )
    return curves


@contextmanager
def pyplot_left_alone() -> Iterator[None]:
    """Keep HyperSpy, which sets limits of pyplot's current axes, away from those of the user."""
    import matplotlib.pyplot as plt

    before = plt.gcf().number if plt.get_fignums() else None
    with plt.ioff():
        spare = plt.figure()
    try:
        yield
    finally:
        plt.close(spare)
        if before is not None:
            plt.figure(before)


def _host(tool: DoseKineticsTool) -> Any:
    """An empty signal on the energy axis, whose plot carries the spans."""
    from hyperspy.signals import Signal1D

    axis = tool.signal.axes_manager.signal_axes[0].get_axis_dictionary()
    return Signal1D(np.zeros(axis.get("size", tool.windows.energies.size)), axes=[axis])
