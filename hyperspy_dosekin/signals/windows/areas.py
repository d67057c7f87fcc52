# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Areas of energy windows and their variance, arrays of a signal of spectra."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.lazy.blocks import as_lazy_as, cpu_count, crop_last, map_blocks
from hyperspy_dosekin.signals.axes.energy import energy_in_ev, ev_per_unit
from hyperspy_dosekin.signals.axes.noise import Noise, noise_of
from hyperspy_dosekin.signals.axes.noise_check import checked_numbers
from hyperspy_dosekin.signals.axes.quantity import holds_channel_contents
from hyperspy_dosekin.signals.axes.variance import follows
from hyperspy_dosekin.signals.processing.zero_loss_error import zero_loss_residue
from hyperspy_dosekin.windows.definitions import Window, parse_windows
from hyperspy_dosekin.windows.weights import WindowWeights, window_weights

if TYPE_CHECKING:
    import torch
    from hyperspy.signals import BaseSignal


def check_intensities(signal: BaseSignal) -> None:
    """Refuse data that have no area."""
    if signal.ragged:
        raise TypeError(
            "the signal is ragged: its spectra have no common energy axis to integrate over; "
            "interpolate them to one axis first."
        )
    dtype = signal.data.dtype
    if np.issubdtype(dtype, np.complexfloating):
        raise TypeError(
            f"data of type {dtype} are complex, and areas of windows are defined for intensities; "
            "take s.real, s.amplitude or another real part first."
        )
    if not (np.issubdtype(dtype, np.number) or np.issubdtype(dtype, np.bool_)):
        raise TypeError(f"data of type {dtype} are no numbers; convert them with s.change_dtype.")


def window_weights_of(signal: BaseSignal, windows: Any) -> tuple[Any, Any]:
    """Windows in eV and the weights of the channels in them."""
    axis = signal.axes_manager.signal_axes[0]
    energy_ev = energy_in_ev(axis)
    if isinstance(windows, WindowWeights):
        used = energy_ev[windows.channels]
        if windows.weights.shape != (len(windows.names), used.size):
            raise ValueError(
                f"weights of shape {windows.weights.shape} do not fit {len(windows.names)} windows "
                f"and {used.size} channels; give one for each, or ranges of energies."
            )
        ends = float(used.min()), float(used.max())
        return tuple(Window(name, *ends) for name in windows.names), windows
    chosen = parse_windows(windows)
    if windows is not None:
        # A user reads limits off the axis, whatever its unit; the default ones are in eV.
        factor = ev_per_unit(axis)
        chosen = tuple(window.scaled(factor, "eV") for window in chosen)
    return chosen, window_weights(energy_ev, chosen, is_binned=holds_channel_contents(signal))


def claimed_and_checked(signal: BaseSignal) -> tuple[Noise | None, Any, dict[str, Any]]:
    """The noise of a signal, the numbers that a look at the data puts in, and what to record."""
    noise = noise_of(signal)
    if noise is None or follows(signal):
        return noise, np.ones(3), {}
    return noise, *checked_numbers(signal, noise)


def window_areas(
    signal: BaseSignal,
    weights: Any,
    *,
    noise: Noise | None,
    numbers: Any,
    device: str | torch.device = "cpu",
) -> tuple[Any, Any]:
    """Areas and their variance (or ``None``), arrays ``(…navigation…, window)``.

    `noise` and `numbers` are what `claimed_and_checked` returns.
    """
    from hyperspy_dosekin.windows.integrate import integrate, integrate_with_noise

    used = crop_last(signal.data, weights.channels)
    common = {
        "output_sizes": {"w": len(weights.names)},
        "eager_options": {"workers": cpu_count()},
        "method": "integrate_windows",
        "device": device,
    }
    if noise is not None and noise.variance is None:
        areas, variance = map_blocks(
            integrate_with_noise,
            "(e)->(w),(w)",
            used,
            **common,
            output_dtypes=(np.float64, np.float64),
            weights=weights,
        )
        squares = (weights.weights**2).sum(axis=1)
        return areas, map_blocks(
            _of_model,
            "(w),(n)->(w)",
            variance,
            numbers,
            method="integrate_windows",
            squares=squares,
        )
    areas = map_blocks(integrate, "(e)->(w)", used, **common, weights=weights)
    if noise is None:
        return areas, None
    variance = map_blocks(
        integrate,
        "(e)->(w)",
        crop_last(as_lazy_as(noise.variance, signal.data), weights.channels),
        **common,
        weights=weights.squared(),
    )
    return areas, map_blocks(
        _of_claim, "(w),(n)->(w)", variance, numbers, method="integrate_windows"
    )


def _of_model(variance: np.ndarray, numbers: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Variance of areas from Σ w² max(y, 0) and Σ w²; a pedestal makes the offset negative."""
    return (numbers[..., :1] * variance + numbers[..., 1:2] * squares).clip(0.0)


def _of_claim(variance: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    return variance * numbers[..., 2:]


def left_of_zero_loss(
    signal: BaseSignal, weights: Any, name: str = "share_per_ev"
) -> np.ndarray | None:
    """What the model of the zero-loss peak may have left in each window, ``(n_window,)``."""
    from hyperspy_dosekin.windows.integrate import integrate

    residue = zero_loss_residue(signal, name)
    return None if residue is None else integrate(residue[weights.channels], weights=weights)
