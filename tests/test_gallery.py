# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of the gallery can be read and run anywhere; building the pages executes them."""

import ast
import importlib
import re
from pathlib import Path

import pytest

GALLERY = Path(__file__).parents[1] / "examples" / "gallery"
EXAMPLES = sorted(GALLERY.glob("plot_*.py"))
#: Modules that reach the network, or start other programs that might.
OUTSIDE = {"urllib", "requests", "httpx", "pooch", "http", "ftplib", "socket", "subprocess"}
#: What an example may need beside what the package itself needs.
OPTIONAL = {"distributed", "onnxruntime", "openvino", "ipywidgets"}

by_example = pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)


def _imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def test_there_are_as_many_examples_as_promised():
    assert 10 <= len(EXAMPLES) <= 25


@by_example
def test_has_title_summary_and_text(path):
    text = path.read_text(encoding="utf-8")
    lines = ast.get_docstring(ast.parse(text)).splitlines()
    title, rule, blank, summary = lines[:4]
    assert rule == "=" * len(rule)
    assert len(rule) >= len(title)
    assert not blank
    assert len(summary) > 40, "the docstring says what is shown, after its title"
    blocks = re.findall(r"^# %%\n((?:#.*\n)+)", text, flags=re.MULTILINE)
    assert len(blocks) >= 3
    assert sum(len(block.split()) for block in blocks) >= 80, "examples are read, not only run"


@by_example
def test_needs_neither_network_nor_other_files(path):
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    roots = {name.split(".")[0] for name in _imports(tree)}
    assert roots.isdisjoint(OUTSIDE)
    strings = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert not [value for value in strings if "../" in value or "/shared" in value]


@by_example
def test_what_it_imports_exists(path):
    names = [name for name in _imports(ast.parse(path.read_text(encoding="utf-8")))]
    for name in names:
        if name.split(".")[0] in OPTIONAL:
            continue
        module, _, last = name.rpartition(".")
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            assert hasattr(importlib.import_module(module), last), name


@by_example
def test_refers_to_examples_that_exist(path):
    text = path.read_text(encoding="utf-8")
    names = re.findall(r"sphx_glr_gallery_(\w+)\.py", text)
    assert set(names) <= {example.stem for example in EXAMPLES}
