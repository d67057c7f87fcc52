# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What in core-loss spectra is as narrow as an X-ray spike."""

from __future__ import annotations

import numpy as np

from hyperspy_dosekin.processing.batches import run_in_batches

#: Channels of a spectrum that are kept, and what is returned of each.
PLACES, NUMBERS = 2, ("height", "channel")
#: Times that a spike is higher above the channels two away than those above the ones four away.
_STEEPER = 5.0
#: Level without which nothing was counted, as a share of the mean of the spectrum.
_LEAST = 0.02
#: Of normal numbers, by the median of their size; every so many channels are enough for it.
_TO_ONE, _EVERY = 1.4826, 5
#: Nothing is looked at that is not so many times the mean of such differences.
_AT_LEAST = 5.0


def narrow_places(block: np.ndarray, *, least: float = 0.0, workers: int = 1) -> np.ndarray:
    """Channels that stand out of those two away, as an edge and its lines do not.

    Parameters
    ----------
    block
        Intensities, shape ``(…, n_channels)``.
    least
        Intensity of one count, where it is known.

    Returns
    -------
    numpy.ndarray
        Height above both sides in standard deviations, and channel, of the two highest places of
        each spectrum, shape ``(…, 2, 2)``; height 0 where there is none.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(0, 30, 80)
    >>> edge = 900.0 + 300 * (np.arange(80) > 40) + noise
    >>> edge[60] += 2000
    >>> print(narrow_places(edge)[0].round())
    [33. 60.]
    """
    if block.shape[-1] < 16:
        return np.zeros((*block.shape[:-1], PLACES, len(NUMBERS)))

    def look(values: np.ndarray) -> tuple[np.ndarray]:
        result = np.zeros((len(values), PLACES, len(NUMBERS)))
        if values.dtype.kind != "f":
            values = values.astype(np.float32)
        # Most spectra have nothing that is far above all of its noise.
        with np.errstate(over="ignore", invalid="ignore"):
            above = values[:, 4:-4] - np.maximum(values[:, 2:-6], values[:, 6:-2])
            some = slice(4, -4, _EVERY), slice(2, -6, _EVERY), slice(6, -2, _EVERY)
            middle, left, right = (values[:, each] for each in some)
            usual = np.abs(middle - 0.5 * (left + right)).mean(axis=-1)
        rows = np.flatnonzero(~(above.max(axis=-1) < _AT_LEAST * usual))
        if rows.size:
            result[rows] = _places(values[rows].astype(np.float64), least)
        return (result,)

    outputs = [((PLACES, len(NUMBERS)), np.float64)]
    return run_in_batches(look, [block], [1], outputs, workers=workers)[0]


def _places(values: np.ndarray, least: float) -> np.ndarray:
    values = np.nan_to_num(values, posinf=0.0, neginf=0.0)
    # Above both sides: an edge is above one.
    beside = np.maximum(values[:, 2:-6], values[:, 6:-2])
    further = np.maximum(values[:, :-8], values[:, 8:])
    height = values[:, 4:-4] - beside
    floor = np.maximum(_LEAST * np.abs(values).mean(axis=-1, keepdims=True), least)
    size = np.sqrt(np.maximum(beside, 0.0) + np.maximum(floor, np.finfo(float).tiny))
    step = np.abs(values[:, 4:-4] - 0.5 * (values[:, 2:-6] + values[:, 6:-2])) / size
    usual = _TO_ONE * np.median(step[:, ::_EVERY], axis=-1, keepdims=True)
    steep = height > _STEEPER * np.abs(beside - further)
    found = np.where(steep & (usual > 0), height / size / np.where(usual > 0, usual, 1.0), 0.0)
    rows = np.arange(len(values))
    result = np.zeros((len(values), PLACES, len(NUMBERS)))
    for place in range(PLACES):
        channel = found.argmax(axis=-1)
        result[:, place] = np.stack([found[rows, channel], channel + 4], axis=-1)
        for away in range(-2, 3):
            found[rows, np.clip(channel + away, 0, found.shape[-1] - 1)] = 0.0
    return result
