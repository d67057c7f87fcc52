# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenVINO."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hyperspy_dosekin.classification.live.graph import LiveGraph
from hyperspy_dosekin.classification.live.missing import import_realtime
from hyperspy_dosekin.classification.live.onnx_graph import (
    NOVELTY,
    PROBABILITY,
    SPECTRA,
    Layout,
    onnx_model,
)
from hyperspy_dosekin.classification.live.runtimes.runtime import (
    LiveSettings,
    Program,
    Runtime,
    make_arrays,
)

#: Arithmetic of layers that are not rounded to 8 bits, by OpenVINO's names, best first.
_HINTS = {"float32": ("f32",), "bfloat16": ("bf16",), "int8": ("bf16", "f32")}


#: OpenVINO can end the process when it compiles Bayes' rule for batches that are no multiple of it.
_MULTIPLE = 16


def _first(program: Program, number: int) -> Program:
    """The same program, of which the first spectra are used."""
    novelty = None if program.novelty is None else program.novelty[:number]
    return Program(program.spectra[:number], program.probability[:number], novelty, program.run)


class OpenVinoRuntime(Runtime):
    """OpenVINO, by default on a processor.

    Left to itself, it computes in bfloat16 on processors that can: the precision is always set.
    """

    name = "openvino"
    precisions = ("float32", "bfloat16", "int8")
    largest_batch = 128

    def check(self, settings: LiveSettings) -> None:
        """Refuse what cannot be run here."""
        self._check_precision(settings)
        core = import_realtime("openvino").Core()
        import_realtime("onnx")
        device = self.device(settings).upper()
        if device not in core.available_devices:
            raise self._absent(settings, [name.lower() for name in core.available_devices])
        able = core.get_property(device, "OPTIMIZATION_CAPABILITIES")
        if settings.precision == "bfloat16" and "BF16" not in able:
            raise ValueError(
                'precision="bfloat16" is nothing that this processor computes in; use "float32" or '
                '"int8".'
            )

    def compile(
        self,
        graph: LiveGraph,
        batch: int,
        settings: LiveSettings,
        ranges: Sequence[tuple[float, float]] | None = None,
    ) -> Program:
        """Make a graph ready for batches of one size."""
        given, batch = batch, -(-batch // _MULTIPLE) * _MULTIPLE
        spectra, probability, novelty = make_arrays(graph, batch)
        outputs = {PROBABILITY: probability}
        if novelty is not None:
            outputs[NOVELTY] = novelty
        if novelty is None or settings.precision == "float32":
            run = self._request(graph, batch, settings, ranges, spectra, outputs)
            return _first(Program(spectra, probability, novelty, run), given)
        # The novelty is a difference of large numbers: it needs all digits of float32.
        exact = replace(settings, precision="float32")
        first = self._request(graph, batch, settings, ranges, spectra, {PROBABILITY: probability})
        second = self._request(graph, batch, exact, None, spectra, {NOVELTY: novelty})

        def run_both() -> None:
            first()
            second()

        return _first(Program(spectra, probability, novelty, run_both), given)

    def _request(
        self,
        graph: LiveGraph,
        batch: int,
        settings: LiveSettings,
        ranges: Sequence[tuple[float, float]] | None,
        spectra: np.ndarray,
        outputs: Mapping[str, np.ndarray],
    ) -> Callable[[], object]:
        """Compile some outputs of a graph and bind their memory."""
        package: Any = import_realtime("openvino")
        core = package.Core()
        layout = Layout(paired=True, position_first=True)
        model = onnx_model(graph, layout, batch=batch, ranges=ranges, parts=tuple(outputs))
        device = self.device(settings).upper()
        able = {"F32", *core.get_property(device, "OPTIMIZATION_CAPABILITIES")}
        options: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": next(
                hint for hint in _HINTS[settings.precision] if hint.upper() in able
            ),
        }
        if device == "CPU":
            options |= {
                "INFERENCE_NUM_THREADS": settings.threads,
                "NUM_STREAMS": 1,
                # Pinned, two processes would share one core and leave the other idle.
                "ENABLE_CPU_PINNING": False,
            }
        compiled = core.compile_model(core.read_model(model.SerializeToString()), device, options)
        request = compiled.create_infer_request()
        request.set_tensor(SPECTRA, package.Tensor(spectra, shared_memory=True))
        for name, array in outputs.items():
            request.set_tensor(name, package.Tensor(array, shared_memory=True))
        return request.infer
