# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all pictures have, and how their arrays are checked.

In all of them W is the number of windows, doses are cumulative and in the unit `dose_unit` of the
picture, and NaN stands for what does not exist: a missing frame, a half-integrity dose that is
never reached.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def arrays(
    picture: object, dtype: type, shape: tuple[int, ...], required: str, optional: str = ""
) -> None:
    """Replace fields by arrays of a dtype and shape; optional ones may stay ``None``."""
    for name in f"{required} {optional}".split():
        value = getattr(picture, name)
        if value is None and name in optional.split():
            continue
        array = np.asarray(value, dtype=dtype)
        if array.shape != shape:
            raise ValueError(
                f"{type(picture).__name__}.{name} of shape {array.shape} must have shape {shape}; "
                "windows come first, doses or records as the docstring says."
            )
        object.__setattr__(picture, name, array)


def pairs(picture: object, *names: str) -> None:
    """Bounds of an interval only make sense together."""
    for name in names:
        lower, upper = getattr(picture, f"{name}lower"), getattr(picture, f"{name}upper")
        if (lower is None) != (upper is None):
            raise ValueError(
                f"{type(picture).__name__} has only one of {name}lower and {name}upper; pass both "
                "bounds of the interval or neither (an open one ends in inf or 0)."
            )


def size_of(picture: object, name: str) -> int:
    """Length of a 1-D field."""
    array = np.asarray(getattr(picture, name), dtype=float)
    if array.ndim != 1:
        raise ValueError(
            f"{type(picture).__name__}.{name} has {array.ndim} dimensions; pass a 1-D array."
        )
    object.__setattr__(picture, name, array)
    return array.size


def mappings(picture: object, name: str, shape: tuple[int, ...]) -> None:
    """Replace the entries of a mapping by float arrays of a shape."""
    entries = {str(key): np.asarray(v, dtype=float) for key, v in getattr(picture, name).items()}
    for key, array in entries.items():
        if array.shape != shape:
            raise ValueError(
                f"{type(picture).__name__}.{name}[{key!r}] of shape {array.shape} must have shape "
                f"{shape}."
            )
    object.__setattr__(picture, name, entries)


@dataclass(frozen=True, eq=False, kw_only=True)
class Picture:
    """What all pictures have.

    Parameters
    ----------
    window_names
        W labels.
    dose_unit
        Unit of all doses; empty where it is not known.
    title
        Title of the figure; none if empty.
    energy_windows
        Whether windows are ranges of energy, whose names a figure calls labels.

    Raises
    ------
    ValueError
        If there is no window.
    """

    window_names: tuple[str, ...]
    dose_unit: str = ""
    title: str = ""
    energy_windows: bool = True

    def __post_init__(self) -> None:
        names = tuple(str(name) for name in self.window_names)
        if not names:
            raise ValueError("window_names is empty; a figure needs at least one window.")
        object.__setattr__(self, "window_names", names)
