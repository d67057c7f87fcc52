# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recorded spectra whose missing channels are bridged, and named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.lazy.blocks import is_lazy, map_blocks
from hyperspy_dosekin.processing.glitches import Extremes, glitches, without_glitches
from hyperspy_dosekin.processing.missing import LONGEST, bridge, dead_channels, known_part
from hyperspy_dosekin.signals.axes.noise_check import LARGEST, largest_in
from hyperspy_dosekin.signals.axes.variance import warn_user

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal

    from hyperspy_dosekin.lazy.arrays import Array

# Largest intensities in single precision of which squares, summed and divided, are numbers.
_SINGLE = (1e-18, 1e15)


def bridged(
    data: Any, boxes: list[np.ndarray], signal: BaseSignal, method: str
) -> tuple[Any, tuple[int, ...], slice]:
    """Data whose few missing channels are bridged, channels of zeros, and all but missing ends.

    All of them are named. Ends are left out for low losses only: windows of core losses may lie
    elsewhere, and the axis stays.
    """
    known = slice(None)
    if not data.size:
        return data, (), known
    data, boxes, finite = _without_glitches(data, boxes, signal)
    some = np.concatenate([box.reshape(-1, data.shape[-1]) for box in boxes])
    stuck = dead_channels(some)
    hot = some.size and (np.ptp(some[:, stuck], axis=0) > 0).any()
    one_value = "the same value" if some[:, stuck].any() else "nothing but zeros"
    one_value = "one value, or much more than those beside it" if hot else one_value
    missing = np.zeros_like(stuck)
    whole = some if is_lazy(data) else data.reshape(-1, data.shape[-1])
    if not finite:
        missing = np.asarray(~np.isfinite(whole).any(axis=0))
    if missing.all():
        raise ValueError(
            f"the spectra hold no numbers, NaN or infinite in every channel; {method} needs "
            "recorded intensities. Load the file again."
        )
    largest = largest_in(boxes)
    low, high = _SINGLE if data.dtype == np.float32 else (1 / LARGEST, LARGEST)
    if 0 < largest < low or largest > high:
        raise ValueError(
            f"the largest intensity is {largest:.3g}, and powers of what is not between {low:g} "
            f"and {high:g} are no numbers of type {data.dtype}; divide the data by a constant."
        )
    axis = signal.axes_manager.signal_axes[0]
    if method == "process_low_loss" and not finite:
        first, last = known_part(whole)
        some_only = bool(first and not missing[:first].all()) or not missing[last:].all()
        if first or last < missing.size:
            known = slice(first, last)
            missing[:first] = missing[last:] = False
            whose = "some spectra" if some_only else "any spectrum"
            warn_user(
                f"{first} channels at the beginning of the axis and {missing.size - last} at its "
                f"end hold no number, NaN or infinite, in {whose}: they are left out."
            )
    for channels, what in ((missing, "no number, NaN or infinite"), (stuck, one_value)):
        if channels.any():
            named = [
                f"{channel} ({axis.axis[channel]:g} {axis.units})"
                for channel in np.flatnonzero(channels)
            ]
            more = f" and {len(named) - 10} more" if len(named) > 10 else ""
            warn_user(
                f"channel {', '.join(named[:10])}{more} of every spectrum holds {what}; up to "
                f"{LONGEST} such channels side by side are bridged by a straight line, one or two "
                "in the zero-loss peak by a curve. Crop others away with s.isig[…]."
            )
    dead = tuple(int(channel) for channel in np.flatnonzero(stuck))
    if not dead and finite:
        return data, (), known
    return all_bridged(data, dead), dead, known


def _without_glitches(
    data: Any, boxes: list[np.ndarray], signal: BaseSignal
) -> tuple[Any, list[np.ndarray], bool]:
    """Data with NaN where a number stands for none, and what was looked at without it.

    And whether all values are known to be finite. Of lazy data a part is looked at; if there is
    one in it, all are taken out.
    """
    rows = [each.reshape(-1, data.shape[-1]) for each in (boxes if is_lazy(data) else [data])]
    with np.errstate(invalid="ignore"):
        seen = [Extremes.of(each) for each in rows]
    finite = data.dtype.kind != "f" or (not is_lazy(data) and seen[0].finite)
    masks = [glitches(*each) for each in zip(rows, seen, strict=True)]
    if all(mask is None for mask in masks):
        return data, boxes, finite
    values = [each[mask] for each, mask in zip(rows, masks, strict=True) if mask is not None]
    number = sum(each.size for each in values)
    channels = np.flatnonzero(
        np.any([mask.any(axis=0) for mask in masks if mask is not None], axis=0)
    )
    axis = signal.axes_manager.signal_axes[0]
    named = [f"{channel} ({axis.axis[channel]:g} {axis.units})" for channel in channels[:10]]
    warn_user(
        f"{number} values, such as {float(values[0].flat[0]):g}, in channel {', '.join(named)}"
        f"{' and more' if channels.size > 10 else ''} are no intensities"
        f"{' (of those that were looked at)' if is_lazy(data) else ''}: they are taken for missing "
        f"and bridged like NaN. Spectra where the gap is not bridged are NaN."
    )
    dtype = np.result_type(data.dtype, np.float32)
    without = map_blocks(
        without_glitches,
        "(e)->(f)",
        data,
        output_sizes={"f": data.shape[-1]},
        output_dtypes=(dtype,),
        method="processing",
    )
    if not is_lazy(data):
        return without, [np.asarray(without)], False
    return without, [without_glitches(box) for box in boxes], False


def all_bridged(array: Array, dead: tuple[int, ...] = ()) -> Any:
    """Bridge an array ``(…, energy)``, as lazy as it is; `dead` channels are taken for missing."""
    dtype = np.result_type(array.dtype, np.float32) if dead else array.dtype
    return map_blocks(
        bridge,
        "(e)->(f)",
        array,
        output_sizes={"f": array.shape[-1]},
        output_dtypes=(dtype,),
        dead=dead,
    )
