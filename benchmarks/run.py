# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of benchmarks: runs them all and prints it, with the machine and the versions.

    python benchmarks/run.py                     # or make bench
    python benchmarks/run.py --only windows live
    python benchmarks/run.py --folder FOLDER     # holds real/ and semi_real/
    python benchmarks/run.py --rst docs/benchmarks/table.inc

Studies of accuracy, which take long or print for people, run where they are named by ``--only``.

Each benchmark is a script of its own, run in a fresh interpreter, which hands in its rows as
`_table.py` says; a row is a figure of one run, ratios are taken within it. What the machine lacks
(a GPU, a package) is in the table as not measured, with the reason; a benchmark that fails is named
below the table, and makes the exit status 1. A missed bound does not.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from _table import Row, machine, read_rows

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Benchmark:
    """A script and what it is called with.

    Parameters
    ----------
    name
        For ``--only``, and the heading.
    script
        Its path below `benchmarks/`.
    arguments
        For the table.
    reports
        Whether it hands in rows; the others print for people only.
    by_name
        Whether it runs only where it is named.
    """

    name: str
    script: str
    arguments: tuple[str, ...] = ()
    reports: bool = True
    by_name: bool = False

    def called(self, folder: Path | None) -> list[str] | None:
        """What it is called with; ``None`` where it needs a folder of files and there is none."""
        if FOLDER in self.arguments and folder is None:
            return None
        return [str(folder) if each == FOLDER else each for each in self.arguments]


#: Stands for the folder of recorded files in what a benchmark is called with.
FOLDER = "FOLDER"


def _studies(room: str, names: str) -> list[Benchmark]:
    """Studies that print for people, where they are named."""
    scripts = {name.replace("_", "-"): f"{room}/{name}.py" for name in names.split()}
    return [Benchmark(n, script, reports=False, by_name=True) for n, script in scripts.items()]


BENCHMARKS = (
    Benchmark("import", "import_time.py"),
    Benchmark("waiting", "waiting.py"),
    Benchmark("windows", "windows.py"),
    Benchmark("kinetics", "kinetics/run.py", ("--table",)),
    Benchmark("tool", "tool.py"),
    Benchmark("many-frames", "kinetics/many_frames.py"),
    Benchmark("training", "classification/annealing.py", ("--table",)),
    Benchmark("live", "classification/live.py"),
    Benchmark("chain", "large/chain.py"),
    Benchmark("graph", "large/graph.py"),
    Benchmark("cluster", "large/cluster.py"),
    Benchmark("processing-accuracy", "processing/accuracy.py", reports=False),
    Benchmark("hostile", "processing/hostile.py", ("--seeds", "4")),
    Benchmark("drawn-series", "processing/drawn_series.py", ("--series", "4")),
    Benchmark("divided", "processing/divided.py"),
    Benchmark("interpolated", "processing/interpolated.py"),
    Benchmark("real-data", "real_data.py", (FOLDER,)),
    Benchmark("real-peaks", "processing/real_peaks.py", (FOLDER, "--maps", "3")),
    Benchmark("half-counts", "processing/half_counts.py", (FOLDER,)),
    Benchmark("vacuum-peaks", "processing/vacuum_peaks.py", (FOLDER,), by_name=True),
    Benchmark("tails", "processing/tails.py", ("--folder", FOLDER), by_name=True),
    Benchmark("processing", "processing/speed.py", reports=False),
    Benchmark("estimators", "kinetics/run.py", ("--networks",), reports=False),
    Benchmark("spectra", "kinetics/spectra.py", ("--repeats", "20")),
    Benchmark("misspecification", "kinetics/misspecification.py", reports=False),
    Benchmark("fields", "kinetics/fields.py", reports=False),
    Benchmark("field-network", "kinetics/fields.py", ("--network",), reports=False),
    Benchmark("field-sampling", "kinetics/field_sampling.py"),
    Benchmark("cases", "cases.py"),
    *_studies(
        "kinetics", "conditions coverage field_windows field_parts joint joint_bound joint_gain"
    ),
    *_studies("kinetics", "joint_ratio planning posterior_grid"),
    Benchmark("live-series", "kinetics/live.py", reports=False, by_name=True),
    *_studies("classification", "cameras cuzn white_lines"),
    *_studies("processing", "ablation nuisances"),
    Benchmark("gpu", "gpu.py", by_name=True),
)


def run(benchmark: Benchmark, folder: Path, files: Path | None) -> tuple[list[Row], str | None]:
    """Rows of a benchmark, and what went wrong."""
    arguments = benchmark.called(files)
    if arguments is None:
        note = "give the folder of recorded files with --folder"
        return [Row(benchmark.name, None, None, "", note)], None
    path = folder / f"{benchmark.name}.jsonl"
    command = [sys.executable, str(HERE / benchmark.script), *arguments]
    if benchmark.reports:
        command += ["--json", str(path)]
    status = subprocess.run(command, check=False).returncode
    rows = read_rows(path)
    if status:
        return rows, f"{benchmark.script} ended with status {status}"
    if benchmark.reports and not rows:
        return rows, f"{benchmark.script} handed in no rows"
    return rows, None


def plain(text: str) -> str:
    """Text on one line, in which no character is markup."""
    return re.sub(r"([\\*`|]|_(?!\w))", r"\\\1", " ".join(text.split()))


def as_rst(found: dict[str, list[Row]]) -> str:
    """The table as reStructuredText."""
    lines = [".. list-table::", "   :header-rows: 1", "   :widths: 30 10 14 46", ""]
    lines += ["   * - what", "     - asked", "     - measured", "     - how"]
    for rows in found.values():
        for row in rows:
            asked = "" if row.asked is None else f"{row.asked} {row.unit}"
            mark = {True: "", False: " (missed)", None: ""}[row.reached]
            measured = "not measured" if row.measured is None else f"{row.measured:.4g} {row.unit}"
            lines += [f"   * - {plain(row.what)}", f"     - {asked}", f"     - {measured}{mark}"]
            lines += [f"     - {plain(row.note)}"]
    return "\n".join(lines) + "\n"


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [benchmark.name for benchmark in BENCHMARKS]
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--folder", type=Path, help="recorded files: holds real/ and semi_real/")
    parser.add_argument("--rst", metavar="PATH", help="write the table for the documentation")
    parser.add_argument("--quick", action="store_true", help="leave out what hands in no rows")
    return parser.parse_args()


def main() -> int:
    options = parsed()
    chosen = [b for b in BENCHMARKS if not b.by_name or options.only is not None]
    chosen = [b for b in chosen if options.only is None or b.name in options.only]
    if options.quick:
        chosen = [b for b in chosen if b.reports]
    about, started = machine(), time.perf_counter()
    found: dict[str, list[Row]] = {}
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        for benchmark in chosen:
            print(f"\n== {benchmark.name}: {benchmark.script} {' '.join(benchmark.arguments)}")
            if not (HERE / benchmark.script).exists():
                failures.append(f"{benchmark.script} does not exist")
                continue
            found[benchmark.name], failure = run(benchmark, Path(folder), options.folder)
            failures += [failure] if failure else []
    print("\n== table, one run of each")
    for line in about:
        print(line)
    for rows in found.values():
        for row in rows:
            print(row)
    counts = [row.reached for rows in found.values() for row in rows]
    print(
        f"{counts.count(True)} reached, {counts.count(False)} missed, {counts.count(None)} without "
        f"a bound or not measured; {time.perf_counter() - started:.0f} s"
    )
    for failure in failures:
        print("FAILED:", failure)
    if options.rst:
        text = "".join(f"| {line}\n" for line in about) + "\n" + as_rst(found)
        Path(options.rst).write_text(text, encoding="utf-8")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
