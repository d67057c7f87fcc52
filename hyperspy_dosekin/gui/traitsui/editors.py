# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
# pyright: reportMissingImports=false
"""Items of the windows: figures, numbers, texts that are read only."""

from __future__ import annotations

import traitsui.api as tu
from matplotlib.backend_bases import FigureManagerBase
from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from pyface.qt.QtGui import QSizePolicy
from pyface.toolkit import toolkit_object
from traitsui.basic_editor_factory import BasicEditorFactory
from traitsui.qt.editor import Editor

from hyperspy_dosekin.numerics.typed import number_of

#: Pixels of a figure in which something can still be seen.
_SMALLEST = (240, 200)

# Makes the application of Qt, which a canvas needs before there is a window.
toolkit_object("init:Application")


def make_figure(size: tuple[float, float]) -> Figure:
    """Make an empty figure with a canvas of Qt, which pyplot does not know."""
    figure = Figure(figsize=size)
    # HyperSpy's plots give the window a title, which this manager ignores.
    FigureManagerBase(FigureCanvasQTAgg(figure), 0)
    return figure


class _FigureEditor(Editor):
    """The canvas of a figure."""

    scrollable = True

    def init(self, parent: object) -> None:
        """Show the canvas."""
        self.control = self.value.canvas
        self.control.setSizePolicy(QSizePolicy.Expanding, QSizePolicy.Expanding)
        self.control.setMinimumSize(*_SMALLEST)

    def update_editor(self) -> None:
        """Nothing: the figure draws itself."""


class FigureEditor(BasicEditorFactory):
    """Editor for a trait that is a figure of `make_figure`."""

    klass = _FigureEditor


def number(name: str, **options: object) -> tu.Item:
    """Item for a number, in which a decimal comma is a decimal point; other texts turn red."""
    editor = tu.TextEditor(evaluate=number_of, auto_set=False, enter_set=True)
    return tu.Item(name, editor=editor, **options)


def told(name: str, **options: object) -> tu.Item:
    """Item for a text that is read only."""
    return tu.Item(name, style="readonly", show_label=False, **options)
