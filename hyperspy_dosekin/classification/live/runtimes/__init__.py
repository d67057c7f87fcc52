# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can run the live graph, by name."""

from __future__ import annotations

from hyperspy_dosekin.classification.live.runtimes.cuda_graphs import CudaGraphsRuntime
from hyperspy_dosekin.classification.live.runtimes.onnxruntime_runtime import OnnxRuntime
from hyperspy_dosekin.classification.live.runtimes.openvino_runtime import OpenVinoRuntime
from hyperspy_dosekin.classification.live.runtimes.runtime import Runtime
from hyperspy_dosekin.classification.live.runtimes.torch_runtime import TorchRuntime

#: Runtimes by name, in the order in which ``"auto"`` tries them.
RUNTIMES: dict[str, Runtime] = {
    runtime.name: runtime
    for runtime in (TorchRuntime(), OnnxRuntime(), OpenVinoRuntime(), CudaGraphsRuntime())
}


def runtime_of(name: str) -> Runtime:
    """Runtime of a name.

    Raises
    ------
    ValueError
        If there is none.
    """
    if name not in RUNTIMES:
        raise ValueError(f'runtime={name!r} must be "auto" or one of {list(RUNTIMES)}.')
    return RUNTIMES[name]
