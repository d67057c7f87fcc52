# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which runtime: the one asked for, or the fastest of those that are here."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field, replace

import numpy as np

from hyperspy_dosekin.classification.live.graph import LiveGraph
from hyperspy_dosekin.classification.live.precision import (
    PrecisionLoss,
    activation_ranges,
    precision_loss,
    simulate,
)
from hyperspy_dosekin.classification.live.runtimes import RUNTIMES, runtime_of
from hyperspy_dosekin.classification.live.runtimes.runtime import LiveSettings, Program
from hyperspy_dosekin.classification.model import Model
from hyperspy_dosekin.numerics.stream.latency import time_text
from hyperspy_dosekin.numerics.text import printable

_logger = logging.getLogger(__name__)

#: Batch size that ``"auto"`` measures, if none is given.
TYPICAL_BATCH = 32
#: Source: J. D. Hollenbach et al., doi:10.1038/s41598-024-66902-4.
PUBLISHED = (
    "published for the encoder alone, 32 spectra: 54 ms TensorFlow, 0.209 ms TensorRT in 16 bits "
    "on an RTX 2060; their detector gives 400 spectra/s."
)
#: Time for measuring a runtime, and runs of it at least.
_SECONDS, _RUNS = 0.05, 12


@dataclass(frozen=True)
class RuntimeTiming:
    """What was found out about a runtime.

    Parameters
    ----------
    runtime
        Its name.
    seconds
        Median time for a batch; ``None`` where it cannot be used.
    reason
        Why not.
    """

    runtime: str
    seconds: float | None
    reason: str = ""


@dataclass(frozen=True)
class LiveReport:
    """How a model was compiled, and what was measured for that.

    Parameters
    ----------
    runtime, precision, device, threads
        What is used.
    batch
        Batch size that was measured.
    timings
        All runtimes that were tried.
    precision_loss
        What less precise arithmetic changes; ``None`` for float32.
    """

    runtime: str
    precision: str
    device: str
    threads: int
    batch: int
    timings: tuple[RuntimeTiming, ...]
    precision_loss: PrecisionLoss | None = None

    def __str__(self) -> str:
        """A small table."""
        lines = [
            f"runtime {self.runtime}, {self.precision}, {self.device}, {self.threads} thread"
            f"{'s' if self.threads > 1 else ''}; median time for {self.batch} spectra:"
        ]
        for timing in self.timings:
            value = timing.reason if timing.seconds is None else time_text(timing.seconds)
            lines.append(f"  {timing.runtime:<12} {value}")
        if self.batch == TYPICAL_BATCH:
            lines.append(PUBLISHED)
        if self.precision_loss is not None:
            lines.append(str(self.precision_loss))
        return printable("\n".join(lines))


@dataclass(frozen=True, eq=False)
class Chosen:
    """A runtime, and what its programs are compiled with.

    Parameters
    ----------
    settings
        With the name of the runtime and of the device.
    ranges
        Limits of activations for 8 bits, or ``None``.
    report
        What was measured.
    measured
        The program that was measured, by its batch size, until it is used.
    """

    settings: LiveSettings
    ranges: tuple[tuple[float, float], ...] | None
    report: LiveReport
    measured: dict[int, Program] = field(default_factory=dict)

    def compile(self, graph: LiveGraph, batch: int) -> Program:
        """Program for a batch size, which nobody else has."""
        if batch in self.measured:
            return self.measured.pop(batch)
        runtime = RUNTIMES[self.settings.runtime]
        return runtime.compile(graph, batch, self.settings, self.ranges)


def choose(model: Model, graph: LiveGraph, settings: LiveSettings) -> Chosen:
    """Find the runtime that settings ask for.

    Parameters
    ----------
    model
        Trained model, for simulated spectra.

    Raises
    ------
    ModuleNotFoundError
        If the package of the runtime is not installed.
    ValueError
        If runtime or device do not exist, or less precise arithmetic costs too much.
    """
    automatic = settings.runtime == "auto"
    if not automatic:
        runtime_of(settings.runtime).check(settings)
    spectra, label = simulate(model)
    ranges = None
    if settings.precision == "int8":
        ranges = tuple(activation_ranges(graph, spectra))
    batch = settings.sizes[0] if settings.sizes else TYPICAL_BATCH
    tried = [
        _timed(name, graph, batch, replace(settings, runtime=name), ranges, spectra)
        for name in (RUNTIMES if automatic else [settings.runtime])
    ]
    timings = tuple(timing for timing, _ in tried)
    able = [each for each in tried if each[0].seconds is not None]
    if not able:
        reasons = "; ".join(f"{timing.runtime}: {timing.reason}" for timing in timings)
        raise ValueError(
            f"no runtime has precision={settings.precision!r} on device={settings.device!r} here: "
            f"{reasons}"
        )
    best, program = min(able, key=lambda each: each[0].seconds or 0.0)
    runtime = RUNTIMES[best.runtime]
    used = replace(settings, runtime=best.runtime, device=runtime.device(settings))
    report = LiveReport(best.runtime, used.precision, used.device, used.threads, batch, timings)
    measured = {} if program is None else {min(batch, runtime.largest_batch): program}
    chosen = Chosen(used, ranges, report, measured)
    if settings.precision == "float32":
        return chosen
    program = chosen.compile(graph, runtime.largest_batch)
    loss = precision_loss(graph, program, settings.precision, spectra, label)
    if loss.loss > settings.max_accuracy_loss:
        raise ValueError(
            f"{loss}: that is {loss.loss:.4f} less, more than max_accuracy_loss="
            f'{settings.max_accuracy_loss}; use precision="float32", or allow more.'
        )
    return replace(chosen, report=replace(report, precision_loss=loss))


def _timed(
    name: str,
    graph: LiveGraph,
    batch: int,
    settings: LiveSettings,
    ranges: tuple[tuple[float, float], ...] | None,
    spectra: np.ndarray,
) -> tuple[RuntimeTiming, Program | None]:
    """Time a runtime for a short while, or say why it cannot be used; its program, if it can."""
    runtime = RUNTIMES[name]
    part = min(batch, runtime.largest_batch)
    try:
        runtime.check(settings)
        program = runtime.compile(graph, part, settings, ranges)
    except (ImportError, ValueError) as error:
        return RuntimeTiming(name, None, str(error)), None
    except Exception as error:
        # A damaged package; there may be others.
        _logger.warning("The runtime %s cannot be used here.", name, exc_info=True)
        return RuntimeTiming(name, None, f"does not work here: {error}"), None
    program.spectra[:] = np.resize(spectra, program.spectra.shape)
    times: list[float] = []
    program.run()
    end = time.perf_counter() + _SECONDS
    while len(times) < _RUNS or time.perf_counter() < end:
        start = time.perf_counter()
        program.run()
        times.append(time.perf_counter() - start)
    # A larger batch is cut.
    return RuntimeTiming(name, float(np.median(times)) * batch / part), program
