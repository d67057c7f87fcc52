# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a frame to the areas of its windows, with processing that needs no other frame."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from hyperspy.signals import BaseSignal

from hyperspy_dosekin.numerics.arguments import real_numbers
from hyperspy_dosekin.processing.low_loss.peak_shape import reflect
from hyperspy_dosekin.processing.low_loss.zero_loss import WIDEST_EV, find_zero_loss
from hyperspy_dosekin.signals.axes.energy import energy_in_ev, ev_per_unit
from hyperspy_dosekin.signals.axes.noise import noise_of
from hyperspy_dosekin.signals.axes.quantity import area_quantity, holds_channel_contents
from hyperspy_dosekin.signals.processing.normalisation import thickness_of
from hyperspy_dosekin.signals.processing.zero_loss_error import zero_loss_residue
from hyperspy_dosekin.windows.definitions import Window, WindowsLike, parse_windows
from hyperspy_dosekin.windows.integrate import integrate, integrate_with_noise
from hyperspy_dosekin.windows.weights import WindowWeights, window_weights

from .areas import FrameAreas
from .steps import steps_of

if TYPE_CHECKING:
    import numpy.typing as npt

#: Widths of the zero-loss peak, in its full width at half maximum, that its mirror image reaches.
_REACH = 6.0
# Spectra that products of matrices take together.
_TOGETHER = 4
# Energies of another frame may differ by this share of a channel.
_SAME_AXIS = 0.1


class BrokenFrame(ValueError):
    """A frame that cannot be used, with the reason."""


class FrameReader:
    """Makes areas of frames, all alike.

    Parameters
    ----------
    windows
        As for `integrate_windows`.
    energy_axis
        Energies of the channels in eV, or the energy axis of a signal, for frames that are arrays.
    process
        Steps, from `steps_of`.
    """

    def __init__(self, windows: WindowsLike | None, energy_axis: Any, process: Any) -> None:
        self._given = windows
        self.windows: tuple[Window, ...] = parse_windows(windows)
        self.steps = steps_of(process)
        self.metadata: dict[str, Any] = {}
        self.quantity = "Window area"
        self.space_axes: tuple[dict[str, object], ...] = ()
        self.shape: tuple[int, ...] | None = None
        self.dtype: npt.DTypeLike | None = None
        self._energy: np.ndarray | None = None
        self._weights: WindowWeights | None = None
        self._binned = True
        #: What the model of the zero-loss peak may have left in each window, where it is known.
        self.residue: np.ndarray | None = None
        #: Whether frames are areas already.
        self.areas_given = False
        if energy_axis is not None:
            if hasattr(energy_axis, "units"):
                self._binned = bool(getattr(energy_axis, "is_binned", True))
                self._scale_windows(ev_per_unit(energy_axis))
                self._set_energy(energy_in_ev(energy_axis))
            else:
                remedy = "give the energy of each channel in eV"
                self._set_energy(np.atleast_1d(real_numbers("energy_axis", energy_axis, remedy)))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the windows."""
        return tuple(window.name for window in self.windows)

    @property
    def energy_ev(self) -> np.ndarray | None:
        """Energies of the channels, where they are known."""
        return self._energy

    def read(self, frame: Any) -> FrameAreas:
        """Areas of a frame.

        Parameters
        ----------
        frame
            A signal, or an array ``(…space…, channel)``; an array ``(…space…, window)`` of areas
            where no energies are known.

        Raises
        ------
        BrokenFrame
            If it is unlike the others, no numbers, or empty.
        ValueError, TypeError
            If it is the first and cannot be understood.
        """
        noise: Any = None
        thickness = None
        if isinstance(frame, str):
            # The file of the frame could not be read, and this is why.
            raise BrokenFrame(frame)
        if isinstance(frame, FrameAreas):
            return self._integrated(frame)
        if isinstance(frame, BaseSignal):
            data, noise = self._of_signal(frame)
            thickness = thickness_of(frame)
        else:
            data = np.asarray(frame)
            if data.dtype.kind in "iu":
                noise = (1.0, 0.0)
        if data.dtype.kind not in "iufb":
            raise BrokenFrame(f"its data are {data.dtype}, no real numbers")
        first = self.shape is None
        if first:
            self._begin(data)
        if data.shape != self.shape:
            raise BrokenFrame(f"its shape is {data.shape}, that of the others {self.shape}")
        if self.areas_given:
            values = data.astype(np.float64)
            if not np.isfinite(values).any():
                raise BrokenFrame("it holds no finite number")
            return FrameAreas(values, None if noise is None else np.maximum(values, 0.0))
        lowest, highest = data.min(), data.max()
        if lowest == highest or not (np.isfinite(lowest) or np.isfinite(data).any()):
            raise BrokenFrame("all of its channels are equal or none is finite")
        areas = self._areas(data, noise)
        return areas if thickness is None else replace(areas, thickness=np.asarray(thickness))

    def _integrated(self, areas: FrameAreas) -> FrameAreas:
        """A frame that somebody else has integrated."""
        if self.shape is None and areas.values.shape[-1] == len(self.windows):
            self.areas_given, self.shape = True, areas.values.shape
            self.space_axes = tuple({"size": size} for size in self.shape[:-1])
        if areas.values.shape != self.shape:
            raise BrokenFrame(f"its areas are {areas.values.shape}, those before {self.shape}")
        return areas

    def _begin(self, data: np.ndarray) -> None:
        """Learn from the first frame."""
        if data.ndim == 0:
            raise TypeError("a frame must have an axis of energies; this one is a single number.")
        if self._energy is None:
            if data.shape[-1] != len(self.windows) or self.steps:
                raise ValueError(
                    f"the frame is an array {data.shape}, and the energies of its channels are not "
                    "known; give energy_axis= (in eV), or signals. An array with one value for "
                    f"each of the {len(self.windows)} windows counts as areas."
                )
            self.areas_given = True
        elif data.shape[-1] != self._energy.size:
            raise ValueError(
                f"the frame is an array {data.shape}, but energy_axis has {self._energy.size} "
                "channels; energies are the last axis of a frame."
            )
        self.shape, self.dtype = data.shape, data.dtype
        if not self.space_axes:
            self.space_axes = tuple({"size": size} for size in data.shape[:-1])

    def _of_signal(self, signal: BaseSignal) -> tuple[np.ndarray, object]:
        """Data and noise of a signal, checked against the first one."""
        if signal.axes_manager.signal_dimension != 1:
            raise BrokenFrame(
                f"it has {signal.axes_manager.signal_dimension} signal axes, and one is wanted"
            )
        axis = signal.axes_manager.signal_axes[0]
        if self._energy is None:
            self._scale_windows(ev_per_unit(axis))
            self._binned = holds_channel_contents(signal)
            self._set_energy(energy_in_ev(axis))
        else:
            energy = energy_in_ev(axis)
            step = abs(self._energy[1] - self._energy[0])
            if energy.size != self._energy.size:
                raise BrokenFrame(f"it has {energy.size} channels, not {self._energy.size}")
            if np.abs(energy - self._energy).max() > _SAME_AXIS * step:
                raise BrokenFrame("its energies are others")
        if self.shape is None:
            axes = signal.axes_manager._axes[:-1]
            self.space_axes = tuple(copy.deepcopy(axis.get_axis_dictionary()) for axis in axes)
            self.quantity = area_quantity(signal)
            self._learn_residue(signal)
            self.metadata = {
                name: copy.deepcopy(
                    node.as_dictionary() if hasattr(node, "as_dictionary") else node
                )
                for name, node in signal.metadata
                if name not in ("Signal", "Markers", "_HyperSpy")
            }
        data = signal.data
        data = np.asarray(data.compute() if hasattr(data, "compute") else data)
        known = noise_of(signal)
        if known is None:
            return data, None
        if known.variance is not None:
            return data, np.asarray(known.variance)
        return data, (known.gain, known.offset)

    def _learn_residue(self, signal: BaseSignal) -> None:
        left = zero_loss_residue(signal)
        if left is not None and self._weights is not None:
            self.residue = integrate(left[self._weights.channels], weights=self._weights)

    def _scale_windows(self, factor: float) -> None:
        if self._given is not None:
            self.windows = tuple(window.scaled(factor, "eV") for window in self.windows)

    def _set_energy(self, energy_ev: np.ndarray) -> None:
        self._energy = np.asarray(energy_ev, dtype=np.float64)
        self._weights = self._weights_at(0.0)

    def _weights_at(self, shift_ev: float) -> WindowWeights:
        assert self._energy is not None
        return window_weights(self._energy - shift_ev, self.windows, is_binned=self._binned)

    def _areas(self, data: np.ndarray, noise: Any) -> FrameAreas:
        weights, divisor = self._weights, None
        assert weights is not None
        if self.steps:
            data, noise, weights, divisor = self._processed(data, noise)
        used = _as_of_many(data[..., weights.channels])
        variance: np.ndarray | None = None
        if isinstance(noise, tuple):
            gain, offset = noise
            values, variance = integrate_with_noise(used, weights, gain=gain, offset=offset)
        else:
            values = integrate(used, weights)
        if isinstance(noise, np.ndarray):
            spread = np.broadcast_to(noise, data.shape)[..., weights.channels]
            variance = integrate(_as_of_many(spread), weights.squared())
        shape = (*data.shape[:-1], len(self.windows))
        n_spectra = math.prod(shape[:-1])
        values = values[:n_spectra].reshape(shape)
        variance = None if variance is None else variance[:n_spectra].reshape(shape)
        if not np.isfinite(values).any():
            raise BrokenFrame("no window of it is finite")
        if divisor is not None:
            values = values / divisor
            variance = None if variance is None else variance / divisor**2
        return FrameAreas(values, variance)

    def _processed(
        self, data: np.ndarray, noise: Any
    ) -> tuple[np.ndarray, object, WindowWeights, np.ndarray | None]:
        """Spectra, noise and windows after the steps, and what areas are divided by."""
        assert self._energy is not None
        assert self._weights is not None
        scale = float(self._energy[1] - self._energy[0])
        whole = data.reshape(-1, data.shape[-1]).sum(axis=0, dtype=np.float64)
        gain = noise[0] if isinstance(noise, tuple) else 0.0
        # One peak a frame: pixels are too noisy, and drift is slower than a frame.
        seen = find_zero_loss(whole, widest=WIDEST_EV / abs(scale), gain=gain)
        if not bool(seen.found):
            raise BrokenFrame("it has no zero-loss peak")
        position, weights, divisor = float(seen.position), self._weights, None
        spectra: np.ndarray = data
        if "pedestal" in self.steps:
            n_pixel = max(whole.size and data.size // whole.size, 1)
            spectra = data - float(seen.pedestal) / n_pixel
            if isinstance(noise, tuple):
                # The pedestal has noise, too.
                noise = noise[0] * np.maximum(data, 0) + noise[1]
        if "align" in self.steps:
            channels = np.arange(self._energy.size)
            weights = self._weights_at(float(np.interp(position, channels, self._energy)))
        if "normalise" in self.steps:
            reach = int(np.ceil(_REACH * max(float(seen.fwhm), 1.0)))
            begin = max(int(position) - reach, 0)
            part = spectra[..., begin : int(position) + reach + 2].astype(np.float64)
            peak = reflect(part, position - begin)
            total = peak.sum(axis=-1) * (1.0 if self._binned else abs(scale))
            divisor = np.where(total > 0, total, np.nan)[..., np.newaxis]
        return spectra, noise, weights, divisor

    # Going on

    def state(self) -> dict[str, object]:
        """What was learned from the first frame, for a file."""
        axes = [{k: v for k, v in axis.items() if _is_simple(v)} for axis in self.space_axes]
        return {
            "energy_ev": None if self._energy is None else self._energy.tolist(),
            "binned": self._binned,
            "areas_given": self.areas_given,
            "shape": list(self.shape or ()),
            "quantity": self.quantity,
            "space_axes": axes,
            "residue": None if self.residue is None else self.residue.tolist(),
        }

    def windows_are_in_ev(self) -> None:
        """Take the windows as they are, whatever the unit of the frames: those of files are so."""
        self._given = None

    def restore(self, state: dict[str, Any]) -> None:
        """Take what `state` gave."""
        self.windows_are_in_ev()
        self._binned, self.areas_given = state["binned"], state["areas_given"]
        self.quantity, self.space_axes = state["quantity"], tuple(state["space_axes"])
        self.shape = tuple(state["shape"])
        if state["energy_ev"] is not None:
            self._set_energy(np.asarray(state["energy_ev"]))
        if state["residue"] is not None:
            self.residue = np.asarray(state["residue"])


def _as_of_many(data: np.ndarray) -> np.ndarray:
    """Spectra of a frame, ``(n, n_channel)``, with copies of the last one after them.

    Products of the last few spectra of a block are rounded otherwise than those of many, and a
    result is to be that of the whole series to the last digits.
    """
    spectra = data.reshape(-1, data.shape[-1])
    missing = -len(spectra) % _TOGETHER
    return (
        spectra if not missing else np.concatenate([spectra, np.repeat(spectra[-1:], missing, 0)])
    )


def _is_simple(value: object) -> bool:
    return value is None or isinstance(value, str | bool | int | float)
