# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of windows: a line for each, with its name and limits to type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np
from matplotlib.colors import to_hex

from hyperspy_dosekin.gui.ipywidgets.boxes import row_of
from hyperspy_dosekin.gui.ipywidgets.number import NumberText
from hyperspy_dosekin.gui.kinetics.windows import WindowRow
from hyperspy_dosekin.gui.tools import DoseKineticsTool
from hyperspy_dosekin.numerics.html import element
from hyperspy_dosekin.plotting.style import window_styles

if TYPE_CHECKING:
    from traitlets.utils.bunch import Bunch

_NUMBER = {"width": "84px"}
#: Digits that are shown of a limit; the limit itself keeps all.
_DIGITS = 4


class WindowLine:
    """One window: colour, name, limits, and a button to remove it."""

    def __init__(self, tool: DoseKineticsTool, row: WindowRow, colour: Any) -> None:
        self.tool, self.row, self.colour = tool, row, to_hex(colour)
        self._busy = False
        css = f"width:14px;height:14px;margin-top:8px;background:{self.colour}"
        swatch = ipywidgets.HTML(element("div", css=css))
        self.name = ipywidgets.Text(
            value=row.name,
            continuous_update=False,
            tooltip="Name of the window",
            layout={"width": "112px"},
        )
        self.left, self.right = (
            NumberText(tool.refuse, _DIGITS, layout=_NUMBER) for _ in ("left", "right")
        )
        self.remove = ipywidgets.Button(icon="times", layout={"width": "34px"})
        self.remove.add_class("dk-remove")
        self.widget = row_of(
            [
                swatch,
                self.name,
                self.left,
                ipywidgets.Label("to"),
                self.right,
                ipywidgets.Label(tool.energy_units),
                self.remove,
            ]
        )
        self.widget.add_class("dk-window")
        self.show()
        self.name.observe(self._rename, "value")
        self.left.observe(self._move, "number")
        self.right.observe(self._move, "number")
        self.remove.on_click(lambda button: tool.attempt(tool.windows.remove, row.name))
        row.roi.events.changed.connect(self._dragged, ["roi"])

    def close(self) -> None:
        """Follow the span no more."""
        if self._dragged in self.row.roi.events.changed.connected:
            self.row.roi.events.changed.disconnect(self._dragged)

    def show(self) -> None:
        """Show what the state is."""
        self._busy = True
        try:
            name = self.name.value = self.row.name
            self.left.tooltip, self.right.tooltip = (
                f"Left limit of {name}",
                f"Right limit of {name}",
            )
            self.remove.tooltip = f"Remove {name}"
            left, right = self.row.limits
            if np.isfinite([left, right]).all():
                self.left.number, self.right.number = left, right
        finally:
            self._busy = False

    def _dragged(self, roi: object) -> None:
        self.show()

    def _rename(self, change: Bunch) -> None:
        if self._busy:
            return
        self.tool.attempt(self.tool.rename_window, self.row.name, change["new"])
        self.show()

    def _move(self, change: Bunch) -> None:
        if self._busy:
            return
        left, right = self.row.limits
        # The other limit stays as it is, with all its digits.
        place = (change["new"], right) if change["owner"] is self.left else (left, change["new"])
        self.tool.attempt(self.tool.windows.set_limits, self.row.name, *place)
        self.show()


class WindowList:
    """All windows, and the buttons that change the list."""

    def __init__(self, tool: DoseKineticsTool) -> None:
        self.tool = tool
        self.lines: list[WindowLine] = []
        self._box = ipywidgets.VBox()
        self.buttons = {
            name: ipywidgets.Button(
                description=text, tooltip=tooltip, icon=icon, layout={"width": "auto"}
            )
            for name, text, tooltip, icon in (
                ("add", "Add", "Add a window", "plus"),
                ("reset", "Reset", "The windows of the start", "undo"),
                (
                    "paper",
                    "Paper defaults",
                    "Those of arXiv:2605.01697",
                    "file-text-o",
                ),
            )
        }
        for name, button in self.buttons.items():
            button.add_class(f"dk-{name}")
        self.snap = ipywidgets.Checkbox(
            value=tool.windows.snap,
            description="Snap to channel",
            indent=False,
            layout={"width": "auto"},
        )
        self.widget = ipywidgets.VBox([self._box, row_of([*self.buttons.values(), self.snap])])
        self.refresh()
        self.buttons["add"].on_click(lambda button: tool.attempt(tool.windows.add))
        self.buttons["reset"].on_click(lambda button: tool.attempt(tool.windows.reset))
        self.buttons["paper"].on_click(lambda button: tool.attempt(tool.windows.paper_defaults))
        self.snap.observe(self._snap, "value")
        tool.windows.observe(lambda event: self.refresh(), "listed")
        tool.windows.observe(lambda event: self.show(), "moved")

    def _snap(self, change: Bunch) -> None:
        self.tool.windows.snap = change["new"]
        self.show()

    def refresh(self) -> None:
        """A line for each window that is there now; one that was there keeps focus and typing."""
        rows = self.tool.windows.rows
        colours = [to_hex(look.colour) for look in window_styles(len(rows))]
        old = {(id(line.row), line.colour): line for line in self.lines}
        self.lines = [
            old.pop((id(row), colour), None) or WindowLine(self.tool, row, colour)
            for row, colour in zip(rows, colours, strict=True)
        ]
        for line in old.values():
            line.close()
        self.show()
        self._box.children = [line.widget for line in self.lines]

    def show(self) -> None:
        """Show the limits of all windows."""
        for line in self.lines:
            line.show()
