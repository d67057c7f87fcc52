# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much slower HyperSpy starts because this package is installed.

Fresh interpreters import HyperSpy and read its registered extensions, in turn with and without our
entry points, so that a machine that slows down slows both. The limit is 5 ms.

Run: ``python benchmarks/import_time.py [--repeats 21] [--json PATH]``
"""

import argparse
import statistics
import subprocess
import sys

from _table import Rows, add_json_option

LIMIT_MS = 5.0

# Hiding the entry points is what an uninstalled package looks like to HyperSpy. Both variants
# filter, so both pay for it.
START = """
import importlib.metadata, sys, time
hidden = sys.argv[1]
find = importlib.metadata.entry_points
importlib.metadata.entry_points = lambda **keys: [
    entry for entry in find(**keys) if entry.name.split(".")[0] != hidden
]
begin = time.perf_counter()
import hyperspy.api as hs
hs.signals
hs.load
from hyperspy.extensions import ALL_EXTENSIONS
print(1e3 * (time.perf_counter() - begin), "DoseSeries" in ALL_EXTENSIONS["signals"])
"""


def start_ms(*, installed: bool) -> float:
    """Time of one start of HyperSpy, in ms."""
    hidden = "nothing" if installed else "hyperspy_dosekin"
    result = subprocess.run(
        [sys.executable, "-c", START, hidden], capture_output=True, text=True, check=True
    )
    time_ms, registered = result.stdout.split()[-2:]
    assert registered == str(installed), "the wrong variant was measured"
    return float(time_ms)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=21)
    add_json_option(parser)
    options = parser.parse_args()
    start_ms(installed=True)  # fills the caches of byte code and files
    pairs = [(start_ms(installed=True), start_ms(installed=False)) for _ in range(options.repeats)]
    with_us, without = (statistics.median(times) for times in zip(*pairs, strict=True))
    difference = statistics.median(a - b for a, b in pairs)
    print(f"import hyperspy.api, median of {options.repeats} pairs of fresh interpreters")
    print(f"  with hyperspy_dosekin     {with_us:7.1f} ms")
    print(f"  without                   {without:7.1f} ms")
    row = Rows(options.json).add(
        "import of HyperSpy, slower because this package is installed",
        asked=f"≤ {LIMIT_MS:.0f}",
        measured=difference,
        unit="ms",
        note=f"median of {options.repeats} pairs of fresh interpreters",
    )
    # Within the table a missed bound is shown; by itself this is a check.
    return int(options.json is None and not row.reached)


if __name__ == "__main__":
    sys.exit(main())
