# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts → S → windows → maps of k, p and D½ on a lazy image on disk: memory, reads and time.

Run ``python benchmarks/large/chain.py [--gigabytes 8] [--folder FOLDER]``. The image is uint16 with
nine frames and 2048 channels, in a zarr store of 9 MB chunks (9, 16, 16, 2048) made in FOLDER, a
temporary one by default, and deleted at the end. Each chain runs in a process of its own, so that
peak memory is its own, and a wrapper of the store counts how often each chunk is read. Ratios are
to `dask.array.sum` over the same store; both wall and processor time are given, because other work
on the machine lengthens the one only.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _table import Rows, add_json_option

CHUNK = (9, 16, 16, 2048)

MAKE = """
import sys
import numpy as np, zarr
from hyperspy_dosekin.data import dose_series_image
path, side, compressed = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "1"
base = dose_series_image(
    0, shape=(16, 16), channels=2048, energy_scale=0.05, drift=0.02, electrons=1e6
)
block = np.clip(base.data, 0, 65535).astype(np.uint16)
store = zarr.open(path, mode="w", shape=(9, side, side, 2048), chunks=block.shape, dtype="uint16",
                  compressor=zarr.Blosc(cname="zstd", clevel=1) if compressed else None)
for y in range(0, side, 16):
    for x in range(0, side, 16):
        store[:, y:y + 16, x:x + 16] = np.roll(block, (x + y) // 16, axis=1)
axes = base.axes_manager
np.savez(path + ".npz", offset=axes[-1].offset, scale=axes[-1].scale, dose=axes[2].axis)
"""

RUN = """
import json, logging, resource, sys, time, warnings
warnings.simplefilter("ignore")
import dask, dask.array as da, exspy, numpy as np, torch, zarr
import hyperspy_dosekin.kinetics, hyperspy_dosekin.signals.kinetics.result.result
import hyperspy_dosekin.signals.kinetics.numbers.maps
logging.disable(logging.WARNING)
path, what = sys.argv[1:]
store, axes = zarr.open(path, mode="r"), np.load(path + ".npz")
reads = {}

class Counting:
    shape, dtype, ndim, chunks = store.shape, store.dtype, store.ndim, store.chunks
    def __getitem__(self, index):
        key = tuple((part.start, part.stop) for part in index)
        if key[0] != (0, 0):  # with which dask asks for the type
            reads[key] = reads.get(key, 0) + 1
        return store[index]

data = da.from_array(Counting(), chunks=store.chunks, name="counted")
signal = exspy.signals.LazyEELSSpectrum(data)
energy = signal.axes_manager[-1]
energy.offset, energy.scale = float(axes["offset"]), float(axes["scale"])
energy.units, energy.name = "eV", "Energy loss"
signal.set_dose_axis(list(axes["dose"]))
FIT = dict(intervals=False, dtype="float32", show_progressbar=False)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20

def maps(series):
    result = series.fit_dose_pinn(**FIT)
    return [result.rate.data, result.exponent.data, result.half_integrity_dose.data]

def make():
    if what == "sum":
        return [data.sum()]
    if what == "windows":
        return [signal.integrate_windows().data]
    if what == "windows, maps":
        return maps(signal.integrate_windows())
    processed = signal.process_low_loss(show_progressbar=False)
    return maps(processed.integrate_windows())

before = peak()
start, spent = time.perf_counter(), time.process_time()
dask.compute(*make())
print(json.dumps({
    "wall": time.perf_counter() - start, "processor": time.process_time() - spent,
    "peak": peak(), "before": before, "chunks": data.npartitions,
    "reads": sum(reads.values()), "most": max(reads.values()),
    "gigabytes": data.nbytes / 1e9, "spectra": int(np.prod(data.shape[:-1])),
}))
"""

CHAINS = ("sum", "windows", "windows, maps", "S, windows, maps")


def run(code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=8.0)
    parser.add_argument("--folder", default=None)
    parser.add_argument("--compressed", action="store_true")
    parser.add_argument("--chains", nargs="+", default=list(CHAINS), choices=CHAINS)
    add_json_option(parser)
    options = parser.parse_args()
    rows = Rows(options.json)
    side = max(16, 16 * round((options.gigabytes * 1e9 / (9 * 2048 * 2)) ** 0.5 / 16))
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = f"{folder}/image.zarr"
        run(MAKE, path, str(side), str(int(options.compressed)))
        # Once before, so that all find the store in the same state of the file cache.
        run(RUN, path, "sum")
        first = json.loads(run(RUN, path, "sum").splitlines()[-1])
        print(
            f"{first['gigabytes']:.2f} GB uint16, (9, {side}, {side} | 2048), {first['chunks']} "
            f"chunks{', zstd' if options.compressed else ''}\n"
            f"{'':18s}{'wall s':>9s}{'× sum':>8s}{'cpu s':>9s}{'× sum':>8s}{'peak GiB':>10s}"
            f"{'reads/chunk':>13s}{'most':>6s}"
        )
        for chain in options.chains:
            found = first if chain == "sum" else json.loads(run(RUN, path, chain).splitlines()[-1])
            ratio = found["wall"] / first["wall"]
            print(
                f"{chain:18s}{found['wall']:9.1f}{ratio:8.1f}{found['processor']:9.1f}"
                f"{found['processor'] / first['processor']:8.1f}{found['peak']:10.2f}"
                f"{found['reads'] / found['chunks']:13.3f}{found['most']:6d}",
                flush=True,
            )
            if chain == CHAINS[-1]:
                size = f"{first['gigabytes']:.1f} GB"
                rows.add(f"chain on a lazy image of {size}: peak memory", asked="≤ 2",
                         measured=found["peak"], unit="GiB",
                         note="of the whole process")  # fmt: skip
                rows.add(f"chain on a lazy image of {size}: reads of a chunk", asked="≤ 1.05",
                         measured=found["reads"] / found["chunks"], unit="×",
                         note="a sample is read before")  # fmt: skip
                rows.add(f"chain on a lazy image of {size}: time over dask.array.sum",
                         asked="≤ 3", measured=ratio, unit="×", note="wall time")  # fmt: skip


if __name__ == "__main__":
    main()
