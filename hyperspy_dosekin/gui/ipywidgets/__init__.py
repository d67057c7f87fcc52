# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Views of the tools in notebooks. Imported by HyperSpy when one is to be shown."""

from importlib.util import find_spec

_NEEDED = ("hyperspy_gui_ipywidgets", "ipywidgets", "ipympl", "link_traits")

_missing = [name for name in _NEEDED if find_spec(name) is None]
if _missing:
    raise ImportError(
        f"the interactive tools need {', '.join(_missing)}, which is not installed; "
        'run: pip install "hyperspy_dosekin[gui]"'
    )
