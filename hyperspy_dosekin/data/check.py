# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""One form for the errors of options."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np


def require(condition: bool, name: str, value: Any, constraint: str) -> None:
    """Raise a `ValueError` that names option, value and constraint unless `condition` holds."""
    if not condition:
        raise ValueError(f"{name}={value!r} {constraint}.")


def checked_sizes(shape: Any, number: int, axes: str) -> tuple[int, ...]:
    """A shape as whole numbers, one or more each.

    Parameters
    ----------
    shape
        The argument.
    number, axes
        How many sizes there must be, and of what.

    Raises
    ------
    TypeError
        If these are no whole numbers.
    ValueError
        If there are more or fewer, or one is below 1.
    """
    try:
        if isinstance(shape, str | bytes) or not isinstance(shape, Sequence | np.ndarray):
            raise TypeError
        sizes = tuple(operator.index(size) for size in shape)
    except TypeError:
        raise TypeError(f"shape={shape!r} must be {number} whole numbers, {axes}.") from None
    if len(sizes) != number or min(sizes) < 1:
        raise ValueError(f"shape={shape!r} must be {number} sizes of one or more, {axes}.")
    return sizes


def checked_channels(dead_channels: Any) -> tuple[int, ...]:
    """Indices of channels as a tuple; `Camera` looks at the numbers.

    Raises
    ------
    TypeError
        If it is no sequence.
    """
    if isinstance(dead_channels, str | bytes) or not isinstance(dead_channels, Sequence):
        raise TypeError(f"dead_channels={dead_channels!r} must be indices of channels.")
    return tuple(dead_channels)
