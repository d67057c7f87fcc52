# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was done to a signal: ``metadata.Dosekin.processing``."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
from hyperspy.misc.utils import DictionaryTreeBrowser
from hyperspy.signals import BaseSignal

from hyperspy_dosekin.lazy.blocks import is_lazy
from hyperspy_dosekin.signals.axes.dose_axis import find_dose_axis
from hyperspy_dosekin.signals.axes.processed import RECORD
from hyperspy_dosekin.signals.axes.recorded_names import words_in


class Diagnostics(DictionaryTreeBrowser):
    """Signals of metadata, made when the first of them is asked for: eight take 40 ms."""

    def process_lazy_attributes(self) -> None:
        """Make the signals."""
        new = list(self._lazy_attributes)
        super().process_lazy_attributes()
        for name in new:
            self[name.removeprefix("_sig_")]._assign_subclass()

    def unmade(self) -> Diagnostics:
        """Copy of what is not made yet, which shares nothing but arrays."""
        return Diagnostics(
            {
                name: {part: _unless_array(value) for part, value in described.items()}
                for name, described in self._lazy_attributes.items()
            }
        )

    def __len__(self) -> int:
        self.process_lazy_attributes()
        return super().__len__()

    def keys(self) -> list[str]:
        """Return the names."""
        self.process_lazy_attributes()
        return super().keys()


def _unless_array(value: Any) -> Any:
    return copy.deepcopy(value) if isinstance(value, dict | list) else value


def make_record(
    signal: BaseSignal,
    chain: str,
    steps: Mapping[str, Mapping[str, Any]],
    diagnostics: Mapping[str, Mapping[str, tuple[object, str]]],
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
    record: dict[str, object] = {
        "chain": chain,
        "version": version("hyperspy_dosekin"),
        "steps": list(steps),
    }
    for name, parameters in steps.items():
        entry: dict[str, object] = {key: _plain(value) for key, value in parameters.items()}
        maps = {
            # Under such a key HyperSpy makes a signal of it when it is asked for, as of a file.
            f"_sig_{key}": _described(signal, array, key.replace("_", " "), quantity)
            for key, (array, quantity) in diagnostics.get(name, {}).items()
        }
        if maps:
            entry["diagnostics"] = Diagnostics(maps)
        record[name] = entry
    return record


def _plain(value: object) -> Any:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value.item() if isinstance(value, np.generic) else value


def _described(signal: BaseSignal, array: Any, title: str, quantity: str) -> dict[str, Any]:
    """What makes a signal of an array over the navigation space, which `plot()` shows well.

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
    return {
        "data": array,
        "axes": dictionaries,
        "metadata": {"General": {"title": title}, "Signal": {"quantity": quantity}},
        "attributes": {"_lazy": is_lazy(array)},
        # Files of HyperSpy have to hold these.
        **{name: {} for name in ("original_metadata", "learning_results", "tmp_parameters")},
    }


def navigation_array(signal: BaseSignal, shown: Any) -> Any:
    """Return the array, of the navigation shape, of which `shown` was made."""
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
    record = signal.metadata.get_item(RECORD)
    if isinstance(record, DictionaryTreeBrowser) and isinstance(record.get_item("steps"), str):
        # As a NeXus file has them.
        record.steps = words_in(record.steps)
    return record


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
    for shown in found.values():
        # Of copies and files HyperSpy makes signals that do not know their dimension yet.
        shown._assign_subclass()
    return found
