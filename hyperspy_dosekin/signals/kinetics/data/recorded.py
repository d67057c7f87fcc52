# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Conditions of a series as its metadata record them: temperature, atmosphere, dose rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal

    from hyperspy_dosekin.kinetics.laws.contract import KineticLaw

#: Where HyperSpy and its readers keep a condition; the first place that is there counts.
PLACES: Mapping[str, tuple[str, ...]] = {
    "dose_rate": ("Dose.dose_rate",),
    "temperature": (
        "Acquisition_instrument.TEM.Stage.temperature",
        "Acquisition_instrument.TEM.temperature",
        "Sample.temperature",
    ),
    "beam_energy": ("Acquisition_instrument.TEM.beam_energy",),
}
#: Nodes in which any other condition is looked for by its name, in this order.
NODES = (
    "Dose.conditions",
    "Acquisition_instrument.TEM.Stage",
    "Acquisition_instrument.TEM",
    "Sample",
)


#: Where in the node ``Dose`` of a result it says what its law took of the metadata.
TAKEN = "taken_by_law"


@dataclass(frozen=True)
class Recorded:
    """A condition of a series.

    Parameters
    ----------
    value
        A number or a text.
    place
        Where in the metadata it was.
    """

    value: float | str
    place: str


def places_of(name: str) -> tuple[str, ...]:
    """Where a condition may be; a name with a dot is such a place itself."""
    if "." in name:
        return (name,)
    return PLACES.get(name, tuple(f"{node}.{name}" for node in NODES))


def recorded(signal: BaseSignal, name: str) -> Recorded | None:
    """A condition in the metadata of a signal, ``None`` where it is not there.

    Of numbers, one for each frame, it is the mean.

    Raises
    ------
    ValueError
        If it is neither a number nor a text.
    """
    for place in places_of(name):
        value = signal.metadata.get_item(place)
        if value is None:
            continue
        if isinstance(value, str):
            return Recorded(value, place)
        try:
            numbers = np.asarray(value, dtype=np.float64)
            mean = float(numbers.mean()) if numbers.size else float("nan")
        except (TypeError, ValueError):
            mean = float("nan")
        if not np.isfinite(mean):
            raise ValueError(
                f"metadata.{place} is {value!r}, which is neither a number nor a text; correct it, "
                f"or give {name!r} in conditions=."
            )
        return Recorded(mean, place)
    return None


def conditions_of(signal: BaseSignal) -> dict[str, Recorded]:
    """All conditions in the metadata of a signal that are a number or a text, by name."""
    names = dict.fromkeys(PLACES)
    for node in NODES:
        items: Any = signal.metadata.get_item(node)
        names |= dict.fromkeys(items.keys() if hasattr(items, "keys") else ())
    found = {}
    for name in names:
        try:
            each = recorded(signal, name)
        except ValueError:
            continue
        if each is not None:
            found[name] = each
    return found


def law_under(law: KineticLaw, conditions: Mapping[str, Recorded], scale: float) -> KineticLaw:
    """The law under the conditions that a series records, where it cannot do without.

    Parameters
    ----------
    conditions
        What the series records.
    scale
        Dose that counts as 1.

    Raises
    ------
    ValueError
        If the series does not say one.
    """
    missing = [name for name in law.lacking if name not in conditions]
    if missing:
        places = "; ".join(" or ".join(places_of(name)) for name in missing)
        raise ValueError(
            f"the kinetic law {law.name!r} needs {', '.join(missing)}, and the metadata say none: "
            f"set it there ({places}), pass law.at({{{missing[0]!r}: …}}, {{}}, dose_scale=…), or "
            "give it with several series to fit_dose_conditions."
        )
    given = {name: conditions[name].value for name in law.lacking}
    return law.at(given, given, scale) if law.lacking else law


def words_of(law: KineticLaw, conditions: Mapping[str, Recorded]) -> list[str]:
    """What a law takes of them, and where it was."""
    taken = [(name, conditions[name]) for name in law.lacking if name in conditions]
    return [f"{name} = {each.value} (metadata.{each.place})" for name, each in taken]
