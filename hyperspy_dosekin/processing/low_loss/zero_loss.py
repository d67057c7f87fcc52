# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the zero-loss peak is, and how wide it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hyperspy_dosekin.numerics.medians import median
from hyperspy_dosekin.processing.low_loss.flat_top import has_flat_top

#: Wider peaks, in eV, are plasmons and edges, not the zero-loss peak of any source in use.
WIDEST_EV = 5.0
#: Channels nearer to the zero-loss peak, in units of its width, are never taken for spikes.
PROTECTED_WIDTHS = 2.5
SIGMA_PER_FWHM = 1 / 2.3548200450309493
#: Channels, full width at half maximum, of the Gaussian at least. The width that few channels show
#: depends on where the peak is in its channel, and that of a narrow Gaussian on it would move an
#: asymmetric peak by a fiftieth of a channel and more.
_NARROWEST = 3.5
#: The error of the position falls by an order of magnitude in each step; a step of so small a part
#: of a channel is the last one.
_STEPS, _SETTLED = 8, 1e-9
#: Standard deviations of a Gaussian beyond which it is nothing, from wherever in a peak.
_FARTHEST = 10.5
#: A peak before the highest one that is so high in comparison is the zero-loss peak; less is on the
#: gain side. It is no part of the flank so many widths away.
_FIRST_SHARE, _FLANK_WIDTHS = 0.05, 3.0
#: A lower one before a peak that is hardly wider is its ghost or a gain: plasmons that are so much
#: higher than the zero-loss peak are those of a specimen of several mean free paths, and wide.
_GHOST_SHARE, _AS_NARROW = 0.15, 1.25
#: Standard deviations of noise above which a peak is one: noise reaches 5 in a thousand channels.
_SIGNIFICANT = 8.0
#: Share of a peak to which the intensity before it has fallen, if that is the first.
_NOTHING_BEFORE = 0.1
#: Levels at the two ends are the same if they differ by less of the height of the spectrum.
_SAME_LEVEL = 0.1
#: A hot pixel has less beside it, and the narrowest peak, of 1.5 channels, a third.
_BESIDE = 0.05
#: Peaks of one spectrum that are tested at most.
_TESTED = 8
#: Types in which spectra are compared as they are recorded; others become float64.
_AS_THEY_ARE = tuple(np.dtype(kind) for kind in ("u1", "u2", "u4", "i1", "i2", "i4", "f4", "f8"))
#: Peaks so many times as high as the median change from channel to channel need no test.
_CLEAR = 100.0


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
        Largest intensity, above the pedestal.
    found
        Whether there is a peak narrow enough, not cut off by the end of the axis.
    saturated
        Whether it has a flat top.
    pedestal
        Level on which the spectrum stands.
    """

    position: np.ndarray
    fwhm: np.ndarray
    height: np.ndarray
    found: np.ndarray
    saturated: np.ndarray
    pedestal: np.ndarray


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
    gain: float = 0.0,
) -> ZeroLossSurvey:
    r"""Find the zero-loss peak of each spectrum.

    The position is where the cross-correlation of the spectrum with a Gaussian of the peak's own
    width is largest. For a Gaussian peak of N electrons its standard deviation is
    :math:`1.2\,\sigma/\sqrt N`, 1.2 times the least that is possible, whatever the fraction of a
    channel, and channels far from the peak have no say.

    It is the first narrow peak of the spectrum: in a thick specimen plasmons are higher. Widths and
    heights are counted from a pedestal, the lower of the levels at the two ends if they agree. A
    peak that is not eight standard deviations above noise is none.

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
    gain
        Of the counts, if that is known.

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
    spectra = block.reshape(-1, n_channels)
    if spectra.dtype not in _AS_THEY_ARE:
        spectra = spectra.astype(np.float64, copy=False)
    total = sum_of(spectra)
    if not np.isfinite(total).all():
        spectra = np.nan_to_num(spectra)
        total = spectra.sum(axis=-1, dtype=np.float64)
    start, stop, _ = search.indices(n_channels)
    pedestal = _pedestal(spectra)
    # The smaller of two neighbours: a spike of one channel is no peak.
    pairs = np.minimum(spectra[:, :-1], spectra[:, 1:])
    begin = max(start - 1, 0)
    # The first channel of the highest pair.
    top = np.maximum(begin + pairs[:, begin:stop].argmax(axis=-1), start)
    reach = int(min(np.ceil(widest) + 2, n_channels))
    around, fwhm = _around(spectra, pedestal, top, reach)
    for row in _with_something_before(pairs, pedestal, start, top, fwhm):
        spectrum = spectra[row].astype(np.float64)
        paired = _paired(spectrum) - pedestal[row]
        first = _first_peak(paired, spectrum, slice(start, stop), widest, gain)
        if first is not None and first != top[row]:
            top[row] = first
            part = slice(row, row + 1)
            around[part], fwhm[part] = _around(spectra[part], pedestal[part], top[part], reach)
    height = around[:, reach]
    offset = np.arange(-float(reach), reach + 1)
    found = np.isfinite(fwhm) & (fwhm <= widest) & (height > 0)
    found &= _pair_at(pairs, top) - pedestal > _BESIDE * height
    sigma = np.where(found, np.maximum(fwhm, _NARROWEST) * SIGMA_PER_FWHM, 1.0)[:, np.newaxis]
    own = np.where(found, np.maximum(fwhm, 1.0) * SIGMA_PER_FWHM, 1.0)[:, np.newaxis]
    centre = _centre(around, offset, sigma, 1 + (own / sigma) ** 2)
    found &= np.abs(centre) < np.maximum(fwhm, 2.0)
    # Most peaks need no test. The mean change from channel to channel, but for rounding: two
    # numbers differ by their sum less twice the smaller one.
    with np.errstate(over="ignore", invalid="ignore"):
        ends = spectra[:, [0, -1]].sum(axis=-1, dtype=np.float64)
        mean = (2 * total - ends - 2 * sum_of(pairs)) / (n_channels - 1)
        # No median is more than twice the mean.
        clear = height >= _CLEAR * 2.1 * mean
    for row in np.flatnonzero(found & ~clear):
        spectrum = spectra[row].astype(np.float64)
        change = np.abs(np.diff(spectrum))
        middle = median(change)
        # With few counts most channels are equal.
        if height[row] < _CLEAR * (middle if middle > 0 else change.mean()):
            found[row] = significance(spectrum, int(top[row]), fwhm[row], gain) > _SIGNIFICANT
    saturated = found & has_flat_top(around, pedestal, largest_value)
    position = top + np.where(found, centre, 0.0)

    def shaped(values: np.ndarray) -> np.ndarray:
        return values.reshape(lead)

    return ZeroLossSurvey(*map(shaped, (position, fwhm, height, found, saturated, pedestal)))


def sum_of(rows: np.ndarray) -> np.ndarray:
    """Sum of each of some rows ``(n, n_channels)``, in single precision but of float64."""
    if rows.dtype != np.float64:
        rows = rows.astype(np.float32, copy=False)
    # Several times as fast as a sum that converts each number.
    return np.einsum("ij->i", rows).astype(np.float64)


def _pedestal(spectra: np.ndarray) -> np.ndarray:
    """Level on which spectra stand: the lower of the means of their first and last channels.

    It is one only if both are alike. Otherwise the axis begins within the peak or beyond it.
    """
    number = int(np.clip(spectra.shape[-1] // 64, 4, 32))
    ends = spectra[:, :number], spectra[:, -number:]
    first, last = (each.mean(axis=-1, dtype=np.float64) for each in ends)
    alike = np.abs(first - last) <= _SAME_LEVEL * (spectra.max(axis=-1) - np.minimum(first, last))
    return np.where(alike, np.minimum(first, last), 0.0)


def _around(
    spectra: np.ndarray, pedestal: np.ndarray, top: np.ndarray, reach: int
) -> tuple[np.ndarray, np.ndarray]:
    """Intensities around a channel, less the pedestal, and the width of the peak there."""
    index = top[:, np.newaxis] + np.arange(-reach, reach + 1)
    inside = (index >= 0) & (index < spectra.shape[-1])
    around = np.take_along_axis(spectra, np.clip(index, 0, spectra.shape[-1] - 1), axis=-1)
    around = np.where(inside, np.maximum(around - pedestal[:, np.newaxis], 0.0), 0.0)
    left = _half_width(around[:, reach::-1], inside[:, reach::-1])
    right = _half_width(around[:, reach:], inside[:, reach:])
    return around, left + right


def _paired(spectra: np.ndarray) -> np.ndarray:
    """The smaller of each channel and its larger neighbour, shape of `spectra`."""
    edge = np.full((*spectra.shape[:-1], 1), -np.inf)
    pairs = np.concatenate([edge, np.minimum(spectra[..., :-1], spectra[..., 1:]), edge], axis=-1)
    return np.maximum(pairs[..., :-1], pairs[..., 1:])


def _pair_at(pairs: np.ndarray, channel: np.ndarray) -> np.ndarray:
    """The same of one channel of each spectrum, from the smaller ones of all neighbours."""
    row, last = np.arange(len(pairs)), pairs.shape[-1] - 1
    sides = np.maximum(channel - 1, 0), np.minimum(channel, last)
    return np.maximum(pairs[row, sides[0]], pairs[row, sides[1]])


def _with_something_before(
    pairs: np.ndarray, pedestal: np.ndarray, start: int, top: np.ndarray, fwhm: np.ndarray
) -> np.ndarray:
    """Rows with intensity below their highest peak, too far from it to be its flank."""
    width = np.where(np.isfinite(fwhm), fwhm, 0.0)
    before = top - np.ceil(_FLANK_WIDTHS * width).astype(np.intp)
    limit = _pair_at(pairs, top) - pedestal
    asked = (before > start) & (limit > 0)
    limit = _FIRST_SHARE * limit + pedestal
    # In a channel less than this there is nothing; most rows have nothing in any of them.
    upto = pairs[:, : max(int(before.max(initial=0)), 0) + 1].max(axis=-1)
    rows = np.flatnonzero(asked & (upto > limit))
    some = [pairs[row, : before[row] + 1].max() > limit[row] for row in rows]
    return rows[np.array(some, dtype=bool)]


def _first_peak(
    paired: np.ndarray, spectrum: np.ndarray, search: slice, widest: float, gain: float
) -> int | None:
    """Channel of the first narrow, significant peak of a spectrum, or ``None``."""
    from scipy.signal import find_peaks, peak_prominences, peak_widths

    part = paired[search]
    change = float(median(np.abs(np.diff(spectrum))))
    # A height that noise does not reach, so that few peaks are left to be tested.
    height = max(_FIRST_SHARE * part.max(), _SIGNIFICANT * change)
    peaks, _ = find_peaks(part, height=height)
    if not peaks.size:
        return None
    widths, _, _, _ = peak_widths(part, peaks, rel_height=0.5)
    # By how much it rises above what is next to it: a bump on a flank is no peak.
    prominence = peak_prominences(part, peaks)[0]
    able = (prominence >= 0.5 * part[peaks]) & (widths <= widest)
    # Before the zero-loss peak there is nothing; before a loss is the tail of the zero-loss peak.
    able &= np.minimum.accumulate(part)[peaks] < _NOTHING_BEFORE * part[peaks]
    highest = peaks == peaks[part[peaks].argmax()]
    able &= (part[peaks] > _GHOST_SHARE * part.max()) | (widths[highest] > _AS_NARROW * widths)
    for peak, width in zip(peaks[able][:_TESTED], widths[able], strict=False):
        channel = search.start + int(peak)
        if 0 < _CLEAR * change < part[peak]:
            return channel
        if significance(spectrum, channel, float(width), gain) > _SIGNIFICANT:
            return channel
    return None


def significance(spectrum: np.ndarray, channel: int, fwhm: float, gain: float = 0.0) -> float:
    """How many standard deviations of noise a peak is high.

    The mean over the width of the peak, less that of as many channels on either side, is compared
    with the same of all other places of the spectrum, so that noise may be correlated and uneven.

    Parameters
    ----------
    spectrum
        Shape ``(n_channels,)``.
    channel, fwhm
        Of the peak.
    gain
        Of the counts, if known: of a few electrons the spread elsewhere says nothing.
    """
    # Hot pixels and spikes are no part of a peak.
    padded = np.pad(spectrum, 1, mode="edge")
    spectrum = np.minimum(spectrum, np.maximum(padded[:-2], padded[2:]))
    width = int(np.clip(round(fwhm), 2, max(spectrum.size // 8, 2)))
    total = np.concatenate([[0.0], np.cumsum(spectrum)])
    mean = (total[width:] - total[:-width]) / width
    contrast = mean[2 * width : -2 * width] - 0.5 * (mean[: -4 * width] + mean[4 * width :])
    if contrast.size < 2 * width:
        return np.inf
    place = channel - width // 2 - 2 * width
    near = np.abs(np.arange(contrast.size) - place) <= 3 * width
    if not near.any():
        return np.inf
    peak = contrast[near].max()
    rest = np.abs(contrast[~near])
    if rest.size < 2 * width:
        return np.inf
    # Three quarters of normal numbers are below 1.15; the others may be plasmons.
    spread = np.sqrt((np.quantile(rest, 0.75) / 1.15) ** 2 + gain * max(peak, 0.0) / width)
    return float(peak / spread) if spread > 0 else (np.inf if peak > 0 else 0.0)


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


def _centre(
    around: np.ndarray, offset: np.ndarray, sigma: np.ndarray, stride: np.ndarray
) -> np.ndarray:
    """Maximum of the cross-correlation with a Gaussian, from the middle channel.

    The weighted mean goes 1 / `stride` of the way, half of it if peak and Gaussian are equally
    wide.
    """
    # What is farther away has no weight, wherever in the peak its centre is.
    reach = int(np.ceil(_FARTHEST * sigma.max()))
    middle = offset.size // 2
    part = slice(max(middle - reach, 0), middle + reach + 1)
    around, offset = around[:, part], offset[part]
    centre, narrow = np.zeros((len(around), 1)), -0.5 / sigma**2
    moving = np.ones(centre.shape, dtype=bool)
    for _ in range(_STEPS):
        distance = offset - centre
        weight = distance * distance
        weight *= narrow
        np.exp(weight, out=weight)
        weight *= around
        total = weight.sum(axis=-1, keepdims=True)
        weight *= distance
        moment = weight.sum(axis=-1, keepdims=True)
        step = stride * moment / np.where(total > 0, total, 1.0)
        centre = centre + np.where(moving, np.clip(step, -sigma, sigma), 0.0)
        # Each by itself, so that the others have no influence.
        moving &= np.abs(step) > _SETTLED
        if not moving.any():
            break
    return centre[:, 0]
