# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dual EELS: move core-loss spectra by what was found on the low loss."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.lazy.blocks import as_lazy_as_navigation, cpu_count, map_blocks
from hyperspy_dosekin.processing.shifting import shift_block
from hyperspy_dosekin.signals.axes.energy import ev_per_unit
from hyperspy_dosekin.signals.axes.noise import COUNTS, holds_counts
from hyperspy_dosekin.signals.processing.recorded import read

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal


def check_others(signal: BaseSignal, others: Any) -> list[object]:
    """Return the signals to align, checked.

    Raises
    ------
    TypeError
        If one is no signal.
    ValueError
        If one has another navigation shape, or was moved before.
    """
    if hasattr(others, "axes_manager"):
        others = [others]
    if not isinstance(others, Sequence):
        raise TypeError(f"also_align={others!r} must be a list of signals.")
    shape = signal.axes_manager.navigation_shape
    for other in others:
        if not hasattr(other, "axes_manager"):
            raise TypeError(f"also_align holds {other!r}, which is no signal.")
        found = other.axes_manager.navigation_shape
        if found != shape:
            raise ValueError(
                f"a signal in also_align has the navigation shape {found}, the low-loss signal "
                f"{shape}; pass core-loss spectra recorded together with the low-loss ones."
            )
        if other.metadata.has_item("Dosekin.processing.also_aligned"):
            raise ValueError(
                "a signal in also_align was moved with a low-loss signal before, and would be "
                "moved twice; load it again, or leave it out."
            )
    return list(others)


def align_others(
    others: Sequence[Any], moved_ev: np.ndarray, calibration_ev: float, record: Mapping[str, Any]
) -> None:
    """Move signals in place.

    Parameters
    ----------
    others
        Core-loss signals.
    moved_ev
        Energy by which each low-loss spectrum was moved, of the navigation shape; NaN counts as
        none.
    calibration_ev
        Energy by which the low-loss axis was moved on top.
    record
        Of the low-loss processing, with the shifts.
    """
    moved_ev = np.nan_to_num(moved_ev)
    for other in others:
        recorded = read(other, "also_align", as_it_is=True)
        shift = moved_ev / recorded.scale_ev
        start = int(np.ceil(max(shift.max(), 0.0) - 1e-6))
        stop = recorded.energy_ev.size - int(np.ceil(max(-shift.min(), 0.0) - 1e-6))
        variance = recorded.variance
        counts = holds_counts(other)
        navigation = as_lazy_as_navigation(shift, recorded.data)
        common: dict[str, Any] = {
            "output_sizes": {"f": stop - start},
            "eager_options": {"workers": cpu_count()},
            "start": start,
            "stop": stop,
        }
        other.data = map_blocks(shift_block, "(e),()->(f)", recorded.data, navigation, **common)
        if counts and not holds_counts(other):
            # Parts of a channel are moved, so that they are integers no longer.
            other.metadata.Signal.quantity = COUNTS
        axis = other.axes_manager.signal_axes[0]
        axis.size = stop - start
        axis.offset += start * axis.scale + calibration_ev / ev_per_unit(axis)
        if variance is not None:
            noise = other.get_noise_variance()
            moved = map_blocks(
                shift_block, "(e),()->(f)", variance, navigation, **common, is_variance=True
            )
            if hasattr(noise, "axes_manager"):
                noise.data = moved
                noise.axes_manager.signal_axes[0].size = stop - start
                noise.axes_manager.signal_axes[0].offset = axis.offset
        step = {
            "also_aligned": {
                "diagnostics": {"shift": copy.deepcopy(record["align"]["diagnostics"]["shift"])}
            },
            "chain": "process_low_loss(also_align=…)",
            "version": record["version"],
            "steps": ["also_aligned"],
        }
        other.metadata.set_item("Dosekin.processing", step)
        other.events.data_changed.trigger(obj=other)
