# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cumulative doses of frames, from what is known about the exposure."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hyperspy_dosekin.numerics.arguments import short
from hyperspy_dosekin.signals.axes.dose_numbers import (
    A2_PER_NM2,
    ELEMENTARY_CHARGE_C,
    compact,
    one_number,
    per_frame,
    question_current,
    question_rate,
    shown,
)
from hyperspy_dosekin.signals.axes.exposure import (
    ExposedArea,
    exposed_area,
    recorded_current,
    recorded_probe_area,
    recorded_rate,
    recorded_time,
)
from hyperspy_dosekin.signals.axes.units import in_unit

if TYPE_CHECKING:
    import numpy.typing as npt
    from hyperspy.signals import BaseSignal

_logger = logging.getLogger(__name__)


#: No specimen has seen so much, or so little: beyond these, sums and ratios of doses overflow.
_LARGEST_DOSE, _LEAST_DOSE = 1e100, 1e-100

At = Literal["end", "middle", "start"]
#: Share of its own dose that a frame has received.
_SHARE_OF_FRAME: dict[At, float] = {"end": 1.0, "middle": 0.5, "start": 0.0}

_FORMS = (
    "pass dose=[…] (e⁻/Å², cumulative, one for each frame), or dose_rate= (e⁻/Å²/s) with "
    "frame_time= (s), or beam_current= (A) and area= (nm²) with frame_time= (s)."
)
_BEFORE = (
    "a fluence in e⁻/Å², or what happened: a mapping with time (s) and either dose_rate (e⁻/Å²/s) "
    "or beam_current (A) and area (nm²), and with number where it was repeated; or a list of them."
)


@dataclass(frozen=True, eq=False)
class CumulativeDose:
    """Cumulative doses of frames and where they come from.

    Parameters
    ----------
    values
        Dose of each frame in e⁻/Å², shape ``(n_frame,)``, finite and not negative, in any order.
    record
        What to keep in ``metadata.Dose``.
    """

    values: np.ndarray
    record: dict[str, object]

    def __post_init__(self) -> None:
        if not np.all(self.values <= _LARGEST_DOSE):
            raise ValueError(
                f"the cumulative dose reaches {np.max(self.values):.3g} e⁻/Å², and must not exceed "
                f"{_LARGEST_DOSE:g}; check the units of what it is computed from: "
                + ", ".join(f"{name}={short(value)}" for name, value in self.record.items())
            )
        if self.values.size > 1 and 0 < np.ptp(self.values) < _LEAST_DOSE:
            raise ValueError(
                f"the doses differ by {np.ptp(self.values):.3g} e⁻/Å² at most, less than one "
                "electron on any specimen; give them in e⁻/Å²."
            )


def cumulative_dose(
    signal: BaseSignal,
    n_frame: int,
    *,
    dose: npt.ArrayLike | None,
    dose_rate: npt.ArrayLike | None,
    frame_time: npt.ArrayLike | None,
    beam_current: npt.ArrayLike | None,
    area: npt.ArrayLike | None,
    pre_exposure: Any,
    at: At,
    probe_area: npt.ArrayLike | None = None,
    frame_axis: Any = None,
) -> CumulativeDose:
    """Return the dose of each frame, as `hyperspy_dosekin.signals.axes.dose.set_dose_axis` says.

    Parameters
    ----------
    signal
        The signal, whose metadata may hold what is not given.
    n_frame
        Number of frames.
    dose, dose_rate, frame_time, beam_current, area, probe_area, pre_exposure, at
        As for ``set_dose_axis``.
    frame_axis
        The axis of frames, whose scale is the time of a frame if it is in units of time.

    Raises
    ------
    TypeError, ValueError
        As ``set_dose_axis`` does.
    """
    before = _before(pre_exposure)
    if not n_frame:
        raise ValueError("the axis has no frames to have a dose; slice less away.")
    if not isinstance(at, str) or at not in _SHARE_OF_FRAME:
        raise ValueError(f"at={at!r} is unknown; choose from {list(_SHARE_OF_FRAME)}.")
    exposure = _Exposure(signal, n_frame, frame_axis)
    rates = {
        "dose_rate": dose_rate,
        "frame_time": frame_time,
        "beam_current": beam_current,
        "area": area,
        "probe_area": probe_area,
    }
    if dose is None:
        # What is too large is told below.
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            values, record = exposure.doses(at, **rates)
        return CumulativeDose(values + before, {"pre_exposure": before, **record})
    given = [name for name, value in rates.items() if value is not None]
    if at != "end":
        given.append("at")
    if given:
        raise ValueError(
            f"dose= is the cumulative dose already, and contradicts {', '.join(given)}; "
            "give one or the other."
        )
    values = per_frame("dose", dose, n_frame, "e⁻/Å²", zero_allowed=True)
    return CumulativeDose(values + before, {"pre_exposure": before, "source": "dose"})


@dataclass
class _Exposure:
    """Adds up doses from what was given and from what the file holds."""

    signal: BaseSignal
    n_frame: int
    frame_axis: object
    #: What was read from the file, in words.
    taken: dict[str, str] = field(default_factory=dict)

    def doses(
        self,
        at: At,
        *,
        dose_rate: npt.ArrayLike | None,
        frame_time: npt.ArrayLike | None,
        beam_current: npt.ArrayLike | None,
        area: npt.ArrayLike | None,
        probe_area: npt.ArrayLike | None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Cumulative doses from a rate and the time of each frame, and their record."""
        spread = {"beam_current": beam_current, "area": area, "probe_area": probe_area}
        given = [name for name, value in spread.items() if value is not None]
        exposed = None
        if dose_rate is not None:
            if given:
                raise ValueError(
                    f"dose_rate= contradicts {', '.join(given)}, which give a dose rate "
                    "themselves; give one or the other."
                )
            source, rate = "dose_rate", self._numbers("dose_rate", dose_rate, "e⁻/Å²/s")
        elif not given and (found := recorded_rate(self.signal, self.n_frame)) is not None:
            source, rate = "dose_rate", self._numbers("dose_rate", found.value, "e⁻/Å²/s")
            self._take("dose_rate", f"{shown(rate)} e⁻/Å²/s", found.where)
            question_rate(rate, found.where)
        else:
            source = "beam_current"
            rate, exposed = self._rate_from_current(beam_current, area, probe_area)
        time = self._time(frame_time, exposed)
        received = rate * time
        values = np.cumsum(received) - (1.0 - _SHARE_OF_FRAME[at]) * received
        if np.ptp(received) == 0:
            # Products instead of sums, so that evenly spaced doses carry no accumulated rounding.
            values = received[0] * (np.arange(self.n_frame) + _SHARE_OF_FRAME[at])
        record = {
            "source": source,
            "at": at,
            "dose_rate": compact(rate),
            "frame_time": compact(time),
        }
        if exposed is not None:
            record["area"] = exposed.area_nm2
        if self.taken:
            record["taken"] = dict(self.taken)
        if set(self.taken) - {"frame_time"}:
            _logger.warning(
                "set_dose_axis took from the file: %s.",
                "; ".join(f"{name} = {words}" for name, words in self.taken.items()),
            )
        return values, record

    def _take(self, name: str, value: str, where: str) -> None:
        self.taken[name] = f"{value} ({where})"

    def _numbers(self, name: str, value: object, units: str) -> np.ndarray:
        return per_frame(name, value, self.n_frame, units)

    def _rate_from_current(
        self, beam_current: object, area: object, probe_area: object
    ) -> tuple[np.ndarray, ExposedArea | None]:
        """Mean dose rate of the places that are measured, and the area if it was found here."""
        found = recorded_current(self.signal, self.n_frame) if beam_current is None else None
        if beam_current is None and found is None:
            if area is None and probe_area is None:
                raise ValueError(f"there is nothing to compute the dose from; {_FORMS}")
            raise ValueError(
                "area= and probe_area= need a beam current, and "
                "metadata.Acquisition_instrument.TEM.beam_current holds none; pass beam_current= "
                "in A."
            )
        exposed = None
        if area is None:
            exposed = self._exposed_area(probe_area)
        elif probe_area is not None:
            raise ValueError(
                "area= is all that a frame exposes, and contradicts probe_area=; give one of them."
            )
        current = self._numbers(
            "beam_current", found.value if found is not None else beam_current, "A"
        )
        if found is not None:
            self._take("beam_current", f"{shown(current * 1e9)} nA", found.where)
        question_current(current, found.where if found is not None else None)
        area_nm2 = one_number("area", area, "nm²") if exposed is None else exposed.area_nm2
        return current / ELEMENTARY_CHARGE_C / (area_nm2 * A2_PER_NM2), exposed

    def _exposed_area(self, probe_area: object) -> ExposedArea:
        said, probe = "given", None
        if probe_area is not None:
            probe = one_number("probe_area", probe_area, "nm²")
        elif (found := recorded_probe_area(self.signal)) is not None:
            probe, said = float(np.mean(found.value)), found.where
        exposed = exposed_area(self.signal, self.frame_axis, probe, said)
        if exposed is None:
            raise ValueError(
                "beam_current= needs the irradiated area; pass area= in nm², or probe_area= in "
                "nm². Neither a probe area in the file nor pixels in units of length say it."
            )
        self._take("area", f"{exposed.area_nm2:.4g} nm²", exposed.words)
        if exposed.undersampling > 1:
            warnings.warn(
                f"the probe of {exposed.area_nm2 / exposed.positions:.3g} nm² fills only "
                f"1/{exposed.undersampling:.3g} of a pixel: the dose is that of the places which "
                f"the probe meets, {exposed.undersampling:.3g} times the mean over the scan. For "
                "the mean pass area=, the area of the whole scan.",
                UserWarning,
                stacklevel=6,
            )
        return exposed

    def _time(self, frame_time: npt.ArrayLike | None, exposed: ExposedArea | None) -> np.ndarray:
        """Seconds that each frame takes."""
        if frame_time is None and exposed is None:
            frame_time = _time_of_axis(self.frame_axis)
        if frame_time is None:
            found = recorded_time(self.signal, self.n_frame)
            if found is None:
                raise ValueError(
                    "a dose rate needs the time of a frame, and the metadata hold none "
                    "(Acquisition_instrument.TEM.Detector.EELS.exposure or dwell_time); pass "
                    "frame_time= in s."
                )
            time: npt.ArrayLike = found.value
            if exposed is not None and found.each_pixel:
                time = np.multiply(time, exposed.positions)
            frame_time, words = time, shown(np.ravel(time))
            self._take("frame_time", f"{words} s", found.where)
            scanned = self.signal.axes_manager.navigation_dimension > 1 and found.each_pixel
            _logger.log(
                # The time of one pixel and that of a frame differ by orders of magnitude.
                logging.WARNING if scanned and exposed is None else logging.INFO,
                "frame_time = %s s was read from %s; pass frame_time= if a frame took longer.",
                words,
                found.where,
            )
        return self._numbers("frame_time", frame_time, "s")


def _before(pre_exposure: Any) -> float:
    """Dose before the first frame in e⁻/Å², given as such or as what happened."""
    if isinstance(pre_exposure, Mapping):
        return _one_exposure(pre_exposure)
    if isinstance(pre_exposure, Sequence) and not isinstance(pre_exposure, str):
        return sum((_before(each) for each in pre_exposure), 0.0)
    return one_number("pre_exposure", pre_exposure, "e⁻/Å²", zero_allowed=True)


def _one_exposure(told: Mapping[str, object]) -> float:
    known = {"dose_rate", "beam_current", "area", "time", "number"}
    by_rate, by_current = {"dose_rate", "time"}, {"beam_current", "area", "time"}
    if not set(told) <= known or set(told) - {"number"} not in (by_rate, by_current):
        raise ValueError(f"pre_exposure={dict(told)!r} cannot be read; give {_BEFORE}")

    def number(name: str, units: str) -> float:
        where = f"pre_exposure[{name!r}]"
        return one_number(where, told[name], units)

    repeats = number("number", "repeats") if "number" in told else 1.0
    if "dose_rate" in told:
        rate = number("dose_rate", "e⁻/Å²/s")
    else:
        current = number("beam_current", "A")
        question_current(np.array([current]), None)
        rate = current / ELEMENTARY_CHARGE_C / (number("area", "nm²") * A2_PER_NM2)
    return rate * number("time", "s") * repeats


def _time_of_axis(axis: Any) -> float | None:
    """Seconds from one frame to the next by a uniform axis in units of time, else ``None``."""
    if axis is None or not axis.is_uniform:
        return None
    unit = in_unit(axis.units, "s")
    if unit is None:
        return None
    time = abs(float(axis.scale)) * unit
    _logger.info("frame_time = %g s is the scale of the axis %r.", time, str(axis.name))
    return time
