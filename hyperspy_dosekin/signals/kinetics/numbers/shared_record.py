# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pixels share as plain numbers, for files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from hyperspy_dosekin.kinetics.field.population import Population
    from hyperspy_dosekin.kinetics.field.still import Still
    from hyperspy_dosekin.kinetics.field.unknown import Unknown
    from hyperspy_dosekin.kinetics.field.windows import Pair
    from hyperspy_dosekin.kinetics.model.parameters import Parameters


def population_written(population: Population) -> dict[str, Any]:
    """A population as plain numbers."""
    layout = {
        each.name: getattr(population.layout, each.name) for each in fields(population.layout)
    }
    # The law is that of the fit.
    del layout["parameters"]
    return {
        "layout": layout,
        "scale": asdict(population.scale),
        **{name: getattr(population, name).tolist() for name in ("vector", "covariance", "design")},
        **{
            name: getattr(population, name)
            for name in ("n_pixel", "n_effective", "least_near", "gain", "repeats", "jump")
        },
        "weight": population.weights.tolist(),
        "still": None if population.still is None else asdict(population.still),
        "unknown": None if population.unknown is None else _plain(asdict(population.unknown)),
    }


def _plain(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The same with lists instead of arrays."""
    plain = {}
    for name, value in entry.items():
        value = value.tolist() if isinstance(value, np.ndarray) else value
        plain[name] = _plain(value) if isinstance(value, Mapping) else value
    return plain


def population_read(entry: Mapping[str, Any], parameters: Parameters) -> Population:
    """The population that was written."""
    from hyperspy_dosekin.kinetics.field.curves import CommonScale
    from hyperspy_dosekin.kinetics.field.hyper import Layout
    from hyperspy_dosekin.kinetics.field.population import Population

    layout: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in entry["layout"].items()
    }
    vector, covariance, design = (
        np.asarray(entry[name], dtype=np.float64) for name in ("vector", "covariance", "design")
    )
    return Population(
        Layout(**{"ends": (), **layout}, parameters=parameters),
        CommonScale(**entry["scale"]),
        vector,
        covariance,
        design,
        entry["n_pixel"],
        entry["n_effective"],
        # Files of the version before were flagged with this one.
        entry.get("least_near", 0.75),
        entry.get("gain", 0.0),
        entry.get("repeats", 1.0),
        _unknown_read(entry.get("unknown")),
        np.asarray(entry["weight"]) if "weight" in entry else None,
        None if entry.get("jump") is None else tuple(entry["jump"]),
        _still_read(entry.get("still")),
    )


def _still_read(entry: Mapping[str, Any] | None) -> Still | None:
    from hyperspy_dosekin.kinetics.field.still import Still

    if entry is None:
        return None
    return Still(**{**entry, "contrast": tuple(entry["contrast"])})


def _unknown_read(entry: Mapping[str, Any] | None) -> Unknown | None:
    """What is unknown of a population; files of the version before do not say it."""
    from hyperspy_dosekin.kinetics.field.spine import Spine
    from hyperspy_dosekin.kinetics.field.unknown import Unknown

    if entry is None:
        return None
    vector, steps, sides = (np.asarray(entry[name]) for name in ("vector", "steps", "sides"))
    spine = entry["spine"]
    if spine is not None:
        spine = Spine(**{name: np.asarray(value) for name, value in spine.items()})
    return Unknown(vector, steps, sides, entry["freedom"], spine, entry["bent"], entry["more"])


def pairs_written(pairs: Mapping[tuple[int, int, int], Pair]) -> list[dict[str, Any]]:
    """How windows go together as plain numbers."""
    return [
        {
            "windows": (v, w),
            "group": label,
            "block": pair.block.tolist(),
            "covariance": pair.covariance.tolist(),
        }
        for (v, w, label), pair in pairs.items()
    ]


def pairs_read(entries: Sequence[Mapping[str, Any]]) -> dict[tuple[int, int, int], Pair]:
    """What was written; windows of files of the version before know nothing of each other."""
    from hyperspy_dosekin.kinetics.field.windows import Pair

    return {
        (*entry["windows"], entry["group"]): Pair(
            np.asarray(entry["block"]), np.asarray(entry["covariance"])
        )
        for entry in entries
    }
