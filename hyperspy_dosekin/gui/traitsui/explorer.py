# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
# pyright: reportMissingImports=false
"""The explorer of classifications as a window of Qt."""

from __future__ import annotations

import traits.api as t
import traitsui.api as tu

from hyperspy_dosekin.gui.classification.drawing import ExplorerDrawing
from hyperspy_dosekin.gui.classification.explorer import ClassificationExplorer
from hyperspy_dosekin.gui.opening import state_of
from hyperspy_dosekin.gui.traitsui.editors import FigureEditor, make_figure, number, told


def classification_explorer(
    obj: object, display: bool = True, opened: list[object] | None = None, **start: object
) -> dict[str, object] | None:
    """Show a `ClassificationExplorer`: a state, or one that is made for a result."""
    panel = ExplorerPanel(state_of(obj, ClassificationExplorer, opened, start))
    if display:
        panel.edit_traits()
        return None
    return {"widget": panel, "wdict": {"tool": panel.tool, "figure": panel.figure}}


class ExplorerPanel(t.HasTraits):
    """What the window shows of the explorer.

    Parameters
    ----------
    tool
        The state, which the panel shows and changes.
    """

    tool = t.Instance(ClassificationExplorer, allow_none=False)
    figure = t.Any()

    def __init__(self, tool: ClassificationExplorer) -> None:
        super().__init__(tool=tool)
        self.figure = make_figure(ExplorerDrawing.size_of(tool))
        self.drawing = ExplorerDrawing(tool, self.figure)

    def default_traits_view(self) -> tu.View:
        """The window."""
        tool = self.tool
        place = [
            tu.Item(f"object.tool.{name}", editor=tu.RangeEditor(low=0, high=last, mode="spinner"))
            for name, last in (("x", tool.last_x), ("y", tool.last_y))
        ]
        if tool.last_frame:
            frame = tu.RangeEditor(low=0, high=tool.last_frame, mode="slider")
            place.insert(0, tu.Item("object.tool.frame", editor=frame))
        rows = [tu.HGroup(*place)]
        if tool.has_spectra:
            rows.append(
                tu.HGroup(
                    tu.Item("object.tool.mark_unknown"),
                    number("object.tool.threshold", label="beyond a novelty of"),
                    tu.Item("object.tool.scale_references"),
                )
            )
        return tu.View(
            *rows,
            told("object.tool.description"),
            tu.Item("figure", editor=FigureEditor(), show_label=False),
            title="Classification",
            resizable=True,
        )
