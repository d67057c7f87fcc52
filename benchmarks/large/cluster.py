# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pixel maps in one process and on a cluster of two, end to end from the window areas.

Run ``python benchmarks/large/cluster.py``. Nine doses and four windows a pixel, Poisson noise
of 1 %, float32, `intervals=False`; from a `DoseSeries` to maps of k, p and D½ as HyperSpy signals.
The series lies in memory, on the cluster in that of its workers. Wall times are the shortest
of several runs after one to warm up, and the processor time of the one process is given beside it,
because other work on the machine slows two processes more than one.
"""

import argparse
import sys
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import dask
import dask.array as da
import hyperspy.api as hs
import numpy as np
from _table import Rows, add_json_option

FIT = {"intervals": False, "dtype": "float32", "spatial": "pixel", "show_progressbar": False}
CHUNK = (64, 128)
#: As distributed sets it, but memory of work arrays is kept for the next ones: otherwise workers
#: give it back after each step, and fetching it again takes as long as the fit.
WORKER_ENVIRONMENT = {
    "OMP_NUM_THREADS": 1,
    "MKL_NUM_THREADS": 1,
    "OPENBLAS_NUM_THREADS": 1,
    "MALLOC_TRIM_THRESHOLD_": 2**30,
    "MALLOC_MMAP_THRESHOLD_": 2**25,
}


def values(shape, seed=0):
    """Areas ``(y, x, window, dose)`` of power laws drawn around those of a polymer."""
    rng = np.random.default_rng(seed)
    dose = np.arange(1, 10) / 9
    rate = np.exp(rng.normal(np.log([0.8, 2.0, 2.6, 0.6]), 0.3, (*shape, 4)))[..., None]
    exponent = rng.normal(1.1, 0.2, (*shape, 4)).clip(0.6, 1.8)[..., None]
    exponent = np.where(np.abs(exponent - 1) < 1e-3, 1.001, exponent)
    integrity = np.maximum(1 - (1 - exponent) * rate * dose, 1e-9) ** (1 / (1 - exponent))
    return 1.0 + integrity + 0.01 * rng.standard_normal(integrity.shape)


def series_of(data):
    make = hs.signals.Signal1D(np.zeros((2, 2, 4, 9)))
    make = make.as_lazy() if isinstance(data, da.Array) else make
    axes = [{"size": size, "name": name} for size, name in zip(data.shape, "yxwd", strict=True)]
    axes[2]["name"] = "window"
    axes[3] |= {"name": "dose", "scale": 152.0, "offset": 152.0, "units": "e⁻/Å²"}
    for axis in axes[:3]:
        axis["navigate"] = True
    axes[3]["navigate"] = False
    series = type(make)(data, axes=axes)
    series.set_signal_type("DoseSeries")
    return series


def maps(data):
    result = series_of(data).fit_dose_pinn(**FIT)
    found = result.rate, result.exponent, result.half_integrity_dose
    return dask.compute(*(signal.data for signal in found))


def simulated(shape):
    return da.map_blocks(
        lambda block_info=None: values(CHUNK, sum(block_info[None]["chunk-location"])),
        chunks=((CHUNK[0],) * (shape[0] // CHUNK[0]), (CHUNK[1],) * (shape[1] // CHUNK[1]), 4, 9),
        dtype=np.float64,
        meta=np.empty((0,) * 4),
    )


def best(call, repeats):
    call()
    wall = spent = np.inf
    for _ in range(repeats):
        start, before = time.perf_counter(), time.process_time()
        call()
        wall = min(wall, time.perf_counter() - start)
        spent = min(spent, time.process_time() - before)
    return wall, spent


def main() -> None:
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--side", type=int, default=256, help="pixels of a side, multiple of 128")
    add_json_option(parser)
    options = parser.parse_args()
    rows = Rows(options.json)
    import torch
    from distributed import Client, LocalCluster, wait

    torch.set_num_threads(1)
    shape = (options.side, options.side)
    pixels = shape[0] * shape[1]
    whole = values(shape)
    wall, spent = best(lambda: maps(whole), options.repeats)
    print(
        f"{pixels} pixels in memory: {pixels / wall:.0f}/s wall, {pixels / spent:.0f}/s processor"
    )
    rows.add("pixel maps, float32, end to end from areas", asked="≥ 40000", measured=pixels / spent,
             unit="pixels/s", note="one core, processor time")  # fmt: skip
    times, busiest = {}, {}
    for workers in (1, 2):
        with (
            dask.config.set({"distributed.nanny.pre-spawn-environ": WORKER_ENVIRONMENT}),
            LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address=":0", silence_logs=50
            ) as cluster,
            Client(cluster) as client,
        ):
            lazy = client.persist(simulated(shape))
            wait(lazy)
            maps(lazy)
            times[workers] = busiest[workers] = np.inf
            for _ in range(options.repeats):
                before, start = client.run(time.process_time), time.perf_counter()
                maps(lazy)
                times[workers] = min(times[workers], time.perf_counter() - start)
                after = client.run(time.process_time)
                spent = max(after[address] - before[address] for address in after)
                busiest[workers] = min(busiest[workers], spent)
        print(
            f"{pixels} pixels on {workers} worker(s): {pixels / times[workers]:.0f}/s wall, "
            f"{busiest[workers]:.2f} s of processor in the busier one"
        )
    rows.add("pixel maps on two workers over one", asked="≥ 1.8", measured=times[1] / times[2],
             unit="×", note="wall time, chunks in the memory of the workers")  # fmt: skip
    rows.add("pixel maps on two workers: work that the busier one is spared", asked="≥ 1.8",
             measured=busiest[1] / busiest[2], unit="×",
             note="processor time, where other work slows two processes")  # fmt: skip


if __name__ == "__main__":
    main()
