# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Align spectra on an edge by cross-correlation with their mean, robust to noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.fft
from scipy.ndimage import gaussian_filter

# SciPy's transforms have no types that a checker could follow.
fft: Any = scipy.fft

#: Widths, in pixels, of the local average from which one is chosen.
WIDTHS = (0.0, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)
#: Standard error of a shift, in channels, that is good enough not to average further.
GOOD_ENOUGH = 0.15
_ROUNDS = 4
_NEWTON_STEPS = 6
#: Share of the window over which it fades at either end.
_FADE = 0.15


@dataclass(frozen=True, eq=False)
class EdgeShifts:
    """Where an edge is in each spectrum, relative to the mean.

    Parameters
    ----------
    position
        Channels by which the edge lies above its place in the mean, shape ``(…)``.
    error
        Standard error expected from the noise, in channels: one number.
    width
        Width of the local average in pixels.
    signal_to_noise
        Area of the edge's structure in units of its noise, in single spectra, shape ``(…)``.
    """

    position: np.ndarray
    error: float
    width: float
    signal_to_noise: np.ndarray


def align_on_edge(
    window: np.ndarray,
    variance: np.ndarray | float | None,
    *,
    max_shift: float,
    width: float | None = None,
    smooth_axes: tuple[int, ...] | None = None,
) -> EdgeShifts:
    """Find the shift of an edge in every spectrum.

    Each spectrum is replaced by the local average around it, because a shift from a single noisy
    spectrum is worthless, and drift is smooth. A straight line through the ends of the window is
    subtracted, so that the edge counts and not the background. The shift is the maximum of the
    cross-correlation with the mean, which is then made again from the shifted spectra.

    Parameters
    ----------
    window
        Intensities around the edge, shape ``(…, n_channels)``.
    variance
        Noise variance, of that shape or one number; `None` if unknown.
    max_shift
        Largest shift, in channels.
    width
        Standard deviation of the local average in pixels; `None` takes the smallest of `WIDTHS` for
        which the expected error is good enough.
    smooth_axes
        Leading axes along which neighbours belong together; by default all.

    Returns
    -------
    EdgeShifts
        Mean position zero.
    """
    *lead, n_channels = window.shape
    taper = _taper(n_channels)
    finite = np.nan_to_num(np.asarray(window, dtype=np.float64))
    noise = _noise(finite, variance)
    weight = _fit_amplitude(_detrended(finite, taper), taper)
    axes = tuple(range(len(lead))) if smooth_axes is None else smooth_axes
    choices = WIDTHS if width is None else (float(width),)
    position, error, used = np.zeros(lead), np.inf, choices[0]
    for used in choices:
        if used > 0 and not axes:
            break
        sigma = [used if axis in axes else 0.0 for axis in range(len(lead))] + [0.0]
        local = gaussian_filter(finite, sigma, mode="nearest") if used > 0 else finite
        spectra = _detrended(local, taper).reshape(-1, n_channels)
        position, template = _register(spectra, max_shift)
        slope = np.gradient(template)
        share = _noise_share([used if axis in axes else 0.0 for axis in range(len(lead))])
        error = float(np.sqrt(noise * share / max((slope**2).sum(), 1e-300)))
        if error <= GOOD_ENOUGH:
            break
    return EdgeShifts(
        position.reshape(lead) - position.mean(), error, float(used), weight / np.sqrt(noise)
    )


def _taper(n_channels: int) -> np.ndarray:
    n_fade = max(int(_FADE * n_channels), 1)
    rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(n_fade) + 0.5) / n_fade)
    taper = np.ones(n_channels)
    taper[:n_fade], taper[-n_fade:] = rise, rise[::-1]
    return taper


def _detrended(spectra: np.ndarray, taper: np.ndarray) -> np.ndarray:
    """Spectra less the straight line through the means of their ends, faded out there."""
    n_channels = spectra.shape[-1]
    n_end = max(n_channels // 8, 1)
    left = spectra[..., :n_end].mean(axis=-1, keepdims=True)
    right = spectra[..., -n_end:].mean(axis=-1, keepdims=True)
    way = (np.arange(n_channels) - (n_end - 1) / 2) / (n_channels - n_end)
    return (spectra - left - (right - left) * way) * taper


def _noise(spectra: np.ndarray, variance: np.ndarray | float | None) -> float:
    """Typical variance of a channel: the given one, or that of third differences."""
    if variance is not None:
        return max(float(np.mean(variance)), 1e-300)
    difference = np.diff(spectra, n=3, axis=-1)
    return max(float(np.mean(difference**2)) / 20.0, 1e-300)


def _noise_share(sigma: list[float]) -> float:
    """Variance of a Gaussian average in units of that of a pixel."""
    share = 1.0
    for width in sigma:
        if width > 0:
            reach = int(4 * width + 0.5)
            kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
            share *= (kernel**2).sum() / kernel.sum() ** 2
    return share


def _fit_amplitude(spectra: np.ndarray, taper: np.ndarray) -> np.ndarray:
    """Amplitude of the mean's shape in each spectrum, for noise of unit variance."""
    mean = spectra.reshape(-1, spectra.shape[-1]).mean(axis=0)
    norm = np.sqrt(((mean * taper) ** 2).sum())
    return spectra @ mean / max(norm, 1e-300)


def _register(spectra: np.ndarray, max_shift: float) -> tuple[np.ndarray, np.ndarray]:
    """Positions relative to the iterated mean, and that mean."""
    n_channels = spectra.shape[-1]
    length = fft.next_fast_len(n_channels + int(np.ceil(max_shift)) + 1, real=True)
    cycle = 2 * np.pi * fft.rfftfreq(length)
    transform = fft.rfft(spectra, length, axis=-1)
    position = np.zeros(len(spectra))
    for turn in range(_ROUNDS):
        moved = transform * np.exp(1j * cycle * position[:, np.newaxis])
        mean = moved.mean(axis=0)
        cross = transform * mean.conj()
        if turn == 0:
            correlation = fft.irfft(cross, length, axis=-1)
            lag = np.arange(length)
            lag = np.where(lag > length // 2, lag - length, lag)
            correlation[:, np.abs(lag) > max_shift] = -np.inf
            position = lag[correlation.argmax(axis=-1)].astype(float)
        for _ in range(_NEWTON_STEPS):
            turned = cross * np.exp(1j * cycle * position[:, np.newaxis])
            first = -(turned.imag * cycle).sum(axis=-1)
            second = -(turned.real * cycle**2).sum(axis=-1)
            step = np.where(second < 0, -first / np.where(second < 0, second, -1.0), 0.0)
            position = np.clip(position + np.clip(step, -1.0, 1.0), -max_shift, max_shift)
        position -= position.mean()
    moved = transform * np.exp(1j * cycle * position[:, np.newaxis])
    return position, fft.irfft(moved.mean(axis=0), length)[:n_channels]
