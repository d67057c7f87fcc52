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
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent))

from _table import Rows, add_json_option, machine

if TYPE_CHECKING:
    import torch

HERE = Path(__file__).resolve().parent


def script(name: str) -> dict:
    """Functions of another benchmark."""
    return runpy.run_path(str(HERE / name))


def low_loss(rows: Rows, device: "str | torch.device" = "cuda", side: int = 256) -> None:
    """The chain, with noise variance, on so many times so many spectra of 2 048 channels."""
    import hyperspy.api as hs
    import numpy as np

    from hyperspy_dosekin.data import dose_series_image

    block = dose_series_image(1, shape=(8, 8), channels=2048, energy_scale=0.05, drift=0.02)
    number = side**2 // (block.data.shape[0] * 64) + 1
    image = hs.stack([block] * number, show_progressbar=False)
    number = image.axes_manager.navigation_size
    results, times = [], []
    for where in ("cpu", device):
        least = np.inf
        for _ in range(3):
            start = time.perf_counter()
            found = image.process_low_loss(dtype="float32", device=where, show_progressbar=False)
            least = min(least, time.perf_counter() - start)
        times.append(least)
        results.append(found.data)
        rows.add(
            f"low-loss chain, {'two cores' if where == 'cpu' else 'GPU'}", asked=None,
            measured=1e6 * least / number, unit="µs a spectrum",
            note=f"{number} spectra of 2 048 channels, with variance, float32",
        )  # fmt: skip
    rows.add(
        "low-loss chain, GPU against two cores", asked="≥ 10", measured=times[0] / times[1],
        unit="×", note="on the clock, of the whole call",
    )  # fmt: skip
    apart = np.abs(results[0] - results[1]).max() / np.abs(results[0]).max()
    rows.add(
        "low-loss chain, largest difference", asked="≤ 1e-4", measured=apart,
        unit="of the largest loss",
    )  # fmt: skip


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
    low_loss(rows)
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
