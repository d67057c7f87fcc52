# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The straight line of noise variance against intensity, where some groups of channels lie."""

from __future__ import annotations

import numpy as np

#: Levels that span less determine no straight line.
_FLAT = 1.5
#: With more groups the most intense one is left out.
_FEW_BINS = 4
#: Relative deviation from the line beyond which a level counts less.
_HUBER = 0.3
#: Difference of the logarithms of variances that is none.
_SAME = 0.05


def is_structure(
    level: np.ndarray, variance: np.ndarray, number: np.ndarray, line: tuple[float, float]
) -> bool:
    """Whether scatter in proportion to the intensity describes the groups better than the line."""
    use = (level > 0) & (variance > 0)
    if use.sum() < 4 or level[use].max() < 2 * _FLAT * level[use].min():
        return False
    # The most intense channels are the zero-loss peak, which moves.
    level, variance, number = (each[use][:-1] for each in (level, variance, number))
    square = weighted_median(variance / level**2, number) * level**2
    straight = np.maximum(line[0] * level + line[1], 1e-3 * variance)
    misfit = [
        weighted_median(np.abs(np.log(variance / model)), number) for model in (straight, square)
    ]
    return misfit[1] < misfit[0]


def straight_line(
    level: np.ndarray, variance: np.ndarray, number: np.ndarray
) -> tuple[float, float]:
    """Gain and offset of the variance against the mean, by weights that follow it."""
    positive = level > 0
    ratio = np.where(positive, variance / np.where(positive, level, 1.0), np.nan)
    through_zero = weighted_median(ratio, number)
    if positive.all() and level.max() < _FLAT * level.min():
        return through_zero, 0.0
    if level.size > _FEW_BINS:
        # The most intense channels are the zero-loss peak, which moves.
        level, variance, number = level[:-1], variance[:-1], number[:-1]
    columns = np.stack([level, np.ones_like(level)])
    lowest = 0.01 * variance[variance > 0].min()
    model = np.maximum(variance, lowest)
    gain, offset = 0.0, float(np.median(variance))
    for _ in range(30):
        deviation = np.abs(variance - model) / model
        weight = number / model**2 * np.minimum(1.0, _HUBER / np.maximum(deviation, 1e-12))
        matrix = (columns * weight) @ columns.T
        gain, offset = np.linalg.lstsq(matrix, (columns * weight) @ variance, rcond=None)[0]
        if gain < 0:
            gain, offset = 0.0, float((weight * variance).sum() / weight.sum())
        model = np.maximum(gain * level + offset, lowest)
    # A small offset that the groups do not need is none.
    if np.isfinite(through_zero) and level.min() >= 0:
        simple = np.maximum(through_zero * level, lowest)
        misfit = [_misfit(variance, each, number) for each in (simple, model)]
        if misfit[0] < misfit[1] + _SAME:
            return through_zero, 0.0
    return float(gain), float(offset)


def _misfit(variance: np.ndarray, model: np.ndarray, number: np.ndarray) -> float:
    known = variance > 0
    deviation = np.abs(np.log(variance[known] / model[known]))
    return float(np.sqrt((number[known] * deviation**2).sum() / number[known].sum()))


def weighted_median(values: np.ndarray, weight: np.ndarray) -> float:
    """Median of values that count with a weight; NaN counts nothing."""
    known = np.isfinite(values)
    if not known.any():
        return np.nan
    order = np.argsort(values[known])
    total = np.cumsum(weight[known][order])
    return float(values[known][order][np.searchsorted(total, 0.5 * total[-1])])
