# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What processing needs to know of a signal, checked once for both chains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hyperspy_dosekin.lazy.blocks import (
    as_lazy_as,
    as_lazy_as_navigation,
    cpu_count,
    map_blocks,
    navigation_chunks,
)
from hyperspy_dosekin.signals.axes.energy import ev_per_unit
from hyperspy_dosekin.signals.axes.noise_check import check_noise
from hyperspy_dosekin.signals.chunk_advice import advise_on_chunks
from hyperspy_dosekin.signals.processing.bridged import all_bridged, bridged
from hyperspy_dosekin.signals.processing.divided import taken_back
from hyperspy_dosekin.signals.processing.record import record_of

if TYPE_CHECKING:
    import torch
    from hyperspy.signals import BaseSignal

    from hyperspy_dosekin.lazy.arrays import Array

#: Larger blocks of lazy data are cut along navigation: a few of them and their work arrays have
#: to fit in memory at a time.
LARGEST_BLOCK = 2**25
#: Steps after which spectra are no recorded intensities any more.
_FINAL = {"deconvolve", "normalise"}
#: Of thinner channels the intensity per eV may be beyond the largest number, also that of 1e150.
_THINNEST_EV = 1e-150


@dataclass(frozen=True, eq=False)
class Recorded:
    """Recorded spectra.

    Parameters
    ----------
    data
        NumPy or dask array ``(…, energy)``, of blocks that are not too large.
    energy_ev
        Energies of the channels.
    scale_ev
        Width of a channel.
    gain, offset
        Noise variance of an intensity y: `gain` y + `offset`; NaN where it is not known.
    variance
        Noise variance of each intensity instead, or `None`.
    noise_record
        What a look at the data says of their noise, for ``metadata.Dosekin.noise``.
    unit
        Intensity in the signal of one in `data`, an array of the navigation shape, where spectra
        were divided by a number of their own; ``None`` where they are as in the signal.
    device
        Where they are looked at and processed, as for `process_low_loss`.
    """

    data: Any
    energy_ev: np.ndarray
    scale_ev: float
    gain: float
    offset: float
    variance: Any
    noise_record: Mapping[str, Any] = field(default_factory=dict)
    unit: Any = None
    device: str | torch.device = "cpu"

    @property
    def knows_noise(self) -> bool:
        """Whether anything is known of the noise."""
        return self.variance is not None or np.isfinite(self.gain)


def read(signal: BaseSignal, method: str, *, as_it_is: bool = False) -> Recorded:
    """Check a signal and return what processing needs of it.

    Parameters
    ----------
    signal
        An EELS signal.
    method
        Name to use in messages.
    as_it_is
        Whether counts that were divided by a number of each spectrum stay so.

    Raises
    ------
    TypeError
        If the data are ragged, complex or no numbers.
    ValueError
        If the energy axis is not uniform and ascending, not in units of energy, or of channels
        without a width.
    """
    if signal.ragged:
        raise TypeError(
            f"{method} needs spectra on one energy axis, and this signal is ragged; "
            "interpolate them to one axis first."
        )
    dtype = signal.data.dtype
    if not np.issubdtype(dtype, np.number) or np.issubdtype(dtype, np.complexfloating):
        raise TypeError(
            f"{method} needs real numbers, and the data are of type {dtype}; "
            "take s.real or convert them with s.change_dtype first."
        )
    if isinstance(signal.data, np.ma.MaskedArray):
        raise TypeError(
            f"{method} cannot take a masked array; put NaN where there is no number, "
            "s.data = s.data.astype(float).filled(np.nan)."
        )
    if 0 in signal.data.shape:
        raise ValueError(
            f"the data have the shape {signal.data.shape}, and nothing in it for {method}; an axis "
            "is empty: slice less away."
        )
    if signal.data.shape[-1] < 3:
        raise ValueError(
            f"{method} needs at least 3 channels, and there are {signal.data.shape[-1]}; slice "
            "less away, or make energy the signal axis."
        )
    axis = signal.axes_manager.signal_axes[0]
    if not axis.is_uniform:
        raise ValueError(
            f"the energy axis {str(axis.name)!r} is not uniform, and {method} needs channels of "
            "one width; interpolate with s.interpolate_on_axis(new_axis, -1) first."
        )
    scale = float(axis.scale) * ev_per_unit(axis)
    if not scale > 0:
        raise ValueError(
            f"the energy axis {str(axis.name)!r} has the scale {axis.scale:g}, and {method} needs "
            "energies that rise with the channel; reverse the data and the axis first."
        )
    if scale < _THINNEST_EV:
        raise ValueError(
            f"the channels of the energy axis {str(axis.name)!r} are {scale:.3g} eV wide, and "
            f"{method} needs at least {_THINNEST_EV:g} eV; correct the scale or the units of the "
            "axis."
        )
    advise_on_chunks(signal, method, whole="energy")
    _refuse_processed(signal, method)
    unit = None
    if not as_it_is:
        signal, unit = taken_back(signal)
    checked = check_noise(signal)
    noise = checked.noise
    variance = None if noise is None else noise.variance
    data = navigation_chunks(signal.data, LARGEST_BLOCK)
    data, dead, known = bridged(data, checked.boxes, signal, method)
    if variance is not None:
        variance = navigation_chunks(as_lazy_as(variance, data), LARGEST_BLOCK)
        variance = all_bridged(variance, dead)[..., known]
    return Recorded(
        data[..., known],
        np.asarray(axis.axis, dtype=np.float64)[known] * ev_per_unit(axis),
        scale,
        np.nan if noise is None else noise.gain,
        np.nan if noise is None else noise.offset,
        variance,
        checked.record,
        unit,
    )


def in_unit(unit: Any, array: Array, power: int = 1) -> Any:
    """What was computed from counts, in the intensities of the signal again.

    Parameters
    ----------
    unit
        Of `Recorded`.
    array
        Of the navigation shape, or with an axis of energy behind it; ``None`` stays.
    power
        Of the unit: two for variances.
    """
    if unit is None or array is None:
        return array
    factor = unit if array.ndim == unit.ndim else unit[..., np.newaxis]
    return (array * factor**power).astype(array.dtype)


def _refuse_processed(signal: BaseSignal, method: str) -> None:
    """Name what was done before, where doing it again gives numbers without meaning."""
    record = record_of(signal)
    steps = set() if record is None else set(record.steps)
    if record is not None and record.chain == "process_low_loss" and steps & _FINAL:
        again = "twice" if method == "process_low_loss" else f"by {method} after process_low_loss"
        raise ValueError(
            f"this signal is what process_low_loss returned, single scattering already; processed "
            f"{again} it means nothing. Pass the recorded spectra."
        )
    if record is not None and record.chain == "process_core_loss" and method == "process_low_loss":
        raise ValueError(
            "this signal is what process_core_loss returned, and process_low_loss is for recorded "
            "low-loss spectra; integrate its windows, or pass the low-loss spectra."
        )


def run_chain(
    kernel: Callable[..., tuple[np.ndarray, ...]],
    recorded: Recorded,
    *beside: Any,
    sizes: tuple[int, int],
    dtype: npt.DTypeLike,
    method: str,
    **options: Any,
) -> tuple[Any, Any, Any]:
    """Spectra, numbers of each and noise variance (or ``None``), as lazy as the data.

    Parameters
    ----------
    kernel
        Function of spectra ``(…, energy)``, of `beside`, and of the variance where it is recorded.
    *beside
        Arrays ``(…)`` that have one value for each spectrum.
    sizes
        Channels of a spectrum, and numbers for each, that come out.
    dtype
        Type of the spectra and their variance.
    method
        What a user called, for messages.
    **options
        Passed on, the same for all spectra.
    """
    arrays = [recorded.data, *(as_lazy_as_navigation(each, recorded.data) for each in beside)]
    inputs, outputs = ["(e)", *["()"] * len(beside)], ["(f)", "(q)"]
    if recorded.variance is not None:
        arrays.append(recorded.variance)
        inputs.append("(e)")
    if recorded.knows_noise:
        outputs.append("(f)")
    spectra, numbers, *variance = map_blocks(
        kernel,
        f"{','.join(inputs)}->{','.join(outputs)}",
        *arrays,
        output_sizes=dict(zip("fq", sizes, strict=True)),
        output_dtypes=(dtype, np.float64, *([dtype] if recorded.knows_noise else [])),
        eager_options={"workers": cpu_count()},
        method=method,
        dtype=dtype,
        with_variance=recorded.knows_noise,
        **options,
    )
    return spectra, numbers, variance[0] if variance else None
