# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place where HTML is made: whatever is not HTML already is escaped here.

Names of windows and classes, titles and messages may come from files of other people.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prettytable import PrettyTable


class Html(str):
    """Text that is HTML, made by `element`."""

    __slots__ = ()


def element(
    tag: str,
    *content: str,
    css: str = "",
    css_class: str = "",
    **attributes: str,
) -> Html:
    """An element with its content.

    Parameters
    ----------
    tag
        Its name.
    *content
        What it holds: other elements, and texts, which are escaped.
    css, css_class
        Its style and its class.
    **attributes
        Further attributes; ``data_text`` stands for ``data-text``.

    Examples
    --------
    >>> element("li", "a < b ", element("b", "c"), css="color:red")
    '<li style="color:red">a &lt; b <b>c</b></li>'
    """
    given = {"class": css_class, "style": css, **attributes}
    told = "".join(
        f' {name.replace("_", "-")}="{escape(value)}"' for name, value in given.items() if value
    )
    return Html(f"<{tag}{told}>{joined(content)}</{tag}>")


def joined(content: Iterable[str]) -> Html:
    """Elements and texts one after the other, texts escaped."""
    return Html("".join(part if isinstance(part, Html) else escape(part) for part in content))


def report(
    heading: str = "",
    tables: Iterable[PrettyTable | None] = (),
    notes: Iterable[str] = (),
    parts: Iterable[str] = (),
) -> Html:
    """What a notebook shows of a result: a heading, its tables, what has to be said, and parts.

    Parameters
    ----------
    heading
        The result in a line.
    tables
        Its tables, which escape their cells; ``None`` is left out.
    notes
        What has to be said beside the numbers.
    parts
        Results within it, as HTML made here, or texts.

    Examples
    --------
    >>> report("<b>", notes=["a < b"])
    '<div><p><b>&lt;b&gt;</b></p><ul><li>a &lt; b</li></ul></div>'
    """
    said = [element("li", note) for note in notes]
    return element(
        "div",
        *([element("p", element("b", heading))] if heading else []),
        *(Html(table.get_html_string()) for table in tables if table is not None),
        *([element("ul", *said)] if said else []),
        *parts,
    )
