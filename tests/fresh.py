# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interpreters in which neither HyperSpy nor exspy nor this package has been imported.

Python, and what those three import, take five seconds to start. As a program this file imports the
latter once, and runs each piece of code that it is given in a copy of itself.
"""

import atexit
import functools
import gc
import importlib
import inspect
import json
import os
import subprocess
import sys
import tempfile
import traceback
from types import SimpleNamespace

from tests.patience import PROCESS

#: What HyperSpy and exspy import, and what takes long of it.
OF_OTHERS = (
    *("scipy.stats", "scipy.signal", "scipy.ndimage", "scipy.interpolate", "scipy.odr", "sympy"),
    *("matplotlib.pyplot", "matplotlib.widgets", "mpl_toolkits.axes_grid1", "dask.array"),
    *("dask.diagnostics", "pint", "h5py", "traits.api", "prettytable", "tqdm.auto", "requests"),
)


def run(code, path=(), cwd=None, **environment):
    """Run `code` with `path` before everything else that can be imported.

    Returns
    -------
    ``returncode``, ``stdout`` and ``stderr``.
    """
    places = [*map(str, path), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places), **environment}
    job = {"code": inspect.cleandoc(code), "path": [*map(str, path)], "cwd": str(cwd or os.curdir)}
    if hasattr(os, "fork"):
        server = _server()
        server.stdin.write(json.dumps({**job, "environment": environment}) + "\n")
        server.stdin.flush()
        return SimpleNamespace(**json.loads(server.stdout.readline()))
    return subprocess.run(
        [sys.executable, "-c", job["code"]],
        env=environment,
        cwd=job["cwd"],
        capture_output=True,
        text=True,
        timeout=PROCESS,
    )


@functools.cache
def _server():
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    places = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.fresh"],
        env={**os.environ, "PYTHONPATH": places},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(server.stdin.close)
    return server


def _in_a_copy(job):
    """Run a job in a copy of this process; how it ended, and what it said."""
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complained:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                for file, stream in ((said, 1), (complained, 2)):
                    os.dup2(file.fileno(), stream)
                os.chdir(job["cwd"])
                os.environ.clear()
                os.environ.update(job["environment"])
                sys.path[:0] = job["path"]
                sys.argv = ["-c"]
                importlib.invalidate_caches()
                exec(compile(job["code"], "<string>", "exec"), {"__name__": "__main__"})
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        texts = [os.pread(each.fileno(), 2**24, 0).decode() for each in (said, complained)]
    return {"returncode": ended, "stdout": texts[0], "stderr": texts[1]}


def _serve():
    for name in OF_OTHERS:
        importlib.import_module(name)
    ours = {"hyperspy", "exspy", "hyperspy_dosekin"}
    assert not ours & {name.split(".")[0] for name in sys.modules}
    gc.freeze()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_in_a_copy(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
