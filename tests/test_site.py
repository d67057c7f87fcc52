# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages are built without a warning, no link is dead, and nothing is asked of a network."""

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
#: Made by the build, or by others from our files.
MADE = {"_build", "gallery", "generated"}
#: As ``python -m sphinx``, which looks for cycles in millions of nodes for a fifth of its time,
#: reads one template anew for every docstring, and finds the stem of a word at each place.
START = """
import functools, gc, sys
gc.disable()
from jinja2.sandbox import SandboxedEnvironment
from sphinx.cmd.build import main
from sphinx.search.en import SearchEnglish
SearchEnglish.stem = functools.cache(SearchEnglish.stem)
read, known = SandboxedEnvironment.compile, {}
def compile(self, source, *named, **given):
    key = source, named, *given.items(), *self.extensions
    if key not in known:
        known[key] = read(self, source, *named, **given)
    return known[key]
SandboxedEnvironment.compile = compile
sys.exit(main())
"""


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
    command = [sys.executable, "-c", START, "-W", "--keep-going", "-q", "-b", "html"]
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
