# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Channels without a number, bridged where their neighbours tell what was there."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.special import chdtri

#: More channels side by side are not bridged: bands of the specimen are as wide.
LONGEST = 4
#: Share of the axis that is left out at either end where some spectra have no number there.
_END = 0.1
#: Where a spectrum is higher than this share of its maximum, what is bridged has to be smooth.
_HIGH = 0.2
#: Relative deviation of straight lines from either side, in the middle, that is smooth, and that
#: is a straight line.
_SMOOTH, _BENT = 0.25, 0.03
#: From this share of the maximum on a factor between the two sides is the flank of a peak: no line
#: but a curve through the logarithms bridges as many channels. Curves through two and three
#: channels on either side agree so well where that is known.
_FLANK, _STEEP, _CURVED, _AGREE = 0.01, 1.5, 2, 0.1
#: Channels on either side of dead ones that are looked at, the share of their mean that is low, how
#: seldom they are low where they have many counts, and spectra that show it.
_BESIDE, _LOW, _SELDOM, _FEWEST = 5, 0.3, 0.1, 5
#: A channel with so many times what those beside it have, in every spectrum, is hot; between
#: channels with so many of the least counts, over all spectra, none is zero by chance.
_HOT, _BETWEEN = 5.0, 30.0
#: Share of the highest peak beyond which it may be a zero-loss peak of few channels.
_NOT_HIGHEST = 0.2
#: So many counts in a channel, over all spectra, are never zero by chance; and how seldom their
#: variance is smaller than it is taken for.
_NEVER_ZERO, _BY_CHANCE = 12.0, 1e-3


def dead_channels(spectra: np.ndarray) -> np.ndarray:
    """Channels that hold one value in every spectrum where those beside them are far from it.

    Hot ones, which hold much more than those beside them in every spectrum, are among them, unless
    nothing is higher: the narrowest zero-loss peak looks like that too.

    Parameters
    ----------
    spectra
        Some of the spectra of a detector, shape ``(n_spectra, n_channels)``. Values other than
        zero tell only if there are five of them.

    Returns
    -------
    numpy.ndarray
        Boolean, shape ``(n_channels,)``.

    Examples
    --------
    >>> spectra = np.full((3, 24), 100.0)
    >>> spectra[:, [9, 10]] = 0
    >>> np.flatnonzero(dead_channels(spectra))
    array([ 9, 10])
    """
    zero = (spectra == 0).all(axis=0)
    dead = np.zeros(zero.size, dtype=bool)
    for first, last, beside in _runs(zero):
        sides = spectra[:, beside]
        sides = sides[np.isfinite(sides)].astype(np.float64)
        # Only ratios matter, and squares of the largest numbers are beyond them.
        sides /= np.abs(sides).max(initial=0.0) or 1.0
        # Few counts may all be zero by chance; those that are seldom low are many.
        level = float(np.sum(sides / max(sides.size, 1)))
        low = np.mean(sides <= _LOW * max(level, 0.0)) if sides.size else 1.0
        many = len(spectra) >= _FEWEST
        # Of counts the square of the mean over the variance is their number; of few channels the
        # variance may be small by chance.
        degrees = max(sides.size - 1, 1)
        variance = float(np.sum((sides - level) ** 2)) / chdtri(degrees, 1 - _BY_CHANCE)
        counts = len(spectra) * level**2 / max(variance, 1e-300)
        dead[first:last] = low <= (_SELDOM if many else 0.0) and counts > _NEVER_ZERO
        dead[first:last] |= _gap_in_a_peak(spectra, first, last)
    return dead | _stuck_channels(spectra) | _hot_channels(spectra)


def _gap_in_a_peak(spectra: np.ndarray, first: int, last: int) -> bool:
    """Whether one or two channels are zero between others that have many counts, though uneven."""
    with np.errstate(invalid="ignore"):
        near = float(np.minimum(*spectra[:, [first - 1, last]].sum(axis=0, dtype=float)))
    # What a curve bridges; more zeros may be what is between two lines of few counts.
    if last - first > _CURVED or not 0 < near < np.inf:
        return False
    if len(spectra) < _FEWEST and near < _HIGH * float(np.nanmax(spectra)):
        return False
    return near > _BETWEEN * float(spectra[spectra > 0].min())


@np.errstate(over="ignore", invalid="ignore")
def _hot_channels(spectra: np.ndarray) -> np.ndarray:
    """One or two channels that hold many times what is beside them in five spectra and more."""
    hot = np.zeros(spectra.shape[-1], dtype=bool)
    if len(spectra) < _FEWEST:
        return hot
    least = spectra.min(axis=0).astype(np.float64)
    # Of a peak its two highest channels; of a hot one the lower one beside it.
    pairs = np.minimum(least[:-1], least[1:])
    top = np.nanmax(pairs, initial=0.0)
    most = spectra.max(axis=0).astype(np.float64)
    beyond = np.pad(np.nan_to_num(most, nan=np.inf), 1, constant_values=np.inf)
    for width in (1, 2):
        # What it has in every spectrum, beside the most of its neighbours in any.
        own = least if width == 1 else pairs
        sides = np.maximum(beyond[: own.size], beyond[width + 1 :])
        paired = np.maximum(np.pad(pairs, 1)[:-1], np.pad(pairs, 1)[1:]) if width == 1 else pairs
        likely = (own > _HOT * np.maximum(sides, 0.0)) & (paired < _NOT_HIGHEST * top)
        for first in np.flatnonzero(likely):
            near = slice(max(first - _BESIDE, 0), first + width + _BESIDE)
            others = np.delete(spectra[:, near], np.arange(width) + first - near.start, axis=-1)
            if own[first] > _HOT * max(float(np.nanmax(others, initial=0.0)), 0.0):
                hot[first : first + width] = True
    return hot


def _stuck_channels(spectra: np.ndarray) -> np.ndarray:
    """Channels with one value in five spectra and more, beyond all that is beside them."""
    still = (spectra == spectra[:1]).all(axis=0)
    stuck = still & (spectra[0] != 0)
    dead = np.zeros(stuck.size, dtype=bool)
    # The maximum is 1 in every spectrum that was normalised to it.
    if len(spectra) < _FEWEST or not stuck.any() or stuck.mean() > 0.1:
        return dead
    stuck &= spectra[0] < np.nanmax(np.where(np.isfinite(spectra), spectra, -np.inf), axis=-1).min()
    for first, last, beside in _runs(stuck):
        sides, value = spectra[:, beside], spectra[0, first:last]
        if np.isfinite(sides).all() and not still[beside].any():
            dead[first:last] = (value < sides.min()).all() or (value > sides.max()).all()
    return dead


def _runs(marked: np.ndarray) -> Iterator[tuple[int, int, list[int]]]:
    """Beginning and end of a few marked channels side by side, and the channels beside them."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], marked.astype(int), [0]])))
    for first, last in edges.reshape(-1, 2).tolist():
        if last - first <= LONGEST and first >= _BESIDE and last + _BESIDE <= marked.size:
            yield first, last, [*range(first - _BESIDE, first), *range(last, last + _BESIDE)]


def known_part(spectra: np.ndarray) -> tuple[int, int]:
    """First channel, and that behind the last, between ends without a number.

    What is missing in all spectra is left out, and what was left empty where single spectra were
    moved: a few channels, not near the highest ones.

    Parameters
    ----------
    spectra
        Shape ``(n_spectra, n_channels)``.

    Examples
    --------
    >>> spectra = np.array([[np.nan, 2.0, 9.0, 2.0, 1.0] * 10, [1.0, 2.0, 9.0, 2.0, 1.0] * 10])
    >>> known_part(spectra)
    (1, 50)
    """
    known = np.isfinite(spectra)
    number = known.shape[-1]
    if known.all() or not known.any():
        return 0, number
    some = np.asarray(known.any(axis=0))
    inner, outer = int(some.argmax()), number - int(some[::-1].argmax())
    rows = known[known.any(axis=-1)]
    first, last = rows.argmax(axis=-1), number - rows[:, ::-1].argmax(axis=-1)
    # Of a spectrum that misses more, only what is left of it is lost.
    most = int(_END * (outer - inner))
    with np.errstate(invalid="ignore", over="ignore"):
        top = int(np.nan_to_num(np.where(known, spectra, 0.0).sum(axis=0)).argmax())
    most_before = min(most, (top - inner) // 2)
    first, last = first[first <= inner + most_before], last[last >= outer - most]
    return int(first.max(initial=inner)), int(last.min(initial=outer))


def bridge(
    block: np.ndarray, *, dead: tuple[int, ...] = (), longest: int = LONGEST, workers: int = 1
) -> np.ndarray:
    """Replace a few channels that are NaN or infinite by the line between their neighbours.

    In a peak, one or two are replaced by a curve through the logarithms of six neighbours. Longer
    gaps, those at the ends, and those in a peak of so few channels that the curve is not known, are
    left NaN.

    Parameters
    ----------
    block
        Shape ``(…, n_channels)``.
    dead
        Channels that are taken for missing, whatever they hold.
    longest
        Channels of the longest gap that is bridged.
    workers
        Not used: few spectra have gaps.

    Returns
    -------
    numpy.ndarray
        The block itself if nothing is missing, else a copy.

    Examples
    --------
    >>> bridge(np.array([3.0, 4.0, np.nan, 6.0, 7.0, np.nan]))
    array([ 3.,  4.,  5.,  6.,  7., nan])
    """
    if dead:
        block = block.astype(np.result_type(block.dtype, np.float32))
        block[..., list(dead)] = np.nan
    if block.dtype.kind != "f":
        return block
    missing = ~np.isfinite(block)
    if not missing.any():
        return block
    result = block.copy()
    result[missing] = np.nan
    rows = result.reshape(-1, block.shape[-1])
    bad = missing.reshape(rows.shape)
    touched = np.flatnonzero(bad.any(axis=-1))
    patterns, which = np.unique(bad[touched], axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        chosen = touched[which.ravel() == number]
        edges = np.flatnonzero(np.diff(np.concatenate([[0], pattern.astype(int), [0]])))
        for first, last in edges.reshape(-1, 2):
            if first > 0 and last < pattern.size and last - first <= longest:
                rows[chosen, first:last] = _line(rows[chosen], first, last)
    return rows.reshape(block.shape)


def _line(rows: np.ndarray, first: int, last: int) -> np.ndarray:
    """Values of the gap from `first` to before `last`, NaN where there is no telling."""
    left, right = rows[:, first - 1], rows[:, last]
    place = np.arange(1, last - first + 1) / (last - first + 1)
    values = left[:, np.newaxis] * (1 - place) + right[:, np.newaxis] * place
    if first < 2 or last + 1 >= rows.shape[-1]:
        return values
    with np.errstate(invalid="ignore", divide="ignore"):
        top = np.nanmax(rows, axis=-1)
        reach = 0.5 * (last - first + 1)
        beyond = 0.5 * (
            left + reach * (left - rows[:, first - 2]) + right + reach * (right - rows[:, last + 1])
        )
        middle = 0.5 * (left + right)
        high, bend = middle > _HIGH * top, np.abs(beyond - middle) / np.abs(middle)
        doubtful = high & (bend > _SMOOTH)
        steep = np.maximum(left, right) > _STEEP * np.minimum(left, right)
        steep = (high & (bend > _BENT)) | (steep & (middle > _FLANK * top))
    if steep.any() and last - first <= _CURVED:
        curve, known = _curve(rows[steep], first, last)
        values[steep] = np.where((known | ~high[steep])[:, np.newaxis], curve, values[steep])
        far = curve.max(axis=-1) > _HIGH * top[steep]
        doubtful[steep] = (doubtful[steep] | far) & ~known
    values[doubtful] = np.nan
    return values


def _curve(rows: np.ndarray, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
    """Values of a gap by a curve through the logarithms beside it, and whether they are known.

    The straight line stays where a channel beside it is not positive.
    """
    place = np.arange(first, last)
    made = []
    for reach in (2, 3):
        nodes = np.array([*range(first - reach, first), *range(last, last + reach)])
        if nodes[0] < 0 or nodes[-1] >= rows.shape[-1]:
            nodes = nodes[1:-1]
        away = nodes - 0.5 * (first + last - 1)
        powers = np.arange(nodes.size)
        weights = np.linalg.solve((away[:, np.newaxis] ** powers).T,
                                  ((place - place.mean())[:, np.newaxis] ** powers).T)  # fmt: skip
        with np.errstate(invalid="ignore", divide="ignore"):
            made.append(np.exp(np.log(rows[:, nodes]) @ weights))
    near, far = made
    with np.errstate(invalid="ignore"):
        known = (np.abs(far - near) <= _AGREE * near).all(axis=-1)
    whole = np.isfinite(near).all(axis=-1)
    line = rows[:, [first - 1]] + (place - first + 1) / (last - first + 1) * (
        rows[:, [last]] - rows[:, [first - 1]]
    )
    return np.where(whole[:, np.newaxis], np.where(known[:, np.newaxis], far, near), line), known
