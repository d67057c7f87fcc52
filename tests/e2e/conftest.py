# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Notebooks in a real browser: Voila serves them, Playwright drives Chromium.

A test module makes a fixture of its notebook and shares it among its tests::

    @pytest.fixture(scope="module")
    def notebook(open_notebook):
        return open_notebook(["tool = …", "tool.gui()"], wait_for=".jupyter-matplotlib canvas")

See `tests.e2e.notebook` for what can be done with it. Nothing outside this machine is asked.
"""

import os
import random
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e import kernels
from tests.e2e.browser import ADVICE, ARGUMENTS, find_browser, is_required
from tests.e2e.notebook import BEAT, PATIENCE, Kernel, NotebookPage, wait_for

_LOCAL = re.compile(r"^https?://(?:127\.0\.0\.1|localhost)[:/]|^(?:data|blob|about):")
_FAILED = pytest.StashKey[bool]()


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.e2e)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    item.stash[_FAILED] = item.stash.get(_FAILED, False) or report.failed
    return report


def _not_here(reason):
    """Fail in continuous integration; elsewhere a person may do without a browser."""
    if is_required():
        pytest.fail(f"{reason} (CI is set, so the end-to-end tests must run)")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def artifacts(pytestconfig):
    """Folder for screenshots, which is kept."""
    return pytestconfig.rootpath / "test_artifacts"


@pytest.fixture(scope="session")
def voila(tmp_path_factory):
    """Voila, serving a folder: its address, the folder, and that of the kernels' connections."""
    for module in ("voila", "ipykernel", "ipympl", "hyperspy_gui_ipywidgets"):
        # Without ipykernel Voila would show nothing, and say nothing.
        if not _is_installed(module):
            _not_here(f"{module} is not installed: pip install hyperspy_dosekin[gui,tests]")
    folder = tmp_path_factory.mktemp("voila")
    notebooks, runtime = folder / "notebooks", folder / "kernels"
    notebooks.mkdir()
    runtime.mkdir()
    port = _free_port()
    environment = {
        **os.environ,
        **{f"JUPYTER_{name}_DIR": str(folder / name) for name in ("RUNTIME", "CONFIG", "DATA")},
        "IPYTHONDIR": str(folder / "ipython"),
    }
    # The notebooks choose ipympl themselves.
    environment.pop("MPLBACKEND", None)
    command = [
        *(sys.executable, "-m", "voila", str(notebooks)),
        *("--no-browser", f"--port={port}", "--Voila.ip=127.0.0.1"),
        *(f"--Voila.connection_dir_root={runtime}", "--show_tracebacks=True"),
    ]
    commands, copying = [command], _free_port()
    if hasattr(os, "fork"):
        kernels.write_spec(folder / "DATA", copying)
        commands.append([sys.executable, kernels.__file__, str(copying)])
    log = folder / "voila.log"
    with log.open("wb") as output:
        same = {"env": environment, "cwd": folder, "stdout": output, "stderr": subprocess.STDOUT}
        servers = [subprocess.Popen(each, **same) for each in commands]

    def answers():
        assert servers[0].poll() is None, log.read_text(errors="replace")[-3000:]
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_for(answers, bool, "the start of Voila")
        yield f"http://127.0.0.1:{port}", notebooks, runtime
    finally:
        for server in servers:
            # Not SIGINT, which a shell lets its background processes ignore.
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _free_port():
    """None of those that other programs are given when they ask for any."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)):
                return port
    raise OSError("no port is free")


def _is_installed(module):
    from importlib.util import find_spec

    return find_spec(module) is not None


#: Playwright and the browser, while they are open.
_open = []


@pytest.fixture(scope="module")
def browser():
    """Chromium, without a window; one for all modules, whose contexts share nothing."""
    if not _is_installed("playwright"):
        _not_here("playwright is not installed: pip install hyperspy_dosekin[gui,tests]")
    path = find_browser()
    if path is None:
        _not_here(f"there is no browser of the Chromium family: {ADVICE}")
    if not _open:
        from playwright.sync_api import Error, sync_playwright

        _open.append(sync_playwright().start())
        try:
            _open.append(_open[0].chromium.launch(executable_path=path, args=list(ARGUMENTS)))
        except Error as error:
            _end_browser()
            _not_here(f"{path} does not start: {str(error).splitlines()[0]}")
    return _open[1]


def _end_browser():
    """End what is open, for others need an event loop of their own."""
    playwright, *browsers = _open
    for each in browsers:
        each.close()
    playwright.stop()
    _open.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item, nextitem):
    yield
    here = Path(__file__).parent
    if _open and (nextitem is None or not nextitem.path.is_relative_to(here)):
        _end_browser()


def pytest_sessionfinish():
    if _open:
        _end_browser()


@pytest.fixture(scope="module")
def open_notebook(browser, voila, artifacts, request):
    """Function that writes a notebook from cells, opens it, and returns a `NotebookPage`.

    Its arguments: the cells, texts of Python, before which ``%matplotlib widget`` is put;
    ``wait_for``, the CSS selector of what is there when the page is ready; ``width`` of the
    window in pixels; ``name``, by default that of the module.
    """
    address, folder, runtime = voila
    opened, contexts = [], []

    def open_one(cells, *, wait_for=".jupyter-matplotlib canvas", width=1000, name=None):
        name = name or request.path.stem.removeprefix("test_")
        _write(folder / f"{name}.ipynb", ["%matplotlib widget", *cells, BEAT])
        before = set(runtime.rglob("kernel-*.json"))
        context = browser.new_context(viewport={"width": width, "height": 900})
        contexts.append(context)
        context.set_default_timeout(1000 * PATIENCE)
        page = context.new_page()
        said, refused = [], []
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(f"uncaught: {error}"))

        def refuse(route):
            refused.append(route.request.url)
            route.abort()

        context.route(lambda url: not _LOCAL.match(url), refuse)
        # The answer comes when every cell has run.
        page.goto(f"{address}/voila/render/{name}.ipynb", timeout=2000 * PATIENCE)
        failed = page.get_by_text("Traceback (most recent call last)")
        page.locator(wait_for).or_(failed).first.wait_for()
        (connection,) = set(runtime.rglob("kernel-*.json")) - before
        found = NotebookPage(page, Kernel(connection), artifacts, name, said, refused)
        opened.append(found)
        if failed.count():
            pytest.fail(f"a cell of the notebook failed:\n{page.inner_text('body')[-3000:]}")
        return found

    open_one.opened = opened
    yield open_one
    for notebook in opened:
        notebook.screenshot()
        notebook.kernel.close()
    for context in contexts:
        context.close()


def _write(path, cells):
    import nbformat

    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
        metadata={
            "kernelspec": {"name": kernels.NAME, "display_name": kernels.NAME, "language": "python"}
        },
    )
    nbformat.write(notebook, path)


@pytest.fixture(autouse=True)
def show_failure(request, artifacts):
    """Keep a picture of the page of a test that failed, and what the browser said."""
    yield
    if not request.node.stash.get(_FAILED, False) or "open_notebook" not in request.fixturenames:
        return
    for notebook in request.getfixturevalue("open_notebook").opened:
        name = f"{request.node.name}-failed"
        path = notebook.screenshot(re.sub(r"[^\w.-]+", "_", name))
        path.with_suffix(".log").write_text("\n".join(notebook.said), encoding="utf-8")
