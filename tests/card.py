# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A card that is not there, to find what would fail on one, or wait for copies.

Its tensors keep their numbers in the memory of the processor and say that they are elsewhere. As on
a card, no operation takes tensors of both places (but for single numbers), NumPy has no way to the
numbers, and what is made without a place is not there. Copies between the places are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing

from hyperspy_dosekin.numerics import device

#: A device that Torch knows of, has no kernels for, and differentiates in the calling thread.
CARD = torch.device("lazy", 0)


class OnCard(Tensor):
    """A tensor on the card."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner: Tensor) -> OnCard:
        return Tensor._make_wrapper_subclass(
            cls, inner.shape, inner.stride(), inner.storage_offset(), dtype=inner.dtype, device=CARD
        )

    def __init__(self, inner: Tensor) -> None:
        self.inner = inner

    # Torch makes tensors of lists and numbers where no mode sees it.
    def __getitem__(self, index: Any) -> Tensor:
        return super().__getitem__(_sent(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(_sent(index), value)

    def new_tensor(self, data: Any, dtype: torch.dtype | None = None) -> Tensor:
        return torch.tensor(data, dtype=dtype or self.dtype).to(CARD)

    def tolist(self) -> list[Any]:
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise AssertionError(f"{func} outside of the card, such as in another thread")


def _sent(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(map(_sent, index))
    if not isinstance(index, (list, np.ndarray)):
        return index
    return torch.as_tensor(np.asarray(index, dtype=None if len(index) else int)).to(CARD)


def _made(make: Any, data: Any, *args: Any, device: Any = None, **kwargs: Any) -> Tensor:
    return make(data, *args, **kwargs) if device is None else make(data, *args, **kwargs).to(device)


class Generator(torch.Generator):
    """Random numbers for the card."""

    def __new__(cls, device: Any = "cpu") -> Generator:
        return super().__new__(cls, "cpu")

    def __init__(self, device: Any = "cpu") -> None:
        self.place = torch.device(device)

    @property
    def device(self) -> torch.device:
        return self.place


class Card(TorchDispatchMode):
    """Machine with a card, while it is entered.

    Attributes
    ----------
    sent, fetched
        Numbers in each copy to the card and back.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[int] = []
        self.fetched: list[int] = []
        self._patches = [
            patch.object(device, "present_devices", lambda: ("cpu", str(CARD))),
            patch.object(torch, "Generator", Generator),
            *(
                patch.object(torch, name, partial(_made, getattr(torch, name)))
                for name in ("tensor", "as_tensor")
            ),
        ]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Its compiler takes seconds to import.
        return False

    def __enter__(self) -> Card:
        for each in self._patches:
            each.start()
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        for each in self._patches:
            each.stop()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        tensors = list(_tensors((*args, *kwargs.values())))
        there = [each for each in tensors if isinstance(each, OnCard)]
        here = [each for each in tensors if not isinstance(each, OnCard)]
        to = kwargs.get("device")
        if not there and (to is None or to.type != CARD.type):
            return func(*args, **kwargs)
        found = func(*_each(args, _inner), **{key: _inner(each) for key, each in kwargs.items()})
        name = func.__name__.partition(".")[0]
        if name in ("_to_copy", "copy_"):
            target = args[0] if name == "copy_" else to
            back = name == "copy_" and not isinstance(target, OnCard)
            back = back or (name == "_to_copy" and to is not None and to.type != CARD.type)
            if back or here:
                (self.fetched if back else self.sent).append(found.numel())
            if back:
                return target if name == "copy_" else found
        elif any(each.ndim for each in here):
            shapes = [tuple(each.shape) for each in here]
            raise RuntimeError(f"{func}: tensors of the processor, {shapes}, and of the card")
        found = _each(found, lambda value: OnCard(value) if isinstance(value, Tensor) else value)
        if all(each.alias_info is None for each in func._schema.returns):
            return found
        return return_and_correct_aliasing(func, args, kwargs, found)


def _each(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(_each(one, change) for one in value)
    return change(value)


def _inner(value: Any) -> Any:
    if isinstance(value, torch.device):
        return torch.device("cpu") if value.type == CARD.type else value
    return value.inner if isinstance(value, OnCard) else value


def _tensors(values: Any) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _tensors(value)
