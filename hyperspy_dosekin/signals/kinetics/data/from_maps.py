# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dose series from fitted models and from maps, such as quantification gives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from hyperspy.signals import BaseSignal

from hyperspy_dosekin.numerics.arguments import short
from hyperspy_dosekin.signals.axes.dose_axis import DOSE_NAME, dose_unit_factor, doses_of
from hyperspy_dosekin.signals.axes.variance import variance_of
from hyperspy_dosekin.signals.axes.wrapping import make_dose_series
from hyperspy_dosekin.signals.signatures import did_you_mean

if TYPE_CHECKING:
    from hyperspy.signals import Signal1D

#: Parameters that say how much of a component there is, the first that a component has.
SIZES = ("intensity", "area", "A", "height", "yscale")


def dose_series_of(
    source: Any, *, components: Sequence[str] | None = None, dose_axis: str | None = None
) -> Signal1D:
    """Make a `DoseSeries` of a fitted model, or of maps such as quantification gives them.

    Parameters
    ----------
    source
        A model of HyperSpy or eXSpy of a series with a dose axis, after its ``multifit``: each
        component gives a window, with its intensity, area or height. Or a list of signals, one for
        each window, such as ``quantification`` or ``get_lines_intensity`` return, that have the
        same axes and among them that of dose.
    components
        Names of the components of a model that are wanted; by default its edges or lines, or all
        but a background.
    dose_axis
        Name of the axis of dose; by default the one called "dose" or in units of dose.

    Returns
    -------
    DoseSeries
        Array ``(…space…, window, dose)``, with the variance of the fit where the model has one.
        Lazy where the maps are.

    Raises
    ------
    TypeError
        If the source is neither.
    ValueError
        If it has no axis of dose, the maps have different axes, or there is no such component.

    Examples
    --------
    >>> axes = [{"size": 9, "name": "dose", "units": "e⁻/Å²"}, {"size": 50}]
    >>> s = hs.signals.Signal1D(np.ones((9, 50)) * np.exp(-np.arange(9))[:, None], axes=axes)
    >>> model = s.create_model()
    >>> model.append(hs.model.components1D.Offset())
    >>> model.multifit(show_progressbar=False)
    >>> hyperspy_dosekin.dose_series_of(model, components=["Offset"])
    <DoseSeries, title: Components of the model, dimensions: (1|9)>
    """
    if hasattr(source, "multifit") and hasattr(source, "active_components"):
        maps, names = _of_model(source, components)
        title, quantity = "Components of the model", "Intensity"
        whole = source.signal.metadata
    else:
        maps, names = _of_list(source)
        if components is not None:
            raise ValueError("components= are those of a model; choose among the maps yourself.")
        title, quantity, whole = "Windows of maps", "", maps[0].metadata
    place = _dose_place(maps[0], dose_axis)
    first = maps[0].axes_manager._axes
    for name, each in zip(names[1:], maps[1:], strict=True):
        if [axis.size for axis in each.axes_manager._axes] != [axis.size for axis in first]:
            raise ValueError(
                f"{name!r} has axes of other sizes than {names[0]!r}; give maps of the same series."
            )
    dose, unit = doses_of(first[place].axis, first[place].units)
    space = [axis.get_axis_dictionary() for axis in first if axis is not first[place]]

    def together(arrays: list[Any]) -> Any:
        # NumPy hands arrays of dask to dask.
        return np.stack([np.moveaxis(array, place, -1) for array in arrays], axis=-2)

    def series(arrays: list[object], name: str) -> Signal1D:
        return make_dose_series(
            together(arrays),
            dose,
            space,
            names,
            title=name,
            quantity=quantity or maps[0].metadata.get_item("Signal.quantity", "") or "Intensity",
            dose_unit=unit or str(first[place].units or ""),
            dose_metadata=whole.Dose.as_dictionary() if whole.has_item("Dose") else {},
        )

    found = series([each.data for each in maps], title)
    variances = [variance_of(each) for each in maps]
    if all(isinstance(each, BaseSignal) for each in variances):
        found.set_noise_variance(series([each.data for each in variances], "Variance"))
    return found


def _of_model(model: Any, components: Sequence[str] | None) -> tuple[list[BaseSignal], list[str]]:
    """Maps of how much there is of each component, and the names of these."""
    active = {component.name: component for component in model.active_components}
    sized = {name: size for name, each in active.items() if (size := _size_of(each)) is not None}
    if components is None:
        edges = [name for name in sized if hasattr(active[name], "GOS")]
        names = edges or [name for name in sized if not _is_background(active[name])]
    else:
        names = list(components)
        unknown = [name for name in names if name not in sized]
        if unknown:
            raise ValueError(
                f"components {unknown} are none of the active ones that have one of the parameters "
                f"{', '.join(SIZES)}: {sorted(sized)}{did_you_mean(unknown[0], sized)}"
            )
    if not names:
        raise ValueError(
            f"the model has no component with one of the parameters {', '.join(SIZES)} beside its "
            "background; name some with components=."
        )
    if not model.axes_manager.navigation_axes:
        raise ValueError(
            "the model is that of a single spectrum; fit one of the whole series, with multifit."
        )
    return [sized[name].as_signal() for name in names], names


def _size_of(component: Any) -> Any:
    """The parameter that says how much there is of a component, ``None`` if there is none."""
    found = (getattr(component, name, None) for name in SIZES)
    size = next((each for each in found if hasattr(each, "as_signal")), None)
    return component.parameters[0] if size is None and len(component.parameters) == 1 else size


def _is_background(component: Any) -> bool:
    return bool(component.isbackground) or type(component).__name__ in ("PowerLaw", "Offset")


def _of_list(source: Any) -> tuple[list[BaseSignal], list[str]]:
    """Maps of a list, and their names: the element or line of each, or its title."""
    is_list = isinstance(source, list | tuple) and len(source) > 0
    if not is_list or not all(isinstance(each, BaseSignal) for each in source):
        raise TypeError(
            f"source={short(source)} must be a fitted model, or a list of signals with one map for "
            "each window, such as quantification returns."
        )
    names = []
    for place, each in enumerate(source):
        found = [each.metadata.get_item(f"Sample.{kind}") for kind in ("xray_lines", "elements")]
        one = next((list(f) for f in found if f is not None and len(f) == 1), None)
        title = each.metadata.get_item("General.title", "")
        names.append(str(one[0]) if one else title or str(place + 1))
    if len(set(names)) < len(names):
        names = [f"{name} ({place + 1})" for place, name in enumerate(names)]
    return list(source), names


def _dose_place(signal: BaseSignal, name: str | None) -> int:
    """Where the axis of dose is in the array."""
    axes = signal.axes_manager._axes
    if name is not None:
        found = [axis for axis in axes if str(axis.name) == name]
    else:
        found = [axis for axis in axes if str(axis.name).strip().lower() == DOSE_NAME]
        found = found or [axis for axis in axes if dose_unit_factor(axis.units) is not None]
    if len(found) != 1:
        known = ", ".join(f"{axis.name} ({axis.units})" for axis in axes)
        raise ValueError(
            f"{'no axis is' if not found else 'several axes could be'} that of dose among {known}: "
            'give the spectra an axis called "dose" before they are fitted, as set_dose_axis does, '
            "or name it with dose_axis=."
        )
    return found[0].index_in_array
