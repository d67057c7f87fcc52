# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of Sphinx. The pages are built offline unless DOCS_INTERSPHINX is set."""

import os
from pathlib import Path

import tomllib

_project = tomllib.loads(
    (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
)["project"]

project = _project["name"]
author = _project["authors"][0]["name"]
project_copyright = author
release = _project["version"]

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_copybutton",
]
if os.environ.get("DOCS_INTERSPHINX"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "hyperspy": ("https://hyperspy.org/hyperspy-doc/current", None),
        "exspy": ("https://hyperspy.org/exspy", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "python": ("https://docs.python.org/3", None),
        "torch": ("https://docs.pytorch.org/docs/stable", None),
    }

exclude_patterns = ["_build"]
templates_path = ["_templates"]
default_role = "code"

autosummary_generate = True
autodoc_typehints = "signature"
# Members that HyperSpy's classes bring are documented there.
numpydoc_show_class_members = False
numpydoc_show_inherited_class_members = False

html_theme = "pydata_sphinx_theme"
html_title = project
html_static_path = []
html_theme_options = {"show_prev_next": False, "navigation_with_keys": False}
html_show_sourcelink = False

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
