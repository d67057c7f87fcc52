# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks that see a margin of their neighbours."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np

from hyperspy_dosekin.lazy.blocks import is_lazy, without_absent

if TYPE_CHECKING:
    from hyperspy_dosekin.lazy.arrays import Array, LazyArray


def blocks_with_halo(
    kernel: Callable[..., np.ndarray],
    *arrays: Array | None,
    n_space: int,
    halo: int,
    core: tuple[int, int],
    tile: int | None = None,
) -> LazyArray:
    """Call a kernel on blocks that overlap, and keep of each what is its own.

    Parameters
    ----------
    kernel
        Function of NumPy arrays ``(…space…, a, b)`` that returns ``(…space…, *core)``.
    *arrays
        NumPy or dask arrays of the same space axes and two more, which arrive whole; ``None`` as
        for `map_blocks`.
    n_space
        Number of space axes.
    halo
        Width of the margin.
    core
        Last two sizes of the result.
    tile
        Size of the blocks along every space axis; by default as the first array has them.

    Returns
    -------
    A dask array ``(…space…, *core)``.

    Examples
    --------
    >>> heights = da.from_array(np.arange(8.0)[:, None, None], chunks=4)
    >>> def smooth(block):
    ...     return block + block.mean()
    >>> blocks_with_halo(smooth, heights, n_space=1, halo=1, core=(1, 1)).compute().ravel()
    array([ 2.,  3.,  4.,  5.,  9., 10., 11., 12.])
    """
    space = tuple(range(n_space))
    kernel, given = without_absent(kernel, arrays)
    lazy = [each if is_lazy(each) else da.from_array(each) for each in given]
    # Along an axis that is no longer than the margin every block would see all.
    short = [lazy[0].shape[axis] <= halo for axis in space]
    wanted: dict[int, Any] = {
        axis: -1 if short[axis] else tile or lazy[0].chunks[axis] for axis in space
    }
    margin = dict.fromkeys(space, halo) | {axis: 0 for axis in space if short[axis]}
    wide = []
    for each in lazy:
        sizes: Any = {**wanted, each.ndim - 2: -1, each.ndim - 1: -1}
        whole = each.rechunk(sizes)
        depth = {axis: margin.get(axis, 0) for axis in range(each.ndim)}
        wide.append(da.overlap.overlap(whole, depth, "none"))
    chunks = (*wide[0].chunks[:n_space], (core[0],), (core[1],))
    found = da.map_blocks(kernel, *wide, dtype=np.float64, chunks=chunks)
    depth = {axis: margin.get(axis, 0) for axis in range(found.ndim)}
    return da.overlap.trim_internal(found, depth, "none")
