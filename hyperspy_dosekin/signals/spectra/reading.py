# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a fit of whole spectra reads of a signal: channels, means, noise and doses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.kinetics.model.dose_error import DoseError
from hyperspy_dosekin.lazy.blocks import as_lazy_as, compute, crop_last
from hyperspy_dosekin.numerics.arguments import real_numbers, short
from hyperspy_dosekin.signals.axes.energy import energy_in_ev
from hyperspy_dosekin.signals.axes.noise import Noise
from hyperspy_dosekin.signals.axes.noise_check import check_noise
from hyperspy_dosekin.signals.processing.normalisation import NAME, normalisation_error
from hyperspy_dosekin.windows.definitions import LOW_LOSS_WINDOWS, Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hyperspy.roi import SpanROI
    from hyperspy.signals import BaseSignal

#: Where the zero-loss peak is taken to have ended, in eV: the lowest window.
_LOWEST_EV = min(left for left, _ in LOW_LOSS_WINDOWS.values())
_RESIDUE = "give None to fit it, 0, or one spectrum of the channels of the fit"
#: Sums of squares of larger values overflow.
_MOST_VALUE = 1e140


def energy_channels(signal: BaseSignal, energy_range: Sequence[float] | SpanROI | None) -> slice:
    """The channels of the fit."""
    axis = signal.axes_manager.signal_axes[0]
    energy = np.asarray(axis.axis, dtype=np.float64)
    if not energy.size:
        raise ValueError("the energy axis is empty: slice less away.")
    if energy_range is None:
        in_ev = energy_in_ev(axis)
        inside = np.ones(energy.size, dtype=bool)
        if in_ev.min() < 0 and in_ev.max() > 2 * _LOWEST_EV:
            inside = in_ev >= _LOWEST_EV
    else:
        ends: Any = energy_range
        if hasattr(ends, "left") and hasattr(ends, "right"):
            ends = (ends.left, ends.right)
        if isinstance(ends, str) or not hasattr(ends, "__len__") or len(ends) != 2:
            raise TypeError(
                f"energy_range={energy_range!r} must be (left, right) in units of the energy axis, "
                "or a SpanROI."
            )
        window = Window("energy_range", *ends)
        low, high = sorted((energy[0], energy[-1]))
        if window.right < low or window.left > high:
            raise ValueError(
                f"energy_range=({window.left:g}, {window.right:g}) lies outside the energy axis, "
                f"{low:g} to {high:g}; give a range inside."
            )
        inside = (energy >= window.left) & (energy <= window.right)
    places = np.flatnonzero(inside)
    if not places.size:
        raise ValueError(f"energy_range={energy_range!r} holds no channel; widen it.")
    return slice(int(places[0]), int(places[-1]) + 1)


def mean_spectra(
    signal: Any, axis: Any, part: slice, processing_error: bool, chosen: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None, int]:
    """Mean spectra ``(frame, channel)``, their variance, a drift, and the number of pixels."""

    def mean(array: Any) -> Any:
        if array.dtype.kind == "f" and hasattr(array, "dask"):
            # Sums of what is as good as missing overflow, and threads of dask say so.
            most = min(_MOST_VALUE, float(np.finfo(array.dtype).max))
            array = np.where(abs(array) <= most, array, np.nan)
        if chosen is None:
            with np.errstate(invalid="ignore", over="ignore"):
                return array.mean(axis=space, dtype=np.float64)
        moved = np.moveaxis(array, place, -2)
        inside = np.where(chosen[..., np.newaxis, np.newaxis], moved, 0.0)
        return inside.sum(axis=tuple(range(chosen.ndim)), dtype=np.float64) / chosen.sum()

    noise = check_noise(signal).noise
    place = axis.index_in_array
    space = tuple(p for p in range(signal.data.ndim - 1) if p != place)
    pixels = int(np.prod([signal.data.shape[p] for p in space], dtype=int))
    pixels = pixels if chosen is None else int(chosen.sum())
    if not pixels:
        raise ValueError("the spectra have no pixels, so that there is no mean of them.")
    wanted = [mean(crop_last(signal.data, part))]
    if noise is not None and noise.variance is not None:
        wanted.append(mean(crop_last(as_lazy_as(noise.variance, signal.data), part)))
    drifts = normalisation_error(signal, axis) if processing_error else {}
    if drifts:
        drift = drifts[NAME]
        inside = drift if chosen is None or drift.ndim < chosen.ndim + 2 else drift[chosen]
        wanted.append(inside.mean(axis=tuple(range(inside.ndim - 1))))
    found = [np.asarray(array, dtype=np.float64) for array in compute(*wanted)]
    values, variance = found[0], None
    if noise is not None and noise.variance is not None:
        variance = found[1] / pixels
    elif noise is not None:
        variance = _variance(noise, values) / pixels
    drift = found[-1] if drifts else None
    if drift is not None and not np.any(drift):
        drift = None
    return values, variance, drift, pixels


def _variance(noise: Noise, values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        return noise.gain * np.maximum(values, 0.0) + noise.offset


def without_gaps(values: np.ndarray, variance: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Frames and channels without gaps."""
    # What cannot be squared is as good as missing.
    good = np.abs(np.nan_to_num(values, nan=np.inf)) < _MOST_VALUE
    if variance is not None:
        good &= np.isfinite(variance) & (variance >= 0)
    # A frame that is missing altogether is left out; otherwise the channels that have gaps are.
    frames = good.mean(axis=1) > 0.5 * good.mean(axis=1).max(initial=0.0)
    channels = np.atleast_1d(good[frames].all(axis=0))
    if not frames.any() or not channels.any():
        raise ValueError(
            f"no channel has a value below {_MOST_VALUE:g} in every frame; interpolate what is "
            "missing, leave out the frames that have gaps with s.inav[…], or take another unit."
        )
    return frames, channels


def axis_of_fit(signal: BaseSignal, part: slice) -> dict[str, object]:
    """The energy axis of the fit."""
    axis = signal.axes_manager.signal_axes[0]
    found: dict[str, object] = {
        "name": str(axis.name),
        "units": axis.units if isinstance(axis.units, str) else None,
        "size": part.stop - part.start,
    }
    if axis.is_uniform:
        return found | {"offset": float(axis.axis[part.start]), "scale": float(axis.scale)}
    return found | {"axis": np.asarray(axis.axis[part], dtype=np.float64)}


def known_residue(residue: object, part: slice, channels: np.ndarray) -> np.ndarray:
    """The residue that is known in the channels of the fit; one 0 where it is fitted."""
    if residue is None:
        return np.zeros(1)
    values = real_numbers("residue", getattr(residue, "data", residue), _RESIDUE)
    if values.size and np.abs(values).max() > _MOST_VALUE:
        raise ValueError(f"residue={short(residue)} is beyond {_MOST_VALUE:g}; {_RESIDUE}.")
    size = part.stop - part.start
    if values.ndim == 0 or values.size == 1:
        return np.full(int(channels.sum()), float(values.reshape(-1)[0]))
    if values.shape != (size,):
        raise ValueError(
            f"residue of shape {values.shape} does not fit the {size} channels of the range; "
            f"{_RESIDUE}."
        )
    return values[channels]


def dose_error_of(signal: BaseSignal, given: float | Mapping[str, float] | None) -> DoseError:
    """How well doses are known: as it was given, or as the metadata say."""
    if given is None:
        recorded = signal.metadata.get_item("Dose.uncertainty")
        several = hasattr(recorded, "as_dictionary")
        return DoseError.of(recorded.as_dictionary() if several else recorded)
    error = DoseError.of(given)
    if error.moves_frames:
        raise ValueError(
            f"dose_uncertainty={given!r}: fits of whole spectra know an uncertainty of the dose "
            'scale only; pass a number or {"scale": …}, or fit windows with s.fit_dose_pinn.'
        )
    return error
