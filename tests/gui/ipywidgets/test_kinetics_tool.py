# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The view of the kinetics tool: its widgets and figures without a browser."""

import importlib.util
import itertools
import sys

import hyperspy.api as hs
import numpy as np
import pytest

pytest.importorskip("ipywidgets")
pytest.importorskip("hyperspy_gui_ipywidgets")
pytest.importorskip("ipympl")

import ipywidgets
from hyperspy.ui_registry import UI_REGISTRY
from matplotlib.backend_bases import MouseButton, MouseEvent

from hyperspy_dosekin import LOW_LOSS_WINDOWS
from hyperspy_dosekin.data import dose_series, dose_series_image
from hyperspy_dosekin.gui.ipywidgets.number import NumberText
from hyperspy_dosekin.gui.tools import DoseKineticsTool
from tests.patience import EVENT

CONTROLS = (
    *(ipywidgets.Button, ipywidgets.Checkbox, ipywidgets.Dropdown),
    *(ipywidgets.Text, ipywidgets.Textarea, ipywidgets.BoundedIntText),
)
NAMES = tuple(LOW_LOSS_WINDOWS)


def shown(signal, *arguments, **options):
    found = signal.dose_kinetics_tool(*arguments, display=False, **options)["ipywidgets"]
    return found["wdict"]


@pytest.fixture(scope="module")
def series():
    return dose_series(seed=4, processed=True)


@pytest.fixture(scope="module")
def image():
    return dose_series_image(seed=1, shape=(3, 5), processed=True)


@pytest.fixture
def view(series):
    wdict = shown(series)
    yield wdict
    wdict["close_button"].click()
    assert wdict["tool"].worker.wait(EVENT)


@pytest.fixture
def image_view(image):
    wdict = shown(image)
    yield wdict
    wdict["close_button"].click()
    assert wdict["tool"].worker.wait(EVENT)


def mouse(figure, axes, kind, x, y):
    """Let the mouse do something at a point of axes."""
    place = axes.transData.transform((x, y))
    canvas = figure.canvas
    button = None if kind == "motion_notify_event" else MouseButton.LEFT
    canvas.callbacks.process(kind, MouseEvent(kind, canvas, *place, button))


def drag(figure, axes, start, stop):
    mouse(figure, axes, "motion_notify_event", *start)
    mouse(figure, axes, "button_press_event", *start)
    for share in (0.3, 0.7, 1.0):
        point = [a + share * (b - a) for a, b in zip(start, stop, strict=True)]
        mouse(figure, axes, "motion_notify_event", *point)
    mouse(figure, axes, "button_release_event", *stop)


def test_registered_and_returned_as_tools_of_hyperspy_are(series):
    assert UI_REGISTRY["hyperspy_dosekin.DoseKineticsTool"]["ipywidgets"]
    found = series.dose_kinetics_tool(display=False, toolkit="ipywidgets")
    assert set(found) == {"ipywidgets"}
    assert set(found["ipywidgets"]) == {"widget", "wdict"}
    tool = found["ipywidgets"]["wdict"]["tool"]
    assert isinstance(tool, DoseKineticsTool)
    again = tool.gui(toolkit="ipywidgets", display=False)["ipywidgets"]["wdict"]
    assert again["tool"] is tool
    with pytest.raises(ValueError, match="not a registered toolkit"):
        series.dose_kinetics_tool(toolkit="nonsense")


def test_displayed_it_returns_the_tool(series, capsys):
    tool = series.dose_kinetics_tool()
    assert isinstance(tool, DoseKineticsTool)
    assert capsys.readouterr().out.startswith("HoldingBox(")


def test_every_trait_has_a_widget_that_is_linked(view):
    tool = view["tool"]
    for name, owner, trait, value in (
        ("dose_source", tool.dose, "source", "rate"),
        ("dose_rate", tool.dose, "dose_rate", 3.0),
        ("frame_time", tool.dose, "frame_time", 20.0),
        ("pre_exposure", tool.dose, "pre_exposure", 7.0),
        ("dose_at", tool.dose, "at", "middle"),
        ("law", tool.fit, "law", "first order"),
        ("offset_known", tool.fit, "offset_known", True),
        ("offset", tool.fit, "offset", "0.002"),
        ("exponent", tool.fit, "exponent", "known"),
        ("exponent_value", tool.fit, "exponent_value", 1.25),
        ("hierarchy", tool.fit, "hierarchy", False),
        ("faster", tool.fit, "faster", "M–O"),
        ("slower", tool.fit, "slower", "π–π*"),
        ("estimator", tool.fit, "estimator", "pinn"),
        ("protocol", tool.fit, "protocol", "paper"),
        ("align", tool.processing, "align", False),
        ("spikes", tool.processing, "spikes", False),
        ("dark", tool.processing, "dark", False),
        ("deconvolve", tool.processing, "deconvolve", False),
        ("normalise", tool.processing, "normalise", False),
        ("background", tool.processing, "background", True),
        ("background_left", tool.processing, "background_left", 8.0),
        ("background_right", tool.processing, "background_right", 9.0),
        ("resolution", tool.processing, "resolution", "sharpened"),
    ):
        shown = "number" if isinstance(view[name], NumberText) else "value"
        before = getattr(owner, trait)
        assert before == getattr(view[name], shown), name
        view[name].value = value
        assert getattr(owner, trait) == value, name
        setattr(owner, trait, before)
        assert getattr(view[name], shown) == before, name


def test_decimal_comma_is_a_decimal_point(view):
    tool, line = view["tool"], view["windows"].lines[1]
    line.right.value = "7,5"
    assert tool.windows.as_dict()["C–C"][1] == 7.5
    assert line.right.value == "7.5"
    view["dose_source"].value = "rate"
    view["dose_rate"].value = "3,25"
    assert tool.dose.dose_rate == 3.25
    view["offset_known"].value = True
    view["offset"].value = "0,1; 0,2; 0; 0"
    assert tool.fit.offset_values(4) == (0.1, 0.2, 0.0, 0.0)


@pytest.mark.parametrize("text", ["", "much", "1,2,3", "1.2,3", "nan", "1_0", "<b>"])
def test_text_that_is_no_number_is_refused_in_words(view, text):
    tool, line = view["tool"], view["windows"].lines[1]
    before = tool.windows.as_dict()
    line.left.value = text
    assert tool.level == "error"
    assert "is no number" in tool.message
    assert repr(text) in tool.message
    assert tool.windows.as_dict() == before
    assert line.left.value == "4", "what is refused is not left standing"


def test_undo_and_redo(view):
    tool = view["tool"]
    start, table = tool.windows.as_dict(), tool.table
    assert view["undo_button"].disabled
    view["windows"].lines[1].right.value = "8"
    view["law"].value = "first order"
    tool.rename_window("C–C", "carbon")
    changed, after = tool.windows.as_dict(), tool.table
    for _ in range(2):
        view["undo_button"].click()
    assert tool.fit.law == "power law"
    assert tool.windows.as_dict()["C–C"] == (4.0, 8.0)
    assert (tool.fit.faster, tool.fit.slower) == ("C–O", "C–C")
    view["undo_button"].click()
    assert view["undo_button"].disabled
    assert tool.windows.as_dict() == start
    assert tool.table == table
    for _ in range(3):
        view["redo_button"].click()
    assert view["redo_button"].disabled
    assert tool.windows.as_dict() == changed
    assert tool.table == after
    assert view["law"].value == "first order"
    view["undo_button"].click()
    tool.windows.add()
    assert view["redo_button"].disabled, "a new change ends what could be done again"


def test_every_control_has_a_name(image_view):
    for name, widget in image_view.items():
        for part in widget if isinstance(widget, list) else [widget]:
            if isinstance(part, CONTROLS):
                assert part.description or part.tooltip, name
    for line in image_view["windows"].lines:
        for part in (line.name, line.left, line.right, line.remove):
            assert part.tooltip


def test_disabled_where_it_does_nothing(view):
    assert view["dose_rate"].disabled
    view["dose_source"].value = "rate"
    assert not view["dose_rate"].disabled
    assert view["align"].disabled, "these spectra are processed"
    view["offset_known"].value = True
    assert not view["offset"].disabled
    assert view["exponent_value"].disabled
    assert view["stop_button"].disabled


def test_law_has_its_columns_and_its_controls(view):
    own = [view[n] for n in ("exponent", "hierarchy", "estimator", "protocol", "network_button")]
    assert not any(widget.disabled for widget in own)
    assert ">p<" in view["table"].value
    view["law"].value = "first order"
    assert all(widget.disabled for widget in own), "the power law alone has these"
    assert "k (per Φ_max)" in view["table"].value
    assert ">p<" not in view["table"].value
    assert "first order" in view["notes"].value
    view["law"].value = "power law"
    assert not any(widget.disabled for widget in own)


def test_limits_can_be_typed(view):
    tool = view["tool"]
    line = view["windows"].lines[1]
    line.left.number = 4.5
    assert tool.windows.as_dict()["C–C"] == (4.5, 7.0)
    line.right.number = 1e6
    assert line.right.number == pytest.approx(tool.windows.energies[-1], abs=1e-3)
    assert "inside the axis" in view["message"].value
    line.left.number = 1e7
    assert "dk-message-error" in view["message"].value
    assert line.left.number == 4.5, "what is refused is not left standing"


def test_names_can_be_typed(view):
    line = view["windows"].lines[1]
    line.name.value = "C–O"
    assert "dk-message-error" in view["message"].value
    assert line.name.value == "C–C"
    line.name.value = "<b>carbon</b>"
    assert view["slower"].value == "<b>carbon</b>"
    assert "&lt;b&gt;carbon" in view["table"].value, "names are text, not markup"
    panels = view["figures"]["curves"].panels.panels
    assert [panel.axes.get_title(loc="left") for panel in panels][1] == "<b>carbon</b>"
    assert view["windows"].lines[1] is line, "the next Tab goes on from here"
    assert line.left.tooltip == "Left limit of <b>carbon</b>"


def test_windows_come_and_go(view):
    figures = view["figures"]
    view["add_button"].click()
    assert len(view["windows"].lines) == 5
    assert len(figures["curves"].panels.panels) == 5
    assert view["table"].value.count("<tr>") == 6
    view["windows"].lines[0].remove.click()
    assert [line.name.value for line in view["windows"].lines] == [*NAMES[1:], "window 5"]
    colours = [widget.color for _, widget in figures["spectra"]._widgets.values()]
    assert len(set(colours)) == 4, "each window its own"
    view["reset_button"].click()
    assert [line.name.value for line in view["windows"].lines] == list(NAMES)
    view["snap"].value = True
    assert view["windows"].lines[1].left.value != 4.0, "which is between two channels"
    view["paper_button"].click()
    for _ in range(6):
        view["add_button"].click()
    assert len(figures["curves"].panels.panels) == 10


def test_window_is_dragged_by_its_edge_and_by_its_middle(view):
    tool, figure = view["tool"], view["figures"]["spectra"]
    figure.figure.canvas.draw()
    height = np.mean(figure.axes.get_ylim())
    before = tool.live.fitted[1].copy()
    line = view["figures"]["curves"].panels.panels[1].fit_line
    drag(figure.figure, figure.axes, (7.0, height), (8.5, height))
    left, right = tool.windows.as_dict()["C–C"]
    pixel = 0.05  # eV of a pixel: the mouse knows no better
    assert left == pytest.approx(4.0)
    assert right == pytest.approx(8.5, abs=pixel)
    assert view["windows"].lines[1].right.number == pytest.approx(right, abs=1e-4)
    assert not np.allclose(tool.live.fitted[1], before)
    np.testing.assert_array_equal(line.get_ydata(), tool.live.fitted[1])
    drag(figure.figure, figure.axes, (6.0, height), (5.0, height))
    assert tool.windows.as_dict()["C–C"] == pytest.approx((3.0, right - 1.0), abs=2 * pixel)


def test_nothing_is_fitted_while_the_mouse_moves(view):
    tool, figure = view["tool"], view["figures"]["spectra"]
    figure.figure.canvas.draw()
    height = np.mean(figure.axes.get_ylim())
    before = tool.live
    mouse(figure.figure, figure.axes, "motion_notify_event", 7.0, height)
    mouse(figure.figure, figure.axes, "button_press_event", 7.0, height)
    mouse(figure.figure, figure.axes, "motion_notify_event", 8.0, height)
    assert tool.windows.row("C–C").limits[1] == pytest.approx(8.0, abs=0.05)
    assert tool.live is before
    mouse(figure.figure, figure.axes, "button_release_event", 8.0, height)
    assert tool.live is not before


def test_figures_have_units_and_everything_in_them(view):
    spectra, curves = view["figures"]["spectra"], view["figures"]["curves"]
    assert spectra.axes.get_xlabel() == "Energy loss (eV)"
    assert "e⁻/Å²" in spectra.frames.bar.ax.get_ylabel()
    assert len(spectra.frames.lines.get_segments()) == 9
    for figure in (spectra.figure, curves.figure):
        figure.canvas.draw()
        renderer = figure.canvas.get_renderer()
        for axes in figure.axes:
            box = axes.get_tightbbox(renderer)
            assert box.x0 >= -1
            assert box.y0 >= -1
            assert box.x1 <= figure.bbox.width + 1, axes
            assert box.y1 <= figure.bbox.height + 1
    boxes = [axes.get_tightbbox(renderer) for axes in curves.figure.axes]
    for left, right in itertools.pairwise(boxes):
        assert left.x1 <= right.x0 + 1, "panels do not run into each other"
    for axes in curves.figure.axes:
        assert "e⁻/Å²" in axes.get_xlabel()
    assert "Φ_max" in view["table"].value
    assert "e⁻/Å²" in view["table"].value


def test_pyplot_is_left_alone(series):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots()
    axes.set_xlim(2, 5)
    shown(series)
    assert plt.get_fignums() == [figure.number]
    assert plt.gcf() is figure
    assert axes.get_xlim() == (2, 5)


def test_code_is_shown_and_kept_up_to_date(view, series):
    assert view["code"].layout.display == "none"
    view["code_button"].click()
    assert view["code"].layout.display != "none"
    assert "fit_dose_pinn" in view["code"].value
    view["exponent"].value = "shared"
    assert 'exponent="shared"' in view["code"].value
    names = {"s": series.deepcopy()}
    exec(view["code"].value, names)
    np.testing.assert_allclose(
        names["result"].rate.data, view["tool"].live.kinetics.rate.data, rtol=1e-6
    )
    view["offset_known"].value = True
    view["offset"].value = "much"
    assert view["code"].value.startswith("# There is no code yet: offset b")
    view["code_button"].click()
    assert view["code"].layout.display == "none"


def test_network_with_progress_and_stop(view):
    tool = view["tool"]
    view["protocol"].value = "paper"
    view["network_button"].click()
    assert view["network_button"].disabled
    assert not view["stop_button"].disabled
    assert view["progress"].layout.visibility == "visible"
    assert "Network" in view["what"].value
    view["stop_button"].click()
    assert "stopping" in view["what"].value
    assert tool.worker.wait(EVENT)
    assert not view["network_button"].disabled
    assert view["progress"].layout.visibility == "hidden"
    panel = view["figures"]["curves"].panels.panels[0]
    assert len(panel._other.get_xdata()) > 10, "the network's curve"
    view["windows"].lines[0].left.number = 1.2
    assert len(panel._other.get_xdata()) == 0


def test_figure_closed_while_a_fit_runs(series):
    view = shown(series)
    tool = view["tool"]
    view["network_button"].click()
    for figure in view["figures"].values():
        figure.close()
    for canvas in view["canvases"].values():
        canvas.close()
    tool.windows.set_limits("C–C", 4.3, 6.9)
    tool.worker.stop()
    assert tool.worker.wait(EVENT)
    view["windows"].lines[0].left.number = 1.3
    assert tool.level == "info"
    assert tool.windows.as_dict()["π–π*"][0] == 1.3


def test_apply_and_save(view, tmp_path):
    view["path"].value = str(tmp_path / "result.hspy")
    view["apply_button"].click()
    view["save_button"].click()
    assert (tmp_path / "result.hspy").exists()
    view["save_button"].click()
    assert "exists" in view["message"].value
    view["overwrite"].value = True
    view["save_button"].click()
    assert "Saved" in view["message"].value


def test_nan_is_shown_in_words(series):
    signal = series.deepcopy()
    low, high = (signal.axes_manager[-1].value2index(limit) for limit in (10.0, 15.0))
    signal.data[:, low : high + 1] = np.nan
    view = shown(signal)
    assert "no estimate" in view["table"].value
    assert "nan" not in view["table"].value
    panel = view["figures"]["curves"].panels.panels[2]
    assert panel._status.get_text() == "no estimate"
    view["figures"]["curves"].figure.canvas.draw()


def test_error_at_the_start_is_in_the_widget():
    signal = dose_series(seed=4, processed=True)
    signal.axes_manager[0].name, signal.axes_manager[0].units = "frame", ""
    view = shown(signal)
    assert "dose rate" in view["message"].value
    assert view["table"].value == ""
    assert view["figures"]["spectra"].frames.bar.ax.get_ylabel() == "Frame"
    view["dose_rate"].number = 3.0
    view["frame_time"].number = 44.0
    assert "Exact fit" in view["message"].value
    assert len(view["figures"]["curves"].panels.panels) == 4
    assert "e⁻/Å²" in view["figures"]["spectra"].frames.bar.ax.get_ylabel()


def test_signal_without_navigation_has_a_clear_error(series):
    with pytest.raises(ValueError, match="single spectrum"):
        series.inav[0].dose_kinetics_tool()


# Spectrum images


def test_navigator_and_pixel(image_view, image):
    tool, navigator = image_view["tool"], image_view["figures"]["navigator"]
    navigator.figure.canvas.draw()
    x, y = image.axes_manager[0].index2value(4), image.axes_manager[1].index2value(1)
    mouse(navigator.figure, navigator.axes, "button_press_event", x, y)
    mouse(navigator.figure, navigator.axes, "button_release_event", x, y)
    assert tool.region.indices == (4, 1)
    assert [widget.value for widget in image_view["indices"]] == [4, 1]
    assert tuple(image.axes_manager.indices[:2]) == (4, 1)
    image_view["indices"][0].value = 2
    assert tool.region.indices == (2, 1)
    assert tuple(navigator.pixel) == (image.axes_manager[0].index2value(2), y)
    image.axes_manager.indices = (0, 2, 0)
    assert [widget.value for widget in image_view["indices"]] == [0, 2]


def test_rectangle(image_view, image):
    tool, navigator = image_view["tool"], image_view["figures"]["navigator"]
    image_view["region"].value = "rectangle"
    assert image_view["indices"][0].disabled
    before = tool.region.rectangle
    axis = image.axes_manager[0]
    navigator.rectangle.left, navigator.rectangle.right = 0.0, float(axis.index2value(3))
    assert tool.region.rectangle == ((0, 3), before[1])
    tool.region.draw(((1, 5), (0, 2)))
    ends = tuple(navigator.rectangle)
    assert ends[:2] == (axis.index2value(1), axis.offset + 5 * axis.scale)
    image_view["region"].value = "all"
    assert tool.region.n_pixel == 15


def test_line_of_pixels(image):
    view = shown(image.inav[:, 1])
    tool, navigator = view["tool"], view["figures"]["navigator"]
    assert tool.region.sizes == (5,)
    view["indices"][0].value = 3
    assert navigator.pixel.value == image.axes_manager[0].index2value(3)
    view["region"].value = "rectangle"
    tool.region.draw(((1, 3),))
    assert tool.region.n_pixel == 2
    assert tool.level == "info"


def test_lazy_signal_says_so(image):
    view = shown(image.as_lazy())
    assert "stays lazy" in view["notes"].value
    assert "not read" in view["figures"]["navigator"].axes.get_title()


def test_maps_can_be_asked_for(image_view, series):
    assert "extent" in image_view
    assert "extent" not in shown(series), "a series has one pixel"


# Without the extra


def test_without_the_extra_the_error_names_it(series, monkeypatch):
    for name in list(sys.modules):
        if name.startswith("hyperspy_dosekin.gui.ipywidgets"):
            monkeypatch.delitem(sys.modules, name)
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "ipympl" else find(name)
    )
    with pytest.raises(ImportError, match=r"pip install.*hyperspy_dosekin\[gui\]"):
        series.dose_kinetics_tool()


def test_hyperspy_alone_is_not_asked_for_widgets():
    signal = hs.signals.Signal1D(np.ones((5, 100)))
    assert not hasattr(signal, "dose_kinetics_tool"), "only spectra of energy loss have it"


def test_folder_is_followed_from_the_widgets(view, series, tmp_path):
    tool, frame = view["tool"], view["canvases"]["growing"]
    holder = view["figures"]["growing"]
    assert tool.following.picture is None
    for place in range(4):
        series.inav[place].save(tmp_path / f"frame {place}.hspy")
    tool.following.settle = 0.05
    view["follow_folder"].value = str(tmp_path)
    view["follow_dose"].number = 2000.0
    assert tool.following.dose == 2000.0
    view["follow_button"].click()
    assert view["follow_button"].disabled
    while tool.following.live.n_frames < 4:
        tool.worker.wait(0.01)
        tool.worker.tell()
    view["stop_button"].click()
    assert tool.worker.wait(EVENT)
    assert not view["follow_button"].disabled
    assert len(holder.figure.axes) == 2
    assert "4 frames" in view["message"].value
    assert frame is holder.figure.canvas
    view["code_button"].click()
    assert "live.watch(" in view["code"].value
