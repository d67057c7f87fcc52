# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single scattering from plural scattering."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.fft

from hyperspy_dosekin.processing.shifting import turns

# SciPy's transforms have no types that a checker could follow.
fft: Any = scipy.fft
Complex = npt.NDArray[np.complexfloating]

#: What spectra are restored to: ``"zero_loss"`` is the width of the zero-loss peak, the classical
#: choice; ``"sharpened"`` takes most of that width out too, for at most twice the noise.
RESOLUTIONS = ("zero_loss", "sharpened")
#: Share of the zero-loss peak, at a frequency, below which it is no longer looked at.
_NOTHING = 0.02


def fourier_log(
    spectra: np.ndarray,
    zero_loss: np.ndarray,
    origin: npt.ArrayLike,
    *,
    resolution: str = "zero_loss",
) -> np.ndarray:
    r"""Fourier-log deconvolution of spectra that hold the zero-loss peak.

    .. math:: S = I_0\,\mathcal F^{-1}\!\left[g \ln\frac{J}{Z}\right],

    with the spectrum J, its zero-loss peak Z of area :math:`I_0`, and the resolution g to which
    the result is restored: ``"zero_loss"`` is :math:`z = Z/I_0` itself, ``"sharpened"``
    :math:`z(2 - z)`, which differs from 1 only in second order of the width and amplifies noise
    twofold at most. Frequencies at which the peak has nothing are left as they are in J - Z: the
    logarithm there is one of noise and of errors of Z, and would ring. Beyond the last channel the
    spectrum is continued smoothly to zero. The result at an energy depends on lower energies only,
    so that this has no influence but next to the end.

    Parameters
    ----------
    spectra
        Intensities, shape ``(n_spectra, n_channels)``, aligned.
    zero_loss
        Zero-loss peak of each spectrum, same shape.
    origin
        Channel of zero energy loss, a number, or one for each spectrum; a fraction where the peak
        is between channels. The result has it there too.
    resolution
        One of `RESOLUTIONS`.

    Returns
    -------
    numpy.ndarray
        Single scattering in the units of the spectra, same shape.

    References
    ----------
    D. W. Johnson, J. C. H. Spence, J. Phys. D 7, 771 (1974), doi:10.1088/0022-3727/7/6/304.
    R. F. Egerton, *Electron Energy-Loss Spectroscopy in the Electron Microscope*, chapter 4,
    doi:10.1007/978-1-4419-9583-4.

    Examples
    --------
    Half of the electrons of a delta-like beam lose ten channels, again and again:

    >>> zero_loss, spectrum = np.zeros((2, 1, 64))
    >>> zero_loss[0, 4] = 100.0
    >>> spectrum[0, [4, 14, 24, 34, 44]] = 100 * np.array([1, 1 / 2, 1 / 8, 1 / 48, 1 / 384])
    >>> single = fourier_log(spectrum, zero_loss, 4)
    >>> print(single[0, [4, 14, 24, 34]].round(1) + 0)
    [ 0. 50. 0. 0.]
    """
    n_channels = spectra.shape[-1]
    length = fft.next_fast_len(2 * n_channels, real=True)
    extended = np.empty((len(spectra), length))
    extended[:, :n_channels] = spectra
    _continue(extended, n_channels)
    # Computed in place where possible: fetching fresh memory takes longer than arithmetic.
    whole = fft.rfft(extended, axis=-1)
    extended[:, :n_channels] = zero_loss
    extended[:, n_channels:] = 0.0
    elastic = fft.rfft(extended, axis=-1, overwrite_x=True)
    plural = elastic * _logarithm(whole, elastic)
    whole -= elastic
    plural -= whole
    # Where the peak has nothing, the logarithm is one of errors, and plural scattering is nowhere.
    share = _square(elastic)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        share /= (_NOTHING * zero_loss.sum(axis=-1, keepdims=True)) ** 2
        share *= share
        plural *= share / (1 + share)
    if not np.isfinite(plural.real.sum()):
        plural[~np.isfinite(plural)] = 0.0
    if resolution == "zero_loss":
        scattered = fft.irfft(plural, length, axis=-1, overwrite_x=True)[:, :n_channels]
        scattered += spectra
        scattered -= zero_loss
        return scattered
    plural += whole
    elastic /= zero_loss.sum(axis=-1, keepdims=True)
    centre = np.broadcast_to(np.asarray(origin, dtype=float), len(spectra))
    elastic *= turns(2 * np.pi / length * centre, elastic.shape[-1])
    np.subtract(2.0, elastic, out=elastic)
    plural *= elastic
    return fft.irfft(plural, length, axis=-1, overwrite_x=True)[:, :n_channels]


def _square(values: Complex) -> np.ndarray:
    """Squared modulus."""
    square = values.real**2
    square += values.imag**2
    return square


def _logarithm(whole: Complex, elastic: Complex) -> Complex:
    """Complex logarithm of a ratio whose angle stays within ±π, because it cannot exceed t/λ.

    Five times faster than NumPy's division and logarithm: real and imaginary parts lie apart, which
    the processor's vectors need.
    """
    real, imaginary = np.ascontiguousarray(whole.real), np.ascontiguousarray(whole.imag)
    real_z, imaginary_z = np.ascontiguousarray(elastic.real), np.ascontiguousarray(elastic.imag)
    result = np.empty_like(whole)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        modulus = _square(whole)
        modulus /= _square(elastic)
        np.log(modulus, out=modulus)
    modulus *= 0.5
    result.real = modulus
    along = real * real_z
    along += imaginary * imaginary_z
    imaginary *= real_z
    real *= imaginary_z
    imaginary -= real
    result.imag = np.arctan2(imaginary, along, out=along)
    return result


def _continue(extended: np.ndarray, n_channels: int) -> None:
    """Continue spectra from the mean of their last channels to zero, in half of what follows."""
    n_end = min(16, n_channels)
    level = extended[:, n_channels - n_end : n_channels].mean(axis=-1, keepdims=True)
    fade = _fade(extended.shape[-1] - n_channels)
    np.multiply(np.maximum(level, 0.0), fade, out=extended[:, n_channels:])


@lru_cache(maxsize=8)
def _fade(length: int) -> np.ndarray:
    way = np.minimum(np.arange(1, length + 1) / (0.5 * length), 1.0)
    return np.cos(0.5 * np.pi * way) ** 2
