# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""View of the kinetics tool: figures, windows, controls and results, in one box."""

from __future__ import annotations

from typing import Any

import ipywidgets
from hyperspy_gui_ipywidgets.utils import add_display_arg

from hyperspy_dosekin.gui.ipywidgets.boxes import HoldingBox, row_of
from hyperspy_dosekin.gui.ipywidgets.canvas import keep_size, make_figure
from hyperspy_dosekin.gui.ipywidgets.kinetics.controls import Controls, RegionControls
from hyperspy_dosekin.gui.ipywidgets.kinetics.results import Results
from hyperspy_dosekin.gui.ipywidgets.kinetics.windows import WindowList
from hyperspy_dosekin.gui.kinetics.figures import CurvesFigure, GrowingFigure, SpectraFigure
from hyperspy_dosekin.gui.kinetics.navigator import NavigatorFigure, can_navigate
from hyperspy_dosekin.gui.opening import state_of
from hyperspy_dosekin.gui.tools import DoseKineticsTool

#: Inches, at 100 pixels each: together what a notebook of 1 000 pixels has room for.
_WIDTH, _NAVIGATOR, _HEIGHT, _CURVES, _GROWING = 9.2, 2.9, 3.1, 2.6, 3.6


@add_display_arg
def dose_kinetics_tool(
    obj: object, opened: list[object] | None = None, **options: object
) -> dict[str, object]:
    """Show a `DoseKineticsTool`: a state, or one that is made for a signal; see `state_of`."""
    return _view(state_of(obj, DoseKineticsTool, opened, options))


def _view(obj: DoseKineticsTool) -> dict[str, Any]:
    """The box of all widgets, and each by its name."""
    figures, canvases = _figures(obj)
    windows, controls, results = WindowList(obj), Controls(obj), Results(obj)
    # A figure is moved sideways where there is no room for it.
    frames = {
        name: ipywidgets.Box([canvas], layout={"overflow": "auto", "max_width": "100%"})
        for name, canvas in canvases.items()
    }
    for name, frame in frames.items():
        frame.add_class(f"dk-{name}")
    upper = [frames["spectra"]]
    wdict: dict[str, Any] = {}
    links = [*controls.links]
    if obj.region.sizes:
        region = RegionControls(obj)
        links += region.links
        wdict |= {"region": region.mode, "indices": region.indices}
        left = [frames["navigator"]] if "navigator" in frames else []
        upper.insert(0, ipywidgets.VBox([*left, region.widget]))
    # Beside each other on a wide screen, below each other on a narrow one.
    shown = ipywidgets.VBox(
        [row_of(upper), frames["curves"], frames["growing"]], layout={"max_width": "100%"}
    )
    _show_when_followed(obj, frames["growing"])
    chosen = row_of([windows.widget, controls.widget], flex="1 1 400px")
    windows.widget.layout.flex = controls.widget.layout.flex = "1 1 320px"
    controls.widget.layout.width = "auto"
    box = HoldingBox(
        [results.message, row_of([shown, chosen]), results.widget], layout={"width": "100%"}
    )
    box.add_class("dosekin-kinetics")

    def close(button: Any = None) -> None:
        obj.close()
        for figure in figures.values():
            figure.close()
        box.close()

    results.buttons["close"].on_click(close)
    wdict |= {
        **controls.wdict,
        **{f"{name}_button": button for name, button in windows.buttons.items()},
        **{f"{name}_button": button for name, button in results.buttons.items()},
        "snap": windows.snap,
        "windows": windows,
        "message": results.message,
        "table": results.table,
        "notes": results.notes,
        "progress": results.progress,
        "what": results.what,
        "path": results.path,
        "overwrite": results.overwrite,
        "code": results.code,
        "figures": figures,
        "canvases": canvases,
        "tool": obj,
    }
    box.held = (links, windows, controls, results, figures)
    return {"widget": box, "wdict": wdict}


def _show_when_followed(obj: DoseKineticsTool, frame: Any) -> None:
    """Show a figure as soon as a folder is followed."""

    def show(event: object = None) -> None:
        frame.layout.display = None if obj.following.picture is not None else "none"

    show()
    obj.following.observe(show, "picture")


def _figures(obj: DoseKineticsTool) -> tuple[dict[str, Any], dict[str, Any]]:
    """The figures and their canvases, which are widgets whatever the backend is."""
    figures: dict[str, Any] = {}
    canvases: dict[str, Any] = {}
    navigable = can_navigate(obj)
    spare = _NAVIGATOR if obj.region.sizes else 0.0
    wanted = [("spectra", SpectraFigure, (_WIDTH - spare, _HEIGHT))]
    wanted += [("navigator", NavigatorFigure, (_NAVIGATOR - 0.1, _HEIGHT))] if navigable else []
    wanted += [
        ("curves", CurvesFigure, (_WIDTH, _CURVES)),
        ("growing", GrowingFigure, (_WIDTH, _GROWING)),
    ]
    for name, make, size in wanted:
        figure, canvas = make_figure(size, layout=None)
        keep_size(canvas)
        canvas.footer_visible = False
        figures[name], canvases[name] = make(obj, figure), canvas
    # Over the spectra it comes when the mouse does: a person may want to zoom.
    for name, canvas in canvases.items():
        canvas.toolbar_visible = "fade-in-fade-out" if name == "spectra" else False
    return figures, canvases
