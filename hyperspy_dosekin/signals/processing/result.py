# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the signal that processing returns."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
from hyperspy.signals import LazySignal1D, Signal1D

from hyperspy_dosekin.lazy.blocks import wrap
from hyperspy_dosekin.signals.axes.energy import ev_per_unit

#: Attribute that holds what `plot_processing` needs; it is not saved and not copied.
CONTEXT = "_dosekin_context"


def result_type(recorded: Any, dtype: Any) -> np.dtype:
    """Type of processed spectra: float32 where that holds all the data say.

    Raises
    ------
    TypeError
        If a type is asked for that is no floating-point type.
    """
    if dtype is not None:
        if not np.issubdtype(np.dtype(dtype), np.floating):
            raise TypeError(
                f"dtype={dtype!r} cannot hold processed spectra; pass 'float32' or 'float64'."
            )
        return np.dtype(dtype)
    recorded = np.dtype(recorded)
    small = recorded.itemsize <= 2 or recorded == np.float32
    return np.dtype(np.float32 if small else np.float64)


def processed_signal(
    source: Any,
    data: Any,
    variance: Any,
    *,
    offset_ev: float,
    scale_ev: float,
    quantity: str | None,
    record: Mapping[str, Any],
    is_binned: bool | None,
    context: Mapping[str, Any],
) -> Any:
    """Wrap processed spectra with the axes and metadata of their source.

    Parameters
    ----------
    source
        The signal that was processed.
    data, variance
        Spectra and their noise variance, or ``None``, arrays ``(…, energy)``.
    offset_ev, scale_ev
        Of the energy axis.
    quantity
        What the values are; ``None`` leaves it.
    record
        Content of ``metadata.Dosekin.processing``.
    is_binned
        Of the energy axis; ``None`` leaves it.
    context
        What was given to the kernels.
    """
    axes_manager = source.axes_manager
    axes = [
        copy.deepcopy(axis.get_axis_dictionary()) for axis in reversed(axes_manager.navigation_axes)
    ]
    signal_axis = axes_manager.signal_axes[0]
    factor = ev_per_unit(signal_axis)
    energy = copy.deepcopy(signal_axis.get_axis_dictionary())
    energy |= {"offset": offset_ev / factor, "scale": scale_ev / factor, "size": data.shape[-1]}
    binned = signal_axis.is_binned if is_binned is None else is_binned
    axes.append(energy)
    axes.sort(key=lambda axis: not axis.get("navigate", True))

    metadata = copy.deepcopy(source.metadata.as_dictionary())
    for name in ("Markers", "Dosekin"):
        metadata.pop(name, None)
    metadata.setdefault("Signal", {}).pop("Noise_properties", None)
    if quantity is not None:
        metadata["Signal"]["quantity"] = quantity
    result = wrap(Signal1D, LazySignal1D, data, axes=axes, metadata=metadata)
    result.original_metadata.add_dictionary(source.original_metadata.as_dictionary())
    result.set_signal_type(source.metadata.get_item("Signal.signal_type", "EELS"))
    result.axes_manager.signal_axes[0].is_binned = binned
    result.metadata.set_item("Dosekin.processing", record)
    if variance is not None:
        title = f"Noise variance of {metadata.get('General', {}).get('title', '')}"
        noise = wrap(
            Signal1D,
            LazySignal1D,
            variance,
            axes=copy.deepcopy(axes),
            metadata={"General": {"title": title}},
        )
        result.set_noise_variance(noise)
    setattr(result, CONTEXT, dict(context))
    return result
