# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Move spectra by fractions of a channel."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.fft

from hyperspy_dosekin.processing.batches import run_in_batches

# SciPy's transforms have no types that a checker could follow.
fft: Any = scipy.fft

#: Channels appended to a spectrum, over which it runs from its last to its first value.
_JOINT = 64


def shift_spectra(spectra: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Move spectra to higher channels by a phase in Fourier space.

    Exact for what the channels resolve, and independent noise stays independent. What comes in at
    an end repeats the channel there.

    Parameters
    ----------
    spectra
        Shape ``(n_spectra, n_channels)``, float.
    shift
        Channels, shape ``(n_spectra,)``; a fraction, of either sign.

    Returns
    -------
    numpy.ndarray
        Shape ``(n_spectra, n_channels)``.

    Examples
    --------
    >>> channel = np.arange(64)
    >>> def peak(centre):
    ...     return np.exp(-0.5 * ((channel - centre) / 2) ** 2)
    >>> moved = shift_spectra(peak(20.0)[None], np.array([0.3]))
    >>> bool(abs(moved - peak(20.3)).max() < 1e-4)
    True
    """
    whole = np.round(shift).astype(np.intp)
    moved = _shift_whole(spectra, whole)
    fraction = shift - whole
    if not np.any(np.abs(fraction) > 1e-12):
        return moved
    n_channels = spectra.shape[-1]
    length = fft.next_fast_len(n_channels + _JOINT, real=True)
    # The transform joins the end to the beginning: a cosine between them leaves no jump to ring.
    blend = 0.5 - 0.5 * np.cos(np.pi * (np.arange(length - n_channels) + 1) / (length - n_channels))
    extended = np.empty((len(spectra), length))
    extended[:, :n_channels] = moved
    first, last = _end_levels(moved)
    extended[:, n_channels:] = last + (first - last) * blend
    transform = fft.rfft(extended, axis=-1, overwrite_x=True)
    transform *= _turns(-2 * np.pi / length * fraction, transform.shape[-1])
    return fft.irfft(transform, length, axis=-1, overwrite_x=True)[:, :n_channels]


def _turns(angle: np.ndarray, number: int) -> np.ndarray:
    """Powers 0, 1, … of exp(i·angle), shape ``(n_spectra, number)``.

    Products of two shorter lists of powers: complex exponentials are slow.
    """
    fine = 32
    coarse = -(-number // fine)
    small = np.exp(1j * angle[:, np.newaxis] * np.arange(fine))
    large = np.exp(1j * fine * angle[:, np.newaxis] * np.arange(coarse))
    product = large[:, :, np.newaxis] * small[:, np.newaxis, :]
    return product.reshape(len(angle), -1)[:, :number]


def shift_variance(variance: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Move noise variances along with spectra, by straight lines between channels.

    Parameters
    ----------
    variance, shift
        As for `shift_spectra`.
    """
    below = np.floor(shift).astype(np.intp)
    fraction = (shift - below)[:, np.newaxis]
    moved = _shift_whole(variance, below)
    return (1 - fraction) * moved + fraction * _shift_whole(moved, np.ones_like(below))


def shift_block(
    block: np.ndarray,
    shift: np.ndarray,
    *,
    start: int,
    stop: int,
    is_variance: bool = False,
    workers: int = 1,
) -> np.ndarray:
    """Move the spectra of a block and crop them.

    Parameters
    ----------
    block
        Shape ``(…, n_channels)``.
    shift
        Channels, shape ``(…)``.
    start, stop
        Channels to return.
    is_variance
        Whether the values are noise variances.
    workers
        Threads.

    Returns
    -------
    numpy.ndarray
        Shape ``(…, stop - start)``, float64.
    """
    move = shift_variance if is_variance else shift_spectra

    def kernel(spectra: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray]:
        return (move(spectra.astype(np.float64), shift)[:, start:stop],)

    arrays = [block, np.broadcast_to(shift, block.shape[:-1])]
    return run_in_batches(kernel, arrays, [1, 0], [((stop - start,), np.float64)], workers=workers)[
        0
    ]


def _end_levels(spectra: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean of the first and of the last few channels, so that a noisy one does not set a level."""
    n_end = min(4, spectra.shape[-1])
    return (
        spectra[:, :n_end].mean(axis=-1, keepdims=True),
        spectra[:, -n_end:].mean(axis=-1, keepdims=True),
    )


def _shift_whole(spectra: np.ndarray, shift: np.ndarray) -> np.ndarray:
    if not shift.any():
        return spectra
    n_channels = spectra.shape[-1]
    if np.all(shift == shift[0]):
        index = np.clip(np.arange(n_channels) - shift[0], 0, n_channels - 1)
        return spectra[:, index]
    index = np.clip(np.arange(n_channels) - shift[:, np.newaxis], 0, n_channels - 1)
    return np.take_along_axis(spectra, index, axis=-1)
