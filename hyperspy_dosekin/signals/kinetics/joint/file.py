# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A joint fit in a file, and out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.signals.axes.wrapping import make_map
from hyperspy_dosekin.signals.files import put_beside, save_signal
from hyperspy_dosekin.signals.kinetics.joint.numbers import JointNumbers, SharedParameter
from hyperspy_dosekin.signals.kinetics.result.file import signal_of

if TYPE_CHECKING:
    from pathlib import Path

    from hyperspy.signals import BaseSignal

    from hyperspy_dosekin.signals.kinetics.result.result import DoseKinetics

#: Version of the layout of files.
FORMAT = 1
#: Where the result lies in the metadata of the signal that it is saved with.
NODE = "Dosekin.joint"


def save_joint(numbers: JointNumbers, path: str | Path, *, overwrite: bool | None) -> None:
    """Write the numbers with D½ of all windows; see `JointKinetics.save`."""
    record = {
        "names": list(numbers.results),
        "shared": [astuple(each) for each in numbers.shared],
        "p_value": numbers.p_value,
        "p_by_window": [[*key, value] for key, value in numbers.p_by_window.items()],
        "alone": [[*key, value] for key, value in numbers.alone.items()],
        "alone_interval": [[*key, *ends] for key, ends in numbers.alone_interval.items()],
        "tests": dict(numbers.tests),
        "gain": dict(numbers.gain),
        "gained": list(numbers.gain_by_frame),
    }
    results = numbers.results.items()
    names = [f"{name}, {window}" for name, each in results for window in each.window_names]
    doses = np.concatenate([each.half_integrity_dose.data for _, each in results])
    signal = make_map(doses, [], names, title="D½", quantity="half_integrity_dose")
    arrays = {f"gain_{i}": each for i, each in enumerate(numbers.gain_by_frame.values())}
    series = {f"series_{i}": signal_of(each.numbers) for i, (_, each) in enumerate(results)}
    put_beside(signal, NODE, FORMAT, record, arrays, **series)
    save_signal(signal, path, "a joint fit", overwrite=overwrite)


def joint_fields(
    signal: BaseSignal,
    record: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    read: Callable[[BaseSignal], DoseKinetics],
) -> dict[str, Any]:
    """The fields of a result by name, from a signal of a file and what lies beside it.

    Parameters
    ----------
    signal, record, arrays
        What was saved.
    read
        What makes the result of one series of the signal that holds it.
    """
    results = {
        str(name): read(signal.metadata.get_item(f"{NODE}.series_{place}"))
        for place, name in enumerate(record["names"])
    }
    gains = {name: arrays[f"gain_{place}"] for place, name in enumerate(record["gained"])}
    for name, each in gains.items():
        if each.shape != (2, results[name].dose.size) or not np.all(np.isfinite(each)):
            raise ValueError(f"the gain of series {name!r} does not fit its frames")

    def by_window(rows: Iterable[tuple[Any, ...]]) -> dict[tuple[str, str], list[float]]:
        return {(str(row[0]), str(row[1])): list(map(float, row[2:])) for row in rows}

    p_by_window, alone = (by_window(record[name]) for name in ("p_by_window", "alone"))
    intervals = by_window(record.get("alone_interval", ()))
    return {
        "results": results,
        "shared": tuple(
            SharedParameter(str(name), *map(float, values)) for name, *values in record["shared"]
        ),
        "p_value": float(record["p_value"]),
        "p_by_window": {key: p for key, (p,) in p_by_window.items()},
        "alone": {key: value for key, (value,) in alone.items()},
        "gain": {name: float(record["gain"][name]) for name in results},
        "gain_by_frame": gains,
        "tests": {str(name): float(p) for name, p in record.get("tests", {}).items()},
        "alone_interval": {key: (low, high) for key, (low, high) in intervals.items()},
    }
