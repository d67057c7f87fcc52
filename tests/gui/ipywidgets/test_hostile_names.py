# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names come from files of other people: none of them is markup, in any widget."""

import hyperspy.api as hs
import numpy as np
import pytest

pytest.importorskip("hyperspy_gui_ipywidgets")
pytest.importorskip("ipympl")

import ipywidgets

from hyperspy_dosekin.data import dose_series

HOSTILE = "<img src=x onerror=alert(1)>"
BROKEN_MATHS = r"$\frac{$"


def widgets_of(box):
    """A widget and all that are in it."""
    yield box
    for child in getattr(box, "children", ()):
        yield from widgets_of(child)


def check(box):
    """No widget shows the name as HTML, or would if it could."""
    shown_as_html = 0
    for widget in widgets_of(box):
        if isinstance(widget, ipywidgets.HTML | ipywidgets.HTMLMath):
            assert "<img" not in widget.value
            shown_as_html += "&lt;img src=x onerror=alert(1)&gt;" in widget.value
        if hasattr(widget, "description_allow_html"):
            assert not widget.description_allow_html
    return shown_as_html


@pytest.fixture
def signal():
    signal = dose_series(seed=4, processed=True)
    signal.metadata.General.title = HOSTILE
    signal.metadata.Signal.quantity = HOSTILE
    return signal


@pytest.mark.parametrize("name", [HOSTILE, BROKEN_MATHS])
def test_window_of_the_kinetics_tool(signal, name):
    shown = signal.dose_kinetics_tool({name: (4, 7), "C–O": (10, 15)}, display=False)
    box, wdict = (shown["ipywidgets"][part] for part in ("widget", "wdict"))
    tool = wdict["tool"]
    assert any(row.window == name for row in tool.table)
    if name == HOSTILE:
        # The table and a note name it.
        assert check(box) == 2
        tool.windows.set_limits(name, 4.0, 1e6)
        assert name in tool.message
        assert check(box) == 3
    assert not tool.attempt(tool.windows.add, name)
    assert repr(name) in tool.message
    wdict["code_button"].click()
    assert f'"{name}"'.replace("\\", "\\\\") in wdict["code"].value, "this is text, not markup"
    check(box)
    for figure in wdict["figures"].values():
        figure.figure.canvas.draw()
    titles = [p.axes.get_title(loc="left") for p in wdict["figures"]["curves"].panels.panels]
    assert titles == [name, "C–O"]
    wdict["close_button"].click()


def test_errors_of_the_kinetics_tool(signal):
    shown = signal.dose_kinetics_tool(display=False)["ipywidgets"]
    shown["wdict"]["offset_known"].value = True
    shown["wdict"]["offset"].value = HOSTILE
    assert HOSTILE in shown["wdict"]["tool"].message
    assert check(shown["widget"]) == 1
    shown["wdict"]["path"].value = HOSTILE
    shown["wdict"]["save_button"].click()
    check(shown["widget"])


def test_classes_of_the_explorer():
    signal = hs.signals.Signal2D(np.array([[[0, 0, 1], [0, 1, 1]], [[1, 1, 1], [1, 1, -1]]]))
    signal.set_signal_type("ClassMap")
    signal.axes_manager.navigation_axes[0].name = HOSTILE
    signal.metadata.set_item("Classes.names", [HOSTILE, BROKEN_MATHS])
    shown = signal.explore(display=False, x=0)["ipywidgets"]
    assert HOSTILE in shown["wdict"]["tool"].description
    shown["wdict"]["figure"].canvas.draw()
    check(shown["widget"])
    assert isinstance(shown["wdict"]["description"], ipywidgets.Label), "which shows texts"
