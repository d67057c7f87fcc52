# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Views of the tools as windows of Qt. Imported by HyperSpy when one is to be shown."""

from importlib.util import find_spec

from traits.etsconfig.etsconfig import ETSConfig

_NEEDED = ("hyperspy_gui_traitsui", "traitsui", "PySide6")

_missing = [name for name in _NEEDED if find_spec(name) is None]
if _missing:
    raise ImportError(
        f"windows of the tools need {', '.join(_missing)}, which is not installed; "
        'run: pip install "hyperspy_dosekin[gui-traitsui]"'
    )

if ETSConfig.toolkit == "":
    ETSConfig.toolkit = "qt"
elif not ETSConfig.toolkit.startswith("qt"):
    # HyperSpy's own package chooses by the backend of matplotlib; after this error HyperSpy goes on
    # with other toolkits.
    raise NotImplementedError(
        f"windows of the tools need Qt, and this session has chosen {ETSConfig.toolkit!r}; write "
        "%matplotlib qt before anything else, or pass toolkit='ipywidgets'."
    )
