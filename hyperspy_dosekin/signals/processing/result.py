# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the signal that processing returns."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from hyperspy.signals import LazySignal1D, Signal1D

from hyperspy_dosekin.lazy.blocks import wrap
from hyperspy_dosekin.signals.axes.energy import ev_per_unit
from hyperspy_dosekin.signals.axes.noise_check import NOISE
from hyperspy_dosekin.signals.axes.variance import attach_variance

if TYPE_CHECKING:
    import numpy.typing as npt

#: Attribute that holds what `plot_processing` needs; it is not saved and not copied.
CONTEXT = "_dosekin_context"


def result_type(recorded: Any, dtype: npt.DTypeLike | None) -> np.dtype:
    """Type of processed spectra: float32 where that holds all the data say.

    Raises
    ------
    TypeError
        If a type is asked for that is no floating-point type.
    """
    if dtype is not None:
        try:
            wanted = np.dtype(dtype)
        except TypeError:
            wanted = np.dtype(object)
        if not np.issubdtype(wanted, np.floating) or wanted.itemsize < 4:
            raise TypeError(
                f"dtype={dtype!r} cannot hold processed spectra; pass 'float32' or 'float64'."
            )
        return wanted
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
    record: Mapping[str, object],
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

    Raises
    ------
    ValueError
        If all spectra are NaN; those of lazy signals are not known.
    """
    eager = isinstance(data, np.ndarray) and data.size > 0
    # One number in most spectra is enough to see that they are not all lost.
    if eager and np.isnan(data[..., 0]).all() and np.isnan(data).all():
        raise ValueError(_why_nothing(source))
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
    attach_variance(result, variance)
    noise = context["recorded"].noise_record
    if noise:
        result.metadata.set_item(NOISE, dict(noise))
    setattr(result, CONTEXT, dict(context))
    return result


def _why_nothing(source: Any) -> str:
    """What makes all spectra NaN, in words."""
    rows = np.asarray(source.data).reshape(-1, source.data.shape[-1])
    if rows.dtype.kind == "f" and not np.isfinite(rows).all():
        axis = source.axes_manager.signal_axes[0]
        number = (~np.isfinite(rows)).any(axis=-1).sum()
        channel = int((~np.isfinite(rows)).sum(axis=0).argmax())
        return (
            f"the result would be NaN everywhere: {number} of {len(rows)} spectra hold NaN or "
            f"infinite values, most often in channel {channel} ({axis.axis[channel]:g} "
            f"{axis.units}), in the zero-loss peak or too many side by side to be bridged. Crop "
            "them away with s.isig[…], or interpolate them."
        )
    return (
        "the result would be NaN everywhere: no spectrum has a positive area to be normalised to, "
        "or none a zero-loss peak. Pass normalise=False, or other windows."
    )
