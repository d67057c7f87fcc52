# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cumulative doses of frames, from what is known about the exposure."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from hyperspy_dosekin.signals.axes.units import in_unit

_logger = logging.getLogger(__name__)

ELEMENTARY_CHARGE_C = 1.602176634e-19
A2_PER_NM2 = 100.0
A_PER_NA = 1e-9
#: Beam currents on the specimen are picoamperes to some hundred nanoamperes.
LARGEST_CURRENT_A = 1e-6

At = Literal["end", "middle", "start"]
#: Share of its own dose that a frame has received.
_SHARE_OF_FRAME: dict[At, float] = {"end": 1.0, "middle": 0.5, "start": 0.0}

_CURRENT_KEY = "Acquisition_instrument.TEM.beam_current"
_TIME_KEYS = (
    "Acquisition_instrument.TEM.Detector.EELS.exposure",
    "Acquisition_instrument.TEM.Detector.EELS.dwell_time",
    "Acquisition_instrument.TEM.dwell_time",
)
_FORMS = (
    "pass dose=[…] (e⁻/Å², cumulative, one for each frame), or dose_rate= (e⁻/Å²/s) with "
    "frame_time= (s), or beam_current= (A) and area= (nm²) with frame_time= (s)."
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
    record: dict[str, Any]


def cumulative_dose(
    signal: Any,
    n_frame: int,
    *,
    dose: Any,
    dose_rate: Any,
    frame_time: Any,
    beam_current: Any,
    area: Any,
    pre_exposure: Any,
    at: At,
    frame_axis: Any = None,
) -> CumulativeDose:
    """Return the dose of each frame, as `hyperspy_dosekin.signals.axes.dose.set_dose_axis` says.

    Parameters
    ----------
    signal
        The signal, whose metadata may hold what is not given.
    n_frame
        Number of frames.
    dose, dose_rate, frame_time, beam_current, area, pre_exposure, at
        As for ``set_dose_axis``.
    frame_axis
        The axis of frames, whose scale is the time of a frame if it is in units of time.

    Raises
    ------
    TypeError, ValueError
        As ``set_dose_axis`` does.
    """
    before = float(_numbers("pre_exposure", pre_exposure, "e⁻/Å²", zero_allowed=True, ndim=(0,)))
    if at not in _SHARE_OF_FRAME:
        raise ValueError(f"at={at!r} is unknown; choose from {list(_SHARE_OF_FRAME)}.")
    rates = {
        "dose_rate": dose_rate,
        "frame_time": frame_time,
        "beam_current": beam_current,
        "area": area,
    }
    if dose is None:
        if frame_time is None:
            rates["frame_time"] = _time_of_axis(frame_axis)
        values, record = _from_rate(signal, n_frame, at, **rates)
        return CumulativeDose(values + before, {"pre_exposure": before, **record})
    given = [name for name, value in rates.items() if value is not None]
    if at != "end":
        given.append("at")
    if given:
        raise ValueError(
            f"dose= is the cumulative dose already, and contradicts {', '.join(given)}; "
            "give one or the other."
        )
    values = _per_frame("dose", dose, n_frame, "e⁻/Å²", zero_allowed=True)
    return CumulativeDose(values + before, {"pre_exposure": before, "source": "dose"})


def _from_rate(
    signal: Any,
    n_frame: int,
    at: At,
    *,
    dose_rate: Any,
    frame_time: Any,
    beam_current: Any,
    area: Any,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Add up doses from a rate and the time of each frame; return them and their record."""
    if dose_rate is not None:
        given = [n for n, v in (("beam_current", beam_current), ("area", area)) if v is not None]
        if given:
            raise ValueError(
                f"dose_rate= contradicts {', '.join(given)}, which give a dose rate themselves; "
                "give one or the other."
            )
        source, rate = "dose_rate", _per_frame("dose_rate", dose_rate, n_frame, "e⁻/Å²/s")
    elif beam_current is None and area is None:
        raise ValueError(f"there is nothing to compute the dose from; {_FORMS}")
    else:
        source, rate = "beam_current", _rate_from_current(signal, beam_current, area, n_frame)
    time = _frame_time(signal, frame_time, n_frame)
    received = rate * time
    values = np.cumsum(received) - (1.0 - _SHARE_OF_FRAME[at]) * received
    if np.ptp(received) == 0:
        # Products instead of sums, so that evenly spaced doses carry no accumulated rounding.
        values = received[0] * (np.arange(n_frame) + _SHARE_OF_FRAME[at])
    return values, {
        "source": source,
        "at": at,
        "dose_rate": _compact(rate),
        "frame_time": _compact(time),
    }


def _rate_from_current(signal: Any, beam_current: Any, area: Any, n_frame: int) -> np.ndarray:
    if beam_current is None:
        recorded = _recorded(signal, _CURRENT_KEY)
        if recorded is None:
            raise ValueError(
                f"area= needs a beam current, and metadata.{_CURRENT_KEY} holds none; "
                "pass beam_current= in A."
            )
        beam_current = recorded * A_PER_NA
    if area is None:
        raise ValueError("beam_current= needs the irradiated area; pass area= in nm².")
    current = _per_frame("beam_current", beam_current, n_frame, "A")
    if current.max() > LARGEST_CURRENT_A:
        warnings.warn(
            f"beam_current={listed(current, 1)} is taken in A, and no transmission electron "
            f"microscope has more than {LARGEST_CURRENT_A:g} A in its probe; if it is in nA, pass "
            f"beam_current={current[0]:g}e-9, if in pA, {current[0]:g}e-12.",
            UserWarning,
            stacklevel=5,
        )
    area_nm2 = _numbers("area", area, "nm²", zero_allowed=False, ndim=(0,))
    return current / ELEMENTARY_CHARGE_C / (area_nm2 * A2_PER_NM2)


def _time_of_axis(axis: Any) -> float | None:
    """Seconds from one frame to the next by a uniform axis in units of time, else ``None``."""
    if axis is None or not axis.is_uniform:
        return None
    seconds = in_unit(axis.units, "s")
    if seconds is None:
        return None
    time = abs(float(axis.scale)) * seconds
    _logger.info("frame_time = %g s is the scale of the axis %r.", time, str(axis.name))
    return time


def _frame_time(signal: Any, frame_time: Any, n_frame: int) -> np.ndarray:
    if frame_time is None:
        for key in _TIME_KEYS:
            frame_time = _recorded(signal, key)
            if frame_time is not None:
                break
        else:
            raise ValueError(
                "a dose rate needs the time of a frame, and the metadata hold none "
                f"({' or '.join(_TIME_KEYS)}); pass frame_time= in s."
            )
        scanned = signal.axes_manager.navigation_dimension > 1
        _logger.log(
            # The exposure of one pixel and the time of a whole frame differ by orders of magnitude.
            logging.WARNING if scanned else logging.INFO,
            "frame_time = %g s was read from metadata.%s; pass frame_time= if a frame took longer.",
            frame_time,
            key,
        )
    return _per_frame("frame_time", frame_time, n_frame, "s")


def _recorded(signal: Any, key: str) -> float | None:
    """Return a number from the metadata; zero, as written by some microscopes, is no record."""
    value = signal.metadata.get_item(key)
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) and number > 0 else None


def _per_frame(
    name: str, value: Any, n_frame: int, units: str, *, zero_allowed: bool = False
) -> np.ndarray:
    """One number for each frame; a single number stands for all, except for doses."""
    ndim = (1,) if name == "dose" and n_frame != 1 else (0, 1)
    numbers = _numbers(name, value, units, zero_allowed=zero_allowed, ndim=ndim)
    if numbers.ndim and numbers.size != n_frame:
        raise ValueError(
            f"{name}= holds {numbers.size} value(s), but the axis has {n_frame} frame(s); "
            "give one for each frame, or choose another axis with axis=…."
        )
    return np.broadcast_to(numbers, (n_frame,)).copy()


def _numbers(
    name: str, value: Any, units: str, *, zero_allowed: bool, ndim: tuple[int, ...]
) -> np.ndarray:
    try:
        numbers = np.asarray(value)
        if numbers.dtype.kind not in "iuf":
            raise TypeError
        numbers = numbers.astype(np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{name}={value!r} is not numeric; give it in {units}.") from None
    if numbers.ndim not in ndim:
        shape = "one number" if ndim == (0,) else "a list with one number for each frame"
        raise ValueError(f"{name}= has the shape {numbers.shape}; give {shape}, in {units}.")
    wrong = ~np.isfinite(numbers) | (numbers < 0 if zero_allowed else numbers <= 0)
    if np.any(wrong):
        constraint = "not negative" if zero_allowed else "positive"
        raise ValueError(
            f"{name}= contains {listed(numbers[wrong])}, but must be finite and {constraint}; "
            f"correct it (in {units})."
        )
    return numbers


def _compact(values: np.ndarray) -> float | list[float]:
    return float(values[0]) if np.ptp(values) == 0 else values.tolist()


def listed(values: np.ndarray, limit: int = 10) -> str:
    """Return numbers as text, the first few of them."""
    values = np.atleast_1d(values)
    text = ", ".join(f"{value:g}" for value in values[:limit])
    return text if values.size <= limit else f"{text}, … ({values.size} in all)"
