# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Outliers, and which of them are judged first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import maximum_filter1d

#: An outlier is a spike if it exceeds what is expected by so many standard deviations. One channel
#: in 75 000 does so by chance.
THRESHOLD = 4.2
#: A pair of channels can be told by more of its noise than one: standard deviations to add, and
#: those by which each of the two exceeds what is expected.
PAIR, EACH = 0.2, 2.5
#: Outliers of one spectrum that are nearer than this are judged one after the other, in rounds.
APART = 6
ROUNDS = 3


def limit(width: int, threshold: float, skewness: Any = 0.0) -> Any:
    """Quantile of the deviation of as many channels that noise exceeds as rarely as `threshold`.

    Few counts are skewed to the high side: the first term of the Cornish-Fisher expansion.
    """
    normal = threshold + (PAIR if width > 1 else 0.0)
    return normal + skewness / np.sqrt(width) * (normal**2 - 1) / 6


def pairs_of(closed: np.ndarray) -> np.ndarray:
    """Where a pair must not begin, if its channels must not be `closed`."""
    shut = closed.copy()
    shut[:, :-1] |= closed[:, 1:]
    shut[:, -1] = True
    return shut


def next_of(values: np.ndarray) -> np.ndarray:
    """Values of the next channel; the last one has none."""
    shifted = np.roll(values, -1, axis=-1)
    shifted[:, -1] = values[:, -1]
    return shifted


@dataclass(frozen=True, eq=False)
class Found:
    """Spikes of some spectra, none near a stronger one.

    Parameters
    ----------
    row, channel, width
        Spectrum, first channel and number of channels of each, shape ``(n_spike,)``.
    """

    row: np.ndarray
    channel: np.ndarray
    width: np.ndarray

    @classmethod
    def strongest(cls, excess: Mapping[int, np.ndarray]) -> Found:
        """Choose where the excess over the limit is largest within `APART` channels.

        Parameters
        ----------
        excess
            For each width the excess of the channels from each on, shape
            ``(n_rows, n_channels)``; spikes are above zero.
        """
        widths = np.array(list(excess))
        # Few spectra have spikes.
        rows = np.flatnonzero(np.any([each.max(axis=-1) > 0 for each in excess.values()], axis=0))
        each = np.stack([values[rows] for values in excess.values()])
        best = np.maximum(each.max(axis=0), 0.0)
        peak = (best > 0) & (best >= maximum_filter1d(best, 2 * APART + 1, axis=-1))
        row, channel = np.nonzero(peak)
        return cls(rows[row], channel, widths[each[:, row, channel].argmax(axis=0)])

    def replace(
        self,
        rows: np.ndarray,
        values: Mapping[int, Sequence[np.ndarray]],
        variance: Mapping[int, Sequence[np.ndarray]],
        into: tuple[np.ndarray, np.ndarray, np.ndarray],
    ) -> None:
        """Put what is expected where the spikes are.

        Parameters
        ----------
        rows
            Spectra, by their place in `into`, that were searched.
        values, variance
            For each width what belongs in the channels from each on, and how well that is known:
            as many arrays ``(n_rows, n_channels)``.
        into
            Spectra, channels that have been replaced, and their variance, all changed in place.
        """
        spectra, touched, replaced = into
        for width in values:
            here = self.width == width
            row, channel = self.row[here], self.channel[here]
            for step in range(width):
                index = (rows[row], channel + step)
                spectra[index] = values[width][step][row, channel]
                touched[index] = True
                replaced[index] = variance[width][step][row, channel]
