# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Functions that can be unpacked where this package is not, and then say that it is missing.

A worker of `distributed` that cannot unpack what it is sent drops the message, and whoever waits
for the result waits for ever. What this package puts into tasks therefore travels as plain bytes,
with a few lines of code that need nothing but the standard library to unpack them when the task
run: only there can an exception find its way back.

This is the only guard. To ask the workers when a graph is made is neither enough (a graph made
before the client was seen to hang) nor needed.
"""

from __future__ import annotations

import base64
import functools
import pickle
import types
from collections.abc import Callable
from typing import Any

#: What a worker keeps unpacked, each by its bytes: models need not be built anew for every block.
_KEPT = 16


class Portable:
    """A function that is called as it is here, and travels as bytes.

    Parameters
    ----------
    function
        Anything callable that can be pickled.
    """

    def __init__(self, function: Callable[..., object]) -> None:
        self.function = function
        self.__name__ = str(getattr(function, "__name__", type(function).__name__))

    def __call__(self, *args: object, **kwargs: object) -> Any:
        """Call the function."""
        return self.function(*args, **kwargs)

    @functools.cached_property
    def payload(self) -> bytes:
        """The function as bytes."""
        import cloudpickle

        return cloudpickle.dumps(self.function)

    def __reduce__(self) -> object:
        return functools.partial, (_Stub(), _Packed(self.payload))

    def __dask_tokenize__(self) -> object:
        return Portable.__name__, self.function


class _Packed:
    """Bytes that are spelt in another way as long as they travel.

    Whatever has the bytes ``__main__`` in it, `distributed` pickles again with cloudpickle, which,
    unlike its own pickler, can do nothing with the file that lazy data are read from (h5py).
    """

    def __init__(self, content: bytes) -> None:
        self.content = content

    def __reduce__(self) -> object:
        return base64.b64decode, (base64.b64encode(self.content),)


class _Stub:
    """Becomes a copy of `_unpack_and_call` that belongs to no module."""

    def __call__(self, *args: Any, **kwargs: Any) -> object:
        return _unpack_and_call(*args, **kwargs)

    def __reduce__(self) -> object:
        import cloudpickle

        return cloudpickle.loads, (_Packed(_stub_as_bytes()),)


@functools.cache
def _stub_as_bytes() -> bytes:
    import cloudpickle

    function = types.FunctionType(_unpack_and_call.__code__, {"__builtins__": __builtins__})
    # What belongs to the main program is pickled with its code, and not by the name of its module.
    function.__module__ = "__main__"
    return cloudpickle.dumps(function)


def _unpack_and_call(payload: bytes, *args: object, **kwargs: object) -> object:
    try:
        from hyperspy_dosekin.lazy.portable import unpacked
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] != "hyperspy_dosekin":
            raise
        raise ModuleNotFoundError(
            "hyperspy_dosekin is not installed where this task runs: install it, in the version "
            "of the client, on every worker of the cluster and restart them.",
            name=error.name,
        ) from error
    return unpacked(payload)(*args, **kwargs)


@functools.lru_cache(maxsize=_KEPT)
def unpacked(payload: bytes) -> Callable[..., object]:
    """The function of some bytes, the same for the same bytes."""
    return pickle.loads(payload)
