# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was done to a signal: ``metadata.Dosekin.processing``."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
from hyperspy.signals import BaseSignal, LazySignal

from hyperspy_dosekin.lazy.blocks import wrap
from hyperspy_dosekin.signals.axes.dose import find_dose_axis

RECORD = "Dosekin.processing"


def make_record(
    signal: BaseSignal,
    chain: str,
    steps: Mapping[str, Mapping[str, Any]],
    diagnostics: Mapping[str, Mapping[str, tuple[Any, str]]],
) -> dict[str, Any]:
    """Describe what was done, in numbers, texts and signals that HyperSpy files can hold.

    Parameters
    ----------
    signal
        The signal that was processed, for its navigation axes.
    chain
        Name of the method.
    steps
        Parameters of each step, in order.
    diagnostics
        For each step, arrays over the navigation space with their quantity, by name.
    """
    record: dict[str, Any] = {
        "chain": chain,
        "version": version("hyperspy_dosekin"),
        "steps": list(steps),
    }
    for name, parameters in steps.items():
        entry: dict[str, Any] = {key: _plain(value) for key, value in parameters.items()}
        maps = {
            key: navigation_map(signal, array, title=key.replace("_", " "), quantity=quantity)
            for key, (array, quantity) in diagnostics.get(name, {}).items()
        }
        if maps:
            entry["diagnostics"] = maps
        record[name] = entry
    return record


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value.item() if isinstance(value, np.generic) else value


def navigation_map(signal: BaseSignal, array: Any, *, title: str, quantity: str = "") -> BaseSignal:
    """Make a signal of an array over the navigation space, which `plot()` shows as it should.

    The dose is navigation and the space is signal; without space the signal runs over the dose.

    Parameters
    ----------
    signal
        The signal whose navigation space it is.
    array
        NumPy or dask array of the navigation shape.
    title, quantity
        Of the new signal.
    """
    order, space = _display_order(signal)
    array = array.transpose([axis.index_in_array for axis in order]) if order else array.reshape(1)
    dictionaries = [
        {**axis.get_axis_dictionary(), "navigate": axis not in space} for axis in order
    ] or [{"name": "spectrum", "size": 1, "navigate": False}]
    metadata = {"General": {"title": title}, "Signal": {"quantity": quantity}}
    result = wrap(BaseSignal, LazySignal, array, axes=dictionaries, metadata=metadata)
    result._assign_subclass()
    return result


def navigation_array(signal: BaseSignal, shown: Any) -> Any:
    """Return the array, of the navigation shape, that `navigation_map` made `shown` of."""
    order, _ = _display_order(signal)
    if not order:
        return shown.data.reshape(())
    return shown.data.transpose(np.argsort([axis.index_in_array for axis in order]))


def _display_order(signal: BaseSignal) -> tuple[list[Any], list[Any]]:
    """Navigation axes in the array order of a map, and those of them that it shows at a time."""
    axes = sorted(signal.axes_manager.navigation_axes, key=lambda axis: axis.index_in_array)
    dose = find_dose_axis(signal) if axes else None
    space = [axis for axis in axes if axis is not dose][-2:] or axes
    return [axis for axis in axes if axis not in space] + space, space


def record_of(signal: BaseSignal) -> Any:
    """Return the record of a signal, or `None`."""
    return signal.metadata.get_item(RECORD)


def processing_diagnostics(self: Any) -> dict[str, Any]:
    """Return what `process_low_loss` or `process_core_loss` found on the way.

    Returns
    -------
    dict
        Signals over the navigation space by name: ``"shift"`` (eV), ``"spikes"`` (replaced
        channels), ``"zero_loss_intensity"``, ``"t_over_lambda"``, ``"exponent"``,
        ``"vacuum_mask"`` and others, those of the steps that were done. They are entries of
        ``metadata.Dosekin.processing``, and lazy if the processed signal was; then
        :func:`dask.compute` on several of them at once reads the data once.

    Raises
    ------
    ValueError
        If the signal was not processed by this package.

    Examples
    --------
    >>> from hyperspy_dosekin.data import dose_series
    >>> processed = dose_series().process_low_loss()
    >>> processed.processing_diagnostics()["t_over_lambda"]
    <Signal1D, title: t over lambda, dimensions: (|9)>
    """
    record = record_of(self)
    if record is None:
        raise ValueError(
            "this signal has no record of processing in metadata.Dosekin.processing; "
            "make it with process_low_loss() or process_core_loss()."
        )
    found: dict[str, Any] = {}
    for step in record.steps:
        maps = record.get_item(f"{step}.diagnostics")
        if maps is not None:
            found.update(iter(maps))
    return found
