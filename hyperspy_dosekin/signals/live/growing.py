# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The frames of a series that grows: their numbers, times, doses and areas, in any order."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hyperspy_dosekin.numerics.arguments import real_number

from .areas import FrameAreas

# Room for so many frames at first; it doubles.
_ROOM = 64
#: Frames that no series has.
_MOST_FRAMES = 10**9
#: Doses of a frame, in whatever unit, that can be multiplied by numbers of frames and squared.
LEAST_DOSE, MOST_DOSE = 1e-140, 1e140


@dataclass(frozen=True)
class Exposure:
    """How the doses of frames follow.

    Parameters
    ----------
    dose_rate
        Dose per second, or ``None`` where every frame brings its dose.
    frame_time
        Seconds from one frame to the next.
    pre_exposure
        Dose before the first frame.
    """

    dose_rate: float | None
    frame_time: float | None
    pre_exposure: float = 0.0

    @classmethod
    def of(
        cls,
        dose_rate: float | None,
        frame_time: float | None,
        pre_exposure: float,
    ) -> Exposure:
        """Checked.

        Raises
        ------
        TypeError, ValueError
            If something is no positive number, or one is given without the other.
        """
        remedy = "give the dose per second, and the seconds of a frame"
        if (dose_rate is None) != (frame_time is None):
            raise ValueError(
                f"dose_rate={dose_rate!r} and frame_time={frame_time!r} belong together: give "
                "both, or none and update(frame, dose=…)."
            )
        if dose_rate is not None:
            dose_rate = real_number("dose_rate", dose_rate, remedy, above=0.0)
            frame_time = real_number("frame_time", frame_time, remedy, above=0.0)
        before = real_number("pre_exposure", pre_exposure, "give a dose", least=0.0)
        made = cls(dose_rate, frame_time, before)
        rises = made.dose(1) > made.dose(0)
        if dose_rate is not None and not (
            rises and made.step > LEAST_DOSE and made.dose(0) < MOST_DOSE
        ):
            raise ValueError(
                f"dose_rate={dose_rate:.3g} and frame_time={frame_time:.3g} give a frame a dose of "
                f"{made.step:.3g} after {before:.3g}, which cannot be added up; {remedy}."
            )
        return made

    @property
    def step(self) -> float:
        """Dose of a frame; 0 where it is not known."""
        if self.dose_rate is None or self.frame_time is None:
            return 0.0
        return self.dose_rate * self.frame_time

    def dose(self, index: int) -> float:
        """Cumulative dose at the end of a frame."""
        return self.pre_exposure + self.step * (index + 1)


class FrameClock:
    """Numbers of frames from their times; only distances count, so that a drift adds nothing up.

    Parameters
    ----------
    frame_time
        Seconds from one frame to the next, by the detector.
    """

    def __init__(self, frame_time: float) -> None:
        self.frame_time = frame_time
        self._first: tuple[int, float] | None = None
        self._last: tuple[int, float] | None = None

    def index(self, time: float) -> int:
        """Number of the frame that ended at a time; the first one is 0."""
        if self._last is None:
            return 0
        index, before = self._last
        steps = (time - before) / (self.frame_time * self.ratio)
        if not abs(steps) < _MOST_FRAMES:
            raise ValueError(
                f"time={time:.3g} is {steps:.3g} frames after the last one; give the moment in s."
            )
        return index + (max(round(steps), 1) if steps > 0.5 else round(steps))

    def see(self, index: int, time: float) -> None:
        """Take the time of a frame."""
        if self._first is None:
            self._first = (index, time)
        if self._last is None or index > self._last[0]:
            self._last = (index, time)

    @property
    def ratio(self) -> float:
        """Seconds of this clock in a second of the detector; 1 until two frames are there."""
        if self._first is None or self._last is None or self._last[0] == self._first[0]:
            return 1.0
        frames = self._last[0] - self._first[0]
        return (self._last[1] - self._first[1]) / (frames * self.frame_time)


@dataclass
class Incidents:
    """What did not go smoothly, by the number of the frame.

    Parameters
    ----------
    broken
        Frames that could not be used, with the reason; their dose counts.
    doubled
        Frames that came again, and were left out the second time; ``True`` where the content was
        another one.
    late
        Frames that came after a later one, and were put in their place.
    """

    broken: dict[int, str] = field(default_factory=dict)
    doubled: dict[int, bool] = field(default_factory=dict)
    late: list[int] = field(default_factory=list)


class GrowingSeries:
    """Areas of frames in the order of their dose.

    Parameters
    ----------
    n_value
        Areas of a frame: windows, times pixels.
    with_variance
        Whether they have a noise variance.
    """

    def __init__(self, n_value: int, with_variance: bool) -> None:
        self.n_frame = 0
        self.places: dict[int, int] = {}
        self._thickness: list[np.ndarray | None] = []
        self._index = np.zeros(_ROOM, dtype=np.int64)
        self._dose = np.zeros(_ROOM)
        self._values = np.zeros((_ROOM, n_value))
        self._variance = np.zeros((_ROOM, n_value)) if with_variance else None

    def add(self, index: int, dose: float, areas: FrameAreas) -> bool:
        """Add a frame; whether it has the largest dose so far."""
        if self.n_frame == self._dose.size:
            self._index, self._dose, self._values = (
                np.concatenate([each, np.zeros_like(each)])
                for each in (self._index, self._dose, self._values)
            )
            if self._variance is not None:
                self._variance = np.concatenate([self._variance, np.zeros_like(self._variance)])
        place = self.n_frame
        self._index[place], self._dose[place] = index, dose
        self._values[place] = areas.values.reshape(-1)
        if self._variance is not None:
            spread = areas.variance
            self._variance[place] = np.nan if spread is None else spread.reshape(-1)
        self.places[index] = place
        self._thickness.append(areas.thickness)
        last = self.n_frame == 0 or dose > self._dose[: self.n_frame].max()
        self.n_frame += 1
        return bool(last)

    def same(self, index: int, areas: FrameAreas) -> bool:
        """Whether a frame that is there has these areas."""
        held = self._values[self.places[index]]
        return np.array_equal(held, areas.values.reshape(-1), equal_nan=True)

    @property
    def order(self) -> np.ndarray:
        """Places of the frames by dose."""
        return np.argsort(self._dose[: self.n_frame], kind="stable")

    @property
    def index(self) -> np.ndarray:
        """Numbers of the frames, by dose."""
        return self._index[self.order]

    @property
    def dose(self) -> np.ndarray:
        """Doses, ascending."""
        return self._dose[self.order]

    @property
    def values(self) -> np.ndarray:
        """Areas by dose, ``(n_frame, n_value)``."""
        return self._values[self.order]

    @property
    def variance(self) -> np.ndarray | None:
        """Their noise variance, or ``None``."""
        return None if self._variance is None else self._variance[self.order]

    @property
    def thickness(self) -> np.ndarray | None:
        """The t/λ of all frames by dose, ``(…space…, n_frame)``, where they all have one."""
        held = [self._thickness[place] for place in self.order]
        if any(each is None for each in held):
            return None
        return np.stack([np.asarray(each) for each in held], axis=-1)
