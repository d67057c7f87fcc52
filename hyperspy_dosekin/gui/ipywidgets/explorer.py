# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""View of the explorer of classifications."""

from __future__ import annotations

from typing import Any

import ipywidgets
from hyperspy_gui_ipywidgets.utils import add_display_arg
from link_traits import dlink, link

from hyperspy_dosekin.gui.classification.drawing import ExplorerDrawing
from hyperspy_dosekin.gui.classification.explorer import LARGEST_THRESHOLD, ClassificationExplorer
from hyperspy_dosekin.gui.ipywidgets.boxes import HoldingBox
from hyperspy_dosekin.gui.ipywidgets.canvas import make_figure
from hyperspy_dosekin.gui.opening import state_of

_WIDE = {"description_width": "initial"}


@add_display_arg
def classification_explorer(
    obj: object, opened: list[object] | None = None, **start: object
) -> dict[str, object]:
    """Show a `ClassificationExplorer`: a state, or one that is made for a result."""
    return _view(state_of(obj, ClassificationExplorer, opened, start))


def _view(obj: ClassificationExplorer) -> dict[str, object]:
    """The box of all widgets, and each by its name."""
    wdict = _controls(obj)
    figure, canvas = make_figure(ExplorerDrawing.size_of(obj))
    drawing = ExplorerDrawing(obj, figure)
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
