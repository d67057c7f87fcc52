# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The navigator of the kinetics tool: the pixels, and which of them are looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hyperspy.roi import Point1DROI, Point2DROI, RectangularROI, SpanROI

from hyperspy_dosekin.gui.kinetics.figures import LiveFigure, pyplot_left_alone
from hyperspy_dosekin.gui.kinetics.state import DoseKineticsTool
from hyperspy_dosekin.plotting import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_POINTER = "#D55E00"


class NavigatorFigure(LiveFigure):
    """The image (or line) of all pixels, with the pixel or the rectangle that is looked at."""

    def __init__(self, tool: DoseKineticsTool, figure: Figure) -> None:
        super().__init__(tool, figure)
        self._field, self.note = _field(tool)
        options: dict[str, Any] = {"fig": figure}
        if len(tool.region.sizes) == 2:
            options |= {"colorbar": False, "scalebar": False, "axes_ticks": True, "cmap": "gray"}
        with pyplot_left_alone():
            self._field.plot(**options)
        self.axes = self._field._plot.signal_plot.ax
        self.axes.set_title(self.note, fontsize=style.SMALL)
        for axis in (self.axes.xaxis, self.axes.yaxis):
            axis.label.set_fontsize(style.SMALL)
        self.axes.tick_params(labelsize=style.TINY)
        width, height = figure.get_size_inches()
        self.axes.set_position(
            [0.62 / width, 0.46 / height, 1 - 0.72 / width, 1 - (0.46 + 0.3) / height]
        )
        self._axes = self._field.axes_manager.signal_axes
        two = len(self._axes) == 2
        self._pixel = (Point2DROI if two else Point1DROI)(*self._place())
        self._rectangle = self._box() if two else SpanROI(*self._edges()[0])
        self._busy = False
        self._shown: Any = None
        self._mode()
        self._pixel.events.changed.connect(self._pixel_moved, ["roi"])
        self._rectangle.events.changed.connect(self._rectangle_moved, ["roi"])
        self.follow(tool.region, lambda event: self._mode(), "mode")
        self.follow(tool.region, lambda event: self._move(), "indices")
        self.follow(tool.region, lambda event: self._move(), "rectangle")
        self._held = False
        figure.canvas.mpl_connect("button_press_event", self._pressed)
        figure.canvas.mpl_connect("button_release_event", self._released)

    @property
    def pixel(self) -> Any:
        """The region of interest of the pixel."""
        return self._pixel

    @property
    def rectangle(self) -> Any:
        """The region of interest of the rectangle."""
        return self._rectangle

    def _mode(self) -> None:
        """Show the pointer or the rectangle."""
        wanted = {"pixel": self._pixel, "rectangle": self._rectangle}.get(self.tool.region.mode)
        if wanted is self._shown or not self.alive:
            return
        if self._shown is not None:
            self._shown.remove_widget(self._field)
        self._shown = wanted
        if wanted is not None:
            wanted.add_widget(self._field, color=_POINTER)
        self.redraw()

    def _move(self) -> None:
        """Follow the state."""
        if self._busy or not self.alive:
            return
        self._busy = True
        try:
            place = self._place()
            if isinstance(self._pixel, Point2DROI):
                self._pixel.x, self._pixel.y = place
            else:
                (self._pixel.value,) = place
            _set_box(self._rectangle, self._edges())
        finally:
            self._busy = False
        self.redraw()

    def _pressed(self, event: Any) -> None:
        self._held = True
        if event.inaxes is self.axes and self.tool.region.mode == "pixel":
            # A click anywhere moves the pointer, which is a small thing to get hold of.
            toolbar = getattr(self.figure.canvas, "toolbar", None)
            if not getattr(toolbar, "mode", ""):
                values = (event.xdata, event.ydata)[: len(self._axes)]
                self._go([_index(axis, v) for axis, v in zip(self._axes, values, strict=True)])

    def _released(self, event: object) -> None:
        self._held = False
        self._rectangle_moved(self._rectangle)

    def _pixel_moved(self, roi: Any) -> None:
        if not self._busy:
            self._go([_index(axis, value) for axis, value in zip(self._axes, roi, strict=True)])

    def _go(self, indices: list[int]) -> None:
        self.tool.attempt(self.tool.region.go_to, tuple(indices))

    def _rectangle_moved(self, roi: Any) -> None:
        if self._busy or self._held or self.tool.region.mode != "rectangle":
            return
        ends = tuple(roi)
        pairs = [ends[2 * place : 2 * place + 2] for place in range(len(self._axes))]
        drawn = tuple(
            (_index(axis, low), _index(axis, high))
            for axis, (low, high) in zip(self._axes, pairs, strict=True)
        )
        self._busy = True
        try:
            self.tool.attempt(self.tool.region.draw, drawn)
        finally:
            self._busy = False

    def _place(self) -> list[float]:
        pairs = zip(self._axes_of(), self.tool.region.indices, strict=True)
        return [float(axis.offset + axis.scale * index) for axis, index in pairs]

    def _edges(self) -> list[tuple[float, float]]:
        pairs = zip(self._axes_of(), self.tool.region.rectangle, strict=True)
        return [
            (float(a.offset + a.scale * first), float(a.offset + a.scale * last))
            for a, (first, last) in pairs
        ]

    def _box(self) -> Any:
        (left, right), (top, bottom) = self._edges()
        return RectangularROI(left=left, top=top, right=right, bottom=bottom)

    def _axes_of(self) -> Any:
        return self._field.axes_manager.signal_axes


def _set_box(roi: object, edges: list[tuple[float, float]]) -> None:
    names = (("left", "right"), ("top", "bottom"))
    for (low, high), (first, last) in zip(names, edges, strict=False):
        if first >= getattr(roi, high):
            setattr(roi, high, last)
            setattr(roi, low, first)
        else:
            setattr(roi, low, first)
            setattr(roi, high, last)


def _index(axis: Any, value: float) -> int:
    return round((float(value) - axis.offset) / axis.scale)


def can_navigate(tool: DoseKineticsTool) -> bool:
    """Whether the pixels can be shown: one or two even axes of space."""
    axes = _space_axes(tool)
    return 1 <= len(axes) <= 2 and all(axis.is_uniform and axis.size > 1 for axis in axes)


def _space_axes(tool: DoseKineticsTool) -> list[Any]:
    axes = tool.signal.axes_manager.navigation_axes
    return [axis for place, axis in enumerate(axes) if place != tool.dose.axis]


def _field(tool: DoseKineticsTool) -> tuple[Any, str]:
    """Image of the space axes and what it shows."""
    from hyperspy.signals import Signal1D, Signal2D

    signal = tool.signal
    axes = _space_axes(tool)
    if tool.is_lazy:
        # A sum over everything would read everything.
        image = np.zeros([axis.size for axis in reversed(axes)])
        note = "pixels (lazy: not read)"
    else:
        dose = signal.axes_manager.navigation_axes[tool.dose.axis].index_in_array
        image = np.nansum(signal.data, axis=(dose, signal.data.ndim - 1), dtype=np.float64)
        note = "sum of all frames"
    dictionaries = [{**axis.get_axis_dictionary(), "navigate": False} for axis in reversed(axes)]
    make = Signal2D if len(axes) == 2 else Signal1D
    return make(image, axes=dictionaries), note
