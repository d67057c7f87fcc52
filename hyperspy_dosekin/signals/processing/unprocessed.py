# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell users, once, that spectra look as if they had not been processed."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.lazy.blocks import is_lazy
from hyperspy_dosekin.signals.axes.noise import holds_counts
from hyperspy_dosekin.signals.processing.record import record_of

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal

#: Distance, in eV, of a zero-loss peak from zero that is more than calibration leaves.
_OFF_ZERO_EV = 0.25
#: Spectra that are looked at.
_FEW = 16
_CORE_LOSS_EV = 100.0


class UnprocessedSignalWarning(UserWarning):
    """Spectra look as if they had not been processed."""


def warn_if_unprocessed(signal: BaseSignal) -> None:
    """Warn, once for each signal, if spectra look unprocessed, with the call that fixes it.

    A signal with a record of processing, or whose quantity is one per eV, is believed. Lazy data
    are not read: for them only type, quantity and axis are looked at.

    Parameters
    ----------
    signal
        An EELS signal that is about to be analysed.
    """
    if record_of(signal) is not None or getattr(signal, "_dosekin_warned", False):
        return
    if "eV)" in str(signal.metadata.get_item("Signal.quantity", "")):
        return
    axis = signal.axes_manager.signal_axes[0]
    if not axis.is_uniform or axis.size < 3:
        return
    reasons = signs_of_raw(signal, axis)
    if not reasons:
        return
    signal._dosekin_warned = True
    core = float(axis.axis[0]) > _CORE_LOSS_EV
    call = "s.process_core_loss(background=(…, …))" if core else "processed = s.process_low_loss()"
    warnings.warn(
        f"these spectra look unprocessed: {'; '.join(reasons)}. Areas then follow thickness, beam "
        f"current and drift too. Process them first: {call}.",
        UnprocessedSignalWarning,
        stacklevel=4,
    )


def signs_of_raw(signal: BaseSignal, axis: Any) -> list[str]:
    """What makes spectra on a uniform axis look unprocessed, in words; empty if nothing does."""
    reasons = []
    if holds_counts(signal):
        reasons.append("the intensities are counts")
    if is_lazy(signal.data):
        return reasons
    spectra = _some(signal.data)
    # Only the form of the spectra matters here; products of damaged values would overflow.
    spectra = spectra[np.isfinite(spectra).all(axis=-1)]
    spectra = spectra / max(np.abs(spectra).max(initial=0.0), 1e-300)
    mean = spectra.sum(axis=0) / max(len(spectra), 1)
    if mean.max() <= 0:
        return reasons
    energy = axis.axis
    if energy[0] > _CORE_LOSS_EV:
        n_end = max(mean.size // 10, 1)
        if mean[:n_end].mean() > 0.5 * mean.max():
            reasons.append("no background seems to have been removed before the edge")
        return reasons
    from hyperspy_dosekin.processing.low_loss.zero_loss import WIDEST_EV, find_zero_loss

    with np.errstate(all="ignore"):
        seen = find_zero_loss(spectra, widest=WIDEST_EV / abs(float(axis.scale)))
    if seen.found.any():
        place = energy[0] + axis.scale * seen.position[seen.found]
        # Next to a plasmon alone a narrow maximum far from zero may be anything.
        place = place[np.abs(place) < 10 * WIDEST_EV]
        if place.size and np.abs(place).max() > max(_OFF_ZERO_EV, 0.5 * abs(axis.scale)):
            worst = place[np.abs(place).argmax()]
            reasons.append(f"the zero-loss peak is at {worst:.2f} eV")
    return reasons


def _some(data: np.ndarray) -> np.ndarray:
    """Up to `_FEW` spectra, evenly spaced over the navigation space."""
    count = int(np.prod(data.shape[:-1]))
    chosen = np.unique(np.linspace(0, count - 1, min(_FEW, count)).astype(int))
    index = np.unravel_index(chosen, data.shape[:-1]) if data.ndim > 1 else ()
    spectra = data[index] if index else data
    return np.asarray(spectra, dtype=np.float64).reshape(-1, data.shape[-1])
