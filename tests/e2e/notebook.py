# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A notebook that runs in a browser: its page, its kernel and the figures in it.

Tests say what a person does (`Canvas.click`, `Canvas.drag`, keys and buttons through
`NotebookPage.page`, which is Playwright's) and check both sides: what the kernel knows
(`Kernel.eval`, `Kernel.wait`) and which pixels are seen (`Canvas.pixels`).

Page and kernel run at once, and neither is where the other is: `NotebookPage.settle` waits until
both have done what was asked of them before.
"""

import ast
import base64
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

#: Seconds to wait for anything; a machine that builds something else besides is slow.
PATIENCE = 300.0
#: Seconds between two looks.
_PAUSE = 0.1
#: ipympl sends a mouse position every 33 ms at most: the last one needs time to get through.
_SETTLE_MS = 150
_SHOWN_MS = 700
#: The last cell of each notebook: a button that nobody sees, which the kernel answers.
BEAT = """
import ipywidgets as _widgets
_beat = _widgets.Button(description="0", layout={"display": "none"})
_beat.add_class("e2e-beat")
_beat.on_click(lambda beat: setattr(beat, "description", str(int(beat.description) + 1)))
display(_beat)
"""


def wait_for(look: Callable[[], Any], accept: Callable[[Any], bool], what: str) -> Any:
    """Return what `look` finds as soon as it is accepted; fail after `PATIENCE`."""
    until = time.monotonic() + PATIENCE
    while True:
        found = look()
        if accept(found):
            return found
        if time.monotonic() > until:
            text = repr(found)
            raise AssertionError(f"waited {PATIENCE:g} s for {what}; it is {text[:400]}")
        time.sleep(_PAUSE)


class Kernel:
    """The Python that the page talks to."""

    def __init__(self, connection_file: Path) -> None:
        from jupyter_client import BlockingKernelClient

        self._client = BlockingKernelClient(connection_file=str(connection_file))
        self._client.load_connection_file()
        self._client.start_channels()

    def eval(self, expression: str) -> Any:
        """Value of an expression that JSON can hold, in the namespace of the notebook."""
        return self._ask("", f"__import__('json').dumps({expression})")

    def run(self, code: str) -> None:
        """Run statements; an exception in them fails the test."""
        self._ask(code, "'null'")

    def wait(self, expression: str, accept: Callable[[Any], bool]) -> Any:
        """Value of an expression as soon as it is accepted."""
        return wait_for(lambda: self.eval(expression), accept, expression)

    def wait_equal(self, expression: str, value: Any) -> None:
        """Wait until an expression has a value."""
        self.wait(expression, lambda found: found == value)

    def _ask(self, code: str, expression: str) -> Any:
        asked = self._client.execute(
            code, silent=True, store_history=False, user_expressions={"value": expression}
        )
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            reply = self._client.get_shell_msg(timeout=PATIENCE)
            if reply["parent_header"].get("msg_id") != asked:
                continue
            content = reply["content"]
            assert content["status"] == "ok", content.get("evalue", content)
            answer = content["user_expressions"]["value"]
            assert answer["status"] == "ok", f"{expression}: {answer.get('evalue', answer)}"
            return json.loads(ast.literal_eval(answer["data"]["text/plain"]))
        raise AssertionError(f"the kernel gave no answer to {expression}")

    def close(self) -> None:
        """End the kernel."""
        self._client.shutdown()
        self._client.stop_channels()


class Canvas:
    """The picture of one matplotlib figure (ipympl) in the page.

    Parameters
    ----------
    notebook
        The page it is in.
    locator
        Playwright's locator of the figure's widget, or of anything that it alone is in.
    figure
        Expression for the figure in the kernel.
    """

    def __init__(self, notebook: "NotebookPage", locator: Any, figure: str) -> None:
        self._notebook, self._figure = notebook, figure
        self._locator = locator.locator(".jupyter-matplotlib-canvas-div canvas").first

    def pixels(self) -> np.ndarray:
        """What is drawn, ``(rows, columns, 4)`` in the order red, green, blue, opacity."""
        from PIL import Image

        url = self._locator.evaluate("canvas => canvas.toDataURL('image/png')")
        picture = Image.open(io.BytesIO(base64.b64decode(url.split(",", 1)[1])))
        return np.asarray(picture.convert("RGBA"))

    def wait_drawn(self) -> np.ndarray:
        """Pixels, as soon as there is more to see than one colour."""
        self._locator.wait_for(timeout=1000 * PATIENCE)
        return self.wait_pixels(lambda seen: len(np.unique(seen.reshape(-1, 4), axis=0)) > 3)

    def wait_pixels(self, accept: Callable[[np.ndarray], bool], what: str = "figure") -> np.ndarray:
        """Pixels, as soon as they are accepted."""
        return wait_for(self.pixels, accept, f"the pixels of the {what}")

    def wait_changed(self, before: np.ndarray) -> np.ndarray:
        """Pixels, as soon as they are others than before."""
        return self.wait_pixels(lambda seen: not np.array_equal(seen, before), "changed figure")

    def colour_at(self, axes: str, x: float, y: float) -> tuple[int, int, int]:
        """Red, green and blue at a point of axes, given by an expression, in data coordinates."""
        seen = self.pixels()
        column, row = self._fraction(axes, x, y)
        at = seen[int(row * seen.shape[0]), int(column * seen.shape[1]), :3]
        return int(at[0]), int(at[1]), int(at[2])

    def around(self, axes: str, x: float, y: float, radius: int = 3) -> np.ndarray:
        """Pixels around a point of axes, in data coordinates, ``(n, 4)``."""
        seen = self.pixels()
        column, row = self._fraction(axes, x, y)
        i, j = int(row * seen.shape[0]), int(column * seen.shape[1])
        part = seen[max(i - radius, 0) : i + radius + 1, max(j - radius, 0) : j + radius + 1]
        return part.reshape(-1, 4)

    def click(self, axes: str, x: float, y: float) -> None:
        """Click on a point of axes, in data coordinates."""
        place = self._place(axes, x, y)
        mouse = self._notebook.page.mouse
        mouse.move(*place)
        self._notebook.page.wait_for_timeout(_SETTLE_MS)
        mouse.down()
        mouse.up()
        self._notebook.settle()

    def drag(self, axes: str, start: tuple[float, float], stop: tuple[float, float]) -> None:
        """Press the mouse at a point of axes and let it go at another, in data coordinates."""
        first, last = self._place(axes, *start), self._place(axes, *stop)
        drag(self._notebook.page, first, last)
        self._notebook.settle()

    def _place(self, axes: str, x: float, y: float) -> tuple[float, float]:
        """Where a point of axes is in the page."""
        self._locator.scroll_into_view_if_needed()
        box = self._locator.bounding_box()
        column, row = self._fraction(axes, x, y)
        return box["x"] + column * box["width"], box["y"] + row * box["height"]

    def _fraction(self, axes: str, x: float, y: float) -> tuple[float, float]:
        """Where a point of axes is in the figure, from its upper left corner, 0 to 1."""
        (right, up), width, height = self._notebook.kernel.eval(
            f"[[float(v) for v in {axes}.transData.transform(({x}, {y}))],"
            f" float({self._figure}.bbox.width), float({self._figure}.bbox.height)]"
        )
        return right / width, 1 - up / height


def drag(page: Any, start: tuple[float, float], stop: tuple[float, float]) -> None:
    """Press the mouse at a place of the page, move it, and let it go at another."""
    middle = (start[0] + stop[0]) / 2, (start[1] + stop[1]) / 2
    page.mouse.move(*start)
    page.wait_for_timeout(_SETTLE_MS)
    page.mouse.down()
    page.mouse.move(*middle, steps=4)
    page.mouse.move(*stop, steps=4)
    page.wait_for_timeout(_SETTLE_MS)
    page.mouse.up()


class NotebookPage:
    """A notebook that is shown by Voila, with its kernel.

    Attributes
    ----------
    page
        Playwright's page.
    kernel
        The `Kernel` of the notebook.
    said
        Messages of the browser's console.
    refused
        Addresses on other machines that the page asked for, and did not get.
    """

    def __init__(
        self,
        page: Any,
        kernel: Kernel,
        artifacts: Path,
        name: str,
        said: list[str],
        refused: list[str],
    ) -> None:
        self.page, self.kernel, self.said, self.refused = page, kernel, said, refused
        self._artifacts, self._name = artifacts, name

    def canvas(self, figure: str, within: str = "body", number: int = 0) -> Canvas:
        """The picture of a figure.

        Parameters
        ----------
        figure
            Expression for the figure in the kernel.
        within
            CSS selector of what the picture is in.
        number
            Which of the pictures in there.
        """
        holder = self.page.locator(f"{within} .jupyter-matplotlib").nth(number)
        return Canvas(self, holder, figure)

    def settle(self) -> None:
        """Wait until the kernel has heard all from the page, and the page all from the kernel.

        What each says to the other arrives in its order, so the answer to a click on a button comes
        after everything that was said before. A figure asks once more before it is drawn.
        """
        beat = self.page.locator(".e2e-beat")
        for _ in range(2):
            number = int(beat.text_content())
            beat.dispatch_event("click")
            wait_for(
                lambda: int(beat.text_content()),
                lambda found, after=number: found > after,
                "the kernel's answer to the page",
            )

    def run(self, code: str) -> None:
        """Run statements in the kernel, and wait until the page shows what they changed."""
        self.kernel.run(code)
        self.settle()

    def drag_slider(self, selector: str, fraction: float) -> None:
        """Drag the handle of a slider of ipywidgets to a fraction of its length."""
        slider = self.page.locator(selector)
        slider.scroll_into_view_if_needed()
        handle = slider.locator(".noUi-handle").bounding_box()
        rail = slider.locator(".noUi-target").bounding_box()
        y = handle["y"] + handle["height"] / 2
        start = handle["x"] + handle["width"] / 2
        drag(self.page, (start, y), (rail["x"] + fraction * rail["width"], y))
        self.settle()

    def screenshot(self, name: str = "") -> Path:
        """Keep a picture of the whole page among the artefacts of the tests."""
        self._artifacts.mkdir(exist_ok=True)
        path = self._artifacts / f"{'-'.join(filter(None, [self._name, name]))}.png"
        # What was changed last may not be drawn yet.
        self.page.wait_for_timeout(_SHOWN_MS)
        self.page.screenshot(path=str(path), full_page=True)
        return path
