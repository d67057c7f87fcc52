# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""One code for arrays of NumPy and tensors of Torch: functions by the kind of what they get.

A kernel asks `namespace` for the functions that go with its array. For a NumPy array that is NumPy
itself, and nothing of this file is in the way; for a tensor it is Torch, in NumPy's words, and what
it makes is on the device of the tensor. Torch is not imported for arrays.
"""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import scipy.fft
from scipy.special import ndtr

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# SciPy's transforms have no types that a checker could follow.
fft: Any = scipy.fft
Values = TypeVar("Values", np.ndarray, "Tensor")


def namespace(array: np.ndarray | Tensor) -> ModuleType:
    """Functions that go with an array: NumPy, or Torch on the device of a tensor.

    Examples
    --------
    >>> import torch
    >>> for values in (np.array([1.0, -1.0]), torch.tensor([1.0, -1.0])):
    ...     xp = namespace(values)
    ...     print(xp.maximum(values, 0.0) + xp.arange(2.0))
    [1. 1.]
    tensor([1., 1.], dtype=torch.float64)
    """
    return np if isinstance(array, np.ndarray) else _torch_on(array.device)


@lru_cache(maxsize=16)
def _torch_on(device: torch.device) -> ModuleType:
    import torch

    double, whole = torch.float64, torch.int64

    class TorchNamespace(ModuleType):
        """Torch in NumPy's words; what has no word of its own here is that of Torch."""

        float64, intp, newaxis = double, whole, None
        conjugate = staticmethod(torch.conj_physical)

        def __getattr__(self, name: str) -> object:
            return getattr(torch, name)

        def asarray(self, values: object, dtype: torch.dtype | None = None) -> Tensor:
            # Torch warns of arrays that must not be written to; nothing here writes to inputs.
            if isinstance(values, np.ndarray) and not values.flags.writeable:
                values = values.copy()
            return torch.as_tensor(values, dtype=dtype, device=device)

        def arange(self, *limits: float) -> Tensor:
            kind = double if any(isinstance(each, float) for each in limits) else whole
            return torch.arange(*limits, dtype=kind, device=device)

        def zeros(self, shape: tuple[int, ...], dtype: torch.dtype = double) -> Tensor:
            return torch.zeros(shape, dtype=dtype, device=device)

        def empty(self, shape: tuple[int, ...], dtype: torch.dtype = double) -> Tensor:
            return torch.empty(shape, dtype=dtype, device=device)

        def full(self, shape: tuple[int, ...], value: float) -> Tensor:
            return torch.full(shape, value, dtype=double, device=device)

        def maximum(
            self, values: Tensor, other: Tensor | float, out: Tensor | None = None
        ) -> Tensor:
            if torch.is_tensor(other):
                return torch.maximum(values, other, out=out)
            return torch.clamp(values, min=other, out=out)

        def median(self, values: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
            # The mean of the middle two of an even number, of which Torch takes the lower.
            if axis is None:
                values, axis = values.ravel(), 0
            ordered, number = torch.sort(values, axis).values, values.shape[axis]
            middle = torch.narrow(ordered, axis, (number - 1) // 2, 2 - number % 2)
            return middle.mean(axis, keepdim=keepdims)

        def ascontiguousarray(self, values: Tensor) -> Tensor:
            return values.contiguous()

        def flatnonzero(self, marked: Tensor) -> Tensor:
            return torch.nonzero(marked.ravel()).ravel()

    return TorchNamespace("torch")


def astype(values: Values, dtype: Any, *, copy: bool = False) -> Values:
    """Values in another type of their library; themselves if they are of that and no `copy` is."""
    if isinstance(values, np.ndarray):
        return values.astype(dtype, copy=copy)
    return values.to(dtype, copy=copy)


def rfft(values: Values, length: int | None = None) -> Values:
    """Transform of the last axis of real numbers, zero up to a length."""
    if isinstance(values, np.ndarray):
        return fft.rfft(values, length, axis=-1)
    return namespace(values).fft.rfft(values, length)


def irfft(values: Values, length: int) -> Values:
    """Real numbers of a transform of the last axis, which may be overwritten."""
    if isinstance(values, np.ndarray):
        return fft.irfft(values, length, axis=-1, overwrite_x=True)
    return namespace(values).fft.irfft(values, length)


@lru_cache(maxsize=64)
def fast_length(least: int) -> int:
    """Length of a transform of real numbers that is at least so long and fast."""
    return fft.next_fast_len(least, real=True)


def normal_distribution(values: Values) -> Values:
    """Distribution function of a standard normal variable."""
    if isinstance(values, np.ndarray):
        return ndtr(values)
    return namespace(values).special.ndtr(values)


def on_steps(place: Values, values: np.ndarray, *, beyond: bool = True) -> Values:
    """Values at 0, 1, 2, … by straight lines between them, at any places.

    Parameters
    ----------
    place
        Array or tensor.
    values
        Shape ``(n,)``.
    beyond
        Whether the values at the ends go on beyond them; nothing is there otherwise.

    Examples
    --------
    >>> import torch
    >>> places = np.array([-1.0, 0.5, 4.0])
    >>> for each in (places, torch.tensor(places)):
    ...     print(on_steps(each, np.array([2.0, 4.0, 8.0]), beyond=False))
    [0. 3. 0.]
    tensor([0., 3., 0.], dtype=torch.float64)
    """
    if isinstance(place, np.ndarray):
        ends = (None, None) if beyond else (0.0, 0.0)
        return np.interp(place, np.arange(values.size), values, *ends)
    xp, last = namespace(place), values.size - 1
    known = xp.asarray(values, xp.float64)
    inside = xp.clip(place, 0, last)
    below = xp.clip(xp.floor(inside).to(xp.intp), 0, max(last - 1, 0))
    fraction = inside - below
    found = known[below] + fraction * (known[xp.clip(below + 1, 0, last)] - known[below])
    return found if beyond else xp.where(place == inside, found, 0.0)


def on_host(values: np.ndarray | Tensor) -> np.ndarray:
    """A NumPy array with the numbers of an array or a tensor; waits for a device."""
    return values if isinstance(values, np.ndarray) else values.cpu().numpy()
