# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Zero-loss peaks with a flat top: the camera was saturated."""

from __future__ import annotations

import numpy as np

#: As many channels of the largest value side by side are a flat, that is saturated, top.
_FLAT_TOP = 3
#: As many within a thousandth of it are one too, unless the peak has more channels than that.
_ALIKE_TOP, _FINE = 4, 30
#: Fewer counts are equal by chance, so that more channels in a row are asked for: as many as are
#: equal in one of so many peaks. Fewer are alike by chance.
_FEW_COUNTS, _BY_CHANCE, _MANY_COUNTS = 1e3, 1e-5, 1e5
#: Fewer counts say nothing.
_FEWEST_COUNTS = 30.0


def has_flat_top(around: np.ndarray, pedestal: np.ndarray, largest_value: float) -> np.ndarray:
    """Whether channels side by side are as high as the highest, closer than counting makes them."""
    top = around.max(axis=-1)
    flat = np.zeros(len(around), dtype=bool)
    # Hardly any peak has so many channels alike.
    some = np.count_nonzero(around >= top[:, np.newaxis] * (1 - 1e-3), axis=-1) >= _FLAT_TOP
    if some.any():
        flat[some] = _is_flat(around[some])
    return flat | (top + pedestal >= largest_value)


def _is_flat(around: np.ndarray) -> np.ndarray:
    highest = around.max(axis=-1, keepdims=True)
    same = around >= highest * (1 - 1e-7)
    equal = same & (highest > _FEW_COUNTS)
    alike = (around >= highest * (1 - 1e-3)) & (highest > _MANY_COUNTS)
    flat = _in_a_row(equal, _FLAT_TOP) | _in_a_row(alike, _ALIKE_TOP)
    for row in np.flatnonzero((highest[:, 0] > _FEWEST_COUNTS) & (highest[:, 0] <= _FEW_COUNTS)):
        # Two numbers of Poisson are equal with a probability of 1 / √(4π·mean).
        often = np.log(_BY_CHANCE) / (-0.5 * np.log(4 * np.pi * highest[row, 0]))
        flat[row] = _in_a_row(same[row : row + 1], 1 + int(np.ceil(often)))[0]
    # A peak of many channels has a flat top by itself: no fewer channels are as high as its middle.
    half = (around >= 0.5 * highest).sum(axis=-1)
    flat &= ~(half > _FINE) | _in_a_row(equal, _FLAT_TOP)
    return flat


def _in_a_row(marked: np.ndarray, number: int) -> np.ndarray:
    together = marked[:, : marked.shape[-1] - number + 1].copy()
    for place in range(1, number):
        together &= marked[:, place : marked.shape[-1] - number + 1 + place]
    return together.any(axis=-1)
