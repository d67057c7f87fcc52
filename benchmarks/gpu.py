# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A graphics card against the processor: the tests of ``tests/gpu``, and the rows of the table.

Run ``python benchmarks/gpu.py``, or ``make bench-gpu``; under eight minutes. Without a CUDA device
it says so and ends with status 1.
"""

import argparse
import runpy
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from _table import Rows, add_json_option, machine

HERE = Path(__file__).resolve().parent


def script(name: str) -> dict:
    """Functions of another benchmark."""
    return runpy.run_path(str(HERE / name))


def main() -> int:
    import torch

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_json_option(parser)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print(
            f"There is no CUDA device here that Torch {torch.__version__} can use, so that nothing "
            "was measured. Run this on a machine with one, with a CUDA build of Torch.",
            file=sys.stderr,
        )
        return 1
    print("\n".join(machine()), flush=True)
    tests = [sys.executable, "-m", "pytest", "--quiet", "-rs", str(HERE.parent / "tests" / "gpu")]
    status = subprocess.run(tests, check=False).returncode
    rows = Rows(options.json)
    script("kinetics/run.py")["table_of_gpu"](rows)
    trained = script("classification/annealing.py")["trained"]
    for device in ("cpu", "cuda"):
        trained(rows, device)
    training = {row.what: row.measured for row in rows.kept if "training" in row.what}
    slow, fast = training["VAE training, two cores"], training["VAE training, GPU"]
    if slow and fast:
        rows.add(
            "VAE training, processor against GPU", asked="≥ 5", measured=slow / fast, unit="×",
            note="on the clock, in one run",
        )  # fmt: skip
    rows.skip(
        "low-loss chain, GPU against two cores", asked="≥ 10", unit="×",
        why="the chain is NumPy's and SciPy's, and has no device",
    )  # fmt: skip
    live = [sys.executable, str(HERE / "classification" / "live.py"), "--clock"]
    if options.json:
        live += ["--json", options.json]
    status = subprocess.run(live, check=False).returncode or status
    print("\n== table")
    for row in rows.kept:
        print(row)
    return status


if __name__ == "__main__":
    sys.exit(main())
