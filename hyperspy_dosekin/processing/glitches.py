# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values that stand for "no number", such as -9999 or the largest of a type."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Largest numbers of types, which programs write where they have none.
_FULL = (65535.0, 2147483647.0, 4294967295.0)
#: How many times what is beside it such a number is, and channels beside each other that hold one.
_BEYOND, _TOGETHER = 5.0, 4
#: How many times as high as the zero-loss peak no spike is, and the least number that may be such.
_NO_SPIKE, _LEAST = 50.0, 1e6
#: A single channel so many times as high as both beside it is no peak of few channels.
_NO_PEAK = 20.0
#: In a peak that is higher still: deviation of its logarithm from a cubic through those beside it.
_ODD, _CUBIC = 0.25, np.array([-1.0, 4.0, 4.0, -1.0]) / 6
#: Standard deviations below zero that noise does not reach, how many times as far from zero as
#: what is beside it, and with how many of them beside it a number below zero is none.
_BELOW, _DEEPER, _CERTAIN = 12.0, 3.0, 20.0
#: One number in so many spectra, so many times what is beside it in any, is none; of few counts
#: there are some of the same number.
_REPEATED, _COUNTS = 3, 30.0
#: Median of the difference of two normal numbers.
_MEDIAN_DIFFERENCE = 0.954
#: Extreme values of a spectrum that are looked at, one after the other.
_ROUNDS = 8
#: Values that stay in the cache while they are looked at in several ways.
_AT_A_TIME = 2**17


@dataclass(frozen=True, eq=False)
class Extremes:
    """Extreme values of spectra, NaN aside.

    Parameters
    ----------
    least, most
        Of each spectrum, shape ``(n_spectra,)``.
    highest
        Of each channel, shape ``(n_channels,)``.
    finite
        Whether all values are.
    """

    least: np.ndarray
    most: np.ndarray
    highest: np.ndarray
    finite: bool

    @classmethod
    def of(cls, rows: np.ndarray) -> Extremes:
        """Extreme values of spectra ``(n_spectra, n_channels)``, read from memory once.

        Examples
        --------
        >>> seen = Extremes.of(np.array([[1.0, 2.0, 7.0], [4.0, np.nan, 3.0]]))
        >>> print(seen.least, seen.most, seen.highest, seen.finite)
        [1. 3.] [7. 4.] [4. 2. 7.] False
        """
        least, most = np.empty((2, len(rows)), rows.dtype)
        step = max(_AT_A_TIME // max(rows.shape[-1], 1), 1)
        highest = []
        for first in range(0, len(rows), step):
            part, here = rows[first : first + step], slice(first, first + step)
            part.min(axis=-1, out=least[here])
            part.max(axis=-1, out=most[here])
            highest.append(part.max(axis=0))
        top = np.max(highest, axis=0)
        if rows.dtype.kind != "f":
            return cls(least, most, top, True)
        finite = bool(np.isfinite(least).all() and np.isfinite(most).all())
        if np.isnan(most).any():
            # A plain extreme is faster than one that leaves out NaN.
            lost = np.isnan(most)
            least[lost] = np.fmin.reduce(rows[lost], axis=-1)
            most[lost] = np.fmax.reduce(rows[lost], axis=-1)
            top = np.fmax.reduce(rows, axis=0)
        return cls(least, most, top, finite)


def glitches(rows: np.ndarray, seen: Extremes | None = None) -> np.ndarray | None:
    """Values that are no intensities, alone or a few of the same side by side.

    Numbers far below zero, or below zero between many counts; a single channel that is
    far above everything else; and the largest number of a type where nothing beside it is high.

    Parameters
    ----------
    rows
        Spectra, shape ``(n_spectra, n_channels)``.
    seen
        Their extreme values, where they are known already.

    Returns
    -------
    numpy.ndarray or None
        Boolean, shape of `rows`; ``None`` where there is none.

    Examples
    --------
    >>> rows = np.full((3, 24), 100.0) + np.arange(24) % 2
    >>> rows[1, [4, 5]] = -9999
    >>> rows[2, 0] = 1e30
    >>> print(np.argwhere(glitches(rows)).tolist())
    [[1, 4], [1, 5], [2, 0]]
    """
    if rows.shape[-1] < 2 * _TOGETHER or rows.dtype.kind not in "iuf" or not len(rows):
        return None
    found = None
    with np.errstate(invalid="ignore", over="ignore"):
        seen = Extremes.of(rows) if seen is None else seen
        for row in np.flatnonzero(_suspect(rows, seen)):
            none = _in_one(rows[row].astype(np.float64))
            if none.any():
                found = np.zeros(rows.shape, dtype=bool) if found is None else found
                found[row] = none
        return _with_repeated(rows, found, seen.highest)


def without_glitches(block: np.ndarray, *, workers: int = 1) -> np.ndarray:
    """A block ``(…, n_channels)`` with NaN for its `glitches`, float32 or float64.

    `workers` is not used.
    """
    rows = block.reshape(-1, block.shape[-1])
    mask = glitches(rows)
    result = rows.astype(np.result_type(block.dtype, np.float32), copy=True)
    if mask is not None:
        result[mask] = np.nan
    return result.reshape(block.shape)


def _suspect(rows: np.ndarray, seen: Extremes) -> np.ndarray:
    """Spectra that are worth a look, shape ``(n_spectra,)``."""
    suspect = (seen.least < 0) | (seen.most >= _LEAST)
    for full in _FULL:
        some = np.flatnonzero(seen.most >= full)
        if some.size:
            suspect[some] |= (rows[some] == rows.dtype.type(full)).any(axis=-1)
    return suspect


def _in_one(spectrum: np.ndarray) -> np.ndarray:
    found = ~np.isfinite(spectrum)
    missing = found.copy()
    known = spectrum[~missing]
    if known.size < 2 * _TOGETHER:
        return np.zeros_like(found)
    noise = float(np.median(np.abs(np.diff(known)))) / _MEDIAN_DIFFERENCE
    for _ in range(_ROUNDS):
        left = np.where(found, 0.0, spectrum)
        new = [
            run
            for place in {int(left.argmin()), int(left.argmax()), *_full_ones(left)}
            if (run := _is_none(left, place, found, noise)) is not None
        ]
        if not new:
            break
        for run in new:
            found[run] = True
    return found & ~missing


def _with_repeated(
    rows: np.ndarray, found: np.ndarray | None, most: np.ndarray
) -> np.ndarray | None:
    """What was found and one or two channels that hold the same large number in several spectra.

    `most` is the largest value of each channel.
    """
    if len(rows) < _REPEATED:
        return found
    if found is not None:
        rows = np.where(found, 0, rows)
        most = Extremes.of(rows).highest
    level = np.pad(most.astype(np.float64), 2)
    likely = []
    for width in (1, 2):
        size = most.size + 1 - width
        beside = np.maximum(level[1 : 1 + size], level[2 + width : 2 + width + size])
        alone = (most[:size] > _BEYOND * beside) & (most[:size] > 0)
        alone &= most[:size] == most[width - 1 :]
        likely += [slice(first, first + width) for first in np.flatnonzero(alone).tolist()]
    if not likely:
        return found
    number = np.count_nonzero(rows == most, axis=0)
    # Spectra without noise hold the same number everywhere.
    if np.count_nonzero((number == len(rows)) & (most > 0)) > _TOGETHER:
        return found
    for part in likely:
        first = part.start
        if number[first] >= _REPEATED and most[first] > _COUNTS * float(rows[rows > 0].min()):
            found = np.zeros(rows.shape, dtype=bool) if found is None else found
            found[:, part] |= rows[:, part] == most[first]
    return found


def _full_ones(spectrum: np.ndarray) -> list[int]:
    return np.flatnonzero(np.isin(spectrum, _FULL))[:_ROUNDS].tolist()


def _is_none(spectrum: np.ndarray, place: int, found: np.ndarray, noise: float) -> slice | None:
    """Channels around one that hold the same number, if that is no intensity."""
    value = float(spectrum[place])
    first = last = place
    while first > 0 and spectrum[first - 1] == value:
        first -= 1
    while last + 1 < spectrum.size and spectrum[last + 1] == value:
        last += 1
    if last + 1 - first > _TOGETHER:
        return None
    sides = [each for each in (first - 1, last + 1) if 0 <= each < spectrum.size]
    beside = spectrum[[each for each in sides if not found[each]]]
    if not beside.size:
        return None
    far, near = float(np.abs(beside).max()), float(beside.min())
    if value < 0:
        deep = -value > _BELOW * noise and -value > _DEEPER * far
        between = near > _CERTAIN * noise and beside.size == 2
        return slice(first, last + 1) if deep or between else None
    run = last + 1 - first
    rest = np.delete(np.where(found, 0.0, spectrum), np.arange(first, last + 1))
    pairs = np.minimum(rest[:-1], rest[1:])
    top = float(pairs.max(initial=0.0))
    # Others are higher, so that it is not saturated.
    if value in _FULL and run == 1 and top > value and 2 <= first < spectrum.size - 2:
        four = spectrum[[first - 2, first - 1, first + 1, first + 2]]
        if four.min() > 0 and abs(np.log(value) - np.log(four) @ _CUBIC) > _ODD:
            return slice(first, last + 1)
    alone = run == 1 or abs(int(pairs.argmax()) - first) > _TOGETHER
    # Several that nothing else is higher than may be a peak that is saturated.
    beyond = value > _BEYOND * far + _BELOW * noise and (run == 1 or top > value)
    if value in _FULL and beyond:
        return slice(first, last + 1)
    if value < _LEAST or value < _NO_SPIKE * top or value < _NO_PEAK * far or not alone:
        return None
    return slice(first, last + 1)
