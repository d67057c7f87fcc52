# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sums over windows by tensors, on a graphics card."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from hyperspy_dosekin.numerics.arrays import namespace
from hyperspy_dosekin.numerics.batching import map_batches
from hyperspy_dosekin.windows.weights import WindowWeights

if TYPE_CHECKING:
    import torch
    from torch import Tensor

#: Intensities that go to a device at a time: 0.1 GB once they are float64 there.
VALUES_AT_A_TIME = 2**24


def sums_on_device(
    block: np.ndarray, weights: WindowWeights, device: torch.device, *, with_squares: bool
) -> list[np.ndarray]:
    """Sum up Σ w y and, `with_squares`, Σ w² max(y, 0) over the channels of each window.

    Parameters
    ----------
    block, weights
        As for `integrate`.
    device
        Of Torch, with float64.
    with_squares
        Whether the second sum is wanted.

    Returns
    -------
    list of numpy.ndarray
        One or two arrays ``(…, n_window)``, float64.
    """
    *lead, n_used = block.shape

    def sums(intensity: Tensor) -> Tensor:
        xp, values, made = namespace(intensity), intensity.double(), []
        for power in (1, 2) if with_squares else (1,):
            # Only the channels of each window: zero weight times NaN would be NaN.
            for span, weight in zip(weights.spans, weights.weights, strict=True):
                made.append(values[:, span] @ xp.asarray(weight[span] ** power))
            values = xp.maximum(values, 0.0)
        return xp.stack(made, axis=-1)

    number = 1 + with_squares
    out = np.empty((math.prod(lead), number * len(weights.names)))
    rows, size = block.reshape(len(out), n_used), max(1, VALUES_AT_A_TIME // n_used)
    map_batches(sums, [rows], out, size=size, device=device, what="integrate_windows")
    return [part.reshape(*lead, len(weights.names)) for part in np.split(out, number, axis=-1)]
