# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The view of the explorer: widgets follow the state, the state follows widgets and mouse."""

import importlib
import sys
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("hyperspy_gui_ipywidgets")
pytest.importorskip("ipympl")

from hyperspy.ui_registry import UI_REGISTRY
from matplotlib.backend_bases import MouseEvent
from matplotlib.colors import to_rgba

from hyperspy_dosekin.gui.tools import ClassificationExplorer
from hyperspy_dosekin.plotting.classification.maps import class_colours
from tests.gui.classified import DEAD, make_map, make_result, make_series

MAP, SPECTRUM, PROBABILITY, UNCERTAINTY, NOVELTY = range(5)


@pytest.fixture
def tool():
    return ClassificationExplorer(make_result())


def show(tool):
    return tool.gui(toolkit="ipywidgets", display=False)["ipywidgets"]


@pytest.fixture
def view(tool):
    """The whole view: without it nobody would hold the links."""
    return show(tool)


@pytest.fixture
def widgets(view):
    return view["wdict"]


def click(figure, axes, x, y, button=1):
    place = axes.transData.transform((x, y))
    figure.canvas.callbacks.process(
        "button_press_event", MouseEvent("button_press_event", figure.canvas, *place, button)
    )


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_tool_is_registered():
    assert UI_REGISTRY["hyperspy_dosekin.ClassificationExplorer"]["ipywidgets"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("frame", 2), ("x", 0), ("y", 8), ("threshold", 0.45), ("mark_unknown", False),
     ("scale_references", True)],
)  # fmt: skip
def test_widget_and_state_are_one(tool, widgets, name, value):
    before = getattr(tool, name)
    widgets[name].value = value
    assert getattr(tool, name) == value
    setattr(tool, name, before)
    assert widgets[name].value == before


def test_widgets_keep_within_the_data(widgets):
    assert (widgets["frame"].min, widgets["frame"].max) == (0, 2)
    assert (widgets["x"].min, widgets["x"].max) == (0, 10)
    assert (widgets["y"].min, widgets["y"].max) == (0, 8)


def test_words_follow(tool, widgets):
    tool.trait_set(frame=1, x=3)
    assert widgets["frame_title"].value == "temperature 200 °C"
    assert widgets["description"].value == tool.description
    assert "pixel x 3, y 4" in widgets["description"].value


def test_threshold_cannot_be_moved_when_it_has_no_effect(tool, widgets):
    assert not widgets["threshold"].disabled
    tool.mark_unknown = False
    assert widgets["threshold"].disabled


def test_map_is_drawn_in_the_colours_of_the_classes(tool, widgets):
    axes = widgets["figure"].axes[MAP]
    for change in ({"frame": 1}, {"threshold": 0.2}, {"mark_unknown": False}):
        tool.trait_set(**change)
        assert (axes.images[0].get_array() == tool.labels).all()
    colours = [to_rgba(colour) for colour in class_colours(5)]
    drawn = axes.images[0].to_rgba(np.arange(5))
    assert drawn == pytest.approx(np.array(colours))
    legend = axes.figure.legends[0]
    assert [text.get_text() for text in legend.get_texts()] == [*tool.names, "no data"]
    faces = [patch.get_facecolor() for patch in legend.get_patches()]
    assert faces[:5] == colours
    assert axes.get_title(loc="left") == "temperature 200 °C"


def test_pixel_is_drawn(tool, widgets):
    figure = widgets["figure"]
    tool.trait_set(frame=2, x=1, y=7, mark_unknown=False)
    pixel, label = tool.pixel, tool.labels[7, 1]
    lines = figure.axes[SPECTRUM].lines
    shown = [np.asarray(line.get_ydata()) for line in lines]
    assert any(np.array_equal(values, pixel.measured) for values in shown)
    assert any(np.array_equal(values, pixel.denoised) for values in shown)
    # the reference of its class is the boldest of them
    references = tool.explored.references
    bold = [
        k for line, values in zip(lines, shown, strict=True) for k in range(4)
        if np.array_equal(values, references[k]) and line.get_linewidth() > 2
    ]  # fmt: skip
    assert bold == [label]
    widths = [bar.get_width() for bar in figure.axes[PROBABILITY].patches]
    assert widths == pytest.approx(pixel.probability)
    assert texts(figure.axes[PROBABILITY]) == [f"{value:.2f}" for value in pixel.probability]
    widths = [bar.get_width() for bar in figure.axes[UNCERTAINTY].patches]
    assert widths == pytest.approx(np.maximum(pixel.uncertainty, 0))
    # the mark is around the pixel
    for mark in figure.axes[MAP].patches:
        assert mark.get_xy() == (0.5, 6.5)


def test_units_are_everywhere(widgets):
    axes = widgets["figure"].axes
    labels = [each.get_xlabel() for each in axes]
    assert labels == [
        "x (pixel)",
        "Energy loss (eV)",
        "Probability of the class",
        "Uncertainty (nat)",
        "−log₁₀ false-alarm rate",
    ]
    assert "nm" in " ".join(texts(axes[MAP]))


def test_pixel_without_data_shows_none(tool, widgets):
    figure = widgets["figure"]
    tool.trait_set(frame=DEAD[0], y=DEAD[1], x=DEAD[2])
    assert texts(figure.axes[SPECTRUM]) == ["no data"]
    for panel in (PROBABILITY, UNCERTAINTY, NOVELTY):
        assert set(texts(figure.axes[panel])) == {"–"}
        assert {bar.get_width() for bar in figure.axes[panel].patches} == {0}
    figure.draw_without_rendering()
    tool.y = 0
    assert texts(figure.axes[SPECTRUM]) == [""]


def test_threshold_is_drawn_at_the_novelty(tool, widgets):
    (line,) = widgets["figure"].axes[NOVELTY].lines
    tool.threshold = 3.25
    assert list(line.get_xdata()) == [3.25, 3.25]
    tool.mark_unknown = False
    assert not line.get_visible()


def test_references_can_be_scaled_to_the_pixel(tool, widgets):
    lines = widgets["figure"].axes[SPECTRUM].lines
    tool.scale_references = True
    denoised = tool.pixel.denoised
    for reference in tool.explored.references:
        factor = max(reference @ denoised / (reference @ reference), 0.0)
        assert any(np.allclose(line.get_ydata(), factor * reference) for line in lines)


def test_click_selects_the_pixel(tool, widgets):
    figure = widgets["figure"]
    click(figure, figure.axes[MAP], 7.4, 1.6)
    assert (tool.x, tool.y) == (7, 2)
    # beside the map, in another panel, with another button, while the toolbar zooms
    click(figure, figure.axes[SPECTRUM], 700.0, 0.1)
    click(figure, figure.axes[MAP], 3.0, 3.0, button=3)
    figure.canvas.toolbar.zoom()
    click(figure, figure.axes[MAP], 3.0, 3.0)
    assert (tool.x, tool.y) == (7, 2)
    figure.canvas.toolbar.zoom()
    click(figure, figure.axes[MAP], 3.0, 3.0)
    assert (tool.x, tool.y) == (3, 3)


def test_two_views_of_one_tool(tool):
    first, second = show(tool), show(tool)
    first["wdict"]["x"].value = 9
    assert second["wdict"]["x"].value == 9
    for view in (first, second):
        assert view["wdict"]["figure"].axes[MAP].patches[0].get_x() == 8.5


def test_figure_is_not_pyplots(widgets):
    import matplotlib.pyplot as plt

    assert widgets["figure"].number not in plt.get_fignums() if plt.get_fignums() else True
    plt.close("all")
    widgets["figure"].draw_without_rendering()


def test_class_map_alone_has_fewer_widgets():
    signal = make_map()
    tool = ClassificationExplorer(signal)
    view = show(tool)
    figure = view["wdict"]["figure"]
    tool.frame = 1
    assert len(figure.axes) == 2
    widths = [bar.get_width() for bar in figure.axes[1].patches]
    assert widths == pytest.approx(100 * signal.fractions().data[1])
    assert figure.axes[1].get_xlabel() == "Share of the pixels that have a class (%)"
    shown = {id(widget) for row in view["widget"].children for widget in _within(row)}
    assert id(view["wdict"]["threshold"]) not in shown
    assert id(view["wdict"]["x"]) in shown


def test_a_single_frame_has_no_frame_slider():
    view = show(ClassificationExplorer(make_map((5, 7))))
    shown = {id(widget) for row in view["widget"].children for widget in _within(row)}
    assert id(view["wdict"]["frame"]) not in shown


def _within(widget):
    return [
        widget,
        *(inner for child in getattr(widget, "children", ()) for inner in _within(child)),
    ]


def test_missing_widgets_are_named(tool, monkeypatch):
    for name in [
        name for name in sys.modules if name.startswith("hyperspy_dosekin.gui.ipywidgets")
    ]:
        monkeypatch.delitem(sys.modules, name)
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "ipympl" else find(name)
    )
    with pytest.raises(ImportError, match=r"ipympl.*hyperspy_dosekin\[gui\]"):
        tool.gui(toolkit="ipywidgets")
    with pytest.raises(ImportError, match=r"ipympl.*hyperspy_dosekin\[gui\]"):
        make_result().explore(toolkit="ipywidgets")


def test_layout_is_kept_while_a_slider_moves(tool, widgets):
    figure = widgets["figure"]
    figure.canvas.draw()
    before = [axes.get_position().bounds for axes in figure.axes]
    tool.trait_set(frame=1, threshold=0.1, x=0)
    figure.canvas.draw()
    assert [axes.get_position().bounds for axes in figure.axes] == before


def test_data_are_left_as_they_were(tool, widgets):
    before = make_series().data.copy()
    tool.trait_set(frame=1, threshold=0.1, x=0, scale_references=True)
    assert np.array_equal(make_series().data, before, equal_nan=True)


def test_a_novelty_of_nothing_has_no_sign(tool, widgets):
    tool.pixel = replace(tool.pixel, novelty=-0.0)
    assert texts(widgets["figure"].axes[NOVELTY]) == ["0.0"]
    assert "novelty 0.0" in tool._describe()
