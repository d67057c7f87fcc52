# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much the pixels of a map scatter, whatever the law.

Decays of many pixels differ in a few ways only: amplitude, rate, shape. The directions of dose in
which pixels vary least hold noise alone, all of it: that of counting, and what processing does to
single spectra. They are learned from one half of the pixels, and the scatter along them is that of
the other half, so that the choice does not make it small. What all pixels have in common, as a
wrong law has it, is not in it.
"""

from __future__ import annotations

import numpy as np
from scipy import special

#: One direction for so many frames, at least two; fewest frames, and fewest pixels for a frame.
_FRAMES, _DIRECTIONS, _FEWEST, _PIXELS = 4, 2, 6, 10
#: Standard deviations by which the scatter must be beyond what is claimed.
_FOUND = 4.0


def pixel_scatter(values: np.ndarray, variance: np.ndarray | None) -> np.ndarray:
    """Compare the scatter of pixels with their noise variance, and windows with each other.

    Parameters
    ----------
    values
        Intensities ``(n_pixel, n_window, n_dose)``; NaN where missing.
    variance
        Their noise variance, of the same shape; ``None`` where it is not known.

    Returns
    -------
    numpy.ndarray
        Shape ``(n_window, 1 + n_window)``: the factor by which the variance of a window is larger
        than claimed, at least 1, and the correlations of its noise with that of the windows, with
        the signs of the intensities. Without 6 frames and 10 pixels for each of them, or where no
        difference is seen, 1 and no correlation.

    Examples
    --------
    A gain of 2 % in every pixel and frame beside noise of 1 %:

    >>> random = np.random.default_rng(1)
    >>> rate = random.uniform(1, 3, (400, 2, 1))
    >>> curves = 100 + 20 * np.exp(-rate * np.linspace(0.1, 1, 9))
    >>> gain = 1 + 0.02 * random.standard_normal((400, 1, 9))
    >>> values = curves * gain + random.standard_normal(curves.shape)
    >>> found = pixel_scatter(values, np.ones_like(values))
    >>> print(found[:, 0].round(1), found[0, 2].round(2))
    [5.8 5.5] 0.77
    """
    n_window = values.shape[1]
    result = np.concatenate([np.ones((n_window, 1)), np.eye(n_window)], axis=1)
    if not values.size:
        return result
    finite = np.isfinite(values)
    frames = finite.any(axis=1).mean(axis=0) > 0.5
    size, least = int(frames.sum()), _PIXELS * int(frames.sum())
    whole = np.asarray(finite[..., frames].all(axis=-1))
    windows = np.flatnonzero(whole.sum(axis=0) >= least)
    pixels = whole[:, windows].all(axis=1)
    directions = max(size // _FRAMES, _DIRECTIONS)
    if not windows.size or pixels.sum() < least or size < _FEWEST:
        return result
    rows = values[np.ix_(pixels, windows, frames)]
    claimed = np.ones_like(rows) if variance is None else variance[np.ix_(pixels, windows, frames)]
    # That of a single value follows the value, and would hide a part of its error.
    own = claimed.mean(axis=-1, keepdims=True)
    own = np.where(own > 0, own, np.inf)
    each = np.median(claimed / own, axis=0)
    rows = rows / np.sqrt(own * np.where(each > 0, each, np.inf))
    rows = np.moveaxis(rows * np.sign(rows.sum(axis=-1, keepdims=True)), 1, 0)
    halves = [_halves(rows[:, part::2], rows[:, 1 - part :: 2], directions) for part in (0, 1)]
    factor, correlation, shared = (np.mean(each, axis=0) for each in zip(*halves, strict=True))
    # Of medians, which single pixels do not move.
    error = 1.5 * np.sqrt(2.0 / (rows.shape[1] * directions))
    if variance is not None:
        result[windows, 0] = np.where(factor > 1 + _FOUND * error, factor, 1.0)
    seen = np.abs(correlation) * np.sqrt(rows.shape[1] * shared) > _FOUND
    result[np.ix_(windows, 1 + windows)] = np.where(seen, correlation, np.eye(windows.size))
    return result


def _halves(
    learned: np.ndarray, seen: np.ndarray, directions: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Factors, correlations, and how many directions two windows share, from two halves."""
    least = np.linalg.eigh(learned.transpose(0, 2, 1) @ learned)[1][..., :directions]
    along = seen @ least
    middle = special.chdtri(directions, 0.5)
    factor = np.median((along**2).sum(axis=-1), axis=1) / middle
    turned = np.einsum("vdi,wdj->vwij", least, least)
    shared = (turned**2).sum(axis=(-2, -1))
    product = np.einsum("vni,wnj,vwij->vw", along, along, turned, optimize=True) / seen.shape[1]
    squares = (along**2).mean(axis=(1, 2))
    size = np.sqrt(squares[:, None] * squares)
    correlation = product / np.where((shared > 0) & (size > 0), shared * size, np.inf)
    return factor, np.clip(correlation, -1, 1), shared


def mixing(correlation: np.ndarray) -> np.ndarray:
    """A root of a matrix of correlations ``(n, n)`` whose rows have the length 1."""
    value, vector = np.linalg.eigh(0.5 * (correlation + correlation.T))
    root = vector * np.sqrt(np.maximum(value, 0.0))
    return root / np.sqrt((root**2).sum(axis=1, keepdims=True))
