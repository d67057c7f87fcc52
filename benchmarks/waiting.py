# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person waits for: first fits, the processing of an image, maps with intervals.

Run ``python benchmarks/waiting.py``; some minutes. Processor time on one core, least of the
repeats, so that other work on the machine counts little; ratios are taken within the run, and of
eXSpy on the same spectra. Before a large image is processed, by us or by eXSpy, memory is used and
given back, so that no page has to come from the host of a virtual machine, which may take longer
than all else and differs from call to call; ``--fresh`` leaves that out. With ``--threads`` instead
what a second thread gains, in wall time: only on a machine that is idle.
"""

import argparse
import logging
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import hyperspy.api as hs
import numpy as np
from _table import Rows, add_json_option

from hyperspy_dosekin.data import dose_series_image
from hyperspy_dosekin.lazy import blocks

CHANNELS = 2048
FIRST = """
import sys, time
import hyperspy.api as hs, exspy, torch
from hyperspy_dosekin.data import dose_series
areas = dose_series(0, processed=True)
started = time.process_time()
areas.fit_dose_pinn(estimator=sys.argv[1], show_progressbar=False)
print(time.process_time() - started)
"""


def seconds(call: Callable[[], object], repeats: int, touched: int = 0) -> float:
    """Processor time of a call, the least; `touched` bytes of memory are used and freed before."""
    best = np.inf
    for _ in range(repeats):
        np.empty(touched, dtype=np.uint8)[::4096] = 1
        started = time.process_time()
        call()
        best = min(best, time.process_time() - started)
    return best


def first_fits(rows: Rows, repeats: int) -> None:
    for estimator, asked in (("exact", "≤ 0.5"), ("pinn", "≤ 1.5")):
        times = []
        for _ in range(repeats):
            command = [sys.executable, "-W", "ignore", "-c", FIRST, estimator]
            out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            times.append(float(out.split()[-1]))
        rows.add(
            f"first fit in a fresh process, {estimator}, beyond HyperSpy, eXSpy and Torch",
            asked=asked, measured=min(times), unit="s",
            note=f"processor time, least of {repeats}",
        )  # fmt: skip


def exspy_chain(s):
    """Do the same as `process_low_loss` step by step."""
    s = s.deepcopy()
    s.align_zero_loss_peak(print_stats=False, show_progressbar=False)
    s.spikes_removal_tool(interactive=False, zero_loss_peak_mask_width=5.0)
    zero_loss = s.deepcopy()
    zero_loss.data[..., zero_loss.axes_manager[-1].value2index(1.0) :] = 0
    intensity = s.estimate_elastic_scattering_intensity(threshold=1.0)
    return s.fourier_log_deconvolution(zero_loss) / intensity


def processing(rows: Rows, repeats: int, side: int, fresh: bool) -> None:
    options = {"channels": CHANNELS, "energy_scale": 0.05, "drift": 0.02, "spike_rate": 0.01}
    s = dose_series_image(1, shape=(side, 20), **options)
    number = s.axes_manager.navigation_size
    plain = s.deepcopy()
    plain.change_dtype("float64")
    plain.metadata.Signal.quantity = ""
    del plain.metadata.Signal.Noise_properties
    plain.inav[:3, :3].process_low_loss()
    # What eXSpy has in memory at a time, at most, and more than ours.
    touched = 0 if fresh else 12 * plain.data.nbytes
    slow = seconds(lambda: exspy_chain(plain), repeats, touched)
    memory = "as it comes" if fresh else "that the machine has had"
    note = f"{number} spectra of {CHANNELS} channels, one core, memory {memory}"
    rows.add(
        "eXSpy step by step", asked=None, measured=1e6 * slow / number, unit="µs a spectrum",
        note=note,
    )  # fmt: skip
    single = plain.deepcopy()
    single.change_dtype("float32")
    for what, signal, asked in (
        ("with noise variance", s, 90),
        ("without", plain, 60),
        ("without, float32", single, 60),
    ):
        fast = seconds(signal.process_low_loss, repeats, touched)
        rows.add(
            f"process_low_loss {what}", asked=f"≤ {asked}", measured=1e6 * fast / number,
            unit="µs a spectrum", note=note,
        )  # fmt: skip
        rows.add(
            f"process_low_loss {what} against eXSpy step by step", asked="≥ 15",
            measured=slow / fast, unit="×", note="the same spectra in one run",
        )  # fmt: skip
    small = s.inav[:5, :5].isig[:1024]
    small.process_low_loss()
    rows.add(
        "process_low_loss of a small image, with its diagnostics not looked at", asked=None,
        measured=1e3 * seconds(small.process_low_loss, 5), unit="ms", note="225 spectra",
    )  # fmt: skip
    processed = small.process_low_loss()
    rows.add(
        "integrate_windows of a small processed image", asked=None,
        measured=1e3 * seconds(processed.integrate_windows, 5), unit="ms", note="225 spectra",
    )  # fmt: skip


def maps(rows: Rows, repeats: int) -> None:
    series = dose_series_image(2, shape=(24, 24), processed=True)
    series.fit_dose_pinn(estimator="exact", show_progressbar=False)
    spent = [
        seconds(
            lambda given=given: series.fit_dose_pinn(
                estimator="exact", intervals=given, show_progressbar=False
            ),
            repeats,
        )
        for given in (True, False)
    ]
    rows.add(
        "map with intervals and flags against the same without", asked="≤ 5",
        measured=spent[0] / spent[1], unit="×", note="576 pixels, processor time, in one run",
    )  # fmt: skip


def second_thread(rows: Rows, repeats: int, side: int) -> None:
    """Wall time with one thread against that with two, in turn."""
    if blocks.cpu_count() < 2:
        raise SystemExit("one thread is all there is here: see OMP_NUM_THREADS and the cores.")
    recorded = dose_series_image(2, shape=(side, side))
    areas = recorded.process_low_loss().integrate_windows()

    def fit(**options: object) -> Callable[[], object]:
        return lambda: areas.fit_dose_pinn(estimator="exact", show_progressbar=False, **options)

    def logarithms() -> None:
        values = np.linspace(1, 2, 20_000)
        with ThreadPoolExecutor(blocks.cpu_count()) as pool:
            list(pool.map(lambda _: [np.log(values) for _ in range(3000)], range(4)))

    pieces = {
        "logarithms in NumPy, for comparison": (None, logarithms),
        "map with intervals and flags": ("≥ 1.9", fit()),
        "map without intervals": (None, fit(intervals=False)),
        "process_low_loss": (None, recorded.process_low_loss),
        "population": (None, fit(spatial="population")),
        "field": (None, fit(spatial="field")),
    }
    for what, (asked, work) in pieces.items():
        best = {1: np.inf, 2: np.inf}
        for _ in range(repeats):
            for number in best:
                blocks.CPU_COUNT = number
                started = time.perf_counter()
                work()
                best[number] = min(best[number], time.perf_counter() - started)
        rows.add(
            f"two threads against one, {what}", asked=asked, measured=best[1] / best[2],
            unit="×", note=f"{side}×{side} pixels, wall time {best[1]:.2f} and {best[2]:.2f} s",
        )  # fmt: skip


def main() -> None:
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--side", type=int, default=40, help="a twentieth of the pixels")
    parser.add_argument("--fresh", action="store_true", help="memory as it comes")
    parser.add_argument("--threads", type=int, metavar="SIDE", help="pixels along a side")
    add_json_option(parser)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    hs.preferences.General.show_progressbar = False
    rows = Rows(options.json)
    if options.threads:
        second_thread(rows, options.repeats, options.threads)
        return
    blocks.CPU_COUNT = 1
    first_fits(rows, options.repeats)
    maps(rows, options.repeats)
    processing(rows, options.repeats, options.side, options.fresh)


if __name__ == "__main__":
    main()
