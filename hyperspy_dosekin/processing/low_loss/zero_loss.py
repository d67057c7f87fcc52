# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the zero-loss peak is, and how wide it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hyperspy_dosekin.numerics.arrays import astype, namespace, on_host
from hyperspy_dosekin.numerics.sums import sum_of
from hyperspy_dosekin.processing.low_loss.first_peak import (
    CLEAR,
    first_peak,
    is_significant,
    pair_at,
    paired,
    with_something_before,
)
from hyperspy_dosekin.processing.low_loss.flat_top import has_flat_top
from hyperspy_dosekin.processing.shifting import channels_of

#: Wider peaks, in eV, are plasmons and edges, not the zero-loss peak of any source in use.
WIDEST_EV = 5.0
#: Channels nearer to the zero-loss peak, in units of its width, are never taken for spikes.
PROTECTED_WIDTHS = 2.5
SIGMA_PER_FWHM = 1 / 2.3548200450309493
#: Channels, full width at half maximum, of the Gaussian at least. The width that few channels show
#: depends on where the peak is in its channel, and that of a narrow Gaussian on it would move an
#: asymmetric peak by a fiftieth of a channel and more.
_NARROWEST = 3.5
#: Steps to the position at most; a step of so small a part of a channel is the last one, and one
#: that is smaller than the last by so much tells where they lead.
_STEPS, _SETTLED, _SHRINKS = 8, 1e-9, 0.5
#: Standard deviations of a Gaussian beyond which it is nothing, from wherever in a peak.
_FARTHEST = 10.5
#: Levels at the two ends are the same if they differ by less of the height of the spectrum.
_SAME_LEVEL = 0.1
#: A hot pixel has less beside it, and the narrowest peak, of 1.5 channels, a third.
_BESIDE = 0.05
#: Not the top of a peak, if its neighbours have less than this: a peak of a channel has a sixth.
_HOT = 0.1
#: Values that stay in the cache while they are compared.
_AT_A_TIME = 2**16
#: Types in which spectra are compared as they are recorded; others become float64.
_AS_THEY_ARE = tuple(np.dtype(kind) for kind in ("u1", "u2", "u4", "i1", "i2", "i4", "f4", "f8"))


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
    block: np.ndarray,
    *,
    widest: float,
    search: slice = slice(None),
    largest_value: float = np.inf,
    gain: float = 0.0,
    total: np.ndarray | None = None,
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
        Intensities, shape ``(…, n_channels)``; of a tensor, tensors are returned.
    widest
        Largest full width at half maximum of a zero-loss peak, in channels.
    search
        Channels in which its maximum is.
    largest_value
        Value at which the camera saturates.
    gain
        Of the counts, if that is known.
    total
        From `sum_of`, if that is known and finite, shape ``(…)``.

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
    xp = namespace(block)
    *lead, n_channels = block.shape
    spectra = block.reshape(-1, n_channels)
    if xp is not np or spectra.dtype not in _AS_THEY_ARE:
        spectra = astype(spectra, xp.float64)
    sums = None
    if xp is not np or spectra.dtype.kind == "f":
        sums = sum_of(spectra) if total is None else total.reshape(-1)
        if not xp.isfinite(sums).all():
            spectra = xp.nan_to_num(spectra)
            sums = spectra.sum(axis=-1, dtype=xp.float64)
    start, stop, _ = search.indices(n_channels)
    top, highest, of_pairs, sums = _highest_pairs(spectra, start, stop, sums)
    pedestal = _pedestal(spectra, highest)
    reach = int(min(np.ceil(widest) + 2, n_channels))
    around, fwhm = _around(spectra, pedestal, top, reach)
    rows = with_something_before(spectra, pedestal, start, top, fwhm)
    some, levels = (on_host(each[xp.asarray(rows)]) for each in (spectra, pedestal))
    earlier = []
    for row, recorded, level in zip(rows.tolist(), some, levels, strict=True):
        spectrum = recorded.astype(np.float64)
        above = paired(spectrum) - level
        first = first_peak(above, spectrum, slice(start, stop), widest, gain)
        if first is not None:
            earlier.append((row, first))
    if earlier:
        part, first = xp.asarray(np.array(earlier).T)
        top[part] = _highest_in(spectra[part], first, stop)
        around[part], fwhm[part] = _around(spectra[part], pedestal[part], top[part], reach)
    height = around[:, reach]
    offset = xp.arange(-float(reach), reach + 1)
    found = xp.isfinite(fwhm) & (fwhm <= widest) & (height > 0)
    found &= pair_at(spectra, top) - pedestal > _BESIDE * height
    sigma = xp.where(found, xp.maximum(fwhm, _NARROWEST) * SIGMA_PER_FWHM, 1.0)[:, np.newaxis]
    own = xp.where(found, xp.maximum(fwhm, 1.0) * SIGMA_PER_FWHM, 1.0)[:, np.newaxis]
    centre = _centre(around, offset, sigma, 1 + (own / sigma) ** 2)
    found &= xp.abs(centre) < xp.maximum(fwhm, 2.0)
    # Most peaks need no test. The mean change from channel to channel, but for rounding: two
    # numbers differ by their sum less twice the smaller one.
    with np.errstate(over="ignore", invalid="ignore"):
        ends = spectra[:, [0, -1]].sum(axis=-1, dtype=xp.float64)
        mean = (2 * sums - ends - 2 * of_pairs) / (n_channels - 1)
        # No median is more than twice the mean.
        clear = height >= CLEAR * 2.1 * mean
    rows = xp.flatnonzero(found & ~clear)
    doubtful = [on_host(each[rows]) for each in (spectra, height, top, fwhm)]
    sure = [
        is_significant(spectrum, each, int(channel), width, gain)
        for spectrum, each, channel, width in zip(*doubtful, strict=True)
    ]
    found[rows] = xp.asarray(np.array(sure, dtype=bool))
    saturated = found & has_flat_top(around, pedestal, largest_value)
    position = top + xp.where(found, centre, 0.0)

    def shaped(values: np.ndarray) -> np.ndarray:
        return values.reshape(tuple(lead))

    return ZeroLossSurvey(*map(shaped, (position, fwhm, height, found, saturated, pedestal)))


def _highest_pairs(
    spectra: np.ndarray, start: int, stop: int, sums: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The highest pair of neighbouring channels, by the smaller of the two.

    A spike of one channel is no peak. Whole numbers are compared in single precision.

    Parameters
    ----------
    spectra
        Shape ``(n_spectra, n_channels)``.
    start, stop
        Channels that are searched.
    sums
        Of all channels, shape ``(n_spectra,)``, if they are known, as those of floats are.

    Returns
    -------
    top, highest, of_pairs, sums : numpy.ndarray
        The higher channel of the pair, how high that is, and the sums of all pairs and channels;
        ``(n_spectra,)``.
    """
    xp, begin = namespace(spectra), max(start - 1, 0)
    number, n_channels = spectra.shape
    if xp is not np and sums is not None:
        pairs = xp.minimum(spectra[:, :-1], spectra[:, 1:])
        place = begin + pairs[:, begin:stop].argmax(axis=-1)
        top = _highest_in(spectra, xp.maximum(place, start), stop)
        return top, pairs[xp.arange(number), place], sum_of(pairs), sums
    kind = np.dtype(np.float32) if sums is None else spectra.dtype
    found = np.empty(number) if sums is None else sums
    top, of_pairs = np.empty(number, dtype=np.intp), np.empty(number)
    highest = np.empty(number, kind)
    step = max(_AT_A_TIME // n_channels, 1)
    room = np.empty((min(step, number), n_channels - 1), kind)
    for first in range(0, number, step):
        here = slice(first, first + step)
        some = spectra[here].astype(kind, copy=False)
        if sums is None:
            found[here] = sum_of(some)
        pairs = np.minimum(some[:, :-1], some[:, 1:], out=room[: len(some)])
        place = begin + pairs[:, begin:stop].argmax(axis=-1)
        highest[here] = pairs[np.arange(len(some)), place]
        top[here], of_pairs[here] = place, sum_of(pairs)
    return _highest_in(spectra, np.maximum(top, start), stop), highest, of_pairs, found


def _highest_in(spectra: np.ndarray, first: np.ndarray, stop: int) -> np.ndarray:
    """The highest channel of pairs that begin with `first`, and of the next, as high, if any.

    Half of it, and the width of a peak with it, change smoothly with its place in a channel.
    """
    xp, row = namespace(spectra), namespace(spectra).arange(len(first))
    channel = xp.clip(first[:, np.newaxis] + xp.arange(3), None, stop - 1)
    values = astype(spectra[row[:, np.newaxis], channel], xp.float64)
    pair = xp.minimum(values[:, :1], values[:, 1:2])
    best = xp.where(_HOT * values <= pair, values, -np.inf).argmax(axis=-1)
    return channel[row, best]


def _pedestal(spectra: np.ndarray, highest: np.ndarray) -> np.ndarray:
    """Level on which spectra stand: the lower of the means of their first and last channels.

    It is one only if both are alike. Otherwise the axis begins within the peak or beyond it.

    Parameters
    ----------
    spectra
        Shape ``(n_spectra, n_channels)``.
    highest
        A value that they reach, shape ``(n_spectra,)``.
    """
    number = int(np.clip(spectra.shape[-1] // 64, 4, 32))
    ends = spectra[:, :number], spectra[:, -number:]
    xp = namespace(spectra)
    first, last = (each.mean(axis=-1, dtype=xp.float64) for each in ends)
    least = xp.minimum(first, last)
    alike = xp.abs(first - last) <= _SAME_LEVEL * (highest - least)
    rows = xp.flatnonzero(~alike)
    if len(rows):
        most = xp.amax(spectra[rows], axis=-1)
        alike[rows] = xp.abs(first - last)[rows] <= _SAME_LEVEL * (most - least[rows])
    return xp.where(alike, least, 0.0)


def _around(
    spectra: np.ndarray, pedestal: np.ndarray, top: np.ndarray, reach: int
) -> tuple[np.ndarray, np.ndarray]:
    """Intensities around a channel, less the pedestal, and the width of the peak there."""
    xp = namespace(spectra)
    index = top[:, np.newaxis] + xp.arange(-reach, reach + 1)
    inside = (index >= 0) & (index < spectra.shape[-1])
    around = channels_of(spectra, top - reach, 2 * reach + 1)
    around = xp.where(inside, xp.maximum(around - pedestal[:, np.newaxis], 0.0), 0.0)
    gain_side = (xp.flip(each[:, : reach + 1], (-1,)) for each in (around, inside))
    left = _half_width(*gain_side)
    right = _half_width(around[:, reach:], inside[:, reach:])
    return around, left + right


def _half_width(side: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Distance from the top, the first channel, to half of it; infinite where it is not reached."""
    xp, half = namespace(side), side[:, :1] / 2
    below = (side < half) & inside
    first = (below if xp is np else astype(below, xp.uint8)).argmax(axis=-1)
    row = xp.arange(len(side))
    before, after = side[row, xp.maximum(first - 1, 0)], side[row, first]
    drop = xp.where(before > after, before - after, 1.0)
    distance = first - 1 + (before - half[:, 0]) / drop
    return xp.where(below.any(axis=-1), distance, np.inf)


def _centre(
    around: np.ndarray, offset: np.ndarray, sigma: np.ndarray, stride: np.ndarray
) -> np.ndarray:
    """Maximum of the cross-correlation with a Gaussian, from the middle channel.

    The weighted mean goes 1 / `stride` of the way, half of it if peak and Gaussian are equally
    wide.
    """
    # What is farther away has no weight, wherever in the peak its centre is.
    xp = namespace(around)
    reach = int(xp.ceil(_FARTHEST * sigma.max())) if len(sigma) else 0
    middle = len(offset) // 2
    part = slice(max(middle - reach, 0), middle + reach + 1)
    around, offset = around[:, part], offset[part]
    centre, narrow = xp.zeros((len(around), 1)), -0.5 / sigma**2
    moving = sigma > 0
    way, before = xp.zeros(centre.shape), xp.full(centre.shape, np.nan)
    for _ in range(_STEPS):
        distance = offset - centre
        weight = distance * distance
        weight *= narrow
        xp.exp(weight, out=weight)
        weight *= around
        total = weight.sum(axis=-1, keepdims=True)
        weight *= distance
        moment = weight.sum(axis=-1, keepdims=True)
        step = stride * moment / xp.where(total > 0, total, 1.0)
        # Steps shrink by a factor, so that the last one and this tell where they end.
        with np.errstate(divide="ignore", invalid="ignore"):
            ahead = step * way / (before - step)
        able = (xp.abs(step) < _SHRINKS * xp.abs(before)) & xp.isfinite(ahead)
        way, before = xp.clip(xp.where(able, ahead, step), -sigma, sigma), step
        centre = centre + xp.where(moving, way, 0.0)
        # Each by itself, so that the others have no influence.
        moving &= xp.abs(step) > _SETTLED
        if not moving.any():
            break
    return centre[:, 0]
