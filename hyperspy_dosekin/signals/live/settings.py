# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of a `LiveKinetics` as text, so that another process can go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.kinetics.laws.prior import Prior
from hyperspy_dosekin.kinetics.live.rules import StopRule
from hyperspy_dosekin.signals.kinetics.options.fit_options import FitOptions
from hyperspy_dosekin.signals.kinetics.options.offset import offset_array

if TYPE_CHECKING:
    from hyperspy_dosekin.windows.definitions import Window

    from .growing import Exposure


def settings_of(
    windows: Sequence[Window],
    exposure: Exposure,
    options: FitOptions,
    rules: Sequence[object],
    steps: Sequence[str],
    dose_unit: str,
    budget: float | None,
) -> dict[str, object]:
    """Settings that JSON can hold; ``"lost"`` names those that it cannot."""
    lost = []
    given: dict[str, object] = {}
    for name, value in options.given().items():
        if name == "offset":
            value = np.asarray(offset_array(value), dtype=np.float64).tolist()
        if isinstance(value, Prior):
            value = asdict(value)
        if _is_plain(value):
            given[name] = value
        else:
            lost.append(name)
    told = []
    for rule in rules:
        if isinstance(rule, StopRule):
            told.append({name: v for name, v in asdict(rule).items() if v != _default(name)})
        elif "stop_when" not in lost:
            lost.append("stop_when")
    return {
        "windows": {window.name: [window.left, window.right] for window in windows},
        "dose_rate": exposure.dose_rate,
        "frame_time": exposure.frame_time,
        "pre_exposure": exposure.pre_exposure,
        "dose_unit": dose_unit,
        "budget": budget,
        "process": list(steps),
        "stop_when": told,
        "options": given,
        "lost": lost,
    }


class MissingArgumentError(ValueError):
    """An argument that a file could not hold, and that is not given."""


def arguments_of(settings: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `LiveKinetics` from settings; what is given counts more.

    Raises
    ------
    TypeError
        If the settings are none.
    ValueError
        If something could not be kept, and is not given.
    """
    lost = settings.get("lost", [])
    if not isinstance(lost, list) or not all(isinstance(name, str) for name in lost):
        raise TypeError(f"lost={lost!r} must be a list of names.")
    missing = [name for name in lost if name not in given]
    if missing:
        raise MissingArgumentError(
            f"the file could not hold {missing}, which are no plain values; give them again, such "
            f"as {missing[0]}=…."
        )
    names = ("dose_rate", "frame_time", "pre_exposure", "dose_unit", "process")
    kept = {name: settings[name] for name in names}
    if "budget" in settings:
        kept["budget"] = settings["budget"]
    return {**kept, "stop_when": settings["stop_when"] or None, **settings["options"], **given}


def _default(name: str) -> object:
    return {entry.name: entry.default for entry in fields(StopRule)}[name]


def _is_plain(value: object) -> bool:
    if value is None or isinstance(value, str | bool | int | float):
        return True
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, Mapping):
        return all(isinstance(name, str) and _is_plain(each) for name, each in value.items())
    return False
