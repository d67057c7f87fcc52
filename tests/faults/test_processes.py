# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions without a home, with -O and -I, forked, in threads, with little memory, interrupted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PROCESS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, and limits memory")


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """What happened in a session of Python -O -I without a home, in a folder that is read-only."""
    folder = tmp_path_factory.mktemp("session")
    place = tmp_path_factory.mktemp("read-only")
    place.chmod(0o555)
    kept = {name: value for name, value in os.environ.items() if name != "HOME"}
    done = subprocess.run(
        [sys.executable, "-O", "-I", Path(__file__).with_name("processes.py"), folder],
        cwd=place,
        env={**kept, "HOME": "/nonexistent", "MPLCONFIGDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=PROCESS,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_session_was_as_bad_as_meant(session):
    assert (session["optimised"], session["isolated"]) == (True, True)
    assert session["home"] == "/nonexistent"


@pytest.mark.parametrize("what", ["threads", "fork", "file", "figure", "alive"])
def test_the_same_numbers(session, what):
    assert session[what] is True


def test_little_memory_is_enough_or_told(session):
    assert session["memory"] in (True, "MemoryError")


def test_interrupted_classifications_end(session):
    """With what is there, or cleanly; never in a hang, nor with an error of another kind."""
    assert set(map(str, session["interrupted"])) <= {"True", "KeyboardInterrupt"}
