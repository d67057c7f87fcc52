# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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

#: What onnxruntime calls the devices.
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_ERRORS_ONLY = 3


class OnnxRuntime(Runtime):
    """onnxruntime, by default on a processor.

    Its blocked convolutions exist for images only, and are nearly twice as fast as those of
    sequences.
    """

    name = "onnxruntime"
    precisions = ("float32", "int8")
    largest_batch = 64

    def check(self, settings: LiveSettings) -> None:
        """Refuse what cannot be run here."""
        self._check_precision(settings)
        package = import_realtime("onnxruntime")
        import_realtime("onnx")
        present = package.get_available_providers()
        if _PROVIDERS.get(self.device(settings).split(":")[0]) not in present:
            names = [name for name, provider in _PROVIDERS.items() if provider in present]
            raise self._absent(settings, names)

    def compile(
        self,
        graph: LiveGraph,
        batch: int,
        settings: LiveSettings,
        ranges: Sequence[tuple[float, float]] | None = None,
    ) -> Program:
        """Make a graph ready for batches of one size."""
        package: Any = import_realtime("onnxruntime")
        options = package.SessionOptions()
        options.intra_op_num_threads = settings.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        device, _, number = self.device(settings).partition(":")
        chosen: list[Any] = [_PROVIDERS[device]]
        if number:
            chosen = [(_PROVIDERS[device], {"device_id": int(number)})]
        model = onnx_model(graph, Layout(image=True), batch=batch, ranges=ranges)
        session = package.InferenceSession(model.SerializeToString(), options, providers=chosen)
        spectra, probability, novelty = make_arrays(graph, batch)
        bound = session.io_binding()
        bound.bind_cpu_input(SPECTRA, spectra)
        for name, array in ((PROBABILITY, probability), (NOVELTY, novelty)):
            if array is not None:
                bound.bind_ortvalue_output(name, package.OrtValue.ortvalue_from_numpy(array))
        run = session.run_with_iobinding
        return Program(spectra, probability, novelty, lambda: run(bound))
