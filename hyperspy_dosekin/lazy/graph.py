# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Task graphs of kernels on blocks: a constant number of layers, however many chunks there are.

dask's own generalised functions write one task after the other while the graph is built, copy every
block whose core axes are whole, and carry the options of the kernel in every task. Here layers stay
symbolic until they are computed, whole blocks are passed on as they are, and options that are large
are one node of the graph, which a cluster sends to each worker once.
"""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import numpy.typing as npt
from dask.array.core import unify_chunks
from dask.base import tokenize
from dask.delayed import delayed
from dask.layers import ArraySliceDep

from hyperspy_dosekin.lazy.portable import Portable

if TYPE_CHECKING:
    from hyperspy_dosekin.lazy.arrays import Array

#: Options of more bytes are a node of their own rather than a part of every task.
LARGE_OPTIONS = 4096
_CORE = re.compile(r"\(([^()]*)\)")
#: Exceptions whose only argument is the message, so that it can be made longer.
_MESSAGE_ONLY = (ValueError, TypeError, RuntimeError, ArithmeticError, AssertionError)


@dataclass(frozen=True, eq=False)
class BlockCall:
    """A kernel with its options, as it travels to where the blocks are.

    Parameters
    ----------
    kernel
        Function of NumPy blocks.
    options
        Passed on to it.
    method
        What a user called, for messages.
    """

    kernel: Callable[..., Any]
    options: Mapping[str, Any]
    method: str

    def __call__(self, *blocks: Any) -> object:
        """Join what is in pieces, call the kernel, and say where it was if it fails."""
        *pieces, place = blocks
        try:
            with np.errstate(all="ignore"):
                return self.kernel(*(joined(piece) for piece in pieces), **self.options)
        except Exception as error:
            _add(error, f"{self.method} failed in the block {_described(place)}.")
            raise


def lazy_blocks(
    kernel: Callable[..., object],
    signature: str,
    arrays: Sequence[Any],
    *,
    output_sizes: Mapping[str, int],
    output_dtypes: Sequence[npt.DTypeLike],
    method: str,
    options: Mapping[str, object],
) -> object:
    """Return dask arrays of what a kernel makes of blocks; parameters as for `map_blocks`.

    Raises
    ------
    ValueError
        If the signature does not fit the arrays.
    """
    inputs, outputs = parse_signature(signature, arrays)
    symbols = itertools.count()
    n_lead = max(array.ndim - len(core) for array, core in zip(arrays, inputs, strict=True))
    lead = [next(symbols) for _ in range(n_lead)]
    sizes = {**_core_sizes(inputs, arrays), **output_sizes}
    model = next(array for array in arrays if isinstance(array, da.Array))
    arrays = [_as_dask(array, len(core), model) for array, core in zip(arrays, inputs, strict=True)]
    shared = _shared_symbols(inputs, arrays, symbols)
    pairs: list[object] = []
    for array, core in zip(arrays, inputs, strict=True):
        own = [shared[letter] if letter in shared else next(symbols) for letter in core]
        pairs += [array, (*lead[n_lead - array.ndim + len(core) :], *own)]
    chunks, aligned = unify_chunks(*pairs)
    pairs[::2] = aligned
    place = ArraySliceDep(tuple(chunks[symbol] for symbol in lead)) if lead else ()
    token = tokenize(kernel, signature, [array.name for array in aligned], output_dtypes,
                     output_sizes, options, method)  # fmt: skip
    call = _function_of(BlockCall(kernel, options, method), token)
    if len(outputs) == 1:
        return _layer(
            f"{_plain(method)}-{token}", call, pairs, lead, place, outputs[0], shared, symbols,
            sizes, output_dtypes[0],
        )  # fmt: skip
    together = _layer(
        f"{_plain(method)}-{token}", call, pairs, lead, place, (), shared, symbols, sizes, object
    )
    return tuple(
        _part(together, position, core, sizes, dtype, lead, symbols)
        for position, (core, dtype) in enumerate(zip(outputs, output_dtypes, strict=True))
    )


def parse_signature(
    signature: str, arrays: Sequence[Any]
) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """Return the core letters of each input and output of a signature such as ``"(e)->(w)"``."""
    inputs, outputs = (
        [tuple(letter for letter in core.split(",") if letter) for core in _CORE.findall(side)]
        for side in signature.replace(" ", "").split("->")
    )
    if len(inputs) != len(arrays):
        raise ValueError(f"{signature!r} has {len(inputs)} inputs, but {len(arrays)} are given.")
    for array, core in zip(arrays, inputs, strict=True):
        if np.ndim(array) < len(core):
            raise ValueError(
                f"an array of shape {np.shape(array)} has no core axes {core} of {signature!r}."
            )
    return inputs, outputs


def joined(block: Any) -> np.ndarray:
    """Return a block whose core axes may have come in pieces, without a copy where they did not."""
    pieces = block
    while isinstance(pieces, list) and len(pieces) == 1:
        (pieces,) = pieces
    if not isinstance(pieces, list):
        return pieces
    return np.block(block)


def _core_sizes(inputs: Sequence[Sequence[str]], arrays: Sequence[Any]) -> dict[str, int]:
    """Length of each core axis.

    Raises
    ------
    ValueError
        If one has several lengths.
    """
    sizes: dict[str, int] = {}
    for array, core in zip(arrays, inputs, strict=True):
        for letter, size in zip(core, array.shape[array.ndim - len(core) :], strict=True):
            if sizes.setdefault(letter, size) != size:
                raise ValueError(f"core axis {letter} has the lengths {sizes[letter]} and {size}.")
    return sizes


def _as_dask(array: Array, n_core: int, model: Any) -> da.Array:
    """A dask array of a NumPy array, in the leading chunks of another one where they fit."""
    if isinstance(array, da.Array):
        return array
    array = np.asarray(array)
    lead = array.shape[: array.ndim - n_core]
    fits = lead == model.shape[: len(lead)]
    whole = tuple((size,) for size in array.shape)
    # dask says nothing of what its chunks may be, and is taken to want a text.
    chunks: Any = (*model.chunks[: len(lead)], *whole[len(lead) :]) if fits else whole
    # Without a name dask would hash the whole array.
    return da.from_array(array, chunks=chunks, name=False)


def _shared_symbols(
    inputs: Sequence[Sequence[str]], arrays: Sequence[Any], symbols: Iterator[int]
) -> dict[str, int]:
    """A symbol for each core letter of arrays whose core axes are all in one chunk.

    Such an axis can be an axis of the output, of another length, so that dask sees no reduction
    and merges reading and computing into one task. Others are contracted, each array by itself, so
    that their chunks need not agree.
    """
    split: set[str] = set()
    for array, core in zip(arrays, inputs, strict=True):
        if any(number != 1 for number in array.numblocks[array.ndim - len(core) :]):
            # All of its core axes, because `joined` takes lists of blocks to be those of all.
            split.update(core)
    return {letter: next(symbols) for core in inputs for letter in core if letter not in split}


def _function_of(call: BlockCall, token: str) -> tuple[Portable, dict[str, object]]:
    """What the tasks call, and with what: options that are large are a node of the graph."""
    function = Portable(call)
    try:
        size = len(function.payload)
    except Exception:  # what cannot be pickled can still be called in this process
        size = 0
    if size <= LARGE_OPTIONS:
        return function, {}
    return Portable(_invoke), {
        "function": delayed(function, name=f"options-{token}", traverse=False)
    }


def _layer(
    name: str,
    call: tuple[Portable, dict[str, object]],
    pairs: Sequence[object],
    lead: Sequence[int],
    place: object,
    core: Sequence[str],
    shared: Mapping[str, int],
    symbols: Iterator[int],
    sizes: Mapping[str, int],
    dtype: npt.DTypeLike,
) -> da.Array:
    """One symbolic layer; axes of its output take the place of whole axes of its inputs."""
    free = list(dict.fromkeys(shared.values()))
    is_tuple = np.dtype(dtype) == object
    # What stands for several outputs has the axes that are there, none of which means anything.
    n_out = len(free) if is_tuple else len(core)
    reused = free[:n_out]
    new = [next(symbols) for _ in range(n_out - len(reused))]
    lengths = [1] * n_out if is_tuple else [sizes[letter] for letter in core]
    out = (*lead, *reused, *new)
    function, large = call
    return da.blockwise(
        function,
        out,
        *pairs,
        place,
        tuple(lead) if lead else None,
        name=name,
        dtype=dtype,
        meta=np.empty((0,) * len(out), dtype=dtype),
        adjust_chunks=dict(zip(reused, lengths, strict=False)),
        new_axes=dict(zip(new, lengths[len(reused) :], strict=True)),
        align_arrays=False,
        **large,
    )


def _part(
    together: da.Array,
    position: int,
    core: Sequence[str],
    sizes: Mapping[str, int],
    dtype: npt.DTypeLike,
    lead: Sequence[int],
    symbols: Iterator[int],
) -> da.Array:
    """One of several outputs."""
    axes = [next(symbols) for _ in range(together.ndim - len(lead))]
    reused = axes[: len(core)]
    new = [next(symbols) for _ in range(len(core) - len(reused))]
    lengths = [sizes[letter] for letter in core]
    out = (*lead, *reused, *new)
    return da.blockwise(
        Portable(_take),
        out,
        together,
        (*lead, *axes),
        name=f"{together.name}-{position}",
        dtype=dtype,
        meta=np.empty((0,) * len(out), dtype=dtype),
        adjust_chunks=dict(zip(reused, lengths, strict=False)),
        new_axes=dict(zip(new, lengths[len(reused) :], strict=True)),
        align_arrays=False,
        position=position,
    )


def _invoke(*blocks: object, function: Callable[..., object]) -> object:
    return function(*blocks)


def _take(made: Any, position: int) -> np.ndarray:
    while isinstance(made, list):
        (made,) = made
    return made[position]


def _plain(method: str) -> str:
    """The name of a method in a key."""
    return re.sub(r"\W+", "_", method).strip("_") or "block"


def _described(place: Sequence[slice]) -> str:
    if not place:
        return "that is all there is"
    inside = ", ".join(f"{part.start}:{part.stop}" for part in place)
    return f"[{inside}] of the leading axes, in the order of the array"


def _add(error: Exception, text: str) -> None:
    """Add a sentence to an error, whose type stays what it is."""
    if isinstance(error, _MESSAGE_ONLY) and len(error.args) == 1 and isinstance(error.args[0], str):
        error.args = (f"{error.args[0]}\n{text}",)
    elif sys.version_info >= (3, 11):
        error.add_note(text)
