# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fourier transforms of many real spectra, by the fastest library that is loaded."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import scipy.fft

# SciPy's transforms have no types that a checker could follow.
_scipy: Any = scipy.fft


def rfft(values: np.ndarray) -> np.ndarray:
    """Transform real numbers along the last axis, in their own precision.

    Torch's transforms take half the time of SciPy's where Torch comes with MKL. They are used if
    Torch is loaded already: importing it takes longer than thousands of spectra. The two agree to
    rounding.

    Parameters
    ----------
    values
        Shape ``(…, n)``, floating-point.

    Returns
    -------
    numpy.ndarray
        Shape ``(…, n // 2 + 1)``.

    Examples
    --------
    >>> rfft(np.ones((1, 4)))
    array([[4.+0.j, 0.+0.j, 0.+0.j]])
    """
    torch: Any = sys.modules.get("torch")
    if torch is None:
        return _scipy.rfft(values, axis=-1)
    return torch.fft.rfft(torch.from_numpy(values)).numpy()


def irfft(values: np.ndarray, length: int) -> np.ndarray:
    """Transform back to `length` real numbers.

    Parameters
    ----------
    values
        As `rfft` returns them; they may be overwritten.
    length
        Channels.

    Examples
    --------
    >>> irfft(rfft(np.arange(4.0)), 4)
    array([0., 1., 2., 3.])
    """
    torch: Any = sys.modules.get("torch")
    if torch is None:
        return _scipy.irfft(values, length, axis=-1, overwrite_x=True)
    return torch.fft.irfft(torch.from_numpy(values), length).numpy()
