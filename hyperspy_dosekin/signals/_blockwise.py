# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The doorway to dask, and the only file that asks whether data are lazy.

Kernels take and return whole NumPy blocks. Called through `map_blocks` they work on eager and lazy
arrays alike, and `wrap` makes the eager or the lazy class of a signal out of what comes back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
from dask.system import CPU_COUNT

#: Chunks that a sample is spread over, where there are so many.
_SAMPLED_CHUNKS = 24


def is_lazy(array: Any) -> bool:
    """Return whether `array` is a dask array."""
    return isinstance(array, da.Array)


def map_blocks(
    kernel: Callable[..., Any],
    signature: str,
    *arrays: Any,
    output_sizes: Mapping[str, int] | None = None,
    output_dtypes: Sequence[npt.DTypeLike] = (np.float64,),
    eager_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> Any:
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
        whole, rechunked if need be; the leading axes must broadcast.
    *arrays
        NumPy or dask arrays.
    output_sizes
        Length of each core axis that is in no input, by its letter.
    output_dtypes
        Type of each output.
    eager_options
        Passed on to the kernel only in the call on whole NumPy arrays, which has the machine to
        itself, such as ``{"workers": cpu_count()}``.
    **options
        Passed on to the kernel, the same for every block.

    Returns
    -------
    array or tuple of arrays
        NumPy arrays, or dask arrays if any input is one. Then nothing has been computed.
    """
    if not any(is_lazy(array) for array in arrays):
        return kernel(*(np.asarray(array) for array in arrays), **options, **(eager_options or {}))
    metas = tuple(np.empty((0,), dtype=dtype) for dtype in output_dtypes)
    # Without `meta` dask would call the kernel on empty arrays, here and now, to learn its types.
    return da.apply_gufunc(
        kernel,
        signature,
        *arrays,
        output_sizes=dict(output_sizes or {}),
        meta=metas if len(metas) > 1 else metas[0],
        allow_rechunk=True,
        **options,
    )


def cpu_count() -> int:
    """Return the number of cores that this process may use."""
    return CPU_COUNT


def crop_last(array: Any, part: slice) -> Any:
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
    return array.map_blocks(
        _crop_block,
        part,
        chunks=(*array.chunks[:-1], (part.stop - part.start,)),
        meta=array._meta,
    )


def _crop_block(block: np.ndarray, part: slice) -> np.ndarray:
    return block[..., part]


def as_lazy_as(array: Any, other: Any) -> Any:
    """Return `array`, made lazy in the chunks of `other` if that is lazy.

    Parameters
    ----------
    array, other
        NumPy or dask arrays of one shape.
    """
    if is_lazy(array) or not is_lazy(other):
        return array
    # Without a name dask would read the whole array to make one from its contents.
    return da.from_array(array, chunks=other.chunks, name=False)


def share(value: Any, like: Any) -> Any:
    """Return `value` as one node of the graph if `like` is lazy, else unchanged.

    An option that is large, such as a model, then travels to a worker once and not with every
    block.
    """
    if not is_lazy(like):
        return value
    import dask

    return dask.delayed(value, traverse=False)


def sample_rows(
    arrays: Sequence[Any], number: int, rng: np.random.Generator
) -> tuple[list[np.ndarray], bool]:
    """Return rows of arrays ``(…, n)``, the same ones of each, without holding more than a chunk.

    Parameters
    ----------
    arrays
        NumPy or dask arrays of one shape but for their last axis; all lazy or none.
    number
        Rows at most.
    rng
        Chooses them. Of lazy arrays it chooses chunks, in random order, and rows of each.

    Returns
    -------
    Arrays ``(n_row, n)`` in random order, and whether all rows are among them.
    """
    lead = arrays[0].shape[:-1]
    total = int(np.prod(lead))
    if not is_lazy(arrays[0]):
        rows = rng.permutation(total)[:number]
        return [np.asarray(array).reshape(total, -1)[rows] for array in arrays], number >= total
    chunks = [array.rechunk({-1: -1}) for array in arrays]
    chunks[1:] = [array.rechunk((*chunks[0].chunks[:-1], -1)) for array in chunks[1:]]
    order = rng.permutation(int(np.prod(chunks[0].numblocks)))
    # Several chunks, so that the sample is not one corner of the data.
    quota = max(1, -(-number // min(len(order), _SAMPLED_CHUNKS)))
    taken: list[list[np.ndarray]] = []
    count = 0
    for index in order:
        place = np.unravel_index(index, chunks[0].numblocks)
        size = int(
            np.prod([sizes[i] for sizes, i in zip(chunks[0].chunks, place, strict=True)][:-1])
        )
        rows = rng.permutation(size)[: min(quota, number - count)]
        blocks = [array.blocks[place] for array in chunks]
        blocks = [block.reshape(size, block.shape[-1])[np.sort(rows)] for block in blocks]
        taken.append([np.asarray(block.compute()) for block in blocks])
        count += len(rows)
        if count >= number:
            break
    mixed = rng.permutation(count)
    columns = [np.concatenate(parts)[mixed] for parts in zip(*taken, strict=True)]
    return columns, count >= total


def take(array: Any, indices: Sequence[int], axis: int) -> Any:
    """Return a copy of an array, or a lazy view of it, with the elements of one axis reordered."""
    return (da if is_lazy(array) else np).take(array, np.asarray(indices), axis=axis)


def wrap(eager: type, lazy: type, data: Any, **arguments: Any) -> Any:
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


def navigation_chunks(array: Any, largest: int) -> Any:
    """Return a lazy array with the last axis in one chunk and chunks not too large.

    Parameters
    ----------
    array
        NumPy or dask array ``(…, energy)``; NumPy arrays are returned as they are.
    largest
        Bytes of the largest chunk wanted.
    """
    if not is_lazy(array):
        return array
    biggest = math.prod(max(sizes) for sizes in array.chunks[:-1]) * array.shape[-1]
    if len(array.chunks[-1]) == 1 and biggest * array.dtype.itemsize <= largest:
        return array
    wanted = {axis: "auto" for axis in range(array.ndim - 1)}
    if biggest * array.dtype.itemsize <= largest:
        wanted = {}
    return array.rechunk({**wanted, array.ndim - 1: -1}, block_size_limit=largest)


def compute(*arrays: Any) -> tuple[Any, ...]:
    """Compute lazy arrays together, in one pass over what they have in common."""
    import dask

    return dask.compute(*arrays)


def sum_of_spectra(array: Any) -> Any:
    """Sum of all spectra of ``(…, energy)`` in float64, NaN counted as zero; lazy if that is."""
    leading = tuple(range(array.ndim - 1))
    if is_lazy(array) and np.issubdtype(array.dtype, np.floating):
        return da.nansum(array, axis=leading, dtype=np.float64)
    total = array.sum(axis=leading, dtype=np.float64)
    if not is_lazy(array) and np.isnan(total).any():
        # Counting NaN as zero takes a copy of everything, which few data need.
        return np.nansum(array, axis=leading, dtype=np.float64)
    return total


def as_lazy_as_navigation(array: Any, other: Any) -> Any:
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
    return da.from_array(array, chunks=other.chunks[: array.ndim], name=False)


def prepend(values: np.ndarray, array: Any) -> Any:
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
