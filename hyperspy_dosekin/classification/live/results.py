# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory of results, used again once nobody looks at it any more."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

#: Batch sizes, and results of one size, that are remembered.
_SIZES, _ARRAYS = 8, 4


def _unknown(_: object) -> int:
    return -1


#: How many references there are to an object. Where no one counts, nothing is used again.
_references: Callable[[Any], int] = getattr(sys, "getrefcount", _unknown)


def _free(arrays: list[np.ndarray]) -> np.ndarray | None:
    """First array that nothing outside the list refers to, not even a view of it."""
    for array in arrays:
        if _references(array) == _IDLE:
            return array
    return None


def _idle() -> int:
    """References to an array of a list, seen from within such a loop."""
    for array in [np.empty(0)]:
        return _references(array)
    raise AssertionError


_IDLE = _idle() if _references is not _unknown else 0


class ResultMemory:
    """Arrays for results of one kind.

    A result stays untouched as long as it, or a view of it, is referred to. A loop that drops each
    result takes no new memory after its first two rounds.

    Parameters
    ----------
    shape
        Shape of the result of one spectrum.
    dtype
        Type of the results.
    """

    def __init__(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        self._shape, self._dtype = shape, np.dtype(dtype)
        self._arrays: dict[int, list[np.ndarray]] = {}

    def take(self, number: int) -> np.ndarray:
        """Memory for the results of so many spectra, with whatever values."""
        arrays = self._arrays.get(number)
        if arrays is None:
            arrays = self._arrays[number] = []
            if len(self._arrays) > _SIZES:
                # The size that came first; what is in use comes back.
                del self._arrays[next(iter(self._arrays))]
        found = _free(arrays)
        if found is None:
            found = np.empty((number, *self._shape), dtype=self._dtype)
            if len(arrays) == _ARRAYS:
                arrays.pop(0)
            arrays.append(found)
        return found
