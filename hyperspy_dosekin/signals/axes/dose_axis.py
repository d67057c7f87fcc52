# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The axis of dose that a signal has: finding it, its unit, and how messages name axes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np

from hyperspy_dosekin.signals.axes.dose_numbers import A2_PER_NM2

if TYPE_CHECKING:
    import numpy.typing as npt
    from hyperspy.axes import BaseDataAxis
    from hyperspy.signals import BaseSignal

DOSE_NAME = "dose"
DOSE_UNITS = "e⁻/Å²"
#: Words in the names of axes that count the frames of a series, the likeliest first. The axis that
#: ``hs.load(stack=True)`` adds is called "stack_element".
SERIES_WORDS = ("dose", "fluence", "frame", "frames", "time", "stack", "series", "exposure")

_PLAIN_CHARACTERS = str.maketrans({"⁻": "-", "−": "-", "–": "-", "²": "2", "\u212b": "Å"})
_DOSE_UNIT = re.compile(
    r"e(?:lectrons?)?-?(?:/(?P<over>L)(?:\^|\*\*)?2|[·*]?(?P<times>L)(?:\^|\*\*)?-2)$".replace(
        "L", "Å|A|[Aa]ngstroms?|nm"
    )
)

#: An axis, as a user may name it: by its name, its index, or itself.
AxisLike: TypeAlias = Union[str, int, "BaseDataAxis"]


def find_dose_axis(signal: BaseSignal, dose_axis: AxisLike | None = None) -> Any:
    """Return the navigation axis of dose, or ``None`` where there is none.

    Parameters
    ----------
    signal
        A HyperSpy signal.
    dose_axis
        The axis, if it is known: its name, index or the axis itself. By default the navigation axis
        called "dose" or, without one, in units of dose such as e⁻/Å² or e/nm².

    Raises
    ------
    ValueError
        If `dose_axis` is no navigation axis, or several axes could be the dose.
    """
    if dose_axis is not None:
        return navigation_axis(signal, dose_axis, "dose_axis")
    axes = signal.axes_manager.navigation_axes
    found = [axis for axis in axes if str(axis.name).strip().lower() == DOSE_NAME]
    found = found or [axis for axis in axes if dose_unit_factor(axis.units) is not None]
    if len(found) > 1:
        raise ValueError(
            "several navigation axes could be the dose axis: "
            f"{', '.join(axis_label(axis) for axis in found)}; name one with dose_axis=…."
        )
    return found[0] if found else None


def is_dose(axis: BaseDataAxis) -> bool:
    """Whether an axis is called "dose" or in units of dose."""
    return str(axis.name).strip().lower() == DOSE_NAME or dose_unit_factor(axis.units) is not None


def dose_unit_factor(units: object) -> float | None:
    """Return the number of e⁻/Å² in a unit of dose, or ``None`` for any other unit.

    Parameters
    ----------
    units
        Units of an axis, such as ``"e⁻/Å²"``, ``"e-/A^2"`` or ``"e nm-2"``.
    """
    if not isinstance(units, str):
        return None
    found = _DOSE_UNIT.match(re.sub(r"\s", "", units.translate(_PLAIN_CHARACTERS)))
    if found is None:
        return None
    return 1 / A2_PER_NM2 if "nm" in found.groups() else 1.0


def doses_of(values: npt.ArrayLike, units: object) -> tuple[np.ndarray, str]:
    """Doses and their unit: e⁻/Å² where they can be converted, and as they are otherwise.

    The one place where doses are converted. Everything after it carries the unit that it gives.

    Parameters
    ----------
    values
        Doses, of any shape.
    units
        Their unit, as the axis has it.
    """
    doses, factor = np.asarray(values, dtype=np.float64), dose_unit_factor(units)
    if factor is None:
        return doses, units.strip() if isinstance(units, str) else ""
    return (doses if factor == 1 else doses * factor), DOSE_UNITS


def describe_navigation_axes(signal: BaseSignal) -> str:
    """Return the navigation axes of a signal as text, in HyperSpy's order, for messages."""
    return ", ".join(axis_label(axis) for axis in signal.axes_manager.navigation_axes) or "(none)"


def no_dose_axis(signal: BaseSignal) -> str:
    """What to say where a signal has no dose axis."""
    if not signal.axes_manager.navigation_axes:
        return (
            "there is no dose axis: this signal is a single spectrum, and kinetics need a dose "
            "series, at least four spectra at different doses; stack them with "
            "hyperspy.api.stack and calibrate the stack with s.set_dose_axis."
        )
    return (
        f"there is no dose axis among the navigation axes {describe_navigation_axes(signal)}; "
        "calibrate one with s.set_dose_axis(dose_rate=…, frame_time=…) or s.set_dose_axis([…]), "
        "or name one with dose_axis=…."
    )


def navigation_axis(signal: BaseSignal, axis: AxisLike, argument: str) -> Any:
    """Return the navigation axis that a user named by an argument.

    Raises
    ------
    ValueError
        If it is none.
    """
    try:
        found = signal.axes_manager[axis]
    except (ValueError, IndexError, TypeError, AttributeError, KeyError):
        found = None
    if found is None or isinstance(found, tuple) or not found.navigate:
        raise ValueError(
            f"{argument}={str(axis) if hasattr(axis, 'navigate') else repr(axis)} is not a "
            f"navigation axis; choose from {describe_navigation_axes(signal)}."
        )
    return found


def axis_label(axis: BaseDataAxis) -> str:
    """Return the name, index and size of an axis, for messages."""
    name = axis.name if isinstance(axis.name, str) and axis.name else "unnamed"
    manager_index = axis.index_in_axes_manager
    return f"{name!r} (index {manager_index}, size {axis.size})"
