# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models of the zero-loss peak: mirrored, cut off, measured or fitted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hyperspy_dosekin.numerics.arrays import astype, namespace, on_steps
from hyperspy_dosekin.processing.shifting import between, channels_of, shift_peak

#: Values of a `PeakShape` in a channel.
PER_CHANNEL = 8


def reflect(
    spectra: np.ndarray,
    centre: npt.ArrayLike,
    reach: int | None = None,
    *,
    share: np.ndarray | None = None,
    variance: bool = False,
) -> np.ndarray:
    """Zero-loss peak of spectra without losses below `centre`: its left half and the mirror image.

    Parameters
    ----------
    spectra
        Shape ``(…, n_channels)``.
    centre
        Channel of the peak, a number or shape ``(…)``; a fraction where it is between channels. The
        mirror image is then taken from between channels too.
    reach
        Channels on either side that belong to the peak; by default as many as there are.
    share
        Share of the gain side that is mirrored, by the distance from the peak in channels, shape
        ``(n,)``; by default all.
    variance
        Whether the values are noise variances, between which straight lines are drawn.

    Returns
    -------
    numpy.ndarray
        Same shape; zero further away.

    Examples
    --------
    >>> reflect(np.array([1.0, 4.0, 9.0, 6.0, 3.0, 2.0]), 2)
    array([1., 4., 9., 4., 1., 0.])
    """
    *lead, n_channels = spectra.shape
    flat = spectra.reshape(-1, n_channels)
    xp = namespace(spectra)
    middle = xp.broadcast_to(xp.asarray(centre, dtype=xp.float64), tuple(lead)).reshape(-1, 1)
    first = _first(middle, n_channels, reach)
    zero_loss = xp.zeros(flat.shape, np.result_type(flat, 0.0) if xp is np else flat.dtype)
    own = slice(int(first.min()), max(int(xp.floor(middle.max())) + 1, 0))
    channel = xp.arange(float(n_channels))[own]
    inside = (channel >= first) & (channel <= middle)
    if xp is np:
        np.copyto(zero_loss[:, own], flat[:, own], where=inside, casting="same_kind")
    else:
        zero_loss[:, own] = xp.where(inside, flat[:, own], 0.0)
    part, image = mirror_image(flat, middle[:, 0], reach, share=share, variance=variance)
    # Where the mirror image begins, the peak itself ends.
    zero_loss[:, part] += image
    return zero_loss.reshape(spectra.shape)


def mirror_image(
    spectra: np.ndarray,
    centre: np.ndarray,
    reach: int | None = None,
    *,
    share: np.ndarray | None = None,
    variance: bool = False,
) -> tuple[slice, np.ndarray]:
    """Mirror image of what is below the peak, in the channels that any spectrum needs.

    Parameters are those of `reflect`, with spectra ``(n_spectra, n_channels)`` and centres
    ``(n_spectra,)``. Zero where a spectrum needs none.
    """
    n_channels = spectra.shape[-1]
    middle = centre[:, np.newaxis]
    first = _first(middle, n_channels, reach)
    xp = namespace(spectra)
    begin = max(int(xp.floor(middle.min())), 0)
    end = min(int(xp.ceil((2 * middle - first).max())) + 1, n_channels)
    if begin >= end:
        return slice(0, 0), spectra[:, :0]
    channel = xp.arange(float(begin), end)
    needed = (channel > middle) & (2 * middle - channel >= first)
    # The same fraction in all channels of a spectrum, and few places where they begin.
    last = xp.ceil(2 * middle - begin - 1e-9)
    fraction = astype(xp.ceil(2 * middle) - 2 * middle, spectra.dtype)
    # Four neighbours of each place, from one above to two below.
    wide = _downward(spectra, astype(last[:, 0], xp.intp) + 2, len(channel) + 3)
    if variance:
        image = (1 - fraction) * wide[:, 1:-2]
        image += fraction * wide[:, 2:-1]
    else:
        image = between(wide, fraction)
    if share is not None:
        image = image * astype(on_steps(channel - middle, share), image.dtype)
    image[~needed] = 0.0
    return slice(begin, end), image


def _downward(spectra: np.ndarray, top: np.ndarray, number: int) -> np.ndarray:
    """So many channels of each spectrum from behind its `top` down; those at the ends repeated."""
    xp = namespace(spectra)
    if xp is not np:
        return xp.flip(channels_of(spectra, top - number, number), (-1,))
    n_channels = spectra.shape[-1]
    wide = np.empty((len(spectra), number), spectra.dtype)
    for each in set(top.tolist()):
        alike = top == each
        rows = slice(None) if alike.all() else np.flatnonzero(alike)
        # Slices are copied several times faster than indices are looked up. Beyond the ends the
        # channels there are repeated.
        stop, start = (min(max(side, 0), n_channels) for side in (each, each - number))
        above, below = (min(max(each - side, 0), number) for side in (stop, start))
        wide[rows, above:below] = spectra[rows, start:stop][:, ::-1]
        wide[rows, :above] = spectra[rows, -1:]
        wide[rows, below:] = spectra[rows, :1]
    return wide


def _first(middle: np.ndarray, n_channels: int, reach: int | None) -> np.ndarray:
    """First channel that is mirrored."""
    return namespace(middle).maximum(middle - (n_channels if reach is None else reach), 0)


def truncate(spectra: np.ndarray, end: npt.ArrayLike) -> np.ndarray:
    """Zero-loss peak as all that comes before `end`, a channel or a fraction, shape ``(…)``."""
    xp = namespace(spectra)
    end = xp.asarray(end, dtype=xp.float64)[..., np.newaxis]
    return spectra * xp.clip(end - xp.arange(spectra.shape[-1]) + 0.5, 0.0, 1.0)


@dataclass(frozen=True, eq=False)
class PeakShape:
    """A zero-loss peak that can be had at fractions of a channel.

    Parameters
    ----------
    values
        The peak, `PER_CHANNEL` values a channel.
    middle
        Place of the peak's position among them.
    """

    values: np.ndarray
    middle: int

    @classmethod
    def sampled(cls, peak: np.ndarray, centre: int) -> PeakShape:
        """Make it of one value a channel, the position at channel `centre`."""
        parts = np.arange(PER_CHANNEL) / PER_CHANNEL
        moved = shift_peak(np.repeat(peak[np.newaxis], PER_CHANNEL, axis=0), -parts)
        return cls(moved.T.ravel(), centre * PER_CHANNEL)

    def at(self, centre: np.ndarray, n_channels: int) -> np.ndarray:
        """Give the peak at channels `centre`, shape ``(n,)``, on an axis; zero beyond its ends.

        Parameters
        ----------
        centre
            Channel of the peak in each spectrum, a fraction.
        n_channels
            Of the axis.

        Returns
        -------
        numpy.ndarray
            Shape ``(n, n_channels)``.
        """
        start = self.middle - PER_CHANNEL * centre[:, np.newaxis]
        xp = namespace(centre)
        whole = xp.floor(start)
        fraction = start - whole
        place = astype(whole, xp.intp) + PER_CHANNEL * xp.arange(n_channels)
        values, last = xp.asarray(self.values), self.values.size - 1
        below, above = (
            xp.where((each >= 0) & (each <= last), values[xp.clip(each, 0, last)], 0.0)
            for each in (place, place + 1)
        )
        return (1 - fraction) * below + fraction * above


def fit_zero_loss(
    spectrum: np.ndarray, origin: int, fwhm: float, channels: np.ndarray
) -> np.ndarray:
    r"""Model of the zero-loss peak of one spectrum, such as the mean of many.

    A pseudo-Voigt profile whose width changes smoothly from the gain to the loss side, fitted to
    all channels up to half the width beyond the peak, where losses have no part yet. Beyond it is
    nowhere above the spectrum, since losses are not negative. The square root of the intensities is
    fitted, so that the tail has a say.

    Parameters
    ----------
    spectrum
        Shape ``(n_channels,)``, the peak at channel `origin`.
    origin, fwhm
        Channel of the peak, and its full width at half maximum in channels.
    channels
        Where to evaluate the model, relative to the peak, shape ``(n,)``.

    Returns
    -------
    numpy.ndarray
        The model, shape ``(n,)``.

    References
    ----------
    A. L. Stancik, E. B. Brauns, Vib. Spectrosc. 47, 66 (2008), doi:10.1016/j.vibspec.2008.02.009.

    Examples
    --------
    >>> channel = np.arange(64)
    >>> peak = 1e4 * np.exp(-0.5 * ((channel - 20) / 2) ** 2)
    >>> model = fit_zero_loss(peak, 20, 4.7, channel - 20)
    >>> bool(abs(model - peak).max() < 1)
    True
    """
    from scipy.optimize import least_squares

    channel = np.arange(spectrum.size) - origin
    used = channel <= max(0.5 * fwhm, 1.5)
    measured = np.sqrt(np.maximum(spectrum, 0.0))
    ceiling = np.sqrt(_falling(spectrum, origin))
    scale = float(spectrum[used].max())

    def model(parameters: np.ndarray, where: np.ndarray) -> np.ndarray:
        height, centre, log_width, asymmetry, tail_share = parameters
        distance = where - centre
        width = np.exp(log_width) * 2 / (1 + np.exp(np.clip(asymmetry * distance, -50, 50)))
        share = 1 / (1 + np.exp(-tail_share))
        gaussian = np.exp(-4 * np.log(2) * (distance / width) ** 2)
        lorentzian = 1 / (1 + 4 * (distance / width) ** 2)
        return scale * np.abs(height) * ((1 - share) * gaussian + share * lorentzian)

    def residual(parameters: np.ndarray) -> np.ndarray:
        root = np.sqrt(model(parameters, channel))
        return np.where(used, root - measured, np.maximum(root - ceiling, 0.0))

    best = least_squares(
        residual,
        np.array([1.0, 0.0, np.log(fwhm), 0.0, -4.0]),
        bounds=(
            [0.1, -fwhm, np.log(fwhm / 4), -0.5 / fwhm, -20.0],
            [10, fwhm, np.log(fwhm * 4), 0.5 / fwhm, 5.0],
        ),
        x_scale=[1.0, 0.1, 0.1, 0.1 / fwhm, 1.0],
        max_nfev=500,
    )
    values = model(best.x, np.asarray(channels, dtype=float))
    inside = (channels >= channel[0]) & (channels <= channel[-1])
    limit = np.interp(channels, channel, _falling(spectrum, origin))
    core = np.abs(channels) <= max(fwhm, 2)
    return np.where(inside & ~core, np.minimum(values, limit), values)


def _falling(spectrum: np.ndarray, origin: int) -> np.ndarray:
    """Least intensity between the peak and each channel, shape ``(n_channels,)``, not negative."""
    left = np.minimum.accumulate(spectrum[origin::-1])[::-1]
    right = np.minimum.accumulate(spectrum[origin:])
    return np.maximum(np.concatenate([left, right[1:]]), 0.0)
