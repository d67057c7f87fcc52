# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writers that are killed, or meet a full disk: the old file or the new one, whole."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL on Windows")

# Writes "old" once, then overwrites it again and again with "new" of another size.
WRITER = """
import sys
from pathlib import Path
import numpy as np
from tests.faults.writers import WRITERS
write = WRITERS[sys.argv[1]]
path = Path(sys.argv[2])
write(path, 0)
print("ready", flush=True)
for number in range(1, 10_000):
    write(path, number)
"""


@pytest.mark.parametrize("name", ["text", "folder", "model"])
def test_killed_writer_leaves_a_whole_file(name, tmp_path):
    from tests.faults.writers import READERS

    path = tmp_path / f"target{READERS[name].suffix}"
    rng = random.Random(7)
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", WRITER, name, str(path)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        READERS[name].check(path)


FULL = """
import resource, sys
from pathlib import Path
import tests.faults.writers as writers
path = Path(sys.argv[2])
writers.WRITERS[sys.argv[1]](path, 0)
signal = __import__("signal")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    writers.WRITERS[sys.argv[1]](path, 1)
except Exception as error:
    print(type(error).__name__)
"""


@pytest.mark.parametrize("name", ["text", "model"])
def test_full_disk_leaves_the_old_file(name, tmp_path):
    from tests.faults.writers import READERS

    path = tmp_path / f"target{READERS[name].suffix}"
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FULL, name, str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip(), found.stderr
    assert READERS[name].check(path) == 0
    assert os.listdir(tmp_path) == [path.name]
