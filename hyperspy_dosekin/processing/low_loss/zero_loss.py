# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the zero-loss peak is, how wide it is, and what it looks like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hyperspy_dosekin.processing.shifting import between, shift_peak

#: Wider peaks, in eV, are plasmons and edges, not the zero-loss peak of any source in use.
WIDEST_EV = 5.0
#: Channels nearer to the zero-loss peak, in units of its width, are never taken for spikes.
PROTECTED_WIDTHS = 2.5
_SIGMA_PER_FWHM = 1 / 2.3548200450309493
#: The error of the position falls by an order of magnitude in each step.
_STEPS = 8
#: Values of a `PeakShape` in a channel.
PER_CHANNEL = 8
#: As many channels of the largest value side by side are a flat, that is saturated, top.
_FLAT_TOP = 3


@dataclass(frozen=True, eq=False)
class ZeroLossSurvey:
    """What a look at the zero-loss peak of every spectrum says; arrays of shape ``(…)``.

    Parameters
    ----------
    position
        Channel of the peak, a fraction.
    fwhm
        Full width at half maximum in channels.
    height
        Largest intensity.
    found
        Whether there is a peak narrow enough, not cut off by the end of the axis.
    saturated
        Whether it has a flat top.
    """

    position: np.ndarray
    fwhm: np.ndarray
    height: np.ndarray
    found: np.ndarray
    saturated: np.ndarray


def protected_channels(position: np.ndarray, fwhm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and the last channel too near to the zero-loss peak to be a spike.

    Parameters
    ----------
    position, fwhm
        Channel and full width at half maximum of the peak in channels, shape ``(…)``.
    """
    reach = np.maximum(PROTECTED_WIDTHS * np.nan_to_num(fwhm, nan=1.0), 3.0)
    return np.ceil(position - reach), np.floor(position + reach)


def find_zero_loss(
    block: npt.ArrayLike,
    *,
    widest: float,
    search: slice = slice(None),
    largest_value: float = np.inf,
) -> ZeroLossSurvey:
    r"""Find the zero-loss peak of each spectrum.

    The position is where the cross-correlation of the spectrum with a Gaussian of the peak's own
    width is largest. For a Gaussian peak of N electrons its standard deviation is
    :math:`1.2\,\sigma/\sqrt N`, 1.2 times the least that is possible, whatever the fraction of a
    channel, and channels far from the peak have no say.

    Parameters
    ----------
    block
        Intensities, shape ``(…, n_channels)``.
    widest
        Largest full width at half maximum of a zero-loss peak, in channels.
    search
        Channels in which its maximum is.
    largest_value
        Value at which the camera saturates.

    Returns
    -------
    ZeroLossSurvey
        Positions count channels of the block.

    Examples
    --------
    >>> channel = np.arange(64)
    >>> peak = 1e4 * np.exp(-0.5 * ((channel - 20.3) / 2) ** 2)
    >>> print(find_zero_loss(peak, widest=20).position.round(3))
    20.3
    """
    block = np.asarray(block)
    *lead, n_channels = block.shape
    spectra = block.reshape(-1, n_channels).astype(np.float64, copy=False)
    start, stop, _ = search.indices(n_channels)
    # The smaller of a channel and its larger neighbour: a spike of one channel is no peak.
    beside = np.maximum(
        np.concatenate([spectra[:, 1:2], spectra[:, :-1]], axis=-1),
        np.concatenate([spectra[:, 1:], spectra[:, -2:-1]], axis=-1),
    )
    top = start + np.nan_to_num(np.minimum(spectra, beside)[:, start:stop]).argmax(axis=-1)
    reach = int(min(np.ceil(widest) + 2, n_channels))
    offset = np.arange(-reach, reach + 1)
    index = top[:, np.newaxis] + offset
    inside = (index >= 0) & (index < n_channels)
    around = np.take_along_axis(spectra, np.clip(index, 0, n_channels - 1), axis=-1)
    around = np.where(inside, np.maximum(np.nan_to_num(around), 0.0), 0.0)
    height = around[:, reach]
    left = _half_width(around[:, reach::-1], inside[:, reach::-1])
    right = _half_width(around[:, reach:], inside[:, reach:])
    fwhm = left + right
    found = np.isfinite(fwhm) & (fwhm <= widest) & (height > 0)
    sigma = np.where(found, np.maximum(fwhm, 1.0) * _SIGMA_PER_FWHM, 1.0)[:, np.newaxis]
    centre = _centre(around, offset, sigma)
    found &= np.abs(centre) < np.maximum(fwhm, 2.0)
    near_top = around >= height[:, np.newaxis]
    saturated = found & ((near_top.sum(axis=-1) >= _FLAT_TOP) | (height >= largest_value))
    position = top + np.where(found, centre, 0.0)

    def shaped(values: np.ndarray) -> np.ndarray:
        return values.reshape(lead)

    return ZeroLossSurvey(*map(shaped, (position, fwhm, height, found, saturated)))


def _half_width(side: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Distance from the top, the first channel, to half of it; infinite where it is not reached."""
    half = side[:, :1] / 2
    below = (side < half) & inside
    first = below.argmax(axis=-1)
    row = np.arange(len(side))
    before, after = side[row, np.maximum(first - 1, 0)], side[row, first]
    drop = np.where(before > after, before - after, 1.0)
    distance = first - 1 + (before - half[:, 0]) / drop
    return np.where(below.any(axis=-1), distance, np.inf)


def _centre(around: np.ndarray, offset: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Maximum of the cross-correlation with a Gaussian, from the middle channel."""
    centre = np.zeros((len(around), 1))
    for _ in range(_STEPS):
        distance = offset - centre
        weight = np.exp(-0.5 * (distance / sigma) ** 2) * around
        total = weight.sum(axis=-1, keepdims=True)
        moment = (weight * distance).sum(axis=-1, keepdims=True)
        # The weighted mean goes half of the way if peak and Gaussian are equally wide.
        step = 2 * moment / np.where(total > 0, total, 1.0)
        centre = centre + np.clip(step, -sigma, sigma)
    return centre[:, 0]


def reflect(
    spectra: np.ndarray, centre: npt.ArrayLike, reach: int | None = None, *, variance: bool = False
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
    middle = np.broadcast_to(np.asarray(centre, dtype=float), lead).reshape(-1, 1)
    first = np.maximum(middle - (n_channels if reach is None else reach), 0)
    channel = np.arange(n_channels)
    zero_loss = np.where((channel >= first) & (channel <= middle), flat, 0.0)
    # Of the mirror image only the channels that any spectrum needs.
    begin = max(int(np.floor(middle.min())), 0)
    end = min(int(np.ceil((2 * middle - first).max())) + 1, n_channels)
    if begin >= end:
        return zero_loss.reshape(spectra.shape)
    channel = channel[begin:end]
    source = 2 * middle - channel
    needed = (channel > middle) & (source >= first)
    # The same fraction in all channels of a spectrum.
    fraction = np.ceil(2 * middle) - 2 * middle
    place = np.ceil(source - 1e-9).astype(np.intp)
    steps = (0, -1) if variance else (1, 0, -1, -2)
    parts = np.stack(
        [
            np.take_along_axis(flat, np.clip(place + step, 0, n_channels - 1), axis=-1)
            for step in steps
        ]
    )
    if variance:
        mirror = (1 - fraction) * parts[0] + fraction * parts[1]
    else:
        mirror = between(parts, fraction)
    zero_loss[:, begin:end] = np.where(needed, mirror, zero_loss[:, begin:end])
    return zero_loss.reshape(spectra.shape)


def truncate(spectra: np.ndarray, end: npt.ArrayLike) -> np.ndarray:
    """Zero-loss peak as all that comes before `end`, a channel or a fraction, shape ``(…)``."""
    end = np.asarray(end, dtype=float)[..., np.newaxis]
    return spectra * np.clip(end - np.arange(spectra.shape[-1]) + 0.5, 0.0, 1.0)


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
        whole = np.floor(start)
        fraction = start - whole
        place = whole.astype(np.intp) + PER_CHANNEL * np.arange(n_channels)
        last = self.values.size - 1
        below, above = (
            np.where((each >= 0) & (each <= last), self.values[np.clip(each, 0, last)], 0.0)
            for each in (place, place + 1)
        )
        return (1 - fraction) * below + fraction * above


def fit_zero_loss(
    spectrum: np.ndarray, origin: int, fwhm: float, channels: np.ndarray
) -> np.ndarray:
    r"""Model of the zero-loss peak of one spectrum, such as the mean of many.

    A pseudo-Voigt profile whose width changes smoothly from the gain to the loss side, fitted to
    all channels up to half the width beyond the peak, where losses have no part yet. The square
    root of the intensities is fitted, so that the tail has a say.

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
    measured = np.sqrt(np.maximum(spectrum[used], 0.0))
    scale = float(spectrum[used].max())

    def model(parameters: np.ndarray, where: np.ndarray) -> np.ndarray:
        height, centre, log_width, asymmetry, tail_share = parameters
        distance = where - centre
        width = np.exp(log_width) * 2 / (1 + np.exp(np.clip(asymmetry * distance, -50, 50)))
        share = 1 / (1 + np.exp(-tail_share))
        gaussian = np.exp(-4 * np.log(2) * (distance / width) ** 2)
        lorentzian = 1 / (1 + 4 * (distance / width) ** 2)
        return scale * np.abs(height) * ((1 - share) * gaussian + share * lorentzian)

    best = least_squares(
        lambda p: np.sqrt(model(p, channel[used])) - measured,
        np.array([1.0, 0.0, np.log(fwhm), 0.0, -4.0]),
        bounds=(
            [0.1, -fwhm, np.log(fwhm / 4), -0.5 / fwhm, -20.0],
            [10, fwhm, np.log(fwhm * 4), 0.5 / fwhm, 5.0],
        ),
        x_scale=[1.0, 0.1, 0.1, 0.1 / fwhm, 1.0],
        max_nfev=500,
    )
    return model(best.x, np.asarray(channels, dtype=float))
