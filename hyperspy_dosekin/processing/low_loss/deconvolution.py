# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single scattering from plural scattering."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from hyperspy_dosekin.numerics.arrays import astype, fast_length, irfft, namespace, rfft
from hyperspy_dosekin.processing.shifting import turns

Complex = npt.NDArray[np.complexfloating]

#: What spectra are restored to: ``"zero_loss"`` is the width of the zero-loss peak, the classical
#: choice; ``"sharpened"`` takes most of that width out too, for at most twice the noise.
RESOLUTIONS = ("zero_loss", "sharpened")
#: Share of the zero-loss peak, at a frequency, below which it is no longer looked at.
_NOTHING = 0.02
#: Where a peak has a smaller share, the logarithm would have a weight of 1e-6; noise of the mean
#: peak that is larger than the second one hides where that is.
_ABSENT, _HIDDEN = _NOTHING * 10**-1.5, _NOTHING / 10
#: Standard deviations of that noise, and how much farther single spectra may reach.
_ERRORS, _FARTHER = 4.0, 1.25
#: Logarithm by which the exponential falls over transforms of so many lengths of the spectra.
DAMPED = {2.0: 4.0, 1.5: 6.0}
#: Channels, with those that continue them, that stay in the cache with what is made of them.
_AT_A_TIME = 3 * 2**15


def fourier_log(
    spectra: np.ndarray,
    zero_loss: np.ndarray,
    origin: npt.ArrayLike,
    *,
    resolution: str = "zero_loss",
    band: float = 0.5,
    longer: float = 2.0,
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
        Intensities, shape ``(n_spectra, n_channels)``, aligned, float32 or float64.
    zero_loss
        Zero-loss peak of each spectrum, shape ``(n_spectra, n)``; zero beyond, if that is less.
    origin
        Channel of zero energy loss, a number, or one for each spectrum; a fraction where the peak
        is between channels. The result has it there too.
    resolution
        One of `RESOLUTIONS`.
    band
        Cycles per channel above which no zero-loss peak has anything, from `band_of`; 0.5 is all.
    longer
        Length of the transforms in that of the spectra, one of `DAMPED`. With the shorter ones, as
        right and faster, rounding in single precision is six times as large near the end.

    Returns
    -------
    numpy.ndarray
        Single scattering in the units of the spectra, same shape and type; float32 is computed as
        such, to about 1e-6 of the largest loss.

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
    xp = namespace(spectra)
    n_spectra, n_channels = spectra.shape
    length = fast_length(int(np.ceil(longer * n_channels)))
    centre = xp.broadcast_to(xp.asarray(origin, dtype=xp.float64), (n_spectra,))
    single = xp.empty(spectra.shape, spectra.dtype)
    # A unit, in which single precision has room, and its power of two, by which numbers are divided
    # and multiplied without rounding.
    area = astype(xp.einsum("ij->i", zero_loss), xp.float64)
    unit = xp.where(area > 0, area, 1.0) * xp.exp(-DAMPED[longer] / length * centre)
    whole = 2.0 ** xp.round(xp.log2(xp.median(unit))) if n_spectra else 1.0
    damping = tuple(map(xp.asarray, _damping(length, n_channels, DAMPED[longer])))
    weights = tuple(
        astype(each, spectra.dtype)
        for each in (damping[0] / whole, damping[1] * whole, damping[2] / whole)
    )
    unit = astype((unit / whole)[:, np.newaxis], spectra.dtype)
    # A device has no cache to stay in.
    step = max(_AT_A_TIME // length if xp is np else n_spectra, 1)
    # Zero where nothing is ever written.
    room = xp.zeros((2, min(step, n_spectra), length), spectra.dtype)
    for first in range(0, n_spectra, step):
        part = slice(first, first + step)
        turned = None
        if resolution == "sharpened":
            turned = turns(2 * np.pi / length * centre[part], length // 2 + 1)
        _deconvolve(
            spectra[part],
            zero_loss[part],
            single[part],
            room,
            band,
            turned,
            unit[part],
            weights,
        )
    return single


def _deconvolve(
    spectra: np.ndarray,
    zero_loss: np.ndarray,
    single: np.ndarray,
    room: np.ndarray,
    band: float,
    turned: Complex | None,
    unit: np.ndarray,
    weights: tuple[np.ndarray, ...],
) -> None:
    """Deconvolve a few spectra.

    The logarithm of a spectrum that ends somewhere has no end, and what lies beyond the length of
    the transforms comes back at its beginning: 3 % of an area where t/λ is 1.5. Spectra that are
    multiplied with an exponential are convolved and deconvolved like others, and leave e⁻⁴ of that,
    or e⁻⁶ of more where transforms are shorter.

    Parameters
    ----------
    spectra, zero_loss, band
        As for `fourier_log`.
    single
        The result, shape of the spectra.
    room
        Work arrays for peaks and losses, shape ``(2, n, length)`` with n at least that of the
        spectra, zero at first.
    turned
        To sharpen, phases that bring the peak to the first channel, shape of the transforms.
    unit
        Z where the frequency is zero, damped, in units of a power of two, shape ``(n, 1)``.
    weights
        From `_damping`, in that unit.
    """
    xp = namespace(spectra)
    number, n_channels = spectra.shape
    peaks, losses = room[:, :number]
    # Beyond the peak there is nothing to subtract.
    length, end = room.shape[-1], zero_loss.shape[-1]
    near, far = slice(0, end), slice(end, n_channels)
    damping, growth, fade = weights
    xp.multiply(zero_loss, damping[near], out=peaks[:, near])
    elastic = rfft(peaks)
    lossy = spectra[:, near] - zero_loss
    xp.multiply(lossy, damping[near], out=losses[:, near])
    xp.multiply(spectra[:, far], damping[far], out=losses[:, far])
    # Continued from the mean of the last channels to zero, in half of what follows.
    last = spectra[:, -min(16, n_channels) :]
    level = (xp.einsum("ij->i", last) / last.shape[-1])[:, np.newaxis]
    beyond = slice(n_channels, n_channels + len(fade))
    xp.multiply(xp.maximum(level, 0.0), fade, out=losses[:, beyond])
    lost = rfft(losses)
    size = min(int(band * length) + 1, lost.shape[-1])
    if turned is None:
        _plural(lost[:, :size], elastic[:, :size], unit, out=lost[:, :size])
        lost[:, size:] = 0.0
    else:
        plural = _plural(lost[:, :size], elastic[:, :size], unit)
        lost[:, :size] += plural
        elastic /= unit
        elastic *= turned
        lost *= 2.0 - elastic
    scattered = irfft(lost, length)[:, :n_channels]
    xp.multiply(scattered, growth, out=single)
    if turned is None:
        single[:, near] += lossy
        single[:, far] += spectra[:, far]


@lru_cache(maxsize=8)
def _damping(length: int, n_channels: int, damped: float) -> tuple[np.ndarray, ...]:
    """Exponential over the channels, its inverse, and what continues a spectrum to zero."""
    fall = np.exp(-damped / length * np.arange(length))
    way = np.arange(1, (length - n_channels + 1) // 2) / (0.5 * (length - n_channels))
    fade = np.cos(0.5 * np.pi * way) ** 2 * fall[n_channels : n_channels + way.size]
    return fall[:n_channels], 1 / fall[:n_channels], fade


def band_of(peak: np.ndarray, fwhm: np.ndarray, variance: float = 0.0) -> float:
    """Cycles per channel above which zero-loss peaks have nothing that is looked at.

    Parameters
    ----------
    peak
        The mean zero-loss peak, shape ``(n_channels,)``.
    fwhm
        Widths of all peaks: the narrowest reaches farthest.
    variance
        Of the noise of its area.

    Returns
    -------
    float
        0.5, which is all frequencies, where the peak has something in all or noise hides it.

    Examples
    --------
    >>> channel = np.arange(-40, 41)
    >>> peak = np.exp(-0.5 * (channel / 5.0) ** 2)
    >>> print(round(band_of(peak, np.array([11.8])), 2))
    0.15
    """
    area = float(peak.sum())
    if not area > 0:
        return 0.5
    # Between frequencies of a short peak there would be gaps.
    length = fast_length(8 * peak.size)
    least = max(_ABSENT, _ERRORS * np.sqrt(max(variance, 0.0)) / area)
    there = np.flatnonzero(np.abs(rfft(peak, length)) > least * area)
    if least > _HIDDEN:
        return 0.5
    narrower = float(np.median(fwhm) / fwhm.min())
    return min(_FARTHER * narrower * (int(there[-1]) + 1) / length, 0.5)


def _plural(
    lost: Complex, elastic: Complex, unit: np.ndarray, out: Complex | None = None
) -> Complex:
    """Plural scattering with the sign turned, Z ln(1 + D/Z) - D, where the peak has something.

    With D = J - Z it is as exact as D itself. The angle of the logarithm stays within ±π, because
    it cannot exceed t/λ. What takes long is memory: as few passes as can be, over rows so few that
    all of it stays in the cache, and NumPy's fast functions want real and imaginary parts apart.

    Parameters
    ----------
    lost, elastic
        Transforms of D and Z, shape ``(n_spectra, n)``.
    unit
        Z where the frequency is zero, shape ``(n_spectra, 1)``.
    out
        Where the result is put; it may be `lost`.
    """
    xp = namespace(lost)
    d, z = lost, elastic
    result: Complex = xp.conjugate(z)
    square = xp.ascontiguousarray((result * z).real)
    result *= d
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        along, across = result.real / square, result.imag / square
        # The logarithm of the modulus of 1 + D/Z.
        modulus = along + 2.0
        modulus *= along
        modulus += across * across
        xp.log1p(modulus, out=modulus)
        modulus *= 0.5
        along += 1.0
        xp.arctan2(across, along, out=across)
        result.real, result.imag = modulus, across
        result *= z
        result -= d
        # Where the peak has nothing, the logarithm is one of errors, and plural scattering nowhere.
        square /= (_NOTHING * unit) ** 2
        square *= square
        xp.add(square, 1.0, out=along)
        square /= along
        result = xp.multiply(result, square, out=out)
    if not xp.isfinite(result.sum()):
        result[~xp.isfinite(result)] = 0.0
    return result
