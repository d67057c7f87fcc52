# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages: every block of code runs, they build without a warning, no link is dead."""

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

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


@pytest.mark.parametrize("page", FIRST_HOUR, ids=name_of)
def test_first_hour_runs_in_a_fresh_process(page):
    check(page, sys.executable)


LATER = [page for page in WITH_CODE if page not in FIRST_HOUR]


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


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The pages as they are built without a network, all warnings being errors; no examples run."""
    pytest.importorskip("pydata_sphinx_theme", reason="the extra docs is not installed")
    folder = tmp_path_factory.mktemp("site")
    source = folder / "docs"
    # A copy: building writes pages beside the sources, which another build may be reading.
    for path in DOCS.rglob("*"):
        inside = path.relative_to(DOCS)
        if path.is_file() and not MADE & set(inside.parts) and path.suffix != ".pyc":
            target = source / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    for name in ("examples/gallery", "CHANGES.rst", "upcoming_changes"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).symlink_to(ROOT / name)
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    result = subprocess.run(
        [*command, str(source), str(folder / "html")],
        env={**os.environ, "GALLERY": "none", "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        timeout=PROCESS,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-6000:]
    return folder / "html"


class Links(HTMLParser):
    """Targets of links and pictures of a page, and the places in it that can be linked to."""

    def __init__(self, page):
        super().__init__()
        self.targets, self.places = set(), set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.places.update(found[key] for key in ("id", "name") if found.get(key))
        self.targets.update(found[key] for key in ("href", "src") if found.get(key))


def test_no_link_is_dead(site):
    # The theme keeps a template of its own among its styles.
    paths = [path for path in site.rglob("*.html") if "_static" not in path.parts]
    pages = {path: Links(path) for path in paths}
    assert len(pages) > 60
    dead = []
    for path, page in pages.items():
        for target in page.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            aim = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            aim = aim / "index.html" if aim.is_dir() else aim
            if not aim.exists():
                dead.append(f"{path.name}: {target}")
            elif parts.fragment and aim in pages and aim.suffix == ".html":
                place = unquote(parts.fragment)
                if place not in pages[aim].places and place != "":
                    dead.append(f"{path.name}: {target} (no such place)")
    assert not dead


def test_pages_ask_nothing_of_a_network(site):
    """Scripts, styles, fonts and pictures lie among the pages: they are read offline too."""
    wanted = re.compile(r"<(?:script|link|img)[^>]*(?:src|href)=\"(https?:)?//[^\"]*\"")
    for path in site.rglob("*.html"):
        found = [m.group(0) for m in wanted.finditer(path.read_text(encoding="utf-8"))]
        assert not [link for link in found if 'rel="canonical"' not in link], path.name


def test_links_of_the_readme_lead_somewhere():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    assert targets
    for target in targets:
        if not urlsplit(target).scheme:
            assert (ROOT / target.split("#")[0]).exists(), target
