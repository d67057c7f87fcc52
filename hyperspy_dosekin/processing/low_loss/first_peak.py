# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of several peaks is the zero-loss peak, and whether a peak is one."""

from __future__ import annotations

import numpy as np

from hyperspy_dosekin.numerics.arrays import astype, namespace, on_host
from hyperspy_dosekin.numerics.medians import median

#: A peak before the highest one that is so high in comparison is the zero-loss peak; less is on the
#: gain side. It is no part of the flank so many widths away.
_FIRST_SHARE, _FLANK_WIDTHS = 0.05, 3.0
#: A lower one before a peak that is hardly wider is its ghost or a gain: plasmons that are so much
#: higher than the zero-loss peak are those of a specimen of several mean free paths, and wide.
_GHOST_SHARE, _AS_NARROW = 0.15, 1.25
#: Standard deviations of noise above which a peak is one: noise reaches 5 in a thousand channels.
SIGNIFICANT = 8.0
#: Share of a peak to which the intensity before it has fallen, if that is the first.
_NOTHING_BEFORE = 0.1
#: Peaks of one spectrum that are tested at most.
_TESTED = 8
#: Peaks so many times as high as the median change from channel to channel need no test.
CLEAR = 100.0


def paired(spectra: np.ndarray) -> np.ndarray:
    """The smaller of each channel and its larger neighbour, shape of `spectra`."""
    edge = np.full((*spectra.shape[:-1], 1), -np.inf)
    pairs = np.concatenate([edge, np.minimum(spectra[..., :-1], spectra[..., 1:]), edge], axis=-1)
    return np.maximum(pairs[..., :-1], pairs[..., 1:])


def pair_at(spectra: np.ndarray, channel: np.ndarray) -> np.ndarray:
    """What `paired` has in one channel of each spectrum.

    Parameters
    ----------
    spectra
        Shape ``(n_spectra, n_channels)``.
    channel
        Of each spectrum, shape ``(n_spectra,)``.
    """
    xp, last = namespace(spectra), spectra.shape[-1] - 1
    row = xp.arange(len(spectra))
    beside = xp.maximum(
        spectra[row, xp.where(channel > 0, channel - 1, 1)],
        spectra[row, xp.where(channel < last, channel + 1, last - 1)],
    )
    return xp.minimum(spectra[row, channel], beside)


def with_something_before(
    spectra: np.ndarray, pedestal: np.ndarray, start: int, top: np.ndarray, fwhm: np.ndarray
) -> np.ndarray:
    """Rows with intensity below their highest peak, too far from it to be its flank.

    Parameters
    ----------
    spectra
        As for `pair_at`.
    pedestal, top, fwhm
        Level on which each spectrum stands, the channel of its highest peak, and the width of that
        in channels, shape ``(n_spectra,)``.
    start
        First channel that is searched.
    """
    xp = namespace(spectra)
    width = xp.where(xp.isfinite(fwhm), fwhm, 0.0)
    before = top - astype(xp.ceil(_FLANK_WIDTHS * width), xp.intp)
    limit = pair_at(spectra, top) - pedestal
    asked = (before > start) & (limit > 0)
    limit = _FIRST_SHARE * limit + pedestal
    # In a channel less than this there is nothing; most rows have nothing in any of them.
    upto = min(max(int(before.max()), 0) + 1, spectra.shape[-1] - 1) if len(before) else 1
    pairs = xp.minimum(spectra[:, :upto], spectra[:, 1 : upto + 1])
    rows = on_host(xp.flatnonzero(asked & (xp.amax(pairs, axis=-1) > limit)))
    there = xp.asarray(rows)
    pairs, before, limit = (on_host(each[there]) for each in (pairs, before, limit))
    some = [pairs[row, : before[row] + 1].max() > limit[row] for row in range(rows.size)]
    return rows[np.array(some, dtype=bool)]


def first_peak(
    paired: np.ndarray, spectrum: np.ndarray, search: slice, widest: float, gain: float
) -> int | None:
    """Channel of the first narrow, significant peak of a spectrum, or ``None``.

    Parameters
    ----------
    paired
        Of the spectrum above its pedestal, as from the function of that name.
    spectrum
        Shape ``(n_channels,)``.
    search
        Channels in which it is.
    widest
        Largest full width at half maximum, in channels.
    gain
        Of the counts, 0 where it is not known.
    """
    from scipy.signal import find_peaks, peak_prominences, peak_widths

    part = paired[search]
    change = float(median(np.abs(np.diff(spectrum))))
    # A height that noise does not reach, so that few peaks are left to be tested.
    height = max(_FIRST_SHARE * part.max(), SIGNIFICANT * change)
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
        if 0 < CLEAR * change < part[peak]:
            return channel
        if significance(spectrum, channel, float(width), gain) > SIGNIFICANT:
            return channel
    return None


def is_significant(
    spectrum: np.ndarray, height: float, channel: int, fwhm: float, gain: float
) -> bool:
    """Whether a peak, of this height above its pedestal, is no noise.

    Parameters
    ----------
    spectrum, channel, fwhm, gain
        As for `significance`.
    height
        Of the peak.
    """
    spectrum = spectrum.astype(np.float64)
    change = np.abs(np.diff(spectrum))
    middle = median(change)
    # With few counts most channels are equal.
    if height >= CLEAR * (middle if middle > 0 else change.mean()):
        return True
    return significance(spectrum, channel, fwhm, gain) > SIGNIFICANT


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
