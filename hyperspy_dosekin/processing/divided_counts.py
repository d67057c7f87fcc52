# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts that have been divided by a number, another one for each spectrum.

A spectrum that was divided by its maximum or its sum has noise of a gain of its own, and no common
gain describes it beside others. But counts are whole numbers: all intensities of the spectrum are
multiples of one unit, and that can be found.
"""

from __future__ import annotations

import numpy as np

#: Values of a spectrum from which the unit is told.
_FEWEST = 32
#: The smallest difference of two counts is one, or these few in so many channels.
_SMALLEST = (1, 2, 3)
#: Steps that are larger by less than this factor are of as many counts.
_EQUAL = 1.3
#: Intensities up to so many units, step by step, tell the unit the better.
_STEPS = 4.0 ** np.arange(1, 14)
#: Largest deviation of an intensity from a multiple, in units, beside that of its rounding.
_OFF = 0.02
#: Rounding of so much of a unit tells nothing; the intensities that tell, at least.
_BLURRED, _MOST = 0.1, 0.8
#: Units that differ by less are one.
_ALIKE = 1e-4


def unit_of(spectra: np.ndarray) -> np.ndarray:
    """Return the unit of which all intensities of a spectrum are multiples.

    Parameters
    ----------
    spectra
        Intensities, shape ``(…, n_channels)``; those that are not finite have no say.

    Returns
    -------
    numpy.ndarray
        Shape ``(…)``; NaN where there is none, or the type is too short to tell.

    Examples
    --------
    >>> counts = np.random.default_rng(0).poisson(30.0, (2, 64))
    >>> print(unit_of(counts / [[4.0], [320.0]]))
    [0.25     0.003125]
    """
    spectra = np.asarray(spectra)
    kind = spectra.dtype if spectra.dtype.kind == "f" else np.dtype(np.float64)
    rows = spectra.reshape(-1, spectra.shape[-1])
    found = [_unit(row, 0.5 * float(np.finfo(kind).eps)) for row in rows]
    return np.array(found, dtype=np.float64).reshape(spectra.shape[:-1])


def _unit(row: np.ndarray, rounding: float) -> float:
    values = np.sort(np.abs(row[np.isfinite(row) & (row != 0)]).astype(np.float64))
    if values.size < _FEWEST:
        return np.nan
    # Rounding is least for the smallest.
    low = values[: max(_FEWEST, values.size // 2)]
    steps = np.diff(low)
    apart = steps[steps > 16 * rounding * low[1:]]
    if apart.size < _FEWEST // 4:
        return np.nan
    smallest = float(min(values[0], np.mean(apart[apart < _EQUAL * apart.min()])))
    for number in _SMALLEST:
        unit = _refined(values, smallest / number)
        with np.errstate(over="ignore"):
            multiple = values / unit
        sharp = rounding * multiple < _BLURRED
        if np.count_nonzero(sharp) < max(_FEWEST, _MOST * values.size):
            continue
        multiple = multiple[sharp]
        off = np.abs(multiple - np.round(multiple)) - rounding * multiple
        if off.max() < _OFF:
            return unit
    return np.nan


def _refined(values: np.ndarray, unit: float) -> float:
    """The unit by least squares, from small multiples on, whose number is beyond doubt."""
    for limit in _STEPS:
        inside = values <= limit * unit
        if not inside.any():
            continue
        multiple = np.round(values[inside] / unit)
        if not multiple.any():
            continue
        unit = float(values[inside] @ multiple / (multiple @ multiple))
        if inside.all():
            break
    return unit


def divided_apart(boxes: list[np.ndarray]) -> bool:
    """Return whether spectra are counts, each divided by a number of its own.

    Parameters
    ----------
    boxes
        Some spectra, arrays ``(…, n_channels)``.
    """
    some = [box.reshape(-1, box.shape[-1]) for box in boxes if box.dtype.kind == "f"]
    if not some:
        return False
    rows = np.concatenate(some)
    rows = rows[np.isfinite(rows).any(axis=-1)]
    if not len(rows):
        return False
    # One spectrum that is no count at all ends the search.
    units = [float(unit_of(rows[0]))]
    if not np.isfinite(units[0]):
        return False
    for row in rows[~_of_unit(rows, units[0])]:
        units.append(float(unit_of(row)))
        if not np.isfinite(units[-1]):
            return False
    return max(units) > (1 + _ALIKE) * min(units)


def _of_unit(rows: np.ndarray, unit: float) -> np.ndarray:
    """Spectra ``(n, n_channels)`` that clearly have a unit that another one has, ``(n,)``."""
    rounding = 0.5 * float(np.finfo(rows.dtype).eps)
    with np.errstate(over="ignore", invalid="ignore"):
        multiple = np.sort(np.abs(np.nan_to_num(rows, posinf=0.0, neginf=0.0)) / unit, axis=-1)
        whole = np.round(multiple)
        off = np.abs(multiple - whole) - rounding * multiple
    present = multiple > 0
    number = present.sum(axis=-1, keepdims=True)
    sharp = present & (rounding * multiple < _BLURRED)
    enough = sharp.sum(axis=-1) >= np.maximum(_FEWEST, _MOST * number[:, 0])
    steps = np.diff(whole, axis=-1)
    # Those of the lower half tell, and some are one count: of none the unit is a part.
    place = np.arange(1, rows.shape[-1]) - (rows.shape[-1] - number)
    low = (place > 0) & (place < np.maximum(_FEWEST, number // 2))
    several = np.count_nonzero(low & (steps > 0), axis=-1) >= _FEWEST // 4
    one = (low & (steps == 1)).any(axis=-1)
    return enough & several & one & (np.where(sharp, off, 0.0).max(axis=-1) < _OFF)


def counts_of(block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counts of spectra that were divided, and the unit of each.

    Parameters
    ----------
    block
        Intensities, shape ``(…, n_channels)``.

    Returns
    -------
    counts : numpy.ndarray
        Float64, whole numbers, shape of the block; NaN stays.
    unit : numpy.ndarray
        Shape ``(…)``. A spectrum without one takes that of the others.
    """
    unit = unit_of(block)
    lost = ~np.isfinite(unit)
    if lost.all():
        return np.asarray(block, dtype=np.float64), np.ones(unit.shape)
    if lost.any():
        unit = np.where(lost, np.median(unit[~lost]), unit)
    counts = block / unit[..., np.newaxis]
    whole = np.round(counts)
    return np.where(lost[..., np.newaxis], counts, whole), unit
