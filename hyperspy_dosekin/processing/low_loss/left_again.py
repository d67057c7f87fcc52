# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What deconvolution makes of what is left of the zero-loss peak, and of what may be its own."""

from __future__ import annotations

import numpy as np

#: Widths from the peak up to which it is the peak, and within which a bump may be its own.
_CORE, _BUMP = 1.0, 3.5
#: Orders of plural scattering that reach as far as losses do.
_ORDERS = 8


def with_second_order(residue: np.ndarray, fwhm: float) -> np.ndarray:
    """What is left with what its plural scattering leaves: deconvolution takes half of it away.

    The logarithm of (1 + r) is r − r²/2 and so on, and a product in Fourier space is a convolution,
    which reaches twice as far.

    Parameters
    ----------
    residue
        From the peak outward, shape ``(n,)``.
    fwhm
        Width of the peak in channels.

    Examples
    --------
    >>> print(with_second_order(np.array([0.0, 0.0, 0.1, 0.0, 0.0, 0.0]), 1.5).round(3))
    [0.    0.    0.1   0.    0.005 0.   ]
    """
    number = residue.size
    far = np.where(np.arange(number) > _CORE * fwhm, residue, 0.0)
    twice = np.fft.irfft(np.fft.rfft(far, 2 * number) ** 2, 2 * number)[:number]
    # Not the rounding of the transform, where there is nothing.
    twice = np.where(twice > 1e-12 * twice.max(initial=0.0), twice, 0.0)
    return np.hypot(residue, 0.5 * twice)


def orders_of_the_near(single: np.ndarray, fwhm: float) -> np.ndarray:
    """What deconvolution takes away, or brings, further out, of what is near to the peak.

    A loss that near scatters again and again; a bump beside the zero-loss peak, a shoulder of it,
    or the hole that one of the gain side leaves in the losses where it is mirrored, does not.
    Nothing tells them apart. The logarithm of (1 + x) has xⁿ/n of every order, n times as far from
    the peak, with signs that alternate: they are added as errors are, since where they cancel
    is not known.

    Parameters
    ----------
    single
        Single scattering from the peak outward, per channel, shape ``(n,)``.
    fwhm
        Width of the peak in channels.

    Examples
    --------
    >>> print(orders_of_the_near(np.array([0.0, 0.0, 0.1, 0.0, 0.0, 0.0, 0.0]), 1.5).round(4))
    [0.     0.     0.     0.     0.005  0.     0.0003]
    """
    number = single.size
    distance = np.arange(number)
    near = (distance > _CORE * fwhm) & (distance < _BUMP * fwhm)
    # Long enough that no order comes back at the beginning.
    wave = np.fft.rfft(np.where(near, single, 0.0), (_ORDERS + 1) * number)
    found = np.zeros(number)
    for order in range(2, _ORDERS + 1):
        share = np.fft.irfft(wave**order, (_ORDERS + 1) * number)[:number] / order
        found = np.hypot(found, share)
    # Not the rounding of the transforms, where there is nothing.
    return np.where(found > 1e-12 * found.max(initial=0.0), found, 0.0)


def moved_by(residue: np.ndarray, single: np.ndarray, fwhm: float) -> np.ndarray:
    """Change of single scattering since the peak has not what is left of it among the losses.

    Areas are at the resolution of the peak, and that of a peak without its tail is narrower: losses
    are less spread by as much, and further from where they would be. All of a band is as much as it
    was, since the logarithm of the whole spectrum over the peak is.

    Parameters
    ----------
    residue
        From `residue_of` or `residue_of_model`, from the peak outward, shape ``(n,)``.
    single
        Single scattering from the peak outward, same shape.
    fwhm
        Width of the peak in channels.

    Returns
    -------
    numpy.ndarray
        In the unit of `single`, positive where the tail would bring more, same shape.

    Examples
    --------
    >>> band, tail = np.array([0.0, 0, 4, 0, 0, 0, 0, 0]), np.array([0.0, 0, 0, 0.1, 0, 0, 0, 0])
    >>> print(moved_by(tail, band, 1.5).round(3) + 0.0)
    [ 0.   0.  -0.4  0.   0.   0.4  0.   0. ]
    """
    number = residue.size
    far = np.where(np.arange(number) > _CORE * fwhm, residue, 0.0)
    spread = np.fft.irfft(np.fft.rfft(far, 2 * number) * np.fft.rfft(single, 2 * number))
    return spread[:number] - far.sum() * single
