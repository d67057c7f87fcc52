# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Docstrings as they are meant: "G. T. dos Santos" is a name, and not item G of a list."""

import re

_INITIAL = re.compile(r"^(\s*)([A-Z])\. (?=[A-Z])")


def _escape_initials(app, what, name, obj, options, lines):
    lines[:] = [_INITIAL.sub(r"\1\2\\. ", line) for line in lines]


def setup(app):
    """Before numpydoc, which has the priority 500."""
    app.connect("autodoc-process-docstring", _escape_initials, priority=400)
    return {"parallel_read_safe": True}
