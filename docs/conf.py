# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of Sphinx. The pages are built offline unless DOCS_INTERSPHINX is set.

One example of the gallery alone: `make docs GALLERY=plot_half_integrity_map` runs that one and
shows the others without output; `make docs GALLERY=none` runs none.
"""

import os
import sys
from importlib.metadata import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))
from members import OwnMembers

_package = metadata("hyperspy_dosekin")

project = _package["Name"]
author = _package["Author"]
project_copyright = author
release = _package["Version"]

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    # Equations without a network: MathJax lies among the pages.
    "sphinx-mathjax-offline",
    "docstrings",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
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

exclude_patterns = ["_build", "gallery/*.ipynb", "gallery/*.py"]
templates_path = ["_templates"]
default_role = "code"

autosummary_generate = True
autosummary_context = {"own_members": OwnMembers()}
autodoc_typehints = "signature"
# Members that HyperSpy's classes bring are documented there.
numpydoc_show_class_members = False
numpydoc_show_inherited_class_members = False

_example = os.environ.get("GALLERY", "")
sphinx_gallery_conf = {
    "examples_dirs": "../examples/gallery",
    "gallery_dirs": "gallery",
    "filename_pattern": rf"{os.sep}{_example}" if _example else rf"{os.sep}plot_",
    "copyfile_regex": r".*\.rst",
    "abort_on_example_error": True,
    "only_warn_on_example_error": False,
    # After every example figures are closed and rcParams are as before, see docs/_ext/gallery.py.
    "reset_modules": ("matplotlib", "gallery.reset"),
    # HyperSpy draws with Matplotlib, so that this scraper finds its figures too.
    "image_scrapers": ("matplotlib",),
    "within_subsection_order": "gallery.Order",
    "thumbnail_size": (400, 280),
    "matplotlib_animations": False,
    "show_memory": False,
    "write_computation_times": False,
    "min_reported_time": 1e6,
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_signature": False,
    "plot_gallery": "True",
    "backreferences_dir": None,
    "doc_module": (),
    "capture_repr": ("_repr_html_", "__repr__"),
    # Figures, and texts and bars in them, are seen; their names say nothing.
    "ignore_repr_types": r"matplotlib\.",
}

html_theme = "pydata_sphinx_theme"
html_title = project
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {
    "show_prev_next": False,
    "navigation_with_keys": False,
    "show_nav_level": 1,
    "secondary_sidebar_items": ["page-toc"],
    "navbar_align": "left",
    "navbar_persistent": ["search-button"],
    "header_links_before_dropdown": 4,
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
}
html_show_sourcelink = False
# Pages that stand alone have no section to navigate in.
html_sidebars = {
    page: [] for page in ("index", "getting_started", "comparison", "bibliography", "changes")
}
toc_object_entries_show_parents = "hide"

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
