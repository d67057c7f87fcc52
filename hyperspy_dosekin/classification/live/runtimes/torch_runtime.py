# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Torch, which is always there."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from hyperspy_dosekin.classification.live.graph import LiveGraph
from hyperspy_dosekin.classification.live.network import LiveNetwork
from hyperspy_dosekin.classification.live.runtimes.runtime import (
    LiveSettings,
    Program,
    Runtime,
    make_arrays,
)
from hyperspy_dosekin.numerics.device import resolve_device
from hyperspy_dosekin.numerics.threads import torch_threads

_logger = logging.getLogger(__name__)

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
#: Runs in which TorchScript looks at shapes and then compiles.
_WARM_UP = 4
#: Largest change of a probability by another order of summation.
_TOLERANCE = 1e-5

_fusing = threading.Lock()

Function = Callable[[Tensor], tuple[Tensor, ...]]


class TorchRuntime(Runtime):
    """Torch on a processor or a graphics processor.

    On a processor the convolutions are compiled with their rectifiers by oneDNN, by way of
    TorchScript: a call of Torch's own convolution spends 25 µs on finding the right kernel.
    """

    name = "torch"
    precisions = ("float32", "bfloat16")
    largest_batch = 64

    def check(self, settings: LiveSettings) -> None:
        """Refuse what cannot be run here."""
        self._check_precision(settings)
        resolve_device(self.device(settings))

    def compile(
        self,
        graph: LiveGraph,
        batch: int,
        settings: LiveSettings,
        ranges: Sequence[tuple[float, float]] | None = None,
    ) -> Program:
        """Make a graph ready for batches of one size."""
        device = resolve_device(self.device(settings))
        spectra, probability, novelty = make_arrays(graph, batch)
        source = torch.from_numpy(spectra)
        targets = [torch.from_numpy(a) for a in (probability, novelty) if a is not None]
        network = LiveNetwork(graph, DTYPES[settings.precision]).to(device)
        threads = settings.threads
        with torch_threads(threads):
            function = fused(network, source) if device.type == "cpu" else network

        # No weight asks for gradients, so that there is nothing to switch off in a run.
        if device.type == "cpu":

            def compute() -> None:
                for target, found in zip(targets, function(source), strict=True):
                    target.copy_(found)

        else:

            def compute() -> None:
                for target, found in zip(targets, function(source.to(device)), strict=True):
                    target.copy_(found)

        def run() -> None:
            if torch.get_num_threads() == threads:
                compute()
            else:
                with torch_threads(threads):
                    compute()

        return Program(spectra, probability, novelty, run)


def fused(network: LiveNetwork, example: Tensor) -> Function:
    """Compile a network for spectra of one shape, or leave it as it is where that does not work.

    Parameters
    ----------
    network
        On a processor.
    example
        Spectra of the shape, ``(batch, n_channels)``.
    """
    try:
        with _fusion(), torch.no_grad():
            expected = network(example)
            traced = torch.jit.freeze(torch.jit.trace(network, example, check_trace=False))
            for _ in range(_WARM_UP):
                found = traced(example)
            largest = max(float((a - b).abs().max()) for a, b in zip(expected, found, strict=True))
    except RuntimeError as error:
        _logger.info("TorchScript does not compile the network (%s); it runs as it is.", error)
        return network
    if network.exact and not largest < _TOLERANCE * max(1.0, float(expected[-1].abs().max())):
        _logger.info("Compiled, the network differs by %g; it runs as it is.", largest)
        return network
    return traced


@contextmanager
def _fusion() -> Iterator[None]:
    """Let TorchScript hand groups of operators to oneDNN while something is compiled."""
    with _fusing, warnings.catch_warnings():
        # TorchScript is announced to be replaced, by what needs a C++ compiler on the machine.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        before = torch.jit.onednn_fusion_enabled()
        torch.jit.enable_onednn_fusion(True)
        try:
            yield
        finally:
            torch.jit.enable_onednn_fusion(before)
