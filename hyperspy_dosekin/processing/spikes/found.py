# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Outliers, and which of them are judged first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

#: An outlier is a spike if it exceeds what is expected by so many standard deviations. One channel
#: in 75 000 does so by chance.
THRESHOLD = 4.2
#: A pair of channels can be told by more of its noise than one: standard deviations to add, and
#: those by which each of the two exceeds what is expected.
PAIR, EACH = 0.2, 2.5
#: Single electrons where nothing is expected are all alike, but for rounding.
_ALIKE = 1e-9
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
class Outliers:
    """Channels, or pairs of them, of some spectra that exceed what is expected.

    Parameters
    ----------
    row, channel, width
        Spectrum, first channel and number of channels of each, shape ``(n,)``.
    excess
        Standard deviations over the limit, same shape; spikes are above zero.
    values, variance
        What belongs in the first channel and in the next, and how well that is known, shape
        ``(n, 2)``; of a single channel the second is not used.
    """

    row: np.ndarray
    channel: np.ndarray
    width: np.ndarray
    excess: np.ndarray
    values: np.ndarray
    variance: np.ndarray

    @classmethod
    def none(cls) -> Outliers:
        """No channel of any spectrum."""
        place, pair = np.zeros(0, dtype=np.intp), np.zeros((0, 2))
        return cls(place, place, place, np.zeros(0), pair, pair)

    @classmethod
    def joined(cls, parts: Sequence[Outliers]) -> Outliers:
        """All of several, those of one channel before pairs if they come so."""
        return cls(
            *(np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(cls))
        )

    def strongest(self) -> Outliers:
        """Those whose excess is positive and the largest within `APART` channels, or as large."""
        some = np.flatnonzero(self.excess > 0)
        # Rows apart from each other, in one list.
        key = self.row[some] * (int(self.channel.max(initial=0)) + APART + 1) + self.channel[some]
        order = np.argsort(key, kind="stable")
        some, key = some[order], key[order]
        own = self.excess[some]
        best = own.copy()
        for step in range(1, some.size):
            near = np.flatnonzero(key[step:] - key[:-step] <= APART)
            if not near.size:
                break
            best[near] = np.maximum(best[near], own[near + step])
            best[near + step] = np.maximum(best[near + step], own[near])
        # Of a channel and a pair that begins there, the channel if they are alike.
        chosen = np.flatnonzero(own >= best - _ALIKE)
        chosen = some[chosen[np.diff(key[chosen], prepend=-1) > 0]]
        return Outliers(*(getattr(self, each.name)[chosen] for each in fields(self)))

    def replace(self, rows: np.ndarray, into: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
        """Put what is expected where they are.

        Parameters
        ----------
        rows
            Spectra, by their place in `into`, that were searched.
        into
            Spectra, channels that have been replaced, and their variance, all changed in place.
        """
        spectra, touched, replaced = into
        for step in range(2):
            here = self.width > step
            index = (rows[self.row[here]], self.channel[here] + step)
            spectra[index] = self.values[here, step]
            touched[index] = True
            replaced[index] = self.variance[here, step]
