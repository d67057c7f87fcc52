# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Number and dose of a frame that comes, from what is told of it."""

from __future__ import annotations

import warnings

import numpy as np

from hyperspy_dosekin.numerics.arguments import real_number, short

from .growing import MOST_DOSE, Exposure, FrameClock

#: Relative drift of a clock that is worth a word, and frames before it is said.
DRIFT, DRIFT_FRAMES = 0.05, 10
#: From here on a number of a frame is not the same as a float.
_MOST = 2**53


class FrameNumbers:
    """Counts frames, by their numbers, times or order.

    Parameters
    ----------
    exposure
        How doses follow.
    """

    def __init__(self, exposure: Exposure) -> None:
        self.exposure = exposure
        #: Number of the frame that comes next, if nothing else is told.
        self.next = 0
        time = exposure.frame_time
        self._clock = None if time is None else FrameClock(time)
        self._drift_said = False

    @property
    def clock_ratio(self) -> float:
        """Seconds of the given times in a second of the frame time; 1 where none were given."""
        return 1.0 if self._clock is None else self._clock.ratio

    def of(
        self, index: int | None, time: float | None, dose: float | None, n_frames: int
    ) -> tuple[int, float]:
        """Number and dose of a frame.

        Parameters
        ----------
        index, time, dose
            As for `LiveKinetics.update`.
        n_frames
            Frames that count so far.

        Raises
        ------
        TypeError, ValueError
            If something is not possible, or not enough is told.
        """
        number = self.next
        if index is not None:
            whole = isinstance(index, int | np.integer) and not isinstance(index, bool)
            if not whole or not 0 <= index < _MOST:
                raise ValueError(
                    f"index={short(index)} must be a whole number, 0 or more and below {_MOST:g}."
                )
            number = int(index)
        if time is not None:
            time = real_number("time", time, "give the moment in s")
            if self._clock is not None:
                number = max(self._clock.index(time), 0) if index is None else number
                self._clock.see(number, time)
                self._say_drift(n_frames)
        if dose is not None:
            remedy = "give the cumulative dose"
            return number, real_number("dose", dose, remedy, least=0.0, below=MOST_DOSE)
        if not self.exposure.step:
            raise ValueError(
                "dose=None, and neither dose_rate nor frame_time are known; give the cumulative "
                "dose of each frame, update(frame, dose=…)."
            )
        remedy = "check dose_rate, frame_time and the times of the frames"
        return number, real_number("dose", self.exposure.dose(number), remedy, below=MOST_DOSE)

    def _say_drift(self, n_frames: int) -> None:
        ratio = self.clock_ratio
        if self._drift_said or n_frames < DRIFT_FRAMES or abs(ratio - 1) < DRIFT:
            return
        self._drift_said = True
        warnings.warn(
            f"the times of the frames run {ratio:.3f} times as fast as frame_time="
            f"{self.exposure.frame_time:g} s says. Doses follow the numbers of the frames; if the "
            "frame time is wrong, so are they.",
            UserWarning,
            stacklevel=5,
        )
