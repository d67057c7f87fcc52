# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the suites of eXSpy and HyperSpy have the same outcomes with this package as without.

``python tests/faults/peers.py [exspy] [hyperspy]`` runs each suite that is installed twice; the
second time a plugin hides our entry points from HyperSpy. Parts have the names of their packages,
such as ``hyperspy.tests.model``. Differences make it end with 1.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

HIDE = """
import importlib.metadata as metadata
found = metadata.entry_points

def without_us(**options):
    every = found(**options)
    if options.get("group") != "hyperspy.extensions":
        return every
    return metadata.EntryPoints(
        each for each in every if not each.name.startswith("hyperspy_dosekin")
    )

metadata.entry_points = without_us
"""


def outcomes(package, folder, *plugin):
    """Outcome of each test by its name."""
    report = Path(folder) / "report.xml"
    command = [sys.executable, "-m", "pytest", "--pyargs", package, "-q", "-p", "no:cacheprovider"]
    # Some tests fetch tables from the network when they are collected.
    quiet = [
        "--no-header",
        "--continue-on-collection-errors",
        "-W",
        "ignore",
        f"--junitxml={report}",
        "--rootdir",
        folder,
        *plugin,
    ]
    env = {**os.environ, "MPLBACKEND": "agg", "PYTHONPATH": folder}
    subprocess.run([*command, *quiet], cwd=folder, env=env, stdout=subprocess.DEVNULL, check=False)
    found = {}
    for case in ET.parse(report).getroot().iter("testcase"):
        kinds = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        found[f"{case.get('classname')}::{case.get('name')}"] = kinds[0] if kinds else "passed"
    return found


def main(packages):
    """Compare the outcomes of each suite."""
    differ = False
    for package in packages:
        try:
            tests = package if ".tests" in package else f"{package}.tests"
            there = importlib.util.find_spec(tests) is not None
        except ModuleNotFoundError:
            there = False
        if not there:
            sys.stdout.write(f"{package}: its tests are not installed\n")
            continue
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "hide_dosekin.py").write_text(HIDE)
            with_us = outcomes(package, folder)
            without = outcomes(package, folder, "-p", "hide_dosekin")
        names = sorted(set(with_us) | set(without))
        other = [name for name in names if with_us.get(name) != without.get(name)]
        passed = sum(outcome == "passed" for outcome in with_us.values())
        sys.stdout.write(f"{package}: {passed} of {len(names)} pass, {len(other)} other outcomes\n")
        for name in other:
            sys.stdout.write(f"  {name}: {with_us.get(name)}, without us {without.get(name)}\n")
        differ = differ or bool(other) or not names
    sys.exit(differ)


if __name__ == "__main__":
    main(sys.argv[1:] or ["exspy", "hyperspy"])
