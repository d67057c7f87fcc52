# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speed and memory of ``integrate_windows`` against HyperSpy's ``isig[a:b].integrate1D``.

Run ``python benchmarks/windows.py``. The first figures come from one (9, 64, 64 | 1024) image.
Calls to compare alternate, so that a busy machine slows both down, and each time is the best of
several. Both sides return signals; making one HyperSpy signal, printed after them, is a floor for
ours. The last ones are against reading: ``numpy.sum`` over the channels of each window, of an
array so large that neither a cache nor overheads matter, on one thread.
"""

import argparse
import os
import time
import tracemalloc
import warnings
from collections.abc import Callable

import dask
import exspy
import numpy as np
from _table import Rows, add_json_option
from hyperspy.signals import Signal1D

import hyperspy_dosekin
from hyperspy_dosekin.lazy.blocks import cpu_count
from hyperspy_dosekin.signals.windows.integrate import integrate_windows
from hyperspy_dosekin.windows.definitions import parse_windows
from hyperspy_dosekin.windows.integrate import integrate
from hyperspy_dosekin.windows.weights import window_weights

SHAPE = (9, 64, 64, 1024)
SCALE_EV = 0.18
OFFSET_EV = -10.0
WINDOWS = hyperspy_dosekin.LOW_LOSS_WINDOWS
LARGE = 620e6  # bytes


def image(cls: type, data: np.ndarray) -> Signal1D:
    signal = cls(data)
    axis = signal.axes_manager[-1]
    axis.name, axis.units, axis.scale, axis.offset = "Energy loss", "eV", SCALE_EV, OFFSET_EV
    frames = signal.axes_manager[2]
    frames.name, frames.units, frames.scale, frames.offset = "dose", "e⁻/Å²", 152.0, 152.0
    return signal


def best_ms(*calls: Callable[[], object], repeats: int) -> list[float]:
    best = [np.inf] * len(calls)
    for _ in range(repeats):
        for number, call in enumerate(calls):
            start = time.perf_counter()
            call()
            best[number] = min(best[number], 1e3 * (time.perf_counter() - start))
    return best


def peak_mib(call: Callable[[], object]) -> float:
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def hyperspy_areas(signal: Signal1D) -> list[np.ndarray]:
    # .compute() is dask's for lazy signals; eager ones have nothing left to do.
    areas = [signal.isig[left:right].integrate1D(-1).data for left, right in WINDOWS.values()]
    return [dask.compute(area)[0] for area in areas]


def our_signal(signal: Signal1D) -> Signal1D:
    # The function, because Signal1D has no such method.
    return integrate_windows(signal)


def our_areas(signal: Signal1D) -> np.ndarray:
    return dask.compute(our_signal(signal).data)[0]


def report(label: str, signal: Signal1D, repeats: int) -> None:
    ours, theirs = our_areas(signal), hyperspy_areas(signal)
    difference = max(
        np.abs(np.median(ours[..., number, 0] / np.moveaxis(area, 0, -1)[..., 0]) - 1)
        for number, area in enumerate(theirs)
    )
    slow, fast = best_ms(lambda: hyperspy_areas(signal), lambda: our_areas(signal), repeats=repeats)
    memory = peak_mib(lambda: hyperspy_areas(signal)), peak_mib(lambda: our_areas(signal))
    print(
        f"{label:28s} {slow:9.1f} {fast:9.1f} {slow / fast:8.1f} x {memory[0]:9.1f} "
        f"{memory[1]:9.1f} {difference:11.1%}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=20)
    add_json_option(parser)
    options = parser.parse_args()
    repeats = options.repeats
    warnings.simplefilter("ignore")
    data = np.random.default_rng(0).random(SHAPE, dtype=np.float32) + 1
    print(
        f"{SHAPE} image, {len(WINDOWS)} windows, {data.nbytes / 2**20:.0f} MiB as float32, "
        f"{cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n"
    )
    print(
        f"{'':28s} {'HyperSpy':>9s} {'ours':>9s} {'':>10s} {'peak':>9s} {'peak':>9s} "
        f"{'median area':>11s}"
    )
    print(
        f"{'':28s} {'ms':>9s} {'ms':>9s} {'faster':>10s} {'MiB':>9s} {'MiB':>9s} {'differs':>11s}"
    )
    # exspy makes every copy of an EELSSpectrum binned, isig included: for HyperSpy to integrate an
    # unbinned axis by Simpson's rule the signal has to be a Signal1D.
    for dtype in (np.float32, np.float64, np.uint16):
        typed = data if dtype == np.float32 else (1000 * data).astype(dtype)
        binned = image(exspy.signals.EELSSpectrum, typed)
        report(f"{np.dtype(dtype).name}, binned", binned, repeats)
        if dtype == np.float32:
            unbinned = image(Signal1D, typed)
            report("float32, unbinned", unbinned, max(2, repeats // 3))
            report("float32, binned, lazy", binned.as_lazy(), max(2, repeats // 3))
            report("float32, unbinned, lazy", unbinned.as_lazy(), 2)
    signal = our_signal(image(exspy.signals.EELSSpectrum, data))
    (floor,) = best_ms(lambda: signal._deepcopy_with_new_data(signal.data), repeats=repeats)
    print(f"making a signal takes {floor:.1f} ms\n")
    rows = Rows(options.json)
    for dtype in (np.float32, np.float64, np.uint16):
        against_reading(rows, data, np.dtype(dtype), max(3, repeats // 3))


def weights_and_spans() -> tuple:
    energy = OFFSET_EV + SCALE_EV * np.arange(SHAPE[-1])
    weights = window_weights(energy, parse_windows(WINDOWS), is_binned=True)
    first = weights.channels.start
    return weights, [slice(first + span.start, first + span.stop) for span in weights.spans]


def large(data: np.ndarray, dtype: np.dtype) -> np.ndarray:
    copies = int(LARGE / (data.size * dtype.itemsize)) + 1
    return np.tile((1000 * data).astype(dtype), (1, copies, 1, 1))


def against_reading(rows: Rows, data: np.ndarray, dtype: np.dtype, repeats: int) -> None:
    data = large(data, dtype)
    weights, spans = weights_and_spans()
    used = data[..., weights.channels]
    kernel, sums = best_ms(
        lambda: integrate(used, weights),
        lambda: [data[..., span].sum(axis=-1) for span in spans],
        repeats=repeats,
    )
    rows.add(
        f"window integration, kernel, {dtype.name}, one thread: speed of numpy.sum",
        asked="≥ 60",
        measured=100 * sums / kernel,
        unit="%",
        note=timing(data, kernel, sums, repeats),
    )
    signal = image(exspy.signals.EELSSpectrum, data)
    second = ", its noise variance too" if dtype.kind == "u" else ""
    before = eels_threads(1)
    method, sums = best_ms(
        lambda: our_signal(signal),
        lambda: [data[..., span].sum(axis=-1) for span in spans],
        repeats=repeats,
    )
    eels_threads(before)
    rows.add(
        f"window integration, signal method, {dtype.name}, one thread: speed of numpy.sum",
        asked="≥ 60",
        measured=100 * sums / method,
        unit="%",
        note=timing(data, method, sums, repeats) + second,
    )


def timing(data: np.ndarray, ours: float, sums: float, repeats: int) -> str:
    size = f"{data.nbytes / 1e6:.0f} MB"
    return f"{size}, {ours:.0f} ms against {sums:.0f} ms, best of {repeats}"


def eels_threads(number: int) -> int:
    """Let the signal method use so many threads."""
    from hyperspy_dosekin.lazy import blocks

    before, blocks.CPU_COUNT = blocks.CPU_COUNT, number
    return before


if __name__ == "__main__":
    main()
