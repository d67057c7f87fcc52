# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The windows of the kinetics tool: named spans of the energy axis that a person moves about."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
import traits.api as t
from hyperspy.roi import SpanROI

#: Channels that a window has at least: one step of the axis.
_FEWEST_STEPS = 1
#: Width of a new window, as a share of the axis, if there is room for it.
_NEW_SHARE = 0.05


class WindowRow(t.HasTraits):
    """One window: a name and the `SpanROI` that is dragged on the spectrum.

    Parameters
    ----------
    name
        Label.
    left, right
        Limits in units of the energy axis.
    """

    name = t.Str()
    roi = t.Instance(SpanROI, allow_none=False)

    def __init__(self, name: str, left: float, right: float) -> None:
        super().__init__(name=str(name), roi=SpanROI(float(left), float(right)))

    @property
    def limits(self) -> tuple[float, float]:
        """Left and right limit, in units of the energy axis."""
        return float(self.roi.left), float(self.roi.right)

    def place(self, left: float, right: float) -> None:
        """Move both limits; in the order that never turns the span inside out."""
        if left >= self.roi.right:
            self.roi.right, self.roi.left = right, left
        else:
            self.roi.left, self.roi.right = left, right


class KineticsWindows(t.HasTraits):
    """Add, rename, remove and move windows, within the axis and each with its own name.

    Parameters
    ----------
    axis
        Energies of the channels, ascending or descending, ``(n_channel,)``.
    windows
        Mapping ``{name: (left, right)}`` to begin with and to come back to.
    defaults
        The windows of the paper, in units of the axis.
    units
        Units of the axis, for messages.

    Attributes
    ----------
    rows
        The windows, in their order.
    snap
        Whether limits go to the nearest channel.
    moved
        Fires with the name of a window when its limits have changed.
    listed
        Fires when windows were added, removed or renamed.
    note
        What was done to the last limits that did not fit, in words.
    """

    rows = t.List(t.Instance(WindowRow, allow_none=False))
    snap = t.Bool(False, label="Snap to channel")
    held = t.Bool(False)
    moved = t.Event()
    listed = t.Event()
    note = t.Str()

    def __init__(
        self,
        axis: np.ndarray,
        windows: Mapping[str, Iterable[float]],
        defaults: Mapping[str, Iterable[float]],
        units: str = "eV",
    ) -> None:
        super().__init__()
        self.energies = np.sort(np.asarray(axis, dtype=np.float64))
        self.units = units
        self._initial = {str(name): tuple(limits) for name, limits in windows.items()}
        self._defaults = {str(name): tuple(limits) for name, limits in defaults.items()}
        self._busy = False
        self._moved_while_held: set[str] = set()
        self.replace(self._initial)

    # What is there

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the windows, in order."""
        return tuple(row.name for row in self.rows)

    def as_dict(self) -> dict[str, tuple[float, float]]:
        """``{name: (left, right)}``, as `integrate_windows` takes them."""
        return {row.name: row.limits for row in self.rows}

    def row(self, name: str) -> WindowRow:
        """The window of a name.

        Raises
        ------
        KeyError
            If there is none.
        """
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"there is no window {name!r}; there are {', '.join(self.names)}.")

    # What a person does

    def replace(self, windows: Mapping[str, Iterable[float]]) -> None:
        """Put others in the place of all windows; those outside the axis are left out, with a note.

        Raises
        ------
        ValueError
            If none of them lies on the axis.
        """
        low, high = self.energies[[0, -1]]
        rows, left_out = [], []
        for name, (left, right) in windows.items():
            inside = max(float(left), low), min(float(right), high)
            if inside[1] - inside[0] < self._smallest(inside[0]):
                left_out.append(str(name))
                continue
            rows.append(WindowRow(name, *inside))
        if not rows:
            raise ValueError(
                f"none of the windows {', '.join(map(repr, windows))} lies on the energy axis, "
                f"which runs from {low:g} to {high:g} {self.units}; pass windows={{name: "
                "(left, right)}."
            )
        for row in self.rows:
            row.roi.events.changed.disconnect(self._roi_changed)
        self.rows = rows
        for row in rows:
            row.roi.events.changed.connect(self._roi_changed, ["roi"])
        self.note = (
            f"{', '.join(left_out)} left out: outside the axis, {low:g} to {high:g} {self.units}."
            if left_out
            else ""
        )
        self.listed = True

    def reset(self) -> None:
        """Go back to the windows of the start."""
        self.replace(self._initial)

    def paper_defaults(self) -> None:
        """Take the windows of the paper, as far as they lie on the axis."""
        self.replace(self._defaults)

    def add(
        self, name: str | None = None, left: float | None = None, right: float | None = None
    ) -> WindowRow:
        """Add a window, by default in the widest gap between the others.

        Raises
        ------
        ValueError
            If the name is taken or empty, or the limits are none.
        """
        if name is None:
            number = len(self.rows) + 1
            while f"window {number}" in self.names:
                number += 1
            name = f"window {number}"
        name = self._checked_name(name)
        if left is None or right is None:
            left, right = self._free_place()
        row = WindowRow(name, *self._fitted(name, float(left), float(right)))
        row.roi.events.changed.connect(self._roi_changed, ["roi"])
        self.rows.append(row)
        self.listed = True
        return row

    def remove(self, name: str) -> None:
        """Remove a window.

        Raises
        ------
        ValueError
            If it is the last one.
        """
        row = self.row(name)
        if len(self.rows) == 1:
            raise ValueError(f"{name!r} is the only window, and there has to be one; add another.")
        row.roi.events.changed.disconnect(self._roi_changed)
        self.rows.remove(row)
        self.listed = True

    def rename(self, old: str, new: str) -> None:
        """Give a window another name.

        Raises
        ------
        ValueError
            If another window has that name, or it is empty.
        """
        row = self.row(old)
        if str(new) == old:
            return
        row.name = self._checked_name(new)
        self.listed = True

    def set_limits(self, name: str, left: float, right: float) -> None:
        """Move the limits of a window; what lies outside the axis is put back inside, with a note.

        Raises
        ------
        ValueError
            If a limit is not finite, or the left one is not the smaller one.
        """
        row = self.row(name)
        place = self._fitted(name, float(left), float(right))
        if place != row.limits:
            self._put(row, place)
            self._tell(name)

    def hold(self) -> None:
        """A drag begins: limits follow the mouse, and nobody is told."""
        self.held = True
        self._moved_while_held = set()

    def release(self) -> None:
        """The drag has ended: limits are put inside the axis and on channels, and told."""
        self.held = False
        moved, self._moved_while_held = self._moved_while_held, set()
        self._settle(moved)

    # Plumbing

    def _settle(self, names: Iterable[str]) -> None:
        for row in list(self.rows):
            if row.name in names:
                left, right = row.limits
                try:
                    place = self._fitted(row.name, left, right)
                except ValueError as error:
                    self.note = str(error)
                    continue
                if place != (left, right):
                    self._put(row, place)
                self._tell(row.name)

    def _roi_changed(self, roi: object) -> None:
        """Follow a span that was dragged, or moved by a program."""
        if self._busy:
            return
        names = [row.name for row in self.rows if row.roi is roi]
        if self.held:
            self._moved_while_held.update(names)
        else:
            self._settle(names)

    @t.observe("snap", post_init=True)
    def _snap_all(self, event: object) -> None:
        if self.snap:
            for name, (left, right) in self.as_dict().items():
                self.set_limits(name, left, right)

    def _put(self, row: WindowRow, place: tuple[float, float]) -> None:
        self._busy = True
        try:
            row.place(*place)
        finally:
            self._busy = False

    def _tell(self, name: str) -> None:
        self.moved = name

    def _smallest(self, energy: float) -> float:
        """Width of a channel at an energy, with room for rounding."""
        place = int(np.abs(self.energies - energy).argmin())
        return float(np.gradient(self.energies)[place]) * _FEWEST_STEPS * (1 - 1e-9)

    def _fitted(self, name: str, left: float, right: float) -> tuple[float, float]:
        """Limits inside the axis, on channels if they shall be, and a channel apart."""
        if not (math.isfinite(left) and math.isfinite(right)):
            raise ValueError(f"window {name!r}: limits must be numbers, in {self.units}.")
        if left >= right:
            raise ValueError(
                f"window {name!r}: the left limit {left:g} {self.units} must be smaller than the "
                f"right one, {right:g} {self.units}."
            )
        low, high = (float(end) for end in self.energies[[0, -1]])
        note = ""
        if left < low or right > high:
            note = (
                f"{name}: put back inside the axis, which runs from {low:g} to {high:g} "
                f"{self.units}."
            )
            width = min(right - left, high - low)
            # A window that was pushed out as a whole keeps its width; one that was drawn out ends
            # at the axis.
            if left >= high or right <= low:
                left, right = (high - width, high) if left >= high else (low, low + width)
            else:
                left, right = max(left, low), min(right, high)
        if self.snap:
            left, right = (
                float(self.energies[np.abs(self.energies - limit).argmin()])
                for limit in (left, right)
            )
        smallest = self._smallest((left + right) / 2)
        if right - left < smallest:
            note = f"{name}: widened to one channel, {smallest:.3g} {self.units}."
            place = int(np.clip(np.searchsorted(self.energies, left), 0, self.energies.size - 2))
            left, right = (float(end) for end in self.energies[place : place + 2])
        self.note = note
        return left, right

    def _checked_name(self, name: str) -> str:
        name = str(name).strip()
        if not name:
            raise ValueError("a window needs a name; type one.")
        if name in self.names:
            raise ValueError(
                f"there is a window {name!r} already, and two windows cannot have one name; type "
                "another."
            )
        return name

    def _free_place(self) -> tuple[float, float]:
        low, high = (float(end) for end in self.energies[[0, -1]])
        edges = sorted(row.limits for row in self.rows)
        # Losses begin at zero: what lies below is the zero-loss peak.
        start = min(max(low, 0.0), edges[0][0])
        gaps = []
        for left, right in [*edges, (high, high)]:
            if left > start:
                gaps.append((start, left))
            start = max(start, right)
        # Near the others rather than far out, where there is little to see.
        near = [gap for gap in gaps if gap[0] <= edges[-1][1]] or [(low, high)]
        gap = max(near, key=lambda ends: min(ends[1] - ends[0], _NEW_SHARE * (high - low)))
        width = max(min(0.5 * (gap[1] - gap[0]), _NEW_SHARE * (high - low)), self._smallest(gap[0]))
        middle = min((gap[0] + gap[1]) / 2, gap[0] + width)
        return middle - width / 2, middle + width / 2
