# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinetics tool as a person uses it: in a notebook, in a browser."""

import numpy as np
import pytest

from tests.e2e.notebook import PATIENCE, wait_for

START = """
import logging, warnings
warnings.simplefilter("ignore")
logging.getLogger("hyperspy").setLevel(logging.ERROR)
from hyperspy_dosekin.data import dose_series, dose_series_image
"""
SERIES = "s = dose_series()"
IMAGE = "s = dose_series_image(seed=1, shape=(4, 6), processed=True)"
OPEN = """
shown = s.dose_kinetics_tool(display=False)["ipywidgets"]
tool, figures = shown["wdict"]["tool"], shown["wdict"]["figures"]
display(shown["widget"])
"""
SPECTRA, CURVES = "figures['spectra']", "figures['curves']"
#: Intensity of the fit of C–C at the last dose, and the colour of its line.
FITTED = "float(tool.live.fitted[1][-1])"
ORANGE = (0xD5, 0x5E, 0x00)
#: A point of the fit between two measured doses, where no symbol hides the line.
BETWEEN = "float(np.interp({x}, tool.live.grid, tool.live.fitted[1]))"


@pytest.fixture(scope="module")
def series(open_notebook):
    found = open_notebook(
        [START, "import numpy as np", SERIES, OPEN], wait_for=".dk-curves canvas", name="kinetics"
    )
    found.page.set_viewport_size({"width": 1000, "height": 1300})
    found.canvas(f"{CURVES}.figure", ".dk-curves").wait_drawn()
    found.canvas(f"{SPECTRA}.figure", ".dk-spectra").wait_drawn()
    return found


@pytest.fixture(scope="module")
def image(open_notebook):
    found = open_notebook(
        [START, "import numpy as np", IMAGE, OPEN],
        wait_for=".dk-curves canvas",
        name="kinetics-image",
    )
    found.page.set_viewport_size({"width": 1000, "height": 1300})
    found.canvas("figures['navigator'].figure", ".dk-navigator").wait_drawn()
    return found


def line_is_at(notebook, canvas, x, y):
    """Whether the picture has the colour of C–C within two pixels of a point of its panel."""
    axes = f"{CURVES}.panels.panels[1].axes"
    right, up = notebook.kernel.eval(f"[float(v) for v in {axes}.transData.transform(({x}, {y}))]")
    size = notebook.kernel.eval(f"[float(v) for v in {CURVES}.figure.bbox.size]")
    seen = canvas.pixels()
    column = int(right / size[0] * seen.shape[1])
    row = int((1 - up / size[1]) * seen.shape[0])
    near = seen[max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3, :3].astype(int)
    return near.size and np.abs(near - ORANGE).sum(axis=-1).min() < 60


def test_dragged_edge_moves_the_fit_in_kernel_and_picture(series):
    kernel = series.kernel
    spectra = series.canvas(f"{SPECTRA}.figure", ".dk-spectra")
    curves = series.canvas(f"{CURVES}.figure", ".dk-curves")
    axes = f"{SPECTRA}.axes"
    before = kernel.eval(FITTED)
    pictures = curves.pixels()
    middle = kernel.eval(f"float(np.mean({axes}.get_ylim()))")
    spectra.drag(axes, (7.0, middle), (8.5, middle))
    left, right = kernel.eval("tool.windows.as_dict()['C–C']")
    # A pixel of the canvas is 0.05 eV.
    assert left == pytest.approx(4.0)
    assert right == pytest.approx(8.5, abs=0.15)
    after = kernel.wait(FITTED, lambda found: found != before)
    assert after > before, "a wider window holds more"
    curves.wait_changed(pictures)
    x = kernel.eval("float(tool.live.kinetics.dose[3:5].mean())")
    y = kernel.eval(BETWEEN.format(x=x))
    curves.wait_pixels(lambda _: line_is_at(series, curves, x, y), "fit where the kernel has it")
    low, high = kernel.eval(f"list({CURVES}.panels.panels[1].axes.get_ylim())")
    assert not line_is_at(series, curves, x, y + 0.3 * (high - low) * (1 if y < high / 2 else -1))
    # What the person reads in the line of the window.
    shown = series.page.locator(".dk-window").nth(1).locator("input").nth(2)
    wait_for(
        lambda: float(shown.input_value()),
        lambda number: abs(number - right) < 1e-3,
        f"{right:.4f} in the line of the window",
    )


def test_network_with_progress_and_stop(series):
    page, kernel = series.page, series.kernel
    series.run("tool.fit.protocol = 'paper'")
    page.locator(".dk-network-button").click()
    kernel.wait("tool.worker.fraction", lambda share: share > 0)
    # The notebook answers while the network is fitted.
    assert kernel.eval("tool.worker.running")
    page.locator(".dk-progress").wait_for(state="visible")
    page.locator(".dk-stop-button").click()
    kernel.wait_equal("tool.worker.running", False)
    kernel.wait("tool.network is not None and not tool.network.complete", bool)
    page.locator(".dk-message").get_by_text("stopped").wait_for()
    series.run("tool.fit.protocol = 'fast'")
    page.locator(".dk-network-button").click()
    kernel.wait("tool.network is not None and tool.network.complete", bool)
    page.locator(".dk-message").get_by_text("Network fitted").wait_for()


def test_keyboard_alone_moves_a_window(series):
    page, kernel = series.page, series.kernel
    field = page.locator(".dk-window").nth(2).locator("input").nth(1)
    field.focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("10.5")
    page.keyboard.press("Tab")
    series.settle()
    assert kernel.eval("tool.windows.as_dict()['C–O'][0]") == 10.5
    page.keyboard.type("9")
    page.keyboard.press("Tab")
    page.locator(".dk-message-error").wait_for()
    assert "must be smaller" in page.locator(".dk-message").inner_text()
    kernel.wait_equal("list(tool.windows.as_dict()['C–O'])", [10.5, 15.0])


def test_code_gives_the_same_numbers(series):
    page, kernel = series.page, series.kernel
    page.locator(".dk-code-button").click()
    field = page.locator(".dk-code textarea")
    field.wait_for(state="visible")
    code, _ = wait_for(
        lambda: (field.input_value(), kernel.eval("tool.code")),
        lambda both: both[0] == both[1],
        "the code of the tool in its field",
    )
    page.locator(".dk-apply-button").click()
    kernel.wait("tool.result is not None", bool)
    # As a person would: copied to a new cell.
    kernel.run(code)
    for name in ("rate", "exponent", "half_integrity_dose"):
        own = kernel.eval(f"np.nan_to_num(tool.result.{name}.data).tolist()")
        found = kernel.eval(f"np.nan_to_num(result.{name}.data).tolist()")
        np.testing.assert_allclose(found, own, rtol=1e-6)
    page.locator(".dk-code-button").click()


def test_pixel_is_switched_with_the_mouse_and_by_number(image):
    from playwright.sync_api import expect

    page, kernel = image.page, image.kernel
    navigator = image.canvas("figures['navigator'].figure", ".dk-navigator")
    curves = image.canvas(f"{CURVES}.figure", ".dk-curves")
    before, picture = kernel.eval(FITTED), curves.wait_drawn()
    assert kernel.eval("list(tool.region.indices)") == [0, 0]
    x, y = kernel.eval(
        "[float(axis.index2value(i)) for axis, i in zip(s.axes_manager.navigation_axes, (4, 2))]"
    )
    navigator.click("figures['navigator'].axes", x, y)
    assert kernel.eval("list(tool.region.indices)") == [4, 2]
    assert kernel.eval("list(s.axes_manager.indices[:2])") == [4, 2]
    assert kernel.wait(FITTED, lambda found: found != before) != before
    curves.wait_changed(picture)
    field = page.locator(".dk-index input").nth(1)
    expect(field).to_have_value("2", timeout=1000 * PATIENCE)
    field.fill("3")
    field.press("Enter")
    kernel.wait_equal("list(tool.region.indices)", [4, 3])
    expected = (
        "s.inav[4, 3].integrate_windows().fit_dose_pinn(estimator='exact').rate.data.tolist()"
    )
    np.testing.assert_allclose(
        kernel.eval("tool.live.kinetics.rate.data.tolist()"), kernel.eval(expected), rtol=1e-6
    )


def test_rectangle_is_dragged(image):
    page, kernel = image.page, image.kernel
    page.locator(".dk-region select").select_option("rectangle")
    image.settle()
    assert kernel.eval("tool.region.mode") == "rectangle"
    (left, right), (top, bottom) = kernel.eval("tool.region.rectangle")
    navigator = image.canvas("figures['navigator'].figure", ".dk-navigator")
    navigator.wait_drawn()
    centre = kernel.eval("[sum(tuple(figures['navigator'].rectangle)[i:i+2]) / 2 for i in (0, 2)]")
    step = kernel.eval("float(s.axes_manager[0].scale)")
    # Spaces between pixels lie half a pixel from their values.
    start = (centre[0] - 0.5 * step, centre[1] - 0.5 * step)
    navigator.drag("figures['navigator'].axes", start, (start[0] + step, start[1]))
    kernel.wait_equal(
        "[list(ends) for ends in tool.region.rectangle]", [[left + 1, right + 1], [top, bottom]]
    )


#: Controls without a name that a screen reader could say.
NAMELESS = """() => [...document.querySelectorAll(
    ".dosekin-kinetics :is(input, select, textarea, button)")]
  .filter(e => ![...(e.labels ?? [])].some(label => label.textContent.trim())
    && !e.title && !e.getAttribute("aria-label") && !e.textContent.trim())
  .map(e => e.outerHTML)"""
#: What ends beyond the right edge of the page, and cannot be scrolled to within the tool.
BEYOND = """() => [...document.querySelectorAll(".dosekin-kinetics *")].filter(e => {
    for (let p = e.parentElement; !p.matches(".dosekin-kinetics"); p = p.parentElement)
      if (getComputedStyle(p).overflowX !== "visible") return false;
    const box = e.getBoundingClientRect();
    return box.width && box.right > document.documentElement.clientWidth + 1
  }).map(e => e.className)"""


@pytest.mark.parametrize("data", ["series", "image"])
def test_nothing_is_cut_on_narrow_screens_and_wide_ones_are_used(data, request):
    notebook = request.getfixturevalue(data)
    page = notebook.page
    assert page.evaluate(NAMELESS) == []
    for width in (390, 1000, 1400):
        page.set_viewport_size({"width": width, "height": 1300})
        notebook.screenshot(str(width))
        # The figures follow the page by way of the kernel.
        wait_for(lambda: page.evaluate(BEYOND), lambda cut: not cut, "a page without cuts")
    wait_for(
        lambda: [page.locator(name).bounding_box() for name in (".dk-curves", ".dk-dose-source")],
        lambda boxes: boxes[1]["x"] > boxes[0]["x"] + boxes[0]["width"] - 1,
        "the controls beside the figures",
    )
    page.set_viewport_size({"width": 1000, "height": 1300})


def test_typed_with_a_comma_undone_and_copied(series):
    from playwright.sync_api import expect

    page, kernel = series.page, series.kernel
    # The lines are new ones after a reset: what is typed into an old one is lost with it.
    old = page.locator(".dk-window").nth(1).element_handle()
    kernel.run("tool.windows.reset()")
    old.wait_for_element_state("hidden", timeout=1000 * PATIENCE)
    field = page.locator(".dk-window").nth(1).locator("input").nth(2)
    expect(field).to_have_value("7", timeout=1000 * PATIENCE)
    field.fill("7,5")
    field.press("Enter")
    # The answer of the kernel comes into the field too, and over what is typed before it.
    series.settle()
    assert kernel.eval("tool.windows.as_dict()['C–C'][1]") == 7.5
    expect(field).to_have_value("7.5", timeout=1000 * PATIENCE)
    field.fill("seven")
    field.press("Enter")
    page.locator(".dk-message-error").get_by_text("'seven' is no number").wait_for()
    page.locator(".dk-undo-button").click()
    kernel.wait_equal("tool.windows.as_dict()['C–C'][1]", 7.0)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator(".dk-copy").click()
    page.locator(".dk-copy").get_by_text("Copied").wait_for()
    copied = page.evaluate("() => navigator.clipboard.readText()").splitlines()
    assert copied[0].startswith("window\t")
    assert [line.split("\t")[0] for line in copied[1:]] == kernel.eval("list(tool.windows.names)")
