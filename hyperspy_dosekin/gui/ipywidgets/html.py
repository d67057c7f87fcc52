# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place where HTML is made: whatever is not HTML already is escaped here.

Names of windows and classes, titles and messages may come from files of other people.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape


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
