# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows on a graphics card, where that is faster than the processor.

A sum over channels uses every intensity once or twice, so that bringing it to a device costs as
much as the sum itself. Whether the device wins is therefore tried out, once for each type of data.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from hyperspy_dosekin.numerics.batching import map_batches
from hyperspy_dosekin.numerics.device import resolve_device
from hyperspy_dosekin.windows.weights import WindowWeights

if TYPE_CHECKING:
    import torch
    from torch import Tensor

#: Intensities that go to a device at once: 0.1 GB once they are float64 there.
VALUES_AT_A_TIME = 2**24
#: Intensities on which processor and device are compared; with fewer nothing is gained.
_COMPARED = 2**22
#: Intensities for which it is worth while to import Torch, which takes a second or two.
_WORTH_TORCH = 2**28
_lock = threading.Lock()
_faster: dict[tuple[str, str, bool], bool] = {}


def sums_on_device(
    block: np.ndarray, weights: WindowWeights, device: torch.device, *, with_squares: bool
) -> list[np.ndarray]:
    """Sum up Σ w y and, `with_squares`, Σ w² max(y, 0) over the channels of each window.

    Parameters
    ----------
    block
        Intensities of the channels ``weights.channels``, ``(…, n_used)``, of any real type.
    weights
        The windows.
    device
        Where; it needs float64.
    with_squares
        Whether the second sum is wanted.

    Returns
    -------
    One or two arrays ``(…, n_window)``, float64; an area is NaN where a channel of its window is.
    """
    import torch

    *lead, n_used = block.shape
    n_window, number = len(weights.names), 1 + with_squares
    windows = [
        (span, torch.as_tensor(weight[span].copy(), device=device))
        for span, weight in zip(weights.spans, weights.weights, strict=True)
    ]

    def kernel(intensity: Tensor) -> Tensor:
        values = intensity.to(torch.float64)
        # Only the channels of each window: zero weight times NaN would be NaN.
        sums = [values[:, span] @ weight for span, weight in windows]
        if with_squares:
            values = values.clamp(min=0.0)
            sums += [values[:, span] @ weight**2 for span, weight in windows]
        return torch.stack(sums, dim=1)

    out = np.empty((math.prod(lead), number * n_window))
    # A view if the layout allows it, else a copy.
    rows = block.reshape(-1, n_used)
    size = max(1, VALUES_AT_A_TIME // n_used)
    map_batches(kernel, [rows], out, size=size, device=device, what="integrate_windows")
    return [part.reshape(*lead, n_window) for part in np.split(out, number, axis=1)]


def choose_device(
    block: np.ndarray,
    weights: WindowWeights,
    device: str,
    with_squares: bool,
    on_processor: Callable[[np.ndarray], object],
) -> torch.device | None:
    """Return the device for a block, or ``None`` for the processor.

    Parameters
    ----------
    block, weights, with_squares
        What is to be done.
    device
        What the user asked for. ``"auto"`` measures whether CUDA, where present, is faster.
    on_processor
        Does it on the processor, for the comparison.
    """
    if device == "auto":
        least = 2 * _COMPARED if "torch" in sys.modules else _WORTH_TORCH
        if block.size < least:
            return None
    chosen = resolve_device(device)
    if chosen.type == "cpu":
        return None
    if device != "auto":
        return chosen
    key = (block.dtype.str, str(chosen), with_squares)
    with _lock:
        if key not in _faster:
            sample = block.reshape(-1, block.shape[-1])[: max(1, _COMPARED // block.shape[-1])]

            def there() -> None:
                sums_on_device(sample, weights, chosen, with_squares=with_squares)

            there()  # The first use of a device takes seconds.
            _faster[key] = _seconds(there) < _seconds(lambda: on_processor(sample))
        return chosen if _faster[key] else None


def _seconds(call: Callable[[], object]) -> float:
    """Time of a call, the better of three."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)
