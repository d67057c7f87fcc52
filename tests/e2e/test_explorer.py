# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The explorer of classifications, as a person uses it."""

import numpy as np
import pytest

from tests.e2e.notebook import PATIENCE

#: All-different sizes: 3 frames of 8 × 11 pixels (y, x); patches of an unknown phase.
CLASSIFY = """
import numpy as np
import hyperspy_dosekin
s = hyperspy_dosekin.data.annealing_series(2, shape=(3, 8, 11), unknown_share=0.15)
s.data[1, 2, 9] = np.nan
c = s.classify_vae(
    hyperspy_dosekin.data.reference_spectra(), steps=20, batch_size=32, evaluate_every=10,
    show_progressbar=False,
)
"""
SHOW = """
view = c.explore(toolkit="ipywidgets", display=False)["ipywidgets"]
tool = view["wdict"]["tool"]
figure = view["wdict"]["figure"]
axes = figure.axes[0]
view["widget"]
"""
UNKNOWN = "int((tool.labels == 4).sum())"


@pytest.fixture(scope="module")
def notebook(open_notebook):
    return open_notebook([CLASSIFY, SHOW], wait_for=".dosekin-explorer .jupyter-matplotlib canvas")


@pytest.fixture(scope="module")
def canvas(notebook):
    found = notebook.canvas("figure", within=".dosekin-explorer")
    found.wait_drawn()
    return found


@pytest.fixture(autouse=True)
def _start_again(notebook):
    """Every test finds the same state, whichever ran before, in the kernel and in the page."""
    from playwright.sync_api import expect

    notebook.run("tool.trait_set(frame=0, x=5, y=4, threshold=2.0, mark_unknown=True)")
    for name, value in (("x", "5"), ("y", "4")):
        field = notebook.page.locator(f".dosekin-{name} input")
        expect(field).to_have_value(value, timeout=1000 * PATIENCE)
    for name, value in (("frame", "0"), ("threshold", "2.00")):
        readout = notebook.page.locator(f".dosekin-{name} .widget-readout")
        expect(readout).to_have_text(value, timeout=1000 * PATIENCE)


def colour_of(notebook, label):
    """Colour of a label in the map, from the figure itself."""
    rgba = notebook.kernel.eval(f"list(axes.images[0].to_rgba({label}))")
    return tuple(round(255 * part) for part in rgba[:3])


def assert_map_is_drawn(notebook, canvas):
    """Every pixel of the map in the page has the colour of its label in the kernel."""
    labels = np.array(notebook.kernel.eval("tool.labels.tolist()"))
    chosen = notebook.kernel.eval("[tool.y, tool.x]")
    colours = {int(label): colour_of(notebook, label) for label in np.unique(labels)}
    places = [
        (y, x)
        for y, x in np.ndindex(labels.shape)
        # The mark and the scale bar cover some.
        if (y, x) != tuple(chosen) and y < 6
    ]

    def looks_right(_):
        return all(
            # A little off the centre of the pixel, where the lines of marks are not.
            canvas.colour_at("axes", float(x), float(y)) == colours[int(labels[y, x])]
            for y, x in places[::5]
        )

    canvas.wait_pixels(looks_right, "class map")


def test_map_shows_the_classes(notebook, canvas):
    assert notebook.kernel.eval("tool.labels.shape") == [8, 11]
    assert notebook.kernel.eval(UNKNOWN) > 0
    assert_map_is_drawn(notebook, canvas)


def test_threshold_by_drag(notebook, canvas):
    before, known = canvas.pixels(), notebook.kernel.eval(UNKNOWN)
    notebook.drag_slider(".dosekin-threshold", 0.97)
    assert notebook.kernel.eval("tool.threshold") > 5.5
    assert notebook.kernel.eval(UNKNOWN) < known
    canvas.wait_changed(before)
    assert_map_is_drawn(notebook, canvas)
    assert notebook.kernel.eval(
        "bool((tool.labels == c.class_map_with_unknown(tool.threshold).data[0]).all())"
    )
    notebook.drag_slider(".dosekin-threshold", 0.02)
    assert notebook.kernel.eval("tool.threshold") < 0.3
    assert notebook.kernel.eval(UNKNOWN) > known
    assert_map_is_drawn(notebook, canvas)


def test_threshold_by_keyboard(notebook, canvas):
    handle = notebook.page.locator(".dosekin-threshold .noUi-handle")
    handle.focus()
    notebook.page.keyboard.press("ArrowRight")
    # The slider goes by its step of 0.05.
    notebook.kernel.wait("tool.threshold", lambda value: value == pytest.approx(2.05))
    readout = notebook.page.locator(".dosekin-threshold .widget-readout")
    notebook.settle()
    before = canvas.pixels()
    readout.fill("0.1")
    readout.press("Enter")
    notebook.kernel.wait("tool.threshold", lambda value: value == pytest.approx(0.1))
    canvas.wait_changed(before)
    assert_map_is_drawn(notebook, canvas)
    # Off: no pixel is unknown any more, and the slider has no effect.
    notebook.page.locator(".dosekin-mark-unknown input").focus()
    notebook.page.keyboard.press("Space")
    notebook.settle()
    assert notebook.kernel.eval(UNKNOWN) == 0
    assert_map_is_drawn(notebook, canvas)


def test_click_selects_a_pixel(notebook, canvas):
    page, kernel = notebook.page, notebook.kernel
    before = canvas.pixels()
    canvas.click("axes", 8.2, 1.9)
    assert kernel.eval("[tool.x, tool.y]") == [8, 2]
    canvas.wait_changed(before)
    shown = page.locator(".dosekin-description")
    shown.get_by_text("pixel x 8, y 2").wait_for()
    assert page.locator(".dosekin-x input").input_value() == "8"
    # The mark is there, light within dark, and what is drawn is that pixel.
    canvas.wait_pixels(
        lambda _: canvas.around("axes", 8.5, 2.0).min(axis=1).max() > 240, "mark of the pixel"
    )
    assert canvas.around("axes", 5.5, 4.0).min(axis=1).max() < 240, "the mark was left behind"
    lines = "[line.get_ydata().tolist() for line in figure.axes[1].lines]"
    assert kernel.eval("s.data[0, 2, 8].tolist()") in kernel.eval(lines)
    total = kernel.eval("[round(float(v), 5) for v in tool.pixel.probability]")
    assert kernel.eval("[round(float(v), 5) for v in c.probability.data[0, :, 2, 8]]") == total


def test_pixel_by_keyboard(notebook, canvas):
    before = canvas.pixels()
    field = notebook.page.locator(".dosekin-y input")
    field.fill("7")
    field.press("Enter")
    notebook.kernel.wait_equal("tool.y", 7)
    field.press("ArrowDown")
    notebook.kernel.wait_equal("tool.y", 6)
    canvas.wait_changed(before)


def test_frame_by_slider(notebook, canvas):
    before = canvas.pixels()
    notebook.drag_slider(".dosekin-frame", 1.0)
    assert notebook.kernel.eval("tool.frame") == 2
    notebook.page.locator(".dosekin-frame-title").get_by_text("temperature 300 °C").wait_for()
    canvas.wait_changed(before)
    assert_map_is_drawn(notebook, canvas)
    notebook.page.locator(".dosekin-frame .noUi-handle").focus()
    notebook.page.keyboard.press("ArrowLeft")
    notebook.settle()
    assert notebook.kernel.eval("tool.frame") == 1
    assert_map_is_drawn(notebook, canvas)


def test_pixel_without_data_is_shown_as_such(notebook, canvas):
    notebook.run("tool.trait_set(frame=1)")
    canvas.click("axes", 9.0, 2.0)
    notebook.page.locator(".dosekin-description").get_by_text("none, no data").wait_for()
    assert not [line for line in notebook.said if line.startswith("uncaught")]
