# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Situations of real files and public bug reports: what comes out beside what is right.

    python benchmarks/cases.py                       # what needs no files
    python benchmarks/cases.py FOLDER                # FOLDER holds real/ and semi_real/
    python benchmarks/cases.py FOLDER --only A1 C

Each sample runs in an interpreter of its own. Letters are kinds: A noise, B variance, C zero-loss
peak, D missing values, E units and axes, F a law that fails, G cost. Of each kind there are the one
that was met and others like it: another detector, sampling, unit, sign, order of axes, or lazy.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _cases import calibration, detector, laws, noise, peak, variance  # noqa: F401
from _cases.sample import SAMPLES
from _table import Rows, add_json_option, read_rows
from run import as_rst


def here(name: str, rows: Rows, folder: Path) -> None:
    """Run one sample; what fails is a row."""
    try:
        SAMPLES[name](rows, folder)
    except FileNotFoundError as error:
        rows.skip(name, asked=None, unit="", why=f"not here: {error.filename or error}")
    except Exception as error:
        text = f"failed: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        rows.add(name, asked="≥ 1", measured=0.0, unit="", note=text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path("nowhere"))
    parser.add_argument("--only", nargs="+", metavar="NAME", help="first letters of samples")
    parser.add_argument("--here", metavar="SAMPLE", help="run this one in this process")
    parser.add_argument("--rst", metavar="PATH", help="write the table for the documentation")
    add_json_option(parser)
    options = parser.parse_args()
    if options.here:
        here(options.here, Rows(options.json), options.folder)
        return 0
    chosen = [n for n in SAMPLES if not options.only or n.startswith(tuple(options.only))]
    found, failed, started = [], [], time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(chosen):
            print(f"\n== {name}", flush=True)
            path = options.json or str(Path(folder) / f"{number}.jsonl")
            known = len(read_rows(path))
            command = [
                sys.executable,
                __file__,
                str(options.folder),
                "--here",
                name,
                "--json",
                path,
            ]
            status = subprocess.run(command, check=False).returncode
            found += read_rows(path)[known:]
            failed += [name] if status else []
    reached = [row.reached for row in found]
    print(
        f"\n{reached.count(True)} right, {reached.count(False)} wrong, {reached.count(None)} not "
        f"measured; {time.perf_counter() - started:.0f} s"
    )
    for row in found:
        if row.reached is False:
            print("WRONG:", row)
    for name in failed:
        print("FAILED:", name)
    if options.rst:
        Path(options.rst).write_text(as_rst({"cases": found}), encoding="utf-8")
    return int(bool(failed) or False in reached)


if __name__ == "__main__":
    sys.exit(main())
