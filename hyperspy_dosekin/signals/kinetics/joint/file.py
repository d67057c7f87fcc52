# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A joint fit in a file, and out of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import astuple
from typing import TYPE_CHECKING

import numpy as np

from hyperspy_dosekin.signals.axes.wrapping import make_map
from hyperspy_dosekin.signals.files import save_signal, seal
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
    record = json.dumps(
        {
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
    )
    names = [
        f"{name}, {window}"
        for name, each in numbers.results.items()
        for window in each.window_names
    ]
    doses = np.concatenate([result.half_integrity_dose.data for result in numbers.results.values()])
    signal = make_map(doses, [], names, title="D½", quantity="half_integrity_dose")
    arrays = {f"gain_{i}": each for i, each in enumerate(numbers.gain_by_frame.values())}
    node: dict[str, object] = {"format": FORMAT, "record": record, "arrays": arrays}
    for place, result in enumerate(numbers.results.values()):
        node[f"series_{place}"] = signal_of(result.numbers)
    node["checksum"] = seal(signal, arrays, record)
    signal.metadata.set_item(NODE, node)
    save_signal(signal, path, "a joint fit", overwrite=overwrite)


def stored_joint(
    signal: BaseSignal, read: Callable[[BaseSignal], DoseKinetics]
) -> tuple[Callable[[], JointNumbers], str | None, str]:
    """What makes the numbers of a signal from a file, its seal and what that should be.

    Parameters
    ----------
    signal
        What was saved.
    read
        What makes the result of one series of the signal that holds it.
    """
    node = signal.metadata.get_item(NODE)
    record = json.loads(node.record)
    gains = [np.asarray(node.arrays.get_item(f"gain_{i}")) for i in range(len(record["gained"]))]
    arrays = {f"gain_{place}": each for place, each in enumerate(gains)}

    def by_window(rows: Iterable[tuple[str, str, float]]) -> dict[tuple[str, str], float]:
        return {(str(series), str(window)): float(value) for series, window, value in rows}

    def make() -> JointNumbers:
        results = {
            str(name): read(node.get_item(f"series_{place}"))
            for place, name in enumerate(record["names"])
        }
        for name, each in zip(record["gained"], gains, strict=True):
            if each.shape != (2, results[name].dose.size) or not np.all(np.isfinite(each)):
                raise ValueError(f"the gain of series {name!r} does not fit its frames")
        return JointNumbers(
            results,
            tuple(
                SharedParameter(str(name), float(estimate), float(lower), float(upper))
                for name, estimate, lower, upper in record["shared"]
            ),
            float(record["p_value"]),
            by_window(record["p_by_window"]),
            by_window(record["alone"]),
            {name: float(record["gain"][name]) for name in results},
            dict(zip(record["gained"], gains, strict=True)),
            {str(name): float(p) for name, p in record.get("tests", {}).items()},
            {
                (str(series), str(window)): (float(low), float(high))
                for series, window, low, high in record.get("alone_interval", ())
            },
        )

    return make, node.get_item("checksum"), seal(signal, arrays, node.record)
