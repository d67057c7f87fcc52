# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writers that are killed, interrupted, or meet a full disk or each other: a whole file stays.

``FAULT_KILLS=50`` kills each writer fifty times.
"""

import json
import os
import subprocess
import sys

import pytest

from tests.patience import PROCESS

if sys.platform == "win32":
    pytest.skip("no fork on Windows", allow_module_level=True)

from tests.faults.writers import WRITERS

KILLS = int(os.environ.get("FAULT_KILLS", "4"))


@pytest.fixture(scope="module")
def harm(tmp_path_factory):
    """What happened to each writer."""
    folder = str(tmp_path_factory.mktemp("harm"))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.faults.writers", str(KILLS), "7", folder],
        capture_output=True,
        text=True,
        timeout=PROCESS,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", WRITERS)
def test_killed(harm, name):
    # Every file was whole, or the writers would have ended with an error.
    assert len(harm[name]["killed"]) == KILLS


def test_killed_while_the_tool_saves(harm):
    assert len(harm["tool"]) == KILLS


def test_the_killed_were_at_work(harm):
    """Proof that the kills come while something is written."""
    assert any(max(harm[name]["killed"]) > 0 for name in WRITERS)


def test_no_compiler_is_imported(harm):
    """Torch's takes longer than to train the small network that was written there."""
    assert harm["compiler"] is False


def test_a_live_series_loses_no_frame_that_was_taken_in(harm):
    assert len(harm["live"]) == KILLS
    for taken, found in harm["live"]:
        # The last one may have been on the disk before its number was told.
        assert taken <= found <= taken + 1


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(
    ("what", "said"),
    [("full", "Error: "), ("interrupted", "KeyboardInterrupt"), ("read-only", "PermissionError: ")],
)
def test_what_is_there_afterwards(harm, name, what, said):
    found = harm[name][what]
    assert said in found["said"]
    assert found["left"] == []
    if what != "interrupted":
        assert found["number"] == 0


@pytest.mark.parametrize("name", WRITERS)
def test_several_at_once(harm, name):
    found = harm[name]["at once"]
    assert found["said"] == "done done done"
    assert found["number"] in (1, 2, 3)
    assert found["left"] == []
