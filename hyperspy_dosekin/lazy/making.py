# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lazy arrays whose blocks are made where they are needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
from dask.array.core import normalize_chunks
from dask.delayed import delayed

from hyperspy_dosekin.lazy.portable import Portable


def make_blocks(
    maker: Callable[..., np.ndarray],
    shape: Sequence[int],
    chunks: object,
    dtype: npt.DTypeLike,
    *,
    source: object,
    **options: object,
) -> da.Array:
    """Make a dask array of what a function returns for parts of it.

    Parameters
    ----------
    maker
        Called as ``maker(part, source, **options)``, where `part` is a slice along each axis.
    shape
        Of the array.
    chunks
        As dask takes them.
    dtype
        Of what the function returns.
    source
        What the blocks are made from. It is one node of the graph, so that a scheduler sends it to
        a worker once and not with every block.
    **options
        Passed on, the same for every block.

    Examples
    --------
    >>> from hyperspy_dosekin.lazy.making import make_blocks
    >>> array = make_blocks(lambda part, row: row[part], (6,), 2, float, source=np.arange(6.0))
    >>> array.compute()
    array([0., 1., 2., 3., 4., 5.])
    """
    return da.map_blocks(
        _make,
        token=maker.__name__.strip("_<>"),
        maker=maker,
        source=delayed(source, traverse=False),
        options=options,
        chunks=normalize_chunks(chunks, shape=tuple(shape), dtype=dtype),
        dtype=dtype,
        meta=np.empty((0,) * len(shape), dtype=dtype),
    )


def made_of(
    function: Callable[..., np.ndarray],
    shape: tuple[int, ...],
    dtype: npt.DTypeLike,
    *parts: object,
) -> da.Array:
    """Make a dask array of what a function returns for lazy arrays and other values.

    Parameters
    ----------
    function
        Called with `parts`, the lazy ones computed.
    shape, dtype
        Of what it returns.
    *parts
        Its arguments.

    Examples
    --------
    >>> import dask.array as da
    >>> from hyperspy_dosekin.lazy.making import made_of
    >>> made_of(np.cumsum, (3,), float, da.ones(3)).compute()
    array([1., 2., 3.])
    """
    task = delayed(Portable(function), pure=True)(*parts)
    return da.from_delayed(task, shape=shape, dtype=dtype)


def _make(
    *, maker: Callable[..., np.ndarray], source: Any, options: Any, block_info: Any = None
) -> np.ndarray:
    location = block_info[None]["array-location"]
    return maker(tuple(slice(*limits) for limits in location), source, **options)
