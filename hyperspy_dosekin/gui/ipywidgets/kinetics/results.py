# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tool has to say, and the buttons that make it do something."""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets

from hyperspy_dosekin.gui.ipywidgets.boxes import row_of
from hyperspy_dosekin.gui.kinetics.table import NOT_DETERMINED, TableRow
from hyperspy_dosekin.gui.tools import DoseKineticsTool
from hyperspy_dosekin.numerics.html import element, joined

#: Dark on light, with enough contrast, and never told by colour alone.
_COLOURS = {"info": ("#0b3d0b", "#eef6ee", "✓"), "error": ("#7a0000", "#fdecec", "⚠")}
_CELL = "padding:2px 7px;border-bottom:1px solid #ccc;text-align:right;white-space:nowrap"
_TABLE = (
    "border-collapse:collapse;color:#111;background:#fff;font-size:13px;line-height:1.4;"
    "font-variant-numeric:tabular-nums"
)
_NOTES = "margin:2px 0 2px 1.2em;padding:0;color:#222;font-size:12px;line-height:1.4"

_COPY = "margin:4px 0;padding:2px 10px;font-size:12px;cursor:pointer"
#: What the browser does when the button is pressed. Pages from elsewhere that are not read over
#: https have no clipboard; they can still copy what is selected.
_COPYING = """
const done = () => { this.textContent = "Copied" };
if (navigator.clipboard) { navigator.clipboard.writeText(this.dataset.text).then(done) } else {
  const area = document.createElement("textarea");
  area.value = this.dataset.text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
  done();
}
"""


def message_html(text: str, level: str) -> str:
    """A message, in a box that says whether it is an error."""
    if not text:
        return ""
    colour, ground, sign = _COLOURS[level]
    css = f"color:{colour};background:{ground};border-left:4px solid {colour};"
    return element(
        "div",
        f"{sign} {text}",
        css=f"{css}padding:3px 8px;line-height:1.35",
        css_class=f"dk-message-{level}",
        role="status",
    )


def table_html(headers: Sequence[str], rows: Sequence[TableRow]) -> str:
    """The table of all windows."""
    if not rows:
        return ""
    head = [
        element("th", text, css=f"{_cell_css(place)};font-weight:bold")
        for place, text in enumerate(headers)
    ]
    body = [
        element(
            "tr",
            *(
                element("td", text, css=_cell_css(place, text))
                for place, text in enumerate(row.cells)
            ),
        )
        for row in rows
    ]
    table = element(
        "table",
        element("thead", element("tr", *head)),
        element("tbody", *body),
        css=_TABLE,
        css_class="dk-table",
    )
    # Tabs between the cells: so it goes into a spreadsheet and into a document.
    text = "\n".join("\t".join(line) for line in (headers, *(row.cells for row in rows)))
    button = element(
        "button",
        "Copy table",
        css_class="dk-copy",
        css=_COPY,
        title="Copy the table, with tabs between its cells",
        data_text=text,
        onclick=_COPYING,
    )
    return joined([table, button])


def _cell_css(place: int, text: str = "") -> str:
    aside = ";text-align:left" if place == 0 else ""
    return _CELL + aside + (";font-style:italic" if text in (NOT_DETERMINED, "NO") else "")


def notes_html(notes: Sequence[str]) -> str:
    """What is to be said beside the numbers."""
    if not notes:
        return ""
    items = (element("li", note) for note in notes)
    return element("ul", *items, css=_NOTES, css_class="dk-notes")


class Results:
    """Message, table, notes, buttons, progress and code."""

    def __init__(self, tool: DoseKineticsTool) -> None:
        self.tool = tool
        full = {"width": "auto"}
        self.message = ipywidgets.HTML(layout=full)
        self.message.add_class("dk-message")
        # A wide table is moved sideways where there is no room for it.
        self.table = ipywidgets.HTML(layout={**full, "overflow": "auto"})
        self.notes = ipywidgets.HTML(layout=full)
        self.buttons = {
            name: ipywidgets.Button(
                description=text, tooltip=tooltip, icon=icon, layout={"width": "auto"}
            )
            for name, text, tooltip, icon in (
                ("network", "Fit network", "Fit the physics-informed networks", "cogs"),
                ("stop", "Stop", "Stop what runs, and keep what is there", "stop"),
                ("apply", "Apply", "Keep the result: tool.result and s.dose_kinetics", "check"),
                ("save", "Save", "Save the result to the file", "floppy-o"),
                ("undo", "Undo", "Take back the last change of windows or controls", "undo"),
                ("redo", "Redo", "Make it again", "repeat"),
                ("code", "Show code", "The calls that give this result", "code"),
                ("close", "Close", "Close the tool", "times"),
            )
        }
        for name, button in self.buttons.items():
            button.add_class(f"dk-{name}-button")
        self.progress = ipywidgets.FloatProgress(
            min=0.0, max=1.0, value=0.0, layout={"width": "150px", "visibility": "hidden"}
        )
        self.progress.add_class("dk-progress")
        self.what = ipywidgets.Label(layout={"width": "150px"})
        self.path = ipywidgets.Text(
            value=tool.path,
            continuous_update=False,
            tooltip="Name of the file",
            layout={"width": "150px"},
        )
        self.overwrite = ipywidgets.Checkbox(
            value=tool.overwrite, description="Overwrite", indent=False, layout={"width": "auto"}
        )
        self.code = ipywidgets.Textarea(
            layout={"width": "auto", "display": "none"}, rows=9, tooltip="Calls of this result"
        )
        self.code.add_class("dk-code")
        css = (
            ".dk-code textarea{font-family:monospace;font-size:12px;color:#111;background:#fafafa}"
        )
        style = ipywidgets.HTML(element("style", css))
        first = ("undo", "redo", "network", "stop")
        second = ("apply", "save")
        self.widget = ipywidgets.VBox(
            [
                self.table,
                self.notes,
                row_of([*(self.buttons[name] for name in first), self.progress, self.what]),
                row_of(
                    [
                        *(self.buttons[name] for name in second),
                        self.path,
                        self.overwrite,
                        self.buttons["code"],
                        self.buttons["close"],
                    ]
                ),
                self.code,
                style,
            ]
        )
        self._connect()

    def _connect(self) -> None:
        tool = self.tool
        self.buttons["network"].on_click(lambda button: tool.fit_network())
        self.buttons["stop"].on_click(lambda button: tool.stop())
        self.buttons["apply"].on_click(lambda button: tool.attempt(tool.apply))
        self.buttons["undo"].on_click(lambda button: tool.attempt(tool.undo))
        self.buttons["redo"].on_click(lambda button: tool.attempt(tool.redo))
        self.buttons["save"].on_click(lambda button: tool.save())
        self.buttons["code"].on_click(lambda button: self._toggle_code())
        self.path.observe(lambda change: tool.trait_set(path=change["new"]), "value")
        self.overwrite.observe(lambda change: tool.trait_set(overwrite=change["new"]), "value")
        for name in ("message", "level"):
            tool.observe(self._show_message, name)
        for name in ("live", "table", "notes", "network"):
            tool.observe(self._show_results, name)
        # The code also names what does not change the numbers that are shown.
        for name in ("estimator", "protocol", "extent"):
            tool.fit.observe(self._show_code, name)
        for name in ("running", "what", "fraction", "stopping"):
            tool.worker.observe(self._show_progress, name)
        tool.fit.observe(self._show_progress, "law")
        tool.history.observe(self._show_history, "can_undo")
        tool.history.observe(self._show_history, "can_redo")
        self._show_history()
        self._show_message()
        self._show_results()
        self._show_progress()

    def _show_message(self, event: object = None) -> None:
        self.message.value = message_html(self.tool.message, self.tool.level)

    def _show_results(self, event: object = None) -> None:
        self.table.value = table_html(self.tool.headers, self.tool.table)
        self.notes.value = notes_html(self.tool.notes)
        self._show_code()

    def _show_progress(self, event: object = None) -> None:
        worker = self.tool.worker
        self.progress.layout.visibility = "visible" if worker.running else "hidden"
        self.progress.value = worker.fraction
        # Nobody knows how many files will come.
        share = f" {100 * worker.fraction:.0f} %" if worker.fraction else " …"
        percent = worker.what + share
        text = "stopping …" if worker.stopping else percent
        self.what.value = text if worker.running else ""
        # It knows the power law only.
        self.buttons["network"].disabled = worker.running or not self.tool.fit.is_power_law
        self.buttons["stop"].disabled = not worker.running or worker.stopping

    def _show_history(self, event: object = None) -> None:
        self.buttons["undo"].disabled = not self.tool.history.can_undo
        self.buttons["redo"].disabled = not self.tool.history.can_redo

    def _toggle_code(self) -> None:
        hidden = self.code.layout.display == "none"
        self.code.layout.display = "flex" if hidden else "none"
        self.buttons["code"].description = "Hide code" if hidden else "Show code"
        self._show_code()

    def _show_code(self, event: object = None) -> None:
        if self.code.layout.display == "none":
            return
        try:
            self.code.value = self.tool.code
        except Exception as error:
            self.code.value = f"# There is no code yet: {error}"
        self.code.rows = min(self.code.value.count("\n") + 2, 24)
