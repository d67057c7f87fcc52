# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The doorway from signals to the interactive tools.

Tools are built upon signals and not the other way round. So a tool is found by its name when
somebody asks for it, as HyperSpy finds the views of its own, and nothing of it is imported before.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


def open_tool(
    name: str, *arguments: Any, display: bool = True, toolkit: str | None = None, **options: Any
) -> Any:
    """Make a tool of ``hyperspy_dosekin.gui.tools``, and show it.

    Parameters
    ----------
    name
        Name of its class.
    *arguments, **options
        Of the class.
    display
        Whether to show it now.
    toolkit
        Of HyperSpy, such as ``"ipywidgets"``; ``None`` takes what there is.

    Returns
    -------
    HasTraits or dict
        The state of the tool; with ``display=False`` its widgets, as HyperSpy's own tools do:
        ``{toolkit: {"widget": …, "wdict": …}}``, the state being ``wdict["tool"]``.

    Raises
    ------
    ImportError
        If the widgets are not installed; the message says how to get them.
    """
    tool = getattr(import_module("hyperspy_dosekin.gui.tools"), name)(*arguments, **options)
    shown = tool.gui(display=display, toolkit=toolkit)
    return tool if display else shown
