# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The figure of the explorer of classifications, which follows the state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hyperspy_dosekin.gui.classification.explorer import ClassificationExplorer
from hyperspy_dosekin.plotting.classification.exploration import (
    FIGURE_SIZE,
    MAP_SIZE,
    ClassificationFigure,
    ClassMapFigure,
)
from hyperspy_dosekin.signals.classification.class_map import UNKNOWN_NAME
from hyperspy_dosekin.signals.classification.explored import ExploredClassification

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class ExplorerDrawing:
    """What is drawn of a state, brought up to date when that changes.

    Parameters
    ----------
    obj
        The state.
    figure
        Figure to draw in, which has a canvas.
    """

    @staticmethod
    def size_of(obj: ClassificationExplorer) -> tuple[float, float]:
        """Width and height of the figure in inches."""
        return FIGURE_SIZE if obj.has_spectra else MAP_SIZE

    def __init__(self, obj: ClassificationExplorer, figure: Figure) -> None:
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
