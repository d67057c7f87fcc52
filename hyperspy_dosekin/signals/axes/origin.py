# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The recorded spectra behind a dose series, so that they can be processed again."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hyperspy.signals import LazySignal1D, Signal1D

from hyperspy_dosekin.lazy.blocks import wrap
from hyperspy_dosekin.numerics.arguments import short
from hyperspy_dosekin.signals.axes.energy import ev_per_unit
from hyperspy_dosekin.signals.axes.variance import attach_variance

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal

#: Attribute of a series; it is not saved and not copied.
_ORIGIN = "_dosekin_origin"
#: Options of `process_low_loss` that do not change the spectra.
_NO_CHOICE = ("also_align", "show_progressbar")


@dataclass(frozen=True, eq=False)
class Origin:
    """Recorded spectra, and how they were processed.

    Parameters
    ----------
    spectra
        The EELS signal.
    options
        Those of `process_low_loss`.
    axes
        Dictionaries of the navigation axes in the order of the array, as they were when windows
        were integrated: the dose may have been set after processing.
    data
        The array of the signal at that time.
    """

    spectra: Any
    options: Mapping[str, Any]
    axes: tuple[dict[str, object], ...]
    data: Any

    @classmethod
    def of(cls, spectra: BaseSignal) -> Origin:
        """Recorded spectra with the options that `process_low_loss` has by default."""
        if not hasattr(spectra, "process_low_loss"):
            raise TypeError(f"spectra={short(spectra)} must be recorded EELS spectra.")
        shown = inspect.signature(spectra.process_low_loss).parameters.values()
        options = {each.name: each.default for each in shown if each.name not in _NO_CHOICE}
        axes = spectra.axes_manager._axes[:-1]
        axes = tuple(copy.deepcopy(axis.get_axis_dictionary()) for axis in axes)
        return cls(spectra, options, axes, spectra.data)

    @property
    def is_unchanged(self) -> bool:
        """Whether the signal has still the data that were processed."""
        return self.spectra.data is self.data

    def areas(self, windows: Mapping[str, tuple[float, float]], **changes: Any) -> Any:
        """The `DoseSeries` of windows, in eV, after processing with other options.

        Parameters
        ----------
        windows
            Their names and limits in eV.
        **changes
            Options of `process_low_loss` that differ.
        """
        options = {**self.options, **changes}
        processed = self.spectra.process_low_loss(**options, show_progressbar=False)
        axis = processed.axes_manager.signal_axes[0]
        factor = ev_per_unit(axis)
        limits = {name: (left / factor, right / factor) for name, (left, right) in windows.items()}
        return self._calibrated(processed).integrate_windows(limits)

    def _calibrated(self, processed: BaseSignal) -> Any:
        """The same spectra with the navigation axes that the windows had."""
        axes = [copy.deepcopy(axis) for axis in self.axes]
        axes.append(processed.axes_manager.signal_axes[0].get_axis_dictionary())
        metadata = processed.metadata.as_dictionary()
        metadata.get("Signal", {}).pop("Noise_properties", None)
        metadata.get("Dosekin", {}).pop("noise_variance", None)
        result = wrap(Signal1D, LazySignal1D, processed.data, axes=axes, metadata=metadata)
        result.set_signal_type("EELS")
        variance = processed.get_noise_variance()
        attach_variance(result, None if variance is None else variance.data)
        binned = processed.axes_manager.signal_axes[0].is_binned
        result.axes_manager.signal_axes[0].is_binned = binned
        return result


def remember(series: Any, processed: BaseSignal, context: Mapping[str, Any]) -> None:
    """Let a series know the spectra that it was made of.

    Parameters
    ----------
    series
        A new `DoseSeries`.
    processed
        The signal whose windows were integrated.
    context
        What `process_low_loss` left of its source; empty where it did not make the signal.
    """
    if "source" not in context:
        return
    axes = processed.axes_manager._axes[:-1]
    dictionaries = tuple(copy.deepcopy(axis.get_axis_dictionary()) for axis in axes)
    source = context["source"]
    setattr(series, _ORIGIN, Origin(source, context["options"], dictionaries, source.data))


def origin_of(series: BaseSignal) -> Origin | None:
    """The spectra that a series was made of; ``None`` where they are not known."""
    return getattr(series, _ORIGIN, None)
