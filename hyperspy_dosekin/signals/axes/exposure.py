# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What files and scans say of the exposure: current, dose rate, times and areas."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.dose.conversion import convert
from hyperspy_dosekin.signals.axes.units import in_unit

if TYPE_CHECKING:
    from hyperspy.axes import BaseDataAxis
    from hyperspy.signals import BaseSignal

_TEM = r"^Acquisition_instrument\.(?:TEM|SEM)\."
_EELS = rf"{_TEM}Detector\.EELS\."


@dataclass(frozen=True)
class Recorded:
    """A number that was found in a file.

    Parameters
    ----------
    value
        The number, or one for each frame, in the unit that was asked for.
    where
        The item that holds it.
    each_pixel
        Of a time: whether it is that of one pixel of a scan.
    """

    value: float | np.ndarray
    where: str
    each_pixel: bool = False


@dataclass(frozen=True)
class _Item:
    """A place where a number can be.

    Parameters
    ----------
    tree
        ``"metadata"`` or ``"original_metadata"``. In the latter the path may begin anywhere, as
        stacking puts the trees of the files below one another.
    path
        Regular expression; a group called "unit" is the unit.
    unit
        Unit of the number where the path has none.
    each_pixel
        As in `Recorded`.
    """

    tree: str
    path: str
    unit: str
    each_pixel: bool = False


#: Where readers leave these numbers, the likeliest first. HyperSpy's own tree comes before that of
#: the file; there a leaf with "_units" added may hold the unit. Velox writes SI units.
_CURRENT = (
    _Item("metadata", rf"{_TEM}beam_current$", "nA"),
    _Item("original_metadata", r"\bMicroscope Info\.Probe Current \((?P<unit>\w+)\)$", "nA"),
    _Item("original_metadata", r"\bOptics\.ScreenCurrent$", "A"),
    _Item("original_metadata", r"\bOptics\.LastMeasuredScreenCurrent$", "A"),
)
_RATE = (
    _Item("metadata", rf"{_TEM}dose_rate$", "e⁻/Å²/s"),
    _Item("original_metadata", r"(?i)\bdose[ _]?rate \((?P<unit>[^)]+)\)(?:\.value)?$", ""),
    _Item("original_metadata", r"\b(?:Optics|Scan|CustomProperties)\.\w*DoseRate$", "e⁻/m²/s"),
    _Item("original_metadata", r"\bCustomProperties\.\w*DoseRate\.value$", "e⁻/m²/s"),
)
_PROBE_AREA = (_Item("metadata", rf"{_TEM}probe_area$", "nm**2"),)
_PROBE_SIZE = (
    _Item("original_metadata", r"\bMicroscope Info\.Probe Size \((?P<unit>\w+)\)$", "nm"),
)
_TIME = (
    _Item("metadata", rf"{_EELS}exposure$", "s", True),
    _Item("metadata", rf"{_EELS}dwell_time$", "s", True),
    _Item("metadata", rf"{_TEM}dwell_time$", "s", True),
    _Item("original_metadata", r"\bSI\.Acquisition\.Pixel time \((?P<unit>\w+)\)$", "s", True),
    _Item("original_metadata", r"\bScan\.DwellTime$", "s", True),
    _Item("original_metadata", r"\bScan\.FrameTime$", "s"),
)


def recorded_current(signal: BaseSignal, n_frame: int) -> Recorded | None:
    """The beam current in A that the file holds, or ``None``."""
    return _first(signal, _CURRENT, lambda value, unit: _times(value, unit, "A"), n_frame)


def recorded_rate(signal: BaseSignal, n_frame: int) -> Recorded | None:
    """The dose rate in e⁻/Å²/s that the file holds, or ``None``."""
    return _first(signal, _RATE, _in_electrons, n_frame)


def recorded_time(signal: BaseSignal, n_frame: int) -> Recorded | None:
    """The time of a frame, or of a pixel, in s that the file holds, or ``None``."""
    return _first(signal, _TIME, lambda value, unit: _times(value, unit, "s"), n_frame)


def recorded_probe_area(signal: BaseSignal) -> Recorded | None:
    """The area of the probe in nm² that the file holds, or ``None``."""
    area = _first(signal, _PROBE_AREA, lambda value, unit: _times(value, unit, "nm**2"), 1)
    if area is not None:
        return area
    size = _first(signal, _PROBE_SIZE, lambda value, unit: _times(value, unit, "nm"), 1)
    if size is None:
        return None
    return Recorded(math.pi * float(np.mean(size.value)) ** 2 / 4, f"{size.where}, as a disc")


@dataclass(frozen=True)
class ExposedArea:
    """The area over which the electrons of a frame are spread.

    Parameters
    ----------
    area_nm2
        Its size: the current of a frame divided by it is the mean dose rate of the places that
        were measured.
    positions
        Number of places that the probe stands on during a frame.
    words
        What it was made from.
    undersampling
        Area of a pixel over that of the probe where the probe does not fill the pixel, else 1.
    """

    area_nm2: float
    positions: int
    words: str
    undersampling: float = 1.0


def exposed_area(
    signal: BaseSignal, frame_axis: Any, probe_nm2: float | None, said: str
) -> ExposedArea | None:
    """Find the area that a frame exposes, or ``None`` where nothing says it.

    Parameters
    ----------
    signal
        The signal, whose other navigation axes in units of length are those of a scan.
    frame_axis
        The axis of frames.
    probe_nm2
        Area of the probe in nm², or ``None``.
    said
        Where that is from.

    Notes
    -----
    Places of a scan that overlap share their electrons: the area is that of all pixels. Where the
    probe is smaller than a pixel, the places that are measured are those that the probe meets, and
    their dose is higher than the mean over the scan.
    """
    steps = _steps_nm(signal, frame_axis)
    positions = math.prod(size for _, size in steps)
    if not steps:
        return None if probe_nm2 is None else ExposedArea(probe_nm2, 1, f"the probe, {said}")
    pixel = math.prod(step for step, _ in steps)
    if len(steps) == 1:
        if probe_nm2 is None:
            return None
        # A line: the probe wipes a strip of its own width.
        pixel *= 2 * math.sqrt(probe_nm2 / math.pi)
    words = f"{positions} pixels of {pixel:.4g} nm²"
    if probe_nm2 is None or probe_nm2 >= pixel:
        return ExposedArea(pixel * positions, positions, words)
    words = f"{positions} places of the probe, {said}"
    return ExposedArea(probe_nm2 * positions, positions, words, pixel / probe_nm2)


def _steps_nm(signal: BaseSignal, frame_axis: BaseDataAxis) -> list[tuple[float, int]]:
    """Step in nm and size of the axes of a scan."""
    found = []
    for axis in signal.axes_manager.navigation_axes:
        factor = in_unit(axis.units, "nm") if axis.is_uniform else None
        if axis is not frame_axis and factor is not None:
            found.append((abs(float(axis.scale)) * factor, int(axis.size)))
    return found


def _first(
    signal: BaseSignal,
    items: tuple[_Item, ...],
    converted: Callable[[float, str], float | None],
    n_frame: int,
) -> Recorded | None:
    leaves = {
        tree: list(_leaves(getattr(signal, tree).as_dictionary()))
        for tree in {item.tree for item in items}
    }
    for item in items:
        found = []
        for path, value in leaves[item.tree]:
            match = re.search(item.path, path)
            if match is None:
                continue
            unit = match.groupdict().get("unit") or item.unit
            if item.tree == "metadata":
                unit = str(signal.metadata.get_item(f"{path}_units") or unit)
            number = _positive(value)
            number = None if number is None else converted(number, unit)
            if number is not None:
                found.append((number, f"{item.tree}.{path}"))
        if found:
            # A stack of files holds one for each frame.
            each = np.array([number for number, _ in found])
            value = each if n_frame > 1 and each.size == n_frame else float(each[0])
            return Recorded(value, found[0][1], item.each_pixel)
    return None


def _leaves(tree: Mapping[str, object], path: str = "") -> Iterator[tuple[str, object]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _positive(value: Any) -> float | None:
    """A number; zero, as written by some microscopes, is no record."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) and number > 0 else None


def _times(value: float, unit: str, wanted: str) -> float | None:
    factor = in_unit(unit, wanted)
    return None if factor is None else value * factor


def _in_electrons(value: float, unit: str) -> float | None:
    """A rate in e⁻/Å²/s; one in electrons for each pixel of a camera is none at the specimen."""
    try:
        return float(convert(value, unit, "e⁻/Å²/s"))
    except ValueError:
        return None
