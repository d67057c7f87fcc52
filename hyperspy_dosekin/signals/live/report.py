# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has come so far, and how smoothly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hyperspy_dosekin.numerics.stream.latency import LatencyHistogram, time_text
from hyperspy_dosekin.numerics.text import printable

# Frames that are named one by one.
_NAMED = 8


@dataclass(frozen=True, eq=False)
class LiveReport:
    """Frames of a `LiveKinetics`, by their numbers from 0 on.

    Parameters
    ----------
    used
        Number of frames that count.
    missing
        Numbers that never came; the specimen got their dose.
    broken
        Frames that came and could not be used, with the reason; the specimen got their dose.
    doubled
        Frames that came twice and count once; ``True`` where the second was another one.
    late
        Frames that came after a later one; they stand where they belong.
    clock_ratio
        Seconds of the given times in a second of the frame time; 1 where no times were given.
    computing
        Times from a frame to its posterior.
    """

    used: int
    missing: tuple[int, ...]
    broken: Mapping[int, str]
    doubled: Mapping[int, bool]
    late: tuple[int, ...]
    clock_ratio: float
    computing: LatencyHistogram

    def __str__(self) -> str:
        """A few lines."""
        other = [number for number, differs in self.doubled.items() if differs]
        lines = [f"{self.used} frames used"]
        if self.missing:
            lines.append(f"{len(self.missing)} missing, their dose counts: {_named(self.missing)}")
        for number, reason in list(self.broken.items())[:_NAMED]:
            lines.append(f"frame {number} is not used: {reason}")
        if len(self.broken) > _NAMED:
            lines.append(f"… and {len(self.broken) - _NAMED} more that are not used")
        if self.doubled:
            lines.append(f"{len(self.doubled)} came twice: {_named(tuple(self.doubled))}")
        if other:
            lines.append(f"of these, the second was another one: {_named(tuple(other))}")
        if self.late:
            lines.append(f"{len(self.late)} came late: {_named(self.late)}")
        if self.clock_ratio != 1:
            lines.append(f"the clock of the times runs {self.clock_ratio:.4f} times the detector's")
        if self.computing.count:
            lines.append(f"from frame to posterior: {self.computing}".splitlines()[0])
            lines[-1] += f", mean {time_text(self.computing.mean_s)}"
        return printable("\n".join(lines))


def _named(numbers: tuple[int, ...]) -> str:
    text = ", ".join(map(str, numbers[:_NAMED]))
    return text if len(numbers) <= _NAMED else f"{text}, …"
