# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sum neighbouring channels."""

from __future__ import annotations

import numpy as np


def rebin(block: np.ndarray, *, factor: int, mean: bool = False, workers: int = 1) -> np.ndarray:
    """Join every so many channels to one; what is left over at the end is dropped.

    Parameters
    ----------
    block
        Shape ``(…, n_channels)``.
    factor
        Channels to join.
    mean
        Take their mean, for densities, instead of their sum, for counts.
    workers
        Not used: the work is memory traffic.

    Returns
    -------
    numpy.ndarray
        Shape ``(…, n_channels // factor)``, float64.

    Examples
    --------
    >>> rebin(np.arange(7), factor=3)
    array([ 3., 12.])
    """
    n_new = block.shape[-1] // factor
    whole = block[..., : n_new * factor].reshape(*block.shape[:-1], n_new, factor)
    return whole.mean(axis=-1) if mean else whole.sum(axis=-1, dtype=np.float64)
