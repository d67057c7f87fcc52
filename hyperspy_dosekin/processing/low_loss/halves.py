# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Halves of a detector that are read out by amplifiers of their own."""

from __future__ import annotations

import numpy as np

from hyperspy_dosekin.processing.low_loss.instrument import (
    FEWEST_FRAMES,
    Frames,
    smooth_along,
)

#: Widths from the peak within which no step is looked for.
_PEAK = 3.0
#: Channels that a series moves by at least: of fewer, a step may be a single odd channel.
_MOVED = 3.0
#: Channels beside those that moves pass over, at least.
_BESIDE = 6
#: Frames that are looked at, at most.
_FRAMES = 48
#: Standard deviations that a step has to have, by the noise and by what other places have.
_CLEAR = 8.0
#: Numbers that are worked on together, and a number that is none.
_AT_A_TIME, _TINY = 2**18, 1e-9
#: Share of what is neither smooth nor noise there that a step has to explain.
_AGREE = 0.75
#: Of a normal variable, its standard deviation by the median of its magnitude.
_SIGMA_PER_MAD = 1.4826


def half(frames: Frames) -> tuple[int, float]:
    """Channel from which on the detector shows more or less, and by which share.

    Edges move with the spectrum; where one amplifier ends stays at its channel. So of each energy
    only what changes with the moves of the spectrum counts, and what changes smoothly along the
    series does not. Of a series that moves by less than three channels nothing is told.

    Parameters
    ----------
    frames
        The frames.

    Returns
    -------
    channel : int
        The first of the upper half, -1 where no step is seen.
    step : float
        Relative to the intensity there, pedestal included.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> moves = random.uniform(-3, 3, 12)
    >>> place = np.arange(200) - 20 - moves[:, np.newaxis]
    >>> mean = 1e6 * np.exp(-0.5 * place**2) + 2e4 + 1e4 * (place > 90)
    >>> mean[:, 150:] *= 1.1
    >>> counts = random.poisson(mean).astype(float)
    >>> channel, step = half(Frames(counts, counts, 20 + moves, 2.4))
    >>> print(channel, round(step, 1))
    150 0.1
    """
    none = -1, 0.0
    every = slice(None, None, -(-len(frames.counts) // _FRAMES))
    counts, variance, position = (
        each[every] for each in (frames.counts, frames.variance, frames.position)
    )
    level = np.broadcast_to(frames.pedestal, frames.counts.shape)[every]
    area = counts.sum(axis=-1, keepdims=True)
    moved = float(np.ptp(position))
    if len(area) < FEWEST_FRAMES or moved < _MOVED or not (area > 0).all():
        return none
    channel = np.arange(counts.shape[-1])
    distance = np.arange(int(-position.min()) + 1, int(channel[-1] - position.max()))
    place = position[:, np.newaxis] + distance

    def there(rows: np.ndarray) -> np.ndarray:
        return np.stack([np.interp(at, channel, row) for at, row in zip(place, rows, strict=True)])

    values = there(counts + level) / area
    mean, error = values.mean(axis=0), (there(variance) / area**2).mean(axis=0)
    seen = (mean > 0) & (error > 0) & (np.abs(distance) > _PEAK * frames.fwhm)
    one = np.where(seen, mean, 1.0)
    root = np.where(seen, mean / np.sqrt(np.where(seen, error, 1.0)), 0.0)
    smooth = np.linalg.qr(smooth_along(len(area)))[0]
    rest = values / one
    rest = rest - smooth @ (smooth.T @ rest)
    reach = max(int(np.ceil(moved)), _BESIDE)
    number = int(np.ceil(moved)) + 2 * reach + 3
    local = np.linspace(-1, 1, number)
    # Energies that pass over the first channel of an upper half, and as many beside them.
    low = np.ceil(channel - position.max() - reach - 1).astype(np.intp) - distance[0]
    inside = (low >= 0) & (low + number <= distance.size)
    clear, steps, left, room = np.zeros((4, channel.size))
    freedom = len(area) - smooth.shape[1]
    parts = inside.sum() * number * len(area) // _AT_A_TIME + 1
    for first in np.array_split(channel[inside], parts):
        near = low[first, np.newaxis] + np.arange(number)
        weight = root[near]
        # What a frame has more of, and a peak that is not quite where it seems to be.
        level = weight / np.maximum(np.linalg.norm(weight, axis=-1, keepdims=True), _TINY)
        slope = weight * local
        slope -= level * (level * slope).sum(axis=-1, keepdims=True)
        slope /= np.maximum(np.linalg.norm(slope, axis=-1, keepdims=True), _TINY)
        # A straight line lies between the last channel of one half and the first of the other.
        step = place[:, near] - (first[:, np.newaxis] - 1)
        step = np.clip(step, 0, 1, out=step)
        step -= np.tensordot(smooth, np.tensordot(smooth, step, (0, 0)), (1, 0))
        step, other = step * weight, rest[:, near] * weight
        for each in (level, slope):
            step -= each * (step * each).sum(axis=-1, keepdims=True)
            other -= each * (other * each).sum(axis=-1, keepdims=True)
        size, product, all_of_it = (
            np.einsum("fij,fij->i", *pair) for pair in ((step, step), (step, other), (other, other))
        )
        number_seen = np.count_nonzero(seen[near], axis=-1)
        some = (number_seen >= _BESIDE) & (size > _TINY)
        at, size, product = first[some], size[some], product[some]
        clear[at], steps[at] = np.abs(product) / np.sqrt(size), product / size
        left[at] = (all_of_it[some] - clear[at] ** 2) / (freedom * number_seen[some])
        room[at] = freedom * number_seen[some]
    if not clear.any():
        return none
    usual = _SIGMA_PER_MAD * float(np.median(clear[clear > 0]))
    noise = min(usual, 1.0)
    # What is left beside a step, and what other places have where channels or spectra differ by
    # themselves, are not noise.
    agree = clear**2 > _AGREE * (clear**2 + room * np.maximum(left - noise**2, 0.0))
    score = clear / np.maximum(np.sqrt(left.clip(0)), usual * max(usual, 1.0))
    score[~agree | (np.abs(steps) > 1)] = 0.0
    best = int(score.argmax())
    return (best, float(steps[best])) if score[best] > _CLEAR else none
