# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long things took, counted in bins of a fixed number."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hyperspy_dosekin.numerics.text import printable

#: Bins of a decade: a percentile is right to 2 %.
_PER_DECADE = 50
#: Shortest and longest time that are told apart, as powers of ten of a second.
_FIRST, _LAST = -6, 3
_WIDEST_BAR = 40


class LatencyHistogram:
    """Times in bins of equal ratio, from 1 µs to 1 000 s; the memory does not grow.

    Examples
    --------
    >>> histogram = LatencyHistogram()
    >>> for milliseconds in (1, 1, 1, 2, 10):
    ...     histogram.add(milliseconds / 1000)
    >>> histogram.count
    5
    >>> [round(1000 * s, 1) for s in histogram.percentiles((50, 99))]
    [1.0, 10.0]
    """

    def __init__(self) -> None:
        self.counts = np.zeros((_LAST - _FIRST) * _PER_DECADE, dtype=np.int64)
        self.count = 0
        self.total_s = 0.0
        self.longest_s = 0.0
        self.shortest_s = math.inf

    @property
    def edges_s(self) -> np.ndarray:
        """Limits of the bins in seconds, ``(n_bin + 1,)``."""
        return 10.0 ** (_FIRST + np.arange(self.counts.size + 1) / _PER_DECADE)

    @property
    def mean_s(self) -> float:
        """Mean in seconds, NaN if nothing has been counted."""
        return self.total_s / self.count if self.count else math.nan

    def add(self, seconds: float) -> None:
        """Count a time."""
        seconds = max(seconds, 0.0)
        place = math.log10(max(seconds, 1e-9)) - _FIRST
        self.counts[min(max(int(place * _PER_DECADE), 0), self.counts.size - 1)] += 1
        self.count += 1
        self.total_s += seconds
        self.longest_s = max(self.longest_s, seconds)
        self.shortest_s = min(self.shortest_s, seconds)

    def percentiles(self, levels: Sequence[float] = (50, 95, 99)) -> list[float]:
        """Times in seconds below which the given percentages lie; NaN if nothing was counted.

        Parameters
        ----------
        levels
            Percentages between 0 and 100.

        Raises
        ------
        ValueError
            If a level is no percentage.
        """
        wrong = [level for level in levels if not 0 <= level <= 100]
        if wrong:
            raise ValueError(f"levels {wrong} must lie between 0 and 100 per cent.")
        if not self.count:
            return [math.nan for _ in levels]
        reached = np.cumsum(self.counts)
        found = []
        for level in levels:
            rank = max(level / 100 * self.count, 0.5)
            place = int(np.searchsorted(reached, rank))
            # The middle of the bin, which no member is farther from than one per cent and a bit.
            middle = 10.0 ** (_FIRST + (place + 0.5) / _PER_DECADE)
            found.append(float(min(max(middle, self.shortest_s), self.longest_s)))
        return found

    def __str__(self) -> str:
        """A line of percentiles, and bars."""
        if not self.count:
            return "nothing was timed"
        texts = [
            f"p{level:g} {time_text(seconds)}"
            for level, seconds in zip((50, 95, 99), self.percentiles(), strict=True)
        ]
        lines = [", ".join([*texts, f"longest {time_text(self.longest_s)}"])]
        # Ten bins a decade are enough to look at.
        bars = self.counts.reshape(-1, _PER_DECADE // 10).sum(axis=1)
        used = np.flatnonzero(bars)
        for i in range(used[0], used[-1] + 1):
            start, stop = (time_text(10.0 ** (_FIRST + j / 10)) for j in (i, i + 1))
            length = math.ceil(_WIDEST_BAR * bars[i] / bars.max())
            lines.append(f"{start:>8} – {stop:<8} {bars[i]:>8} {'█' * length}".rstrip())
        return printable("\n".join(lines))


def time_text(seconds: float) -> str:
    """Time with three digits and a unit that suits it."""
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 0.9995 or unit == "µs":
            return f"{seconds * factor:.3g} {unit}"
    return ""
