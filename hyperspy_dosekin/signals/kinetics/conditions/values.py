# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of several series, and the values of their conditions: given, or found in the metadata."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.numerics.arguments import real_numbers, short
from hyperspy_dosekin.signals.kinetics.data.recorded import PLACES, places_of, recorded
from hyperspy_dosekin.signals.signatures import did_you_mean

if TYPE_CHECKING:
    from hyperspy_dosekin.signals.kinetics.data.series_data import SeriesData


def mean_pause(given: object) -> float:
    """What stands for all pauses of a series where they are one condition."""
    times = real_numbers("dark_time", given, "give a time in s, or one for each frame")
    return float(times.mean()) if times.size else 0.0


def pauses_of(given: object, data: SeriesData, name: str) -> np.ndarray:
    """How long the beam was off after each frame, in s."""
    times = np.asarray(given, dtype=np.float64)
    if times.ndim and times.shape != data.dose.shape:
        raise ValueError(
            f"dark_time of {name!r} has the shape {times.shape} for {data.dose.size} frames; give "
            "one time for all pauses, or one after each frame, in the order of the doses."
        )
    if not np.all(np.isfinite(times)) or np.any(times < 0):
        raise ValueError(f"dark_time of {name!r} must be finite times in s that are not negative.")
    return times


def names_of(series: Sequence[Any], names: Sequence[str] | None) -> tuple[str, ...]:
    """Names of the series: those given, else their titles where these differ.

    Raises
    ------
    TypeError
        If a series is no signal.
    ValueError
        If the names are not as many as the series, or not all different.
    """
    for place, each in enumerate(series):
        if not hasattr(each, "metadata"):
            raise TypeError(
                f"series {place + 1} is a {type(each).__name__}; give signals, such as those of "
                "integrate_windows()."
            )
    if names is not None:
        if not isinstance(names, Iterable):
            raise TypeError(f"names={short(names)} must be a sequence of names, one a series.")
        found = tuple(str(name) for name in names)
        if len(found) != len(series) or len(set(found)) != len(found):
            raise ValueError(
                f"names={list(found)} must be {len(series)} different names, one for each series."
            )
        return found
    titles = tuple(str(each.metadata.get_item("General.title", "")) for each in series)
    if all(titles) and len(set(titles)) == len(titles):
        return titles
    return tuple(f"series {place + 1}" for place in range(len(series)))


def values_of(
    series: Sequence[object], conditions: Mapping[str, Sequence[object] | None]
) -> tuple[dict[str, list[object]], list[str]]:
    """Values of all conditions, and what was taken from metadata."""
    if not isinstance(conditions, Mapping):
        raise ValueError(
            f"conditions={short(conditions)} must be values by name of the condition, such as "
            '{"dose_rate": [1, 5, 25]}.'
        )
    found, taken = {}, []
    for name, values in conditions.items():
        if values is None or isinstance(values, str):
            values, words = from_metadata(series, name, values)
            taken.append(words)
        elif not hasattr(values, "__len__"):
            raise ValueError(
                f"condition {name!r} is {values!r}; give a list with one value for each series."
            )
        values = list(values)
        if len(values) != len(series):
            raise ValueError(
                f"condition {name!r} has {len(values)} values for {len(series)} series; give one "
                "for each."
            )
        found[str(name)] = values
    return found, taken


def from_metadata(
    series: Sequence[object], name: str, where: str | None = None
) -> tuple[list[Any], str]:
    """A condition of all series in their metadata, and in words what was taken."""
    found = [recorded(each, where or name) for each in series]
    missing = [str(place + 1) for place, each in enumerate(found) if each is None]
    if missing:
        places = ", ".join(places_of(where or name))
        meant = "." if name in PLACES else did_you_mean(name, PLACES)
        raise ValueError(
            f"the metadata of series {', '.join(missing)} have no {name} in any of {places}; give "
            f"its values in conditions={meant}"
        )
    values = [each.value for each in found if each is not None]
    at = dict.fromkeys(f"metadata.{each.place}" for each in found if each is not None)
    return values, f"{name} was read from {', '.join(at)}: {values}."
