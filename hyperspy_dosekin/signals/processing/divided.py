# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts that were divided by a number of each spectrum are taken back before processing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.lazy.blocks import compute, map_blocks
from hyperspy_dosekin.processing.divided_counts import counts_of, divided_apart
from hyperspy_dosekin.signals.axes.noise import noise_of
from hyperspy_dosekin.signals.axes.noise_check import sample_boxes
from hyperspy_dosekin.signals.axes.variance import follows, warn_user

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal

_SAID = (
    "these spectra are counts, each divided by a number of its own: all intensities of a spectrum "
    "are multiples of one unit. For their noise and for spikes they are multiplied by it again, "
    "and what processing returns is as if it had not been."
)


def taken_back(signal: BaseSignal) -> tuple[BaseSignal, Any]:
    """Counts of a signal whose spectra were each divided by another number, and these numbers.

    Parameters
    ----------
    signal
        A signal with real data; what the file says of its noise, but for a variance of each
        intensity, is taken as said of the counts.

    Returns
    -------
    counts : BaseSignal
        The signal itself if its spectra are not such.
    unit : array or None
        Intensity of a count, of the navigation shape; ``None`` if there is none.
    """
    if signal.data.dtype.kind != "f" or signal.data.ndim < 2 or follows(signal):
        return signal, None
    claimed = noise_of(signal)
    if claimed is not None and claimed.variance is not None:
        return signal, None
    boxes = compute(*sample_boxes(signal.data))
    if not divided_apart([np.asarray(box) for box in boxes]):
        return signal, None
    warn_user(_SAID)
    counts, unit = map_blocks(
        counts_of,
        "(e)->(e),()",
        signal.data,
        output_dtypes=(np.float64, np.float64),
        method="processing",
    )
    found = signal._deepcopy_with_new_data(counts)
    found.metadata.set_item("Signal.quantity", "Intensity (Counts)")
    return found, unit
