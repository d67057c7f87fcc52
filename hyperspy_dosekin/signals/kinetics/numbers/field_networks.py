# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks of maps: fitted beside the exact field, written to files and read again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.numerics.progress import Progress, Stop, never_stop, no_progress
from hyperspy_dosekin.numerics.threads import torch_threads
from hyperspy_dosekin.signals.kinetics.numbers.learning import window_curves
from hyperspy_dosekin.signals.kinetics.numbers.shared import SharedMaps

if TYPE_CHECKING:
    from hyperspy_dosekin.kinetics.field.curves import SharedCurves
    from hyperspy_dosekin.kinetics.field.network_fit import FieldNetwork, FieldNetworkFit
    from hyperspy_dosekin.kinetics.network.config import NetworkConfig
    from hyperspy_dosekin.kinetics.network.history import History
    from hyperspy_dosekin.kinetics.network.network_fit import NetworkFit


def fit_field_networks(
    maps: SharedMaps,
    config: NetworkConfig,
    device: str = "auto",
    progress: Progress = no_progress,
    stop: Stop = never_stop,
) -> FieldNetworkFit | None:
    """Train the networks of all windows and groups of a field; ``None`` if it was ended before.

    Parameters
    ----------
    maps
        The exact field, in memory.
    device
        Where they are trained.
    progress, stop
        Told of the steps, and asked now and then.
    """
    from hyperspy_dosekin.kinetics.field.network_fit import fit_field_network

    networks: dict[tuple[int, int], FieldNetwork] = {}
    if not maps.complete:
        return None
    curves, places = curves_of(maps)
    for number, (key, some) in enumerate(curves.items()):

        def told(phase: str, step: int, total: int, number: int = number) -> None:
            progress(phase, number * total + step, len(curves) * total)

        with torch_threads(1):
            networks[key] = fit_field_network(
                some,
                maps.populations[key],
                places[key],
                maps.lengths[key],
                config,
                device=device,
                progress=told,
                stop=stop,
            )
    return _whole(maps, networks, curves)


def curves_of(
    maps: SharedMaps,
) -> tuple[dict[tuple[int, int], SharedCurves], dict[tuple[int, int], np.ndarray]]:
    """Curves of every window and group, and where their pixels are."""
    curves, places = {}, {}
    labels = maps.labels
    for (window, label), population in maps.populations.items():
        chosen = labels == label
        found = window_curves(maps, maps.data, window, chosen, population.scale)
        flat = np.flatnonzero(chosen)[found.alive]
        places[window, label] = np.stack(np.unravel_index(flat, labels.shape), -1)
        # Among all pixels, not only those of the group.
        curves[window, label] = replace(found, alive=flat)
    return curves, places


def _whole(maps: SharedMaps, networks: Any, curves: Any) -> FieldNetworkFit:
    from hyperspy_dosekin.kinetics.field.network_fit import FieldNetworkFit

    data = maps.data
    return FieldNetworkFit(
        networks, curves, maps.populations, data.window_names, data.space_shape, data.scale
    )


def learned_record(network: NetworkFit | FieldNetwork) -> dict[str, object]:
    """What a file has to hold of a network beside `learned_arrays`."""
    return {"n_adam": network.history.n_adam, "complete": network.complete}


def learned_arrays(network: NetworkFit | FieldNetwork) -> dict[str, np.ndarray]:
    """Parameters of a network, and how it learned, by name."""
    history = network.history
    return {
        **{f"parameter {name}": array for name, array in network.parameters.items()},
        **{f"term {name}": array for name, array in history.terms.items()},
        "iteration": history.iteration,
        "learning rate": history.learning_rate,
    }


def called(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The arrays of a file whose names begin alike, without that beginning."""
    return {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}


def read_learned(
    arrays: Mapping[str, np.ndarray], record: Mapping[str, Any]
) -> tuple[dict[str, np.ndarray], History]:
    """Parameters of a network of a file, and how it learned."""
    from hyperspy_dosekin.kinetics.network.history import History

    terms = called(arrays, "term ")
    history = History(arrays["iteration"], arrays["learning rate"], terms, record["n_adam"])
    return called(arrays, "parameter "), history


def field_record(fit: FieldNetworkFit) -> list[dict[str, object]]:
    """What a file has to hold beside the arrays, of plain numbers and texts."""
    return [
        {
            "window": window,
            "group": label,
            **learned_record(each),
            "judged": dict(each.judged),
        }
        for (window, label), each in fit.networks.items()
    ]


def field_arrays(fit: FieldNetworkFit) -> dict[str, np.ndarray]:
    """The arrays of the networks by name."""
    found: dict[str, np.ndarray] = {}
    for (window, label), each in fit.networks.items():
        named = {
            **learned_arrays(each),
            **{f"map {name}": array for name, array in each.maps.items()},
            "field": each.field,
            "place": each.place,
        }
        found |= {f"network {window} {label} {name}": array for name, array in named.items()}
    return found


def read_field_networks(
    maps: SharedMaps,
    arrays: Mapping[str, np.ndarray],
    record: list[Mapping[str, Any]],
    config: NetworkConfig,
) -> FieldNetworkFit:
    """The networks of a file."""
    from hyperspy_dosekin.kinetics.field.network_fit import FieldNetwork

    networks = {}
    for entry in record:
        key = entry["window"], entry["group"]
        own = called(arrays, f"network {key[0]} {key[1]} ")
        parameters, history = read_learned(own, entry)
        networks[key] = FieldNetwork(
            config,
            parameters,
            called(own, "map "),
            own["field"],
            own["place"],
            history,
            entry["judged"],
            entry["complete"],
        )
    return _whole(maps, networks, curves_of(maps)[0])
