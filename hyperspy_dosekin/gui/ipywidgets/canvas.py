# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures within a view, whatever backend the notebook has chosen for its own."""

from __future__ import annotations

from typing import Any, Literal


def make_figure(
    size: tuple[float, float], layout: Literal["constrained"] | None = "constrained"
) -> tuple[Any, Any]:
    """Make an empty figure and the widget that shows it; its toolbar lies upon the left edge.

    The figure belongs to the view alone: pyplot does not know it, so that neither its "current
    figure" changes nor ``plt.close("all")`` takes the picture out of the view.

    Parameters
    ----------
    layout
        How panels are arranged; ``None`` leaves that to whoever draws.
    """
    from ipympl.backend_nbagg import Canvas, FigureManager
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout=layout)
    canvas = Canvas(figure)
    canvas.header_visible = False
    # By default it comes when the mouse does, and covers what the mouse is for.
    canvas.toolbar_visible = True
    FigureManager(canvas, 0)
    if layout is not None:
        _keep_layout(figure)
    return figure, canvas


def _keep_layout(figure: Any) -> None:
    """Arrange the panels when they are drawn first and when the size changes, not every time.

    Arranging takes longer than drawing, and panels that shift while a slider moves are unpleasant.
    """
    canvas = figure.canvas
    canvas.mpl_connect("draw_event", lambda _: figure.set_layout_engine("none"))
    canvas.mpl_connect("resize_event", lambda _: figure.set_layout_engine("constrained"))


def keep_size(canvas: Any) -> None:
    """Let nobody drag the canvas larger, and leave out the handle for it.

    The browser's side of ipympl makes a canvas resizable when it begins, so it is told after that.
    """
    canvas.resizable = False

    def tell_again(widget: object, content: Any, buffers: object) -> None:
        if content.get("type") == "initialized":
            canvas.send_state("resizable")

    canvas.on_msg(tell_again)
