# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
# pyright: reportMissingImports=false
"""The kinetics tool as a window of Qt."""

from __future__ import annotations

import textwrap
from itertools import zip_longest
from typing import Any

import traits.api as t
import traitsui.api as tu
from pyface.timer.api import CallbackTimer

from hyperspy_dosekin.gui.kinetics.figures import CurvesFigure, GrowingFigure, SpectraFigure
from hyperspy_dosekin.gui.kinetics.navigator import NavigatorFigure, can_navigate
from hyperspy_dosekin.gui.kinetics.windows import WindowRow
from hyperspy_dosekin.gui.opening import state_of
from hyperspy_dosekin.gui.tools import DoseKineticsTool
from hyperspy_dosekin.gui.traitsui.editors import FigureEditor, make_figure, number, told
from hyperspy_dosekin.numerics.typed import number_of

#: Inches of the figures.
_SPECTRA, _CURVES, _NAVIGATOR, _GROWING = (9.0, 3.1), (9.0, 2.6), (3.0, 3.0), (9.0, 3.4)
#: Seconds between two looks at what a thread has to tell.
_PAUSE = 0.1
# Letters of a line of the notes, which fit beside each other in the first size of the window.
_LETTERS = 118
_BUTTONS = ("undo", "redo", "network", "stop", "apply", "save", "code")


def dose_kinetics_tool(
    obj: Any, display: bool = True, opened: list[Any] | None = None, **options: Any
) -> dict[str, Any] | None:
    """Show a `DoseKineticsTool`: a state, or one that is made for a signal; see `state_of`."""
    panel = KineticsPanel(state_of(obj, DoseKineticsTool, opened, options))
    if display:
        panel.edit_traits()
        return None
    return {"widget": panel, "wdict": {"tool": panel.tool, "figures": panel.figures}}


class WindowLine(t.HasTraits):
    """A window as a line to type in; what does not fit is refused, with the tool's message.

    Parameters
    ----------
    tool
        The tool.
    row
        The window.
    """

    name = t.Property(t.Str)
    left = t.Property(t.Float)
    right = t.Property(t.Float)

    def __init__(self, tool: DoseKineticsTool, row: WindowRow) -> None:
        super().__init__()
        self._tool, self._row = tool, row

    def _get_name(self) -> str:
        return self._row.name

    def _set_name(self, name: str) -> None:
        self._tool.attempt(self._tool.rename_window, self._row.name, name)

    def _get_left(self) -> float:
        return self._row.limits[0]

    def _set_left(self, left: float) -> None:
        self._place(left, self._row.limits[1])

    def _get_right(self) -> float:
        return self._row.limits[1]

    def _set_right(self, right: float) -> None:
        self._place(self._row.limits[0], right)

    def _place(self, left: float, right: float) -> None:
        self._tool.attempt(self._tool.windows.set_limits, self._row.name, left, right)
        self.moved()

    def moved(self) -> None:
        """Tell that the limits are others."""
        for name, value in zip(("left", "right"), self._row.limits, strict=True):
            self.trait_property_changed(name, None, value)  # pyright: ignore[reportAttributeAccessIssue]


class KineticsPanel(t.HasTraits):
    """What the window shows of the tool.

    Parameters
    ----------
    tool
        The state, which the panel shows and changes.
    """

    tool = t.Instance(DoseKineticsTool, allow_none=False)
    lines = t.List(t.Instance(WindowLine, allow_none=False))
    chosen = t.Instance(WindowLine)
    spectra, curves, navigator, growing = t.Any(), t.Any(), t.Any(), t.Any()
    text = t.Property(t.Str, observe="tool:[message, level, table.items, headers, notes.items]")
    shown_code = t.Str()
    add, remove, reset, paper = t.Button(), t.Button(), t.Button(), t.Button("Paper defaults")
    undo, redo, network, stop = t.Button(), t.Button(), t.Button("Fit network"), t.Button()
    apply, save, code = t.Button(), t.Button(), t.Button("Show code")
    follow = t.Button("Follow this folder")

    def __init__(self, tool: DoseKineticsTool) -> None:
        super().__init__(tool=tool)
        self.spectra, self.curves = make_figure(_SPECTRA), make_figure(_CURVES)
        self.growing = make_figure(_GROWING)
        self.figures: dict[str, Any] = {
            "spectra": SpectraFigure(tool, self.spectra),
            "curves": CurvesFigure(tool, self.curves),
            "growing": GrowingFigure(tool, self.growing),
        }
        if can_navigate(tool):
            self.navigator = make_figure(_NAVIGATOR)
            self.figures["navigator"] = NavigatorFigure(tool, self.navigator)
        self._list()
        tool.windows.observe(self._list, "listed")
        tool.windows.observe(self._moved, "moved")
        # Nobody else tells in this thread what the worker has to tell.
        self._timer = CallbackTimer(callback=tool.worker.tell, interval=_PAUSE)
        self._timer.start()

    def close(self) -> None:
        """Close the tool and its figures."""
        self._timer.stop()
        self.tool.windows.observe(self._list, "listed", remove=True)
        self.tool.windows.observe(self._moved, "moved", remove=True)
        self.tool.close()
        for figure in self.figures.values():
            figure.close()

    def _list(self, event: Any = None) -> None:
        self.chosen = None
        self.lines = [WindowLine(self.tool, row) for row in self.tool.windows.rows]

    def _moved(self, event: Any) -> None:
        for line in self.lines:
            line.moved()

    def _get_text(self) -> str:
        tool = self.tool
        sign = "⚠ " if tool.level == "error" else ""
        rows = [tool.headers, *(row.cells for row in tool.table)] if tool.table else []
        # Headers and rows change one after the other.
        widths = [max(map(len, column)) for column in zip_longest(*rows, fillvalue="")]
        lines = (
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False))
            for row in rows
        )
        notes = (textwrap.fill(note, _LETTERS, subsequent_indent="  ") for note in tool.notes)
        return "\n".join([sign + tool.message, "", *lines, "", *notes])

    @t.observe("add, remove, reset, paper, undo, redo, network, stop, apply, save, code, follow")
    def _pressed(self, event: Any) -> None:
        tool, windows = self.tool, self.tool.windows
        actions = {
            "add": windows.add,
            "remove": self._remove,
            "reset": windows.reset,
            "paper": windows.paper_defaults,
            "undo": tool.undo,
            "redo": tool.redo,
            "network": tool.fit_network,
            "stop": tool.stop,
            "apply": tool.apply,
            "save": tool.save,
            "code": self._show_code,
            "follow": tool.follow_folder,
        }
        tool.attempt(actions[event.name])

    def _remove(self) -> None:
        if self.chosen is None:
            raise ValueError("choose the window to remove: click on its line.")
        self.tool.windows.remove(self.chosen.name)

    def _show_code(self) -> None:
        self.shown_code = self.tool.code

    def default_traits_view(self) -> tu.View:
        """The window."""
        return tu.View(
            tu.VSplit(
                tu.HGroup(*self._figures("navigator", "spectra"), show_labels=False),
                tu.HGroup(self._windows(), tu.Tabbed(*self._controls())),
                tu.Group(*self._figures("curves"), show_labels=False),
                tu.Group(
                    *self._figures("growing"),
                    show_labels=False,
                    visible_when="object.tool.following.picture is not None",
                ),
                tu.VGroup(
                    told("text", style_sheet="*{font-family:monospace}"),
                    tu.HGroup(
                        *(tu.Item(name, show_label=False) for name in _BUTTONS),
                        tu.Item("object.tool.path", label="File"),
                        tu.Item("object.tool.overwrite"),
                    ),
                    tu.Item("shown_code", style="custom", show_label=False, height=-90),
                    scrollable=True,
                ),
            ),
            title="Dose kinetics",
            resizable=True,
            handler=_Closing(),
            width=1000,
            height=1100,
        )

    def _figures(self, *names: str) -> list[tu.Item]:
        return [tu.Item(name, editor=FigureEditor()) for name in names if name in self.figures]

    def _windows(self) -> tu.Group:
        limit = tu.TextEditor(evaluate=number_of)
        columns = [
            tu.ObjectColumn(name="name", label="Window"),
            tu.ObjectColumn(name="left", label=f"from ({self.tool.energy_units})", editor=limit),
            tu.ObjectColumn(name="right", label=f"to ({self.tool.energy_units})", editor=limit),
        ]
        table = tu.TableEditor(columns=columns, selected="chosen", sortable=False, auto_size=False)
        return tu.VGroup(
            tu.Item("lines", editor=table, show_label=False),
            tu.HGroup(
                *(tu.Item(name, show_label=False) for name in ("add", "remove", "reset", "paper")),
                tu.Item("object.tool.windows.snap"),
            ),
        )

    def _controls(self) -> list[tu.Group]:
        tool = self.tool
        dose = [tu.Item("object.tool.dose.source", label="Doses from")]
        dose += [
            number(f"object.tool.dose.{name}", label=tool.dose.trait(name).label)
            for name in ("dose_rate", "frame_time", "pre_exposure")
        ]
        dose.append(tu.Item("object.tool.dose.at", label="Dose of a frame at its"))
        processing = [
            number(f"object.tool.processing.{name}")
            if name.startswith("background_")
            else tu.Item(f"object.tool.processing.{name}")
            for name in tool.processing.editable_traits()
        ]
        laws = tu.EnumEditor(values=list(tool.fit.laws))
        fit = [
            tu.Item("object.tool.fit.law", label="Kinetic law", editor=laws),
            tu.Item("object.tool.fit.offset_known"),
            tu.Item("object.tool.fit.offset", editor=tu.TextEditor(auto_set=False)),
            tu.Item("object.tool.fit.exponent", label="Exponent p"),
            number("object.tool.fit.exponent_value", label="Exponent, where it is known"),
            tu.Item("object.tool.fit.hierarchy"),
            tu.Item("object.tool.fit.faster", label="k of"),
            tu.Item("object.tool.fit.slower", label="≥ k of"),
            tu.Item("object.tool.fit.estimator", label="Apply keeps"),
            tu.Item("object.tool.fit.protocol", label="Network training"),
        ]
        tabs = [tu.Group(*dose, label="Dose")]
        tabs.append(tu.Group(*processing, label="Processing", columns=2))
        if tool.region.sizes:
            fit.append(tu.Item("object.tool.fit.extent", label="Apply fits"))
            region = tu.Item("object.tool.region.mode", label="Figures show")
            tabs.append(tu.Group(region, label="Region"))
        tabs.insert(2, tu.Group(*fit, label="Fit", columns=2))
        following = tool.following
        follow = [
            number(f"object.tool.following.{name}", label=following.trait(name).label)
            if name in ("precision", "dose")
            else tu.Item(
                f"object.tool.following.{name}",
                label=following.trait(name).label,
                editor=tu.TextEditor(auto_set=False),
            )
            for name in ("folder", "pattern", "precision", "dose", "store")
        ]
        follow.append(tu.Item("follow", show_label=False))
        tabs.append(tu.Group(*follow, label="Follow"))
        return tabs


class _Closing(tu.Handler):
    """Closes the tool with its window."""

    def closed(self, info: Any, is_ok: bool) -> None:
        """Called by traitsui."""
        info.object.close()
