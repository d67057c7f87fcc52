# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What processing needs to know of a signal, checked once for both chains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hyperspy_dosekin.lazy.blocks import as_lazy_as, navigation_chunks
from hyperspy_dosekin.signals.axes.energy import ev_per_unit
from hyperspy_dosekin.signals.axes.noise import noise_of
from hyperspy_dosekin.signals.chunk_advice import advise_on_chunks

#: Larger blocks of lazy data are cut along navigation: a few of them and their work arrays have
#: to fit in memory at a time.
LARGEST_BLOCK = 2**25


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
    """

    data: Any
    energy_ev: np.ndarray
    scale_ev: float
    gain: float
    offset: float
    variance: Any

    @property
    def knows_noise(self) -> bool:
        """Whether anything is known of the noise."""
        return self.variance is not None or np.isfinite(self.gain)


def read(signal: Any, method: str) -> Recorded:
    """Check a signal and return what processing needs of it.

    Parameters
    ----------
    signal
        An EELS signal.
    method
        Name to use in messages.

    Raises
    ------
    TypeError
        If the data are ragged, complex or no numbers.
    ValueError
        If the energy axis is not uniform and ascending, or not in units of energy.
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
    advise_on_chunks(signal, method, whole="energy")
    noise = noise_of(signal)
    variance = None if noise is None else noise.variance
    data = navigation_chunks(signal.data, LARGEST_BLOCK)
    if variance is not None:
        variance = navigation_chunks(as_lazy_as(variance, data), LARGEST_BLOCK)
    return Recorded(
        data,
        np.asarray(axis.axis, dtype=np.float64) * ev_per_unit(axis),
        scale,
        np.nan if noise is None else noise.gain,
        np.nan if noise is None else noise.offset,
        variance,
    )
