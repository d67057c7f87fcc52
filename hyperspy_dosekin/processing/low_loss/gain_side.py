# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the gain side of the zero-loss peak tells of its loss side, and what not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_opening, uniform_filter1d

from hyperspy_dosekin.numerics.arrays import namespace

#: Nearer to the peak than so many widths nothing is a feature or a tail.
_CORE_WIDTHS = 1.5
#: A feature is so much higher than what is nearer to the peak, and so many standard deviations.
_HIGHER, _ERRORS = 1.2, 5.0
#: Median of the square of a normal variable.
_MEDIAN_SQUARE = 0.455
#: Fewer channels show no tail.
_FEWEST = 8
#: Exponents of tails; flatter ones have no finite area.
_EXPONENTS = (1.2, 6.0)
#: Nearer to the peak than so many widths the gain side ends in its flank, of which the last part,
#: in widths and in channels at least, says how it falls.
_FLANK_WIDTHS, _FLANK_PART, _FEWEST_OF_FLANK = 4.0, 0.4, 3
#: A tail of a smaller share of the zero-loss peak is none.
_NO_TAIL = 1e-6
#: Nearer to the peak than so many widths no channel shows a pedestal, and fewer channels do not.
_PEDESTAL_WIDTHS, _FEWEST_FLAT = 2.5, 4
#: Relative difference between the two halves of a pedestal; a tail that falls as 1 / E over four
#: channels and more has as much, one that falls as 1 / E² twice as much.
_FLAT = 0.15
#: Exponent of the energy with which a pedestal falls at most: a few fine channels are all alike.
_NO_FALL = 0.5
#: Share of all electrons that a pedestal adds, below which it does not matter, and standard errors
#: of its level.
_MATTERS, _CLEAR = 2e-3, 10.0
#: Variance of the levels of spectra that have the same, by that of noise: one of a thousand sets of
#: nine spectra has more.
_SAME_LEVEL = 3.3


@dataclass(frozen=True)
class Tail:
    """Tail of a peak beyond the end of its gain side: level (x / start)^-exponent.

    Parameters
    ----------
    start
        Channels from the peak at which it begins.
    level
        Intensity there, as a share of the peak's area up to there.
    exponent
        Above 1.
    """

    start: float
    level: float
    exponent: float

    @property
    def area(self) -> float:
        """Share of the peak that is in the tail."""
        return self.level * self.start / (self.exponent - 1)

    def at(self, distance: np.ndarray) -> np.ndarray:
        """Give the tail at distances in channels; zero before it begins."""
        xp, far = namespace(distance), distance > self.start
        ratio = xp.where(far, distance, self.start) / self.start
        return xp.where(far, self.level * ratio**-self.exponent, 0.0)


def share_without_features(
    gain_side: np.ndarray, fwhm: float, variance: np.ndarray | None = None
) -> np.ndarray | None:
    """Share of the gain side that is the zero-loss peak, where there are peaks on it.

    Energy gains, such as those of vibrations, are no part of the zero-loss peak and must not be
    mirrored. From the peak outward the zero-loss peak only falls.

    Parameters
    ----------
    gain_side
        Mean intensities from the peak outward, shape ``(n,)``.
    fwhm
        Width of the peak in channels.
    variance
        Of the noise, same shape, where it is known. A detector that counts has nothing beside a
        feature that would show the noise.

    Returns
    -------
    numpy.ndarray or None
        Shape ``(n,)``; ``None`` if there is no such peak.
    """
    begin = int(np.ceil(_CORE_WIDTHS * fwhm))
    if gain_side.size - begin < _FEWEST:
        return None
    falling = np.minimum.accumulate(gain_side)
    # Noise is larger where there is more intensity.
    change = np.pad(np.diff(gain_side, 2), 1, mode="edge") ** 2 / 6
    near = np.maximum(np.asarray(uniform_filter1d(change, _FEWEST)), change[begin:].mean())
    # A narrow feature bends as much as noise does: most channels have none, and noise of counts.
    bright = np.maximum(gain_side, 0.0)
    counted = bright[begin:] > 0
    by_counts = np.median(change[begin:][counted] / bright[begin:][counted]) if any(counted) else 0
    usual = by_counts * bright + np.median(change[begin:])
    square = np.minimum(near, usual / _MEDIAN_SQUARE)
    noise = np.sqrt(square if variance is None else np.minimum(square, variance))
    feature = (gain_side > _HIGHER * np.maximum(falling, 0)) & (
        gain_side - falling > _ERRORS * noise
    )
    feature[:begin] = False
    # A channel or two are noise or a spike.
    feature = np.asarray(binary_opening(feature, np.ones(3)), dtype=bool)
    if not feature.any():
        return None
    share = np.ones(gain_side.size)
    share[feature] = np.maximum(falling[feature], 0) / gain_side[feature]
    return share


def channels_on_pedestal(mean: np.ndarray, peak: int, fwhm: float) -> int:
    """Number of the first channels of a spectrum that have nothing but a pedestal.

    A pedestal is flat, and the tail of a zero-loss peak falls. Without a gain side of some widths
    nothing is known.

    Parameters
    ----------
    mean
        Mean of the spectra, or their sum, shape ``(n_channels,)``.
    peak
        Channel of the first of their zero-loss peaks.
    fwhm
        Width of the peak in channels.

    Returns
    -------
    int
        0 where there is no pedestal, or it is too small to matter.

    Examples
    --------
    >>> peak = 1e5 * np.exp(-0.5 * ((np.arange(256) - 40) / 2) ** 2)
    >>> channels_on_pedestal(peak, 40, 4.7), channels_on_pedestal(peak + 50, 40, 4.7)
    (0, 22)
    """
    number = int(peak - np.ceil(_PEDESTAL_WIDTHS * fwhm))
    if number < _FEWEST_FLAT:
        return 0
    # What is nearest to the peak is left out: noise and drift bring its flank there.
    number = max(4 * number // 5, _FEWEST_FLAT)
    part = mean[:number]
    half = number // 2
    outer, inner = part[:half], part[half:]
    level = float(part.mean())
    error = float(np.diff(part).std()) / np.sqrt(2 * number)
    if not (level > _CLEAR * error and level * mean.size > _MATTERS * mean.sum()):
        return 0
    slope = abs(float(inner.mean() - outer.mean()))
    # A tail that falls as 1 / E has so much more half of these channels nearer to the peak.
    middle = peak - 0.5 * half, peak - 0.5 * (half + number)
    limit = min(_FLAT, _NO_FALL * float(np.log(middle[0] / middle[1])))
    return number if slope < limit * level else 0


def common_level(spectra: np.ndarray) -> float | None:
    """Level that spectra have in common, or ``None`` if theirs differ by more than noise.

    Parameters
    ----------
    spectra
        Channels of a pedestal of some spectra, shape ``(n_spectra, n_channels)``.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=(9, 12))
    >>> print(round(common_level(100 + noise)), common_level(100 + noise + 9 * noise[:, :1]))
    100 None
    """
    if min(spectra.shape) < 2:
        return None
    among = float(spectra.mean(axis=-1).var(ddof=1))
    expected = float((np.diff(spectra, axis=-1) ** 2).mean()) / 2 / spectra.shape[-1]
    return float(spectra.mean()) if among <= _SAME_LEVEL * expected else None


def tail_of(gain_side: np.ndarray, fwhm: float) -> Tail | None:
    """Tail of the zero-loss peak beyond the end of its gain side, a power of the distance.

    Parameters
    ----------
    gain_side
        Mean intensities from the peak outward, to the end of the axis, shape ``(n,)``.
    fwhm
        Width of the peak in channels.

    Returns
    -------
    Tail or None
        ``None`` if it has ended before, or there are too few channels.
    """
    last = gain_side.size - 1
    begin = int(np.ceil(max(2 * fwhm, 0.5 * last)))
    if last - begin < _FEWEST:
        return None
    distance = np.arange(begin, last + 1)
    part = gain_side[begin:]
    half = part.size // 2
    if part[half:].mean() <= 0 or (part <= 0).mean() > 0.2:
        return None
    # From the means of two halves: the noise of single channels has no say.
    near, far = part[:half].mean(), part[half:].mean()
    places = distance[:half].mean(), distance[half:].mean()
    slope = np.log(near / far) / np.log(places[1] / places[0])
    exponent = float(np.clip(slope, *_EXPONENTS))
    area = float(2 * gain_side.sum() - gain_side[0])
    tail = Tail(float(last), far * (last / places[1]) ** -exponent / area, exponent)
    return tail if tail.area > _NO_TAIL else None


def continued(gain_side: np.ndarray, fwhm: float, number: int) -> np.ndarray:
    """The gain side, and where it ends in the flank of the peak, how that goes on.

    Parameters
    ----------
    gain_side, fwhm
        As for `tail_of`.
    number
        Channels that are wanted.

    Returns
    -------
    numpy.ndarray
        Shape ``(max(n, number),)`` where it is continued, else as it is.
    """
    last = gain_side.size - 1
    begin = last - max(round(_FLANK_PART * fwhm), _FEWEST_OF_FLANK - 1)
    if not ends_in_flank(last, fwhm) or begin < 1:
        return gain_side
    beyond = np.arange(gain_side.size, number) / last
    if (gain_side[begin:] <= 0).any():
        return np.concatenate([gain_side, np.zeros(beyond.size)])
    distance = np.arange(begin, last + 1)
    # Channels further out have less, and their noise has more of a say in a logarithm.
    slope, level = np.polyfit(
        np.log(distance / last), np.log(gain_side[begin:]), 1, w=np.sqrt(gain_side[begin:])
    )
    return np.concatenate([gain_side, np.exp(level) * beyond ** min(slope, 0.0)])


def ends_in_flank(length: float, fwhm: float) -> bool:
    """Whether a gain side of so many channels ends in the flank of the peak."""
    return length < _FLANK_WIDTHS * fwhm
