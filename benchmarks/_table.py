# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of the table of benchmarks: how a script reports them and `run.py` collects them.

A benchmark is a script with a `main()`, which prints for people and hands in rows::

    import argparse
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # in a sub-folder of benchmarks/

    from _table import Rows, add_json_option

    def main():
        parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
        add_json_option(parser)  # --json PATH
        options = parser.parse_args()
        rows = Rows(options.json)
        rows.add("live, batch 32, OpenVINO", asked="≤ 0.16", measured=0.147, unit="ms",
                 note="one thread, minimum of 200")
        rows.skip("live, batch 32, H200", asked="≤ 0.05", unit="ms", why="no CUDA device")

With ``--json PATH`` each row is appended to the file PATH as one line of JSON, at once, so that a
script that dies keeps the rows it had; without it the rows are only printed. `asked` is a bound,
``"≤ 0.16"`` or ``"≥ 150000"``, in the unit of the row, or ``None`` for a figure without one. A
ratio is taken within one run and has the unit ``"×"`` or ``"%"``. What cannot be measured here
(no GPU, a missing package) is handed in with `Rows.skip`, which says why.

List the script in `run.BENCHMARKS` to have it in the table.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

_BOUNDS = {"≤": lambda measured, bound: measured <= bound, "≥": lambda m, bound: m >= bound}
#: Packages whose versions matter to the figures.
PACKAGES = (
    "hyperspy_dosekin",
    "hyperspy",
    "exspy",
    "numpy",
    "scipy",
    "torch",
    "dask",
    "distributed",
    "scikit-learn",
    "onnxruntime",
    "openvino",
    "zarr",
)


@dataclass(frozen=True)
class Row:
    """One figure.

    Parameters
    ----------
    what
        The figure, in words.
    asked
        Its bound, ``"≤ number"`` or ``"≥ number"``; ``None`` where there is none.
    measured
        The figure; ``None`` where it could not be measured.
    unit
        Unit of both.
    note
        How it was measured, or why not.
    """

    what: str
    asked: str | None
    measured: float | None
    unit: str
    note: str = ""

    def __post_init__(self) -> None:
        self._bound()

    def _bound(self) -> tuple[str, float] | None:
        if self.asked is None:
            return None
        sign, _, number = self.asked.partition(" ")
        try:
            return (sign, float(number)) if sign in _BOUNDS else self._complain()
        except ValueError:
            self._complain()

    def _complain(self):
        raise ValueError(
            f'asked={self.asked!r} of {self.what!r} must be None, "≤ number" or "≥ number".'
        )

    @property
    def reached(self) -> bool | None:
        """Whether the figure is within its bound; ``None`` where that cannot be said."""
        bound = self._bound()
        if bound is None or self.measured is None:
            return None
        return _BOUNDS[bound[0]](self.measured, bound[1])

    def __str__(self) -> str:
        verdict = {True: "reached", False: "MISSED", None: ""}[self.reached]
        asked = f"{self.asked or ''} {self.unit if self.asked else ''}".strip()
        measured = "not measured" if self.measured is None else f"{self.measured:.4g} {self.unit}"
        note = f"  [{self.note}]" if self.note else ""
        return f"{self.what:66s} {asked:>20s} {measured:>20s} {verdict:8s}{note}"


class Rows:
    """Where a benchmark hands in its rows.

    Parameters
    ----------
    path
        File that collects them as lines of JSON; ``None`` only prints.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = path
        self.kept: list[Row] = []

    def add(
        self, what: str, *, asked: str | None, measured: float | None, unit: str, note: str = ""
    ) -> Row:
        """Hand in a figure."""
        row = Row(what, asked, None if measured is None else float(measured), unit, note)
        print(row, flush=True)
        self.kept.append(row)
        if self.path is not None:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(row), ensure_ascii=False) + "\n")
        return row

    def skip(self, what: str, *, asked: str | None, unit: str, why: str) -> Row:
        """Hand in a figure that cannot be measured here."""
        return self.add(what, asked=asked, measured=None, unit=unit, note=why)


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Give a script the option that `run.py` calls it with."""
    parser.add_argument("--json", metavar="PATH", help="append the rows to this file")


def read_rows(path: str | Path) -> list[Row]:
    """Rows of a file that `Rows` has written."""
    text = Path(path).read_text(encoding="utf-8") if Path(path).exists() else ""
    return [Row(**json.loads(line)) for line in text.splitlines() if line]


def processor() -> str:
    """Name of the processor, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def accelerators() -> list[str]:
    """Names of the devices that Torch could compute on besides the processor."""
    import torch

    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return names + (["MPS"] if torch.backends.mps.is_available() else [])


def machine() -> list[str]:
    """The machine and the versions, line by line."""
    versions = []
    for name in PACKAGES:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            versions.append(f"{name} absent")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return [
        f"{processor()}, {cores} cores, {platform.system()}, load {os.getloadavg()[0]:.1f}"
        if hasattr(os, "getloadavg")
        else f"{processor()}, {cores} cores, {platform.system()}",
        "GPU: " + (", ".join(accelerators()) or "none"),
        f"Python {platform.python_version()}; " + ", ".join(versions),
    ]
