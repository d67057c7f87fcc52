# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speed and memory of the processing against exspy and HyperSpy, in one run on the same spectra.

Run ``python benchmarks/processing/speed.py``; some minutes. ``--spectra`` and ``--background`` set
how many spectra each side gets, ``--memory`` the size of the lazy series in GB. No time is scaled
up: what a call costs whatever the number of its spectra would be counted many times.
"""

import argparse
import logging
import subprocess
import sys
import time
import warnings
from pathlib import Path

import hyperspy.api as hs
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from waiting import exspy_chain

from hyperspy_dosekin.data import dose_series_image

CHANNELS = 1024

MEMORY = """
import logging, sys, warnings
warnings.simplefilter("ignore")
import dask, dask.array as da, numpy as np
import hyperspy.api as hs
from hyperspy.signals import LazySignal1D
from hyperspy_dosekin.data import dose_series
logging.getLogger("hyperspy_dosekin").setLevel(logging.ERROR)
hs.preferences.General.show_progressbar = False
gigabytes = float(sys.argv[1])
one = dose_series(0, channels=1024, energy_scale=0.1)
pixels = int(gigabytes * 1e9 / (9 * 1024 * 4))
rows = max(pixels // 128, 1)
drawn = np.random.default_rng(0).poisson(0.1 * one.data[:, None, None], (9, 2, 128, 1024))
drawn = drawn.astype(np.int32)
def make(block_info=None):
    # Drawing as many numbers would take longer than all else.
    return np.tile(drawn, (1, 4, 1, 1))
data = da.map_blocks(make, chunks=((9,), (8,) * (rows // 8), (128,), (1024,)), dtype=np.int32,
                     meta=np.empty((0,) * 4, dtype=np.int32))
axes = [one.axes_manager[0].get_axis_dictionary(), {"size": data.shape[1], "name": "y"},
        {"size": 128, "name": "x"}, one.axes_manager[-1].get_axis_dictionary()]
s = LazySignal1D(data, axes=[axis | {"navigate": axis is not axes[-1]} for axis in axes])
s.set_signal_type("EELS")
def peak():
    # Not getrusage, which counts what the parent had when it forked.
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
before = peak()
areas = s.process_low_loss().integrate_windows()
with dask.config.set(scheduler="threads", num_workers=2):
    noise = areas.get_noise_variance()
    values, variance = dask.compute(areas.data, noise.data)
assert values.shape[0] == data.shape[1] and np.isfinite(values).all()
print(f"{data.nbytes / 1e9:.2f} {before / 2**20:.2f} {peak() / 2**20:.2f}")
"""


def timed(call):
    """Wall and processor seconds: on a machine with other work only the second is to be trusted."""
    wall, processor = time.perf_counter(), time.process_time()
    result = call()
    return np.array([time.perf_counter() - wall, time.process_time() - processor]), result


def report(what, slow, fast):
    ratio = slow / fast
    print(
        f"{what}: {slow[0]:.1f} s → {fast[0]:.1f} s wall ({ratio[0]:.1f} ×), "
        f"{slow[1]:.1f} s → {fast[1]:.1f} s processor ({ratio[1]:.1f} ×)",
        flush=True,
    )


def least(call, touched: int = 0):
    """Least times of three calls; `touched` bytes of memory are used and given back before each."""
    times = []
    for _ in range(3):
        np.empty(touched, dtype=np.uint8)[::4096] = 1
        times.append(timed(call)[0])
    return np.min(times, axis=0)


def low_loss(number: int) -> None:
    options = {"channels": CHANNELS, "energy_scale": 0.1, "drift": 0.02, "spike_rate": 0.01}
    counts = dose_series_image(1, shape=(max(number // 9 // 20, 1), 20), **options)
    plain = counts.deepcopy()
    plain.change_dtype("float64")
    plain.metadata.Signal.quantity = ""
    del plain.metadata.Signal.Noise_properties
    print(f"{counts.axes_manager.navigation_size} × {CHANNELS} spectra on both sides")
    touched = 12 * plain.data.nbytes
    slow = least(lambda: exspy_chain(plain), touched)
    for what, signal, kind in (
        ("ours with noise variance", counts, None),
        ("without, as exspy's", plain, None),
        ("without, float32 result", plain, "float32"),
    ):
        fast = least(lambda s=signal, k=kind: s.process_low_loss(dtype=k), touched)
        report(f"low-loss chain, {what}", slow, fast)


def background(number: int) -> None:
    rng = np.random.default_rng(0)
    energy = np.arange(CHANNELS) * 0.5 + 400
    exponent = rng.uniform(2.5, 3.5, (number, 1))
    counts = rng.poisson(1000 * (energy / 400) ** -exponent).astype(np.float64)
    s = hs.signals.Signal1D(counts)
    s.set_signal_type("EELS")
    s.axes_manager[-1].scale, s.axes_manager[-1].offset = 0.5, 400
    s.axes_manager[-1].units = "eV"
    window = {"signal_range": (400.0, 450.0), "background_type": "PowerLaw"}
    slow, _ = timed(lambda: s.remove_background(**window, fast=False, show_progressbar=False))
    quick = least(lambda: s.remove_background(**window, fast=True, show_progressbar=False))
    fast = least(lambda: s.process_core_loss(background=(400.0, 450.0)))
    report(f"power law, {number} spectra, against remove_background(fast=False)", slow, fast)
    report(f"power law, {number} spectra, against remove_background(fast=True)", quick, fast)


def memory(gigabytes: float) -> None:
    start = time.perf_counter()
    out = subprocess.run(
        [sys.executable, "-c", MEMORY, str(gigabytes)], capture_output=True, text=True, check=True
    ).stdout.split()
    size, before, peak = (float(number) for number in out[-3:])
    print(
        f"lazy series of {size:.2f} GB, processed and integrated with its noise variance: peak "
        f"memory {peak:.2f} GiB ({before:.2f} GiB before), {time.perf_counter() - start:.0f} s"
    )


def main() -> None:
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spectra", type=int, default=7200)
    parser.add_argument("--background", type=int, default=3600)
    parser.add_argument("--memory", type=float, default=4.0)
    arguments = parser.parse_args()
    logging.getLogger("hyperspy_dosekin").setLevel(logging.ERROR)
    logging.getLogger("hyperspy").setLevel(logging.ERROR)
    hs.preferences.General.show_progressbar = False
    low_loss(arguments.spectra)
    background(arguments.background)
    if arguments.memory > 0:
        memory(arguments.memory)


if __name__ == "__main__":
    main()
