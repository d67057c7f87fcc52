# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time to build the graphs of lazy calls over 10 000 chunks.

Run ``python benchmarks/large/graph.py``. Processor time, the shortest of several calls, with
everything imported. `process_low_loss` and `classify_vae` compute a sample meanwhile, whose time is
taken off. In brackets what the same call takes on the same data in nine chunks, which is HyperSpy's
for making signals: the rest is what the chunks cost.
"""

import argparse
import importlib
import logging
import sys
import time
import warnings
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import dask.array as da
import exspy
import numpy as np
from _table import Rows, add_json_option

from hyperspy_dosekin.data import annealing_series, dose_series_image, reference_spectra

QUIET = {"show_progressbar": False}
LAYOUTS = {
    "all frames of a pixel": (9, 1, 1, -1),
    "one frame, 9 pixels": (1, 9, 1, -1),
    "energy in two": (9, 2, 1, 512),
}


def spectra(chunks, dtype=np.uint16):
    base = dose_series_image(0, shape=(2, 3), channels=1024, energy_scale=0.1)
    data = da.zeros((9, 100, 100, 1024), chunks=chunks, dtype=dtype)
    signal = exspy.signals.LazyEELSSpectrum(data)
    for name in ("scale", "offset", "units", "name"):
        setattr(signal.axes_manager[-1], name, getattr(base.axes_manager[-1], name))
    signal.set_dose_axis(list(base.axes_manager[2].axis))
    return signal


def processable(chunks):
    """The same with spectra that can be processed, without much work to make them."""
    signal = spectra(chunks)
    base = dose_series_image(0, shape=(1, 1), channels=1024, energy_scale=0.1)
    row = (base.data[0, 0, 0] // 2).astype(np.uint16)
    signal.data = signal.data + da.from_array(row, chunks=-1)
    return signal


#: What computes a sample while a graph is built.
COMPUTING = (
    ("processing.one_pass", "compute"),
    ("processing.low_loss", "look_at_bridged"),
    ("processing.low_loss", "try_out"),
    ("processing.recorded", "check_noise"),
    ("classification.training_data", "sample_rows"),
    ("classification.spectra", "sample_rows"),
)


class Sampling:
    """Time spent on samples."""

    def __enter__(self):
        self.spent, self._found = 0.0, []
        for module, name in COMPUTING:
            module = importlib.import_module(f"hyperspy_dosekin.signals.{module}")
            function = getattr(module, name)
            self._found.append((module, name, function))
            setattr(module, name, partial(self._timed, function))
        return self

    def _timed(self, function, *arguments, **options):
        start = time.process_time()
        try:
            return function(*arguments, **options)
        finally:
            self.spent += time.process_time() - start

    def __exit__(self, *_):
        for module, name, function in self._found:
            setattr(module, name, function)


def milliseconds(call, repeats):
    best = np.inf
    for _ in range(repeats):
        with Sampling() as sampling:
            start = time.process_time()
            result = call()
            best = min(best, 1e3 * (time.process_time() - start - sampling.spent))
    return best, result


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    add_json_option(parser)
    options = parser.parse_args()
    rows = Rows(options.json)
    small = annealing_series(0, shape=(3, 12, 10))
    model = small.classify_vae(reference_spectra(), steps=6, evaluate_every=3, **QUIET).model
    print(f"{'milliseconds for 10 000 chunks':34s}" + "".join(f"{name:>24s}" for name in LAYOUTS))
    table: dict[str, list[tuple[float, float]]] = {}
    few = times_of((1, 100, 100, -1), model, small, options.repeats)
    for chunks in LAYOUTS.values():
        for name, spent in times_of(chunks, model, small, options.repeats).items():
            table.setdefault(name, []).append((spent, few[name]))
    for name, times in table.items():
        cells = "".join(f"{f'{spent:.1f} ({fixed:.1f})':>24s}" for spent, fixed in times)
        print(f"{name:34s}{cells}")
        rows.add(
            f"graph of {name}",
            asked="≤ 50",
            measured=max(max(spent - fixed, 0.0) for spent, fixed in times),
            unit="ms",
            note="for 10 000 chunks, over that for nine; worst of three layouts; processor time",
        )


def times_of(chunks, model, small, repeats):
    """Milliseconds of each call; for 10 000 chunks where there are more than that."""
    signal, counts = spectra(chunks), processable(chunks)
    per = min(1.0, 10_000 / signal.data.npartitions)
    times = {}

    def note(name, call):
        spent, result = milliseconds(call, repeats)
        times[name] = spent * per
        return result

    areas = note("integrate_windows, with noise", signal.integrate_windows)
    result = note("fit_dose_pinn", lambda: areas.fit_dose_pinn(intervals=False, **QUIET))
    note("maps of k, p and D½", lambda: (result.rate, result.exponent, result.half_integrity_dose))
    note("process_low_loss", lambda: counts.process_low_loss(survey="sample", **QUIET))
    energy = small.data.shape[-1]
    blocks = (*chunks[:3], -1 if chunks[3] == -1 else energy // 2)
    data = da.zeros((9, 100, 100, energy), chunks=blocks, dtype=np.float32)
    image = exspy.signals.LazyEELSSpectrum(data + da.from_array(small.data[0, 0, 0], chunks=-1))
    for name in ("scale", "offset", "units", "name"):
        setattr(image.axes_manager[-1], name, getattr(small.axes_manager[-1], name))
    found = note("classify_vae", lambda: image.classify_vae(model=model, prior="uniform"))
    note("class_map, probability", lambda: (found.class_map, found.probability))
    return times


if __name__ == "__main__":
    main()
