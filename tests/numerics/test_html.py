# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTML is made in one place, where everything is escaped."""

import ast
import re
from pathlib import Path

from prettytable import PrettyTable

import hyperspy_dosekin
from hyperspy_dosekin.numerics.html import Html, element, joined, report

HOSTILE = "<img src=x onerror=alert(1)>"
ESCAPED = "&lt;img src=x onerror=alert(1)&gt;"


def test_html_is_escaped_once():
    inner = element("b", "a & b")
    assert inner == "<b>a &amp; b</b>"
    assert element("p", inner, HOSTILE).count("&lt;") == 1
    assert element("p", title='"><script>') == '<p title="&quot;&gt;&lt;script&gt;"></p>'
    assert isinstance(joined(["<", inner]), Html)


def test_report_escapes_every_part_of_it():
    table = PrettyTable([HOSTILE])
    table.add_row([HOSTILE])
    found = report(HOSTILE, [table, None], [HOSTILE], [HOSTILE, report(HOSTILE)])
    assert "<img" not in found
    assert found.count(ESCAPED) == 6


def test_html_is_made_in_one_place():
    made = re.compile(r"<\s*/?\s*(div|span|p|br|table|t[rdh]|ul|li|style|img|b|i|a)\b[^<]*>")
    package = Path(hyperspy_dosekin.__file__).parent
    for path in package.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        if path.relative_to(package).as_posix() == "numerics/html.py":
            continue
        for node in ast.walk(tree):
            value = getattr(node, "value", None)
            if isinstance(node, ast.Constant) and isinstance(value, str):
                shown = "" if id(node) in docstrings else value
                assert not made.search(shown), f"{path.name}, line {node.lineno}"
            if isinstance(node, ast.Attribute):
                assert node.attr != "get_html_string", f"{path.name}, line {node.lineno}"
