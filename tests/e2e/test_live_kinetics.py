# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A series that is watched, in a notebook in a browser: its figure, and a folder in the tool."""

import numpy as np
import pytest

START = """
import logging, warnings
warnings.simplefilter("ignore")
logging.getLogger("hyperspy").setLevel(logging.ERROR)
import numpy as np
import hyperspy_dosekin
from hyperspy_dosekin.data import dose_series
s = dose_series(processed=True)
live = hyperspy_dosekin.LiveKinetics(dose_rate=3.45, frame_time=44.0, estimator="exact")
"""
#: An empty figure that is drawn again, as ipympl shows it.
SHOWN = "figure = live.plot(follow=True)\ndisplay(figure.canvas)"
#: The same where figures are pictures: ten of them would be a long page.
INLINE = """
%matplotlib inline
other = hyperspy_dosekin.LiveKinetics(dose_rate=3.45, frame_time=44.0, estimator="exact")
_ = other.plot(follow=True)
for frame in s:
    _ = other.update(frame)
import matplotlib.pyplot as plt
plt.close("all")
"""
WIDGETS = "%matplotlib widget"
TOOL = """
import os, tempfile
folder, beside = tempfile.mkdtemp(), tempfile.mkdtemp()
shown = s.dose_kinetics_tool(display=False)["ipywidgets"]
tool, figures = shown["wdict"]["tool"], shown["wdict"]["figures"]
tool.following.settle = 0.1
display(shown["widget"])

def arrive(places):
    # Whole: a file that is written in the folder might rest for longer than it takes to settle.
    for place in places:
        s.inav[place].save(f"{beside}/frame {place}.hspy")
        os.replace(f"{beside}/frame {place}.hspy", f"{folder}/frame {place}.hspy")
"""
#: Vermilion, of C–C.
COLOUR = (0xD5, 0x5E, 0x00)


def coloured(seen):
    return int((np.abs(seen[..., :3].astype(int) - COLOUR).sum(axis=-1) < 60).sum())


@pytest.fixture(scope="module")
def watched(open_notebook):
    cells = [START, INLINE, WIDGETS, SHOWN, TOOL]
    return open_notebook(cells, wait_for=".dk-curves canvas", name="live-kinetics")


def test_figure_follows_the_frames(watched):
    canvas, kernel = watched.canvas("figure"), watched.kernel
    empty = canvas.wait_drawn()
    watched.run("for place in range(5): live.update(s.inav[place])")
    five = canvas.wait_changed(empty)
    assert coloured(five) > coloured(empty)
    watched.run("for place in range(5, 9): live.update(s.inav[place])")
    nine = canvas.wait_changed(five)
    assert nine.shape == five.shape
    title = "9 frames, 1366 e⁻/Å²"
    assert kernel.eval("figure._suptitle.get_text() if figure._suptitle else ''") in (title, "")
    # The last area of C–C is where the axes have it.
    x, y = kernel.eval(
        "[float(v[-1]) for v in figure.axes[0].lines[1].get_data()]",
    )

    def is_there(_):
        near = canvas.around("figure.axes[0]", x, y)[:, :3].astype(int)
        return np.abs(near - COLOUR).sum(axis=-1).min() < 60

    canvas.wait_pixels(is_there, "last area")


def test_inline_picture_is_shown_once_and_is_the_last(watched):
    pictures = watched.page.locator(".jp-OutputArea-output img, .output_png img, img[src^='data:']")
    assert pictures.count() == 1
    width = pictures.first.evaluate("picture => picture.naturalWidth")
    assert width > 300
    assert watched.kernel.eval("other.n_frames") == 9


def test_folder_is_followed_in_the_tool(watched):
    page, kernel = watched.page, watched.kernel
    page.set_viewport_size({"width": 1000, "height": 1600})
    kernel.run("arrive(range(4))")
    page.get_by_role("tab", name="Follow").click()
    field = page.locator(".dk-follow-folder input")
    field.fill(kernel.eval("folder"))
    field.press("Enter")
    kernel.wait_equal("tool.following.folder == folder", True)
    page.locator(".dk-follow-button").click()
    page.locator(".dk-message").get_by_text("4 frames").wait_for()
    canvas = watched.canvas("figures['growing'].figure", ".dk-growing")
    four = canvas.wait_drawn()
    # The notebook answers while files arrive.
    kernel.run("arrive(range(4, 9))")
    page.locator(".dk-message").get_by_text("9 frames").wait_for()
    canvas.wait_changed(four)
    assert kernel.eval("tool.worker.running")
    page.locator(".dk-stop-button").click()
    page.locator(".dk-message").get_by_text("tool.result").wait_for()
    own = kernel.eval("np.nan_to_num(tool.result.half_integrity_dose.data).tolist()")
    whole = "s.integrate_windows().fit_dose_pinn(estimator='exact').half_integrity_dose"
    expected = kernel.eval(f"np.nan_to_num({whole}.data).tolist()")
    np.testing.assert_allclose(own, expected, rtol=2e-3)
