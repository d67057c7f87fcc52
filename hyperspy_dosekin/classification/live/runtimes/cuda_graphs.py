# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""CUDA graphs: the kernels of a batch, recorded once and launched as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from hyperspy_dosekin.classification.live.graph import LiveGraph
from hyperspy_dosekin.classification.live.network import LiveNetwork
from hyperspy_dosekin.classification.live.runtimes.runtime import LiveSettings, Program, Runtime
from hyperspy_dosekin.classification.live.runtimes.torch_runtime import DTYPES

#: Runs before the recording, in which libraries choose kernels and take memory.
_WARM_UP = 3


class CudaGraphsRuntime(Runtime):
    """Torch on an NVIDIA graphics processor, with one launch for all kernels and both transfers."""

    name = "cuda_graphs"
    precisions = ("float32", "bfloat16")
    largest_batch = 32_768

    def check(self, settings: LiveSettings) -> None:
        """Refuse what cannot be run here."""
        self._check_precision(settings)
        name = self.device(settings)
        try:
            device = torch.device(name)
        except RuntimeError as error:
            raise self._absent(settings, _devices()) from error
        number = device.index or 0
        if device.type != "cuda" or number >= torch.cuda.device_count():
            raise self._absent(settings, _devices())

    def device(self, settings: LiveSettings) -> str:
        """Device that settings mean with this runtime."""
        return "cuda" if settings.device == "auto" else settings.device

    def compile(
        self,
        graph: LiveGraph,
        batch: int,
        settings: LiveSettings,
        ranges: Sequence[tuple[float, float]] | None = None,
    ) -> Program:
        """Make a graph ready for batches of one size."""
        return static_program(
            graph, batch, torch.device(self.device(settings)), DTYPES[settings.precision], record
        )


def _devices() -> list[str]:
    return [f"cuda:{i}" for i in range(torch.cuda.device_count())]


def static_program(
    graph: LiveGraph,
    batch: int,
    device: torch.device,
    dtype: torch.dtype,
    recorder: Callable[[Callable[[], None], torch.device], Callable[[], object]],
) -> Program:
    """Program whose every tensor stays in its place, as a recording needs it.

    Parameters
    ----------
    batch
        Spectra of a batch.
    dtype
        Arithmetic of the network.
    recorder
        Makes of a step, which copies in, computes and copies out, something that repeats it.
    """
    pinned = device.type == "cuda"

    def host(*shape: int) -> Tensor:
        return torch.zeros(shape, pin_memory=pinned)

    network = LiveNetwork(graph, dtype).to(device)
    source, there = host(batch, graph.n_channels), torch.zeros(batch, graph.n_channels).to(device)
    source.copy_(torch.from_numpy(graph.centre))
    targets = [host(batch, graph.n_class)]
    if graph.has_novelty:
        targets.append(host(batch))

    def step() -> None:
        there.copy_(source, non_blocking=True)
        for target, found in zip(targets, network(there), strict=True):
            target.copy_(found, non_blocking=True)

    with torch.inference_mode(), exact_float32(device):
        run = recorder(step, device)
    arrays = [target.numpy() for target in targets]
    return Program(source.numpy(), arrays[0], arrays[1] if len(arrays) > 1 else None, run)


def exact_float32(device: torch.device) -> AbstractContextManager[object]:
    """Convolutions without the short mantissa that cuDNN takes for float32 otherwise."""
    if device.type != "cuda":
        return nullcontext()
    return torch.backends.cudnn.flags(allow_tf32=False)


def record(step: Callable[[], None], device: torch.device) -> Callable[[], object]:
    """Record a step on a CUDA device.

    Parameters
    ----------
    step
        Asynchronous work on tensors that stay where they are.
    device
        Its device.

    Returns
    -------
    A function that repeats the step and waits for its end.
    """
    stream = torch.cuda.Stream(device)
    with torch.cuda.device(device):
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                step()
        stream.synchronize()
        recording = torch.cuda.CUDAGraph()
        with torch.cuda.graph(recording, stream=stream):
            step()

    def run() -> None:
        with torch.cuda.stream(stream):
            recording.replay()
        stream.synchronize()

    return run
