# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a window is, and the windows of low-loss EELS."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias, Union

import numpy as np
import numpy.typing as npt

#: Low-loss windows of arXiv:2605.01697, in eV. The names are labels of fixed energy ranges, not
#: bond assignments: whatever loses energy in the range counts.
LOW_LOSS_WINDOWS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "π–π*": (1.0, 3.0),
        "C–C": (4.0, 7.0),
        "C–O": (10.0, 15.0),
        "M–O": (20.0, 25.0),
    }
)

#: Limits closer than this to a channel, as a share of the channel width, lie on it. Axis values
#: computed as offset + index · scale carry rounding errors of that kind, and without this a window
#: that ends on a channel would give its neighbour a weight of 1e-16 (and read its NaN).
CHANNEL_TOLERANCE = 1e-9

_REMEDY = "pass windows={name: (left, right), …}, a list of SpanROI or a list of (left, right)."


@dataclass(frozen=True)
class Window:
    """A named interval of the spectrum.

    Parameters
    ----------
    name
        Label of the window.
    left, right
        Limits, in `unit`; `left` is the smaller one.
    unit
        Unit of the limits, that of the spectrum axis.

    Raises
    ------
    TypeError
        If a limit is not a real number.
    ValueError
        If a limit is not finite, or the window is reversed or empty.

    Examples
    --------
    >>> Window("C–O", 10, 15)
    Window(name='C–O', left=10.0, right=15.0, unit='eV')
    """

    name: str
    left: float
    right: float
    unit: str = "eV"

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", str(self.name))
        for side in ("left", "right"):
            limit = getattr(self, side)
            if not isinstance(limit, Real) or isinstance(limit, bool):
                raise TypeError(
                    f"window {self.name!r}: the {side} limit {limit!r} is not a number; {_REMEDY}"
                )
            if not math.isfinite(limit):
                raise ValueError(
                    f"window {self.name!r}: the {side} limit {limit} is not finite; "
                    "give both limits as energies on the axis."
                )
            object.__setattr__(self, side, float(limit))
        if self.left == self.right:
            raise ValueError(
                f"window {self.name!r}: ({self.left:g}, {self.right:g}) is empty; "
                "move its limits at least one channel apart."
            )
        if self.left > self.right:
            raise ValueError(
                f"window {self.name!r}: ({self.left:g}, {self.right:g}) is reversed; "
                f"write ({self.right:g}, {self.left:g})."
            )

    def scaled(self, factor: float, unit: str) -> Window:
        """The same window in another unit.

        Parameters
        ----------
        factor
            How many of the new unit are in one of the old.
        unit
            The new unit.

        Returns
        -------
        Window
            With the limits in the new unit.

        Examples
        --------
        >>> Window("C–O", 0.01, 0.015, "keV").scaled(1000, "eV")
        Window(name='C–O', left=10.0, right=15.0, unit='eV')
        """
        return replace(self, left=self.left * factor, right=self.right * factor, unit=unit)


class Limits(Protocol):
    """Anything with limits, such as HyperSpy's ``SpanROI``."""

    left: float
    right: float


#: One window, as a user may give it, and several.
WindowLike: TypeAlias = Union["Window", Limits, Sequence[float]]
WindowsLike: TypeAlias = Union[Mapping[str, WindowLike], Sequence[WindowLike], "Window", Limits]


def parse_windows(windows: WindowsLike | None = None) -> tuple[Window, ...]:
    """Return the windows that a user described.

    Parameters
    ----------
    windows
        A mapping ``{name: (left, right)}``; or a list whose elements are pairs ``(left, right)``,
        `Window` objects or anything with ``left`` and ``right``, such as
        :class:`hyperspy.api.roi.SpanROI`; or one such object. Elements without a ``name`` are
        called "1", "2", … by their place. ``None`` stands for `LOW_LOSS_WINDOWS`.

    Returns
    -------
    tuple of Window
        In the order given.

    Raises
    ------
    TypeError
        If `windows` or a limit is of another kind.
    ValueError
        If there is no window, a name repeats, or a window is reversed, empty or not finite.

    Examples
    --------
    >>> parse_windows([(1, 3), (4.5, 7)])[1]
    Window(name='2', left=4.5, right=7.0, unit='eV')
    """
    given: Any = LOW_LOSS_WINDOWS if windows is None else windows
    if _has_limits(given):
        given = [given]
    if isinstance(given, Mapping):
        named = [(name, limits) for name, limits in given.items()]
    elif _is_row(given):
        named = [
            (getattr(limits, "name", None) or str(place), limits)
            for place, limits in enumerate(given, start=1)
        ]
    else:
        raise TypeError(f"windows={given!r} describes no windows; {_REMEDY}")
    if not named:
        raise ValueError(f"windows={given!r} holds no window; {_REMEDY}")
    parsed = tuple(_window(name, limits) for name, limits in named)
    _refuse_repeated([window.name for window in parsed])
    return parsed


def validate(windows: Iterable[Window], axis: npt.ArrayLike, units: str = "eV") -> None:
    """Check that windows can be integrated on an axis.

    Parameters
    ----------
    windows
        The windows.
    axis
        Axis values of the channels, shape ``(n_channels,)``, ascending or descending, in the units
        of the windows.
    units
        Units to name in messages.

    Raises
    ------
    ValueError
        If there is no window, a name repeats, the axis has fewer than two channels, or a window
        reaches out of the axis or is narrower than one channel.

    Examples
    --------
    >>> validate([Window("C–O", 10, 15)], [5, 10, 12])
    Traceback (most recent call last):
    ValueError: window 'C–O' (10, 15) eV lies outside the axis, which runs from 5 to 12 eV; ...
    """
    windows = tuple(windows)
    if not windows:
        raise ValueError(f"there is no window to integrate; {_REMEDY}")
    _refuse_repeated([window.name for window in windows])
    channels = np.sort(np.asarray(axis, dtype=np.float64))
    if channels.size < 2:
        raise ValueError(
            f"an axis of {channels.size} channel(s) cannot be integrated over; "
            "windows need at least two channels."
        )
    width = np.gradient(channels)
    low, high = channels[0], channels[-1]
    for window in windows:
        where = f"window {window.name!r} ({window.left:g}, {window.right:g}) {units}"
        reach = CHANNEL_TOLERANCE * width
        if window.left < low - reach[0] or window.right > high + reach[-1]:
            raise ValueError(
                f"{where} lies outside the axis, which runs from {low:g} to {high:g} {units}; "
                "move it inside, or leave it out of `windows`."
            )
        nearest = np.abs(channels - (window.left + window.right) / 2).argmin()
        if window.right - window.left < width[nearest] * (1 - CHANNEL_TOLERANCE):
            raise ValueError(
                f"{where} is narrower than one channel ({width[nearest]:g} {units}) of the axis, "
                f"which runs from {low:g} to {high:g} {units}; widen it."
            )


def _is_row(thing: object) -> bool:
    if isinstance(thing, np.ndarray):
        return thing.ndim > 0
    return isinstance(thing, Iterable) and not isinstance(thing, str | bytes)


def _has_limits(thing: object) -> bool:
    return hasattr(thing, "left") and hasattr(thing, "right")


def _window(name: Any, limits: Any) -> Window:
    if _has_limits(limits):
        return Window(name, limits.left, limits.right)
    try:
        left, right = limits
    except (TypeError, ValueError):
        raise TypeError(
            f"window {str(name)!r}: {limits!r} is not a pair (left, right); {_REMEDY}"
        ) from None
    return Window(name, left, right)


def _refuse_repeated(names: list[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(
            f"window names {repeated} repeat in {names}; give each window its own name."
        )
