# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The doorway to dask, and the only file that asks whether data are lazy.

Kernels take and return whole NumPy blocks. Called through `map_blocks` they work on eager and lazy
arrays alike, and `wrap` makes the eager or the lazy class of a signal out of what comes back.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import compress
from typing import TYPE_CHECKING, Any, TypeVar, overload

import dask.array as da
import numpy as np
import numpy.typing as npt
from dask import config as dask_config
from dask.base import compute as dask_compute
from dask.system import CPU_COUNT

from hyperspy_dosekin.numerics.threads import told_threads

if TYPE_CHECKING:
    from typing_extensions import TypeIs, Unpack

    from hyperspy_dosekin.lazy.arrays import Array, LazyArray

Kind = TypeVar("Kind")

#: Chunks that a sample is spread over, where there are so many.
_SAMPLED_CHUNKS = 24


def is_lazy(array: object) -> TypeIs[LazyArray]:
    """Return whether `array` is a dask array."""
    return isinstance(array, da.Array)


@overload
def map_blocks(
    kernel: Callable[..., object],
    signature: str,
    *arrays: object,
    output_sizes: Mapping[str, int] | None = None,
    output_dtypes: tuple[npt.DTypeLike] = (np.float64,),
    eager_options: Mapping[str, object] | None = None,
    method: str | None = None,
    **options: object,
) -> Array: ...


@overload
def map_blocks(
    kernel: Callable[..., object],
    signature: str,
    *arrays: object,
    output_sizes: Mapping[str, int] | None = None,
    output_dtypes: tuple[npt.DTypeLike, npt.DTypeLike, Unpack[tuple[npt.DTypeLike, ...]]],
    eager_options: Mapping[str, object] | None = None,
    method: str | None = None,
    **options: object,
) -> tuple[Array, ...]: ...


def map_blocks(
    kernel: Callable[..., object],
    signature: str,
    *arrays: object,
    output_sizes: Mapping[str, int] | None = None,
    output_dtypes: Sequence[npt.DTypeLike] = (np.float64,),
    eager_options: Mapping[str, object] | None = None,
    method: str | None = None,
    **options: object,
) -> object:
    """Call a kernel on arrays, at once if all are NumPy arrays, else block by block with dask.

    Parameters
    ----------
    kernel
        Function of NumPy arrays ``(…, *core)``, one for each of `arrays`, that returns one array
        or, where the signature has several outputs, a tuple of them. It must treat the leading
        axes independently, element by element, and not change its arguments.
    signature
        Core axes of inputs and outputs in the notation of NumPy's generalised ufuncs:
        ``"(e)->(w)"`` turns a spectrum into windows, ``"(w,d),(w,d)->(w),(w)"`` takes values and
        their variance and gives two maps. Core axes are the last ones, and each of them arrives
        whole, joined if it is in chunks; the leading axes must broadcast.
    *arrays
        NumPy or dask arrays; ``None`` for one that there is not, in the place of which the kernel
        gets ``None``, too.
    output_sizes
        Length of each core axis that is in no input, by its letter.
    output_dtypes
        Type of each output.
    eager_options
        Passed on to the kernel only in the call on whole NumPy arrays, which has the machine to
        itself, such as ``{"workers": cpu_count()}``.
    method
        What the user called, for the message if a lazy block fails, and for the names of tasks;
        by default the name of the kernel.
    **options
        Passed on to the kernel, the same for every block. Large ones, such as a model, become one
        node of the graph, which travels to each worker of a cluster once.

    Returns
    -------
    array or tuple of arrays
        NumPy arrays, or dask arrays if any input is one. Then nothing has been computed.
    """
    if not any(is_lazy(array) for array in arrays):
        # Kernels look for what is not finite themselves: no storm of warnings about extreme values.
        with np.errstate(all="ignore"):
            blocks = (None if array is None else np.asarray(array) for array in arrays)
            return kernel(*blocks, **options, **(eager_options or {}))
    from hyperspy_dosekin.lazy.graph import lazy_blocks

    inputs, outputs = signature.split("->")
    cores = re.findall(r"\([^)]*\)", inputs)
    called, given = without_absent(kernel, arrays)
    return lazy_blocks(
        called,
        f"{','.join(compress(cores, (array is not None for array in arrays)))}->{outputs}",
        given,
        output_sizes=dict(output_sizes or {}),
        output_dtypes=tuple(output_dtypes),
        method=method or _name_of(kernel),
        options=options,
    )


def without_absent(
    kernel: Callable[..., Kind], arrays: Sequence[Any]
) -> tuple[Callable[..., Kind], Sequence[Any]]:
    """Return the arrays that are not ``None``, and a kernel of these that calls the one of all."""
    there = tuple(array is not None for array in arrays)
    if all(there):
        return kernel, arrays
    return partial(_with_absent, kernel, there), list(compress(arrays, there))


def _with_absent(
    kernel: Callable[..., Kind], there: Sequence[bool], *arrays: object, **options: object
) -> Kind:
    given = iter(arrays)
    return kernel(*(next(given) if here else None for here in there), **options)


def _name_of(kernel: object) -> str:
    return str(getattr(kernel, "__name__", None) or _name_of(getattr(kernel, "func", type(kernel))))


def cpu_count() -> int:
    """Return the number of threads that a piece of work may use which has the machine to itself.

    As many as there are cores for this process, counted with the limits of its container; no more
    than ``OMP_NUM_THREADS``, than ``num_workers`` of dask's configuration, and, once Torch is
    imported, than ``torch.set_num_threads`` says.
    """
    said = [CPU_COUNT, dask_config.get("num_workers", None), told_threads()]
    return max(1, min(int(number) for number in said if number))


def crop_last(array: Array, part: slice) -> Array:
    """Return a part of the last axis, a view or its lazy equivalent.

    Parameters
    ----------
    array
        NumPy or dask array.
    part
        Slice of the last axis, with start and stop.
    """
    if not is_lazy(array) or len(array.chunks[-1]) > 1:
        # dask then drops the chunks outside the part, which need not even be read.
        return array[..., part]
    # dask's own slicing would copy a part that is less than half of a chunk.
    return map_blocks(
        _crop_block,
        "(e)->(f)",
        array,
        output_sizes={"f": part.stop - part.start},
        output_dtypes=(array.dtype,),
        method="crop",
        part=part,
    )


def _crop_block(block: np.ndarray, part: slice) -> np.ndarray:
    return block[..., part]


def column(array: Array, place: int) -> Array:
    """Return one of the last axis, ``array[..., place]``; slices of dask take a task each."""
    return map_blocks(
        _column, "(q)->()", array, output_dtypes=(array.dtype,), method="column", place=place
    )


def _column(block: np.ndarray, place: int) -> np.ndarray:
    return block[..., place]


def as_lazy_as(array: Array, other: Array) -> Array:
    """Return `array`, made lazy in the chunks of `other` if that is lazy.

    Parameters
    ----------
    array, other
        NumPy or dask arrays of one shape.
    """
    if is_lazy(array) or not is_lazy(other):
        return array
    return _in_chunks(array, other.chunks)


def _in_chunks(array: np.ndarray, chunks: Any) -> LazyArray:
    # Without a name dask would read the whole array to make one from its contents.
    return da.from_array(array, chunks=chunks, name=False)


def sample_rows(
    arrays: Sequence[Array], number: int, rng: np.random.Generator
) -> tuple[list[np.ndarray], bool]:
    """Return rows of arrays ``(…, n)``, the same ones of each, without holding whole chunks.

    Parameters
    ----------
    arrays
        NumPy or dask arrays of one shape but for their last axis; all lazy or none.
    number
        Rows at most.
    rng
        Chooses them. Of lazy arrays about 24 chunks are read, spread evenly, and it chooses rows of
        each.

    Returns
    -------
    Arrays ``(n_row, n)`` in random order, and whether all rows are among them.
    """
    first = arrays[0]
    total = int(np.prod(first.shape[:-1]))
    if not is_lazy(first):
        rows = rng.permutation(total)[:number]
        return [np.asarray(array).reshape(total, -1)[rows] for array in arrays], number >= total
    from hyperspy_dosekin.lazy.sampling import block_size, rows_of_blocks, spread_places

    same = [
        array.rechunk((*first.chunks[:-1], array.chunks[-1])) for array in arrays if is_lazy(array)
    ]
    # Several chunks, so that the sample is not one corner of the data.
    places = spread_places(first.numblocks[:-1], _SAMPLED_CHUNKS)
    sizes = [block_size(first, place) for place in places]
    if sum(sizes) < min(number, total):
        # Chunks are so small that many more are needed.
        needed = -(-number * len(sizes) // max(sum(sizes), 1))
        places = spread_places(first.numblocks[:-1], needed)
        sizes = [block_size(first, place) for place in places]
    chosen = _shares(sizes, number)
    rows = [
        np.sort(rng.permutation(size)[:share]) for size, share in zip(sizes, chosen, strict=True)
    ]
    taken = rows_of_blocks(same, places, rows)
    count = sum(len(row) for row in rows)
    mixed = rng.permutation(count)
    columns = [np.concatenate(parts)[mixed] for parts in zip(*taken, strict=True)]
    return columns, count >= total


def _shares(sizes: Sequence[int], number: int) -> list[int]:
    """How many to take of each of several heaps, about as many of each, `number` in all."""
    left, shares = number, [0] * len(sizes)
    for rank, heap in enumerate(sorted(range(len(sizes)), key=lambda heap: sizes[heap])):
        shares[heap] = min(sizes[heap], -(-left // (len(sizes) - rank)))
        left -= shares[heap]
    return shares


def take(array: Array, indices: npt.ArrayLike, axis: int) -> Array:
    """Return a copy of an array, or a lazy view of it, with the elements of one axis reordered."""
    return (da if is_lazy(array) else np).take(array, np.asarray(indices), axis=axis)


def wrap(
    eager: Callable[..., Kind], lazy: Callable[..., Kind], data: Array, **arguments: object
) -> Kind:
    """Return ``lazy(data, **arguments)`` if `data` is lazy, else ``eager(data, **arguments)``.

    Parameters
    ----------
    eager, lazy
        A signal class and its lazy twin.
    data
        NumPy or dask array.
    **arguments
        Of the classes, such as ``axes`` and ``metadata``.
    """
    return (lazy if is_lazy(data) else eager)(data, **arguments)


def navigation_chunks(array: Array, largest: int) -> Array:
    """Return a lazy array whose blocks, with the last axis whole, are not too large.

    The last axis stays in its chunks: `map_blocks` joins them.

    Parameters
    ----------
    array
        NumPy or dask array ``(…, energy)``; NumPy arrays are returned as they are.
    largest
        Bytes of the largest block wanted, all of the last axis counted.
    """
    if not is_lazy(array):
        return array
    whole = array.shape[-1] * array.dtype.itemsize
    chunks = [list(sizes) for sizes in array.chunks[:-1]]
    for sizes in chunks:
        # Each chunk is cut by itself, from the slowest axis on, so that none waits for another.
        excess = -(-whole * math.prod(max(each) for each in chunks) // largest)
        if excess > 1:
            wanted = max(1, max(sizes) // excess)
            sizes[:] = [part for size in sizes for part in _cut(size, wanted)]
    new = (*(tuple(sizes) for sizes in chunks), array.chunks[-1])
    return array if new == array.chunks else array.rechunk(new)


def _cut(size: int, wanted: int) -> list[int]:
    """Cut a length into nearly equal parts that are not longer than wanted."""
    number = -(-size // wanted)
    return [size // number + (i < size % number) for i in range(number)]


def compute(*arrays: object) -> tuple[Any, ...]:
    """Compute lazy arrays together, in one pass over what they have in common."""
    return dask_compute(*arrays)


def sum_of_spectra(array: Array) -> Array:
    """Sum of all spectra of ``(…, energy)`` in float64, NaN counted as zero; lazy if that is."""
    leading = tuple(range(array.ndim - 1))
    if is_lazy(array) and np.issubdtype(array.dtype, np.floating):
        return da.nansum(array, axis=leading, dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        total = array.sum(axis=leading, dtype=np.float64)
    if is_lazy(array) or not np.isnan(total).any():
        return total
    # Counting NaN as zero takes a copy of everything, which few data need.
    return np.asarray(np.nansum(array, axis=leading, dtype=np.float64))


def as_lazy_as_navigation(array: Array, other: Array) -> Array:
    """Return an array over the leading axes, made lazy in their chunks if `other` is lazy.

    Parameters
    ----------
    array
        Array ``(…)``.
    other
        NumPy or dask array ``(…, energy)``.
    """
    if is_lazy(array) or not is_lazy(other):
        return array
    return _in_chunks(array, other.chunks[: array.ndim])


def prepend(values: np.ndarray, array: Array) -> Array:
    """Put the same values before every spectrum of ``(…, energy)``, lazily if it is lazy."""
    if not is_lazy(array):
        before = np.broadcast_to(values, (*array.shape[:-1], values.size))
        return np.concatenate([before, array], axis=-1)
    before = da.broadcast_to(
        da.from_array(values, name=False),
        (*array.shape[:-1], values.size),
        chunks=(*array.chunks[:-1], (values.size,)),
    )
    joined = da.concatenate([before, array.astype(np.float64)], axis=-1)
    return joined.rechunk({array.ndim - 1: -1})
