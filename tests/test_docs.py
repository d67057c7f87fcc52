# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages: every block of code runs. See test_site.py for what is built of them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PROCESS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"

sys.path.insert(0, str(DOCS))
from check_first_hour import FIRST_HOUR, blocks, check  # noqa: E402

sys.path.pop(0)

#: Made by the build, or by others from our files.
MADE = {"_build", "gallery", "generated"}
PAGES = [ROOT / "README.md", *sorted(p for p in DOCS.rglob("*.rst") if not MADE & set(p.parts))]
WITH_CODE = [page for page in PAGES if any(block.kind == "python" for block in blocks(page))]


def name_of(page):
    return page.relative_to(ROOT).as_posix()


def test_first_hour_is_among_the_pages():
    assert set(FIRST_HOUR) < set(WITH_CODE)


def test_the_readme_runs_in_a_fresh_process():
    """``make first-hour`` asks the same of Getting started too, and shortens nothing."""
    check(ROOT / "README.md", sys.executable, short=True)


LATER = [page for page in WITH_CODE if page != ROOT / "README.md"]


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What each of the other pages said when it failed, from one process that has forked."""
    if not hasattr(os, "fork"):
        pytest.skip("no fork on this system")
    outcome = tmp_path_factory.mktemp("pages") / "outcome.json"
    script = DOCS / "check_first_hour.py"
    subprocess.run(
        [sys.executable, str(script), "--forked", str(outcome), *map(str, LATER)],
        env={**os.environ, "MPLBACKEND": "Agg"},
        capture_output=True,
        timeout=PROCESS,
        check=False,
    )
    return json.loads(outcome.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", LATER, ids=name_of)
def test_blocks_of_a_page_run(page, said):
    assert said[str(page.resolve())] == ""


@pytest.mark.parametrize("page", WITH_CODE, ids=name_of)
def test_blocks_that_are_not_run_say_why(page):
    for block in blocks(page):
        assert block.not_run != "no reason given", f"{page}, line {block.line}"


def test_a_block_that_fails_is_seen(tmp_path):
    """Proof that the test of the blocks can fail, and names the line."""
    page = tmp_path / "page.rst"
    page.write_text(
        "Page\n====\n\n.. code-block:: python\n   :caption: Trap\n\n   answer = 42\n   1 / 0\n",
        encoding="utf-8",
    )
    with pytest.raises(RuntimeError, match=r"page.rst.*, line 8(?s:.*)ZeroDivisionError"):
        check(page, sys.executable)


def test_comments_for_the_script_are_understood(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- supposes:\nfrom pathlib import Path\nPath('there').touch()\n-->\n"
        "<!-- not run: it would take all day -->\n```python\n1 / 0\n```\n"
        "```bash\nmake test\n```\n```python\nassert open('there')\n```\n",
        encoding="utf-8",
    )
    kinds = [(block.kind, block.not_run) for block in blocks(page)]
    assert kinds == [
        ("supposes", ""),
        ("python", "it would take all day"),
        ("bash", ""),
        ("python", ""),
    ]
    check(page, sys.executable)
