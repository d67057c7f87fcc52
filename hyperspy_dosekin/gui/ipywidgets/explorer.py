# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""View of the explorer of classifications."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets
from hyperspy_gui_ipywidgets.utils import add_display_arg
from link_traits import dlink, link

from hyperspy_dosekin.gui.classification.explorer import LARGEST_THRESHOLD, ClassificationExplorer
from hyperspy_dosekin.gui.ipywidgets.canvas import make_figure
from hyperspy_dosekin.gui.ipywidgets.opening import HoldingBox, state_of
from hyperspy_dosekin.plotting.classification.exploration import (
    FIGURE_SIZE,
    MAP_SIZE,
    ClassificationFigure,
    ClassMapFigure,
)
from hyperspy_dosekin.signals.classification.class_map import UNKNOWN_NAME
from hyperspy_dosekin.signals.classification.explored import ExploredClassification

_WIDE = {"description_width": "initial"}


@add_display_arg
def classification_explorer(
    obj: Any, on_open: Callable[[ClassificationExplorer], None] | None = None, **start: Any
) -> dict[str, Any]:
    """Show a `ClassificationExplorer`: a state, or one that is made for a result."""
    return _view(state_of(obj, ClassificationExplorer, on_open, start))


def _view(obj: ClassificationExplorer) -> dict[str, Any]:
    """The box of all widgets, and each by its name."""
    wdict = _controls(obj)
    figure, canvas = make_figure(FIGURE_SIZE if obj.has_spectra else MAP_SIZE)
    drawing = _Drawing(obj, figure)
    wdict["canvas"], wdict["figure"], wdict["tool"] = canvas, figure, obj
    place = [wdict["frame"], wdict["frame_title"]] if obj.last_frame else []
    place += [wdict["x"], wdict["y"]]
    rows = [ipywidgets.HBox(place)]
    if obj.has_spectra:
        choices = [wdict[name] for name in ("mark_unknown", "threshold", "scale_references")]
        rows.append(ipywidgets.HBox(choices))
    rows += [wdict["description"], canvas]
    box = HoldingBox(rows)
    box.add_class("dosekin-explorer")
    box.held = (*wdict.pop("_links"), drawing)
    return {"widget": box, "wdict": wdict}


def _controls(obj: ClassificationExplorer) -> dict[str, Any]:
    """Widgets by name, linked to the state; each can be used from the keyboard."""
    wdict: dict[str, Any] = {
        "frame": ipywidgets.IntSlider(
            value=obj.frame, max=obj.last_frame, description="Frame", style=_WIDE
        ),
        "frame_title": ipywidgets.Label(
            obj.frame_title, layout=ipywidgets.Layout(margin="2px 2em 2px 0.5em")
        ),
        "mark_unknown": ipywidgets.Checkbox(
            value=obj.mark_unknown, description="Mark as unknown", indent=False
        ),
        "threshold": ipywidgets.FloatSlider(
            value=obj.threshold,
            max=LARGEST_THRESHOLD,
            step=0.05,
            description="beyond a novelty of",
            style=_WIDE,
            layout=ipywidgets.Layout(width="28em"),
        ),
        "scale_references": ipywidgets.Checkbox(
            value=obj.scale_references, description="Scale references to the pixel", indent=False
        ),
        "description": ipywidgets.Label(obj.description),
    }
    for name, last in (("x", obj.last_x), ("y", obj.last_y)):
        wdict[name] = ipywidgets.BoundedIntText(
            value=getattr(obj, name),
            max=last,
            description=f"{name} (pixel)",
            style=_WIDE,
            layout=ipywidgets.Layout(width="9.5em"),
        )
    wdict["mark_unknown"].layout.width = "11em"
    for name, widget in wdict.items():
        widget.add_class(f"dosekin-{name.replace('_', '-')}")
    linked = ["frame", "x", "y", "threshold", "mark_unknown", "scale_references"]
    wdict["_links"] = [
        *(link((obj, name), (wdict[name], "value")) for name in linked),
        dlink((obj, "mark_unknown"), (wdict["threshold"], "disabled"), lambda on: not on),
        dlink((obj, "description"), (wdict["description"], "value")),
        dlink((obj, "frame"), (wdict["frame_title"], "value"), obj.explored.frame_title),
    ]
    return wdict


class _Drawing:
    """What is drawn of a state, brought up to date when that changes."""

    def __init__(self, obj: ClassificationExplorer, figure: Any) -> None:
        self._state, self._figure = obj, figure
        explored = obj.explored
        size = {"pixel_size": explored.pixel_size, "units": explored.units}
        if isinstance(explored, ExploredClassification):
            self._picture: Any = ClassificationFigure(
                figure, explored.shape, explored.names, UNKNOWN_NAME, explored.energy_ev,
                explored.references, explored.quantity, **size,
            )  # fmt: skip
        else:
            self._picture = ClassMapFigure(figure, explored.shape, explored.names, **size)
        self._draw()
        obj.observe(self._draw, "labels, pixel, x, y, threshold, mark_unknown, scale_references")
        figure.canvas.mpl_connect("button_press_event", self._pressed)

    def _draw(self, event: Any = None) -> None:
        state, picture = self._state, self._picture
        name = event.name if event is not None else ""
        if name in ("", "labels"):
            picture.map.show(state.labels, state.frame_title)
            if not state.has_spectra:
                picture.show_shares(state.shares)
        picture.map.mark(state.x, state.y)
        if state.has_spectra:
            picture.show_threshold(state.threshold if state.mark_unknown else None)
            if name in ("", "pixel", "scale_references"):
                scale = state.scale_references
                picture.show_pixel(**vars(state.pixel), scale_references=scale)
        self._figure.canvas.draw_idle()

    def _pressed(self, event: Any) -> None:
        """Select the pixel that was clicked, unless the toolbar moves or enlarges the map."""
        mode = getattr(self._figure.canvas.toolbar, "mode", "")
        if event.inaxes is not self._picture.map.axes or event.button != 1 or str(mode):
            return
        x, y = round(event.xdata), round(event.ydata)
        if 0 <= x <= self._state.last_x and 0 <= y <= self._state.last_y:
            self._state.select(x, y)
