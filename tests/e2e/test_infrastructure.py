# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The means of the end-to-end tests see what there is to see."""

import numpy as np
import pytest

from tests.e2e import browser as browsers

FIGURE = """
import ipywidgets, matplotlib.pyplot as plt
with plt.ioff():
    figure, axes = plt.subplots(figsize=(6, 3))
axes.set(xlim=(0, 10), ylim=(0, 5))
(line,) = axes.plot([0, 10], [1, 1], color="red", lw=6)
clicks = []
figure.canvas.mpl_connect("button_press_event", lambda e: clicks.append([e.xdata, e.ydata]))
figure.canvas.mpl_connect("button_release_event", lambda e: clicks.append([e.xdata, e.ydata]))
slider = ipywidgets.FloatSlider(value=1.0, min=0.0, max=5.0)
slider.add_class("level")
def move(change):
    line.set_ydata([change["new"]] * 2)
    figure.canvas.draw_idle()
slider.observe(move, "value")
"""


@pytest.fixture(scope="module")
def notebook(open_notebook):
    return open_notebook([FIGURE, "ipywidgets.VBox([figure.canvas, slider])"])


def test_mouse_goes_where_the_axes_say(notebook):
    canvas = notebook.canvas("figure")
    canvas.wait_drawn()
    canvas.click("axes", 3.0, 2.0)
    canvas.drag("axes", (2.0, 4.0), (8.0, 1.5))
    # A pixel of the canvas is 0.02 of x and y.
    found = notebook.kernel.wait("clicks", lambda places: len(places) == 4)
    assert np.allclose(found, [[3, 2], [3, 2], [2, 4], [8, 1.5]], atol=0.05)


def test_slider_moves_the_line_in_kernel_and_picture(notebook):
    canvas = notebook.canvas("figure")
    before = canvas.wait_drawn()
    red = (255, 0, 0)
    assert canvas.colour_at("axes", 5.0, 1.0) == red
    notebook.drag_slider(".level", 0.8)
    value = notebook.kernel.eval("slider.value")
    assert value == pytest.approx(4.0, abs=0.2)
    canvas.wait_changed(before)
    canvas.wait_pixels(lambda _: canvas.colour_at("axes", 5.0, value) == red, "moved line")
    assert canvas.colour_at("axes", 5.0, 1.0) != red


def test_kernel_reports_errors(notebook):
    with pytest.raises(AssertionError, match="nonsense"):
        notebook.kernel.eval("nonsense")
    with pytest.raises(AssertionError, match="division by zero"):
        notebook.kernel.run("1 / 0")
    notebook.kernel.run("kept = 1")
    assert notebook.kernel.eval("kept") == 1


def test_nothing_is_asked_of_other_machines(notebook):
    address = "https://example.org/asked"
    answer = notebook.page.evaluate(f"fetch('{address}').then(() => 'came', () => 'did not')")
    assert answer == "did not"
    assert address in notebook.refused


def test_a_cell_that_fails_is_told(open_notebook):
    with pytest.raises(pytest.fail.Exception, match="ZeroDivisionError"):
        open_notebook(["1 / 0"], name="failing")


def test_browser_can_be_named(monkeypatch, tmp_path):
    executable = tmp_path / "own"
    executable.write_text("#!/bin/sh\n")
    executable.chmod(0o755)
    monkeypatch.setenv(browsers.VARIABLE, str(executable))
    assert browsers.find_browser() == str(executable)
    monkeypatch.setenv(browsers.VARIABLE, str(tmp_path / "none"))
    assert browsers.find_browser() is None


@pytest.mark.parametrize(("value", "required"), [("true", True), ("", False), ("false", False)])
def test_browser_is_required_in_continuous_integration(monkeypatch, value, required):
    monkeypatch.setenv("CI", value)
    assert browsers.is_required() is required
