# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Join neighbouring chunks of small arrays, in a layer of the graph that stays symbolic.

The only file that makes a layer by hand. `dask.array.rechunk`, which the public interface has for
this, writes its tasks down while the graph is built: for 10 000 chunks of a series it took 252 ms,
this layer 0.2 ms (`benchmarks/large/graph.py`, where all of a call should stay below 50 ms).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from dask.array.core import new_da_object
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph, Layer, MaterializedLayer


class MergeLayer(Layer):
    """Tasks that each join a box of neighbouring blocks.

    What `dask.array.rechunk` would make, but written down only when it is computed.

    Parameters
    ----------
    name, source
        Of the new and of the old blocks.
    numblocks
        Old blocks along each axis.
    steps
        How many of them are joined along each axis.
    """

    def __init__(
        self, name: str, source: str, numblocks: Sequence[int], steps: Sequence[int]
    ) -> None:
        super().__init__()
        self.name, self.source = name, source
        self.numblocks, self.steps = tuple(numblocks), tuple(steps)
        self._tasks: dict[object, object] | None = None

    @property
    def _grid(self) -> tuple[int, ...]:
        return tuple(-(-n // step) for n, step in zip(self.numblocks, self.steps, strict=True))

    def _written(self) -> dict[object, object]:
        if self._tasks is None:
            places = itertools.product(*(range(n) for n in self._grid))
            self._tasks = {(self.name, *place): (np.block, self._box(place)) for place in places}
        return self._tasks

    def _box(self, place: Sequence[int], before: tuple[int, ...] = ()) -> object:
        """Keys of the old blocks of a new one, in nested lists."""
        axis = len(before)
        if axis == len(self.steps):
            return (self.source, *before)
        first = place[axis] * self.steps[axis]
        last = min(first + self.steps[axis], self.numblocks[axis])
        return [self._box(place, (*before, i)) for i in range(first, last)]

    def is_materialized(self) -> bool:
        """Whether the tasks have been written down."""
        return self._tasks is not None

    def get_output_keys(self) -> set[object]:
        """Keys of the new blocks."""
        return {(self.name, *place) for place in itertools.product(*map(range, self._grid))}

    def __getitem__(self, key: object) -> object:
        return self._written()[key]

    def __iter__(self) -> Iterator[object]:
        return iter(self._written())

    def __reduce__(self) -> object:
        # A scheduler need not know this package.
        return MaterializedLayer, (self._written(),)

    def __len__(self) -> int:
        return math.prod(self._grid)


def merge_chunks(array: Any, n_core: int, wanted: int) -> Any:
    """Join neighbouring chunks along the leading axes where they are small.

    Parameters
    ----------
    array
        Dask array ``(…, *core)``.
    n_core
        Number of core axes, whose chunks stay as they are.
    wanted
        Elements of the leading axes in a chunk; chunks of more than half of that stay as they
        are, and none gets larger than that.

    Returns
    -------
    dask.array.Array
        The same values in fewer chunks.
    """
    lead = array.ndim - n_core
    steps = [1] * array.ndim
    size = math.prod(max(sizes) for sizes in array.chunks[:lead])
    for axis in reversed(range(lead)):
        steps[axis] = max(1, min(wanted // max(size, 1), array.numblocks[axis]))
        size *= steps[axis]
        if steps[axis] < array.numblocks[axis]:
            # A box that is not whole along one axis cannot grow along the next.
            break
    if max(steps, default=1) == 1:
        return array
    chunks = tuple(
        tuple(sum(sizes[i : i + step]) for i in range(0, len(sizes), step))
        for sizes, step in zip(array.chunks, steps, strict=True)
    )
    name = f"merge-{tokenize(array.name, steps)}"
    layer = MergeLayer(name, array.name, array.numblocks, steps)
    graph = HighLevelGraph.from_collections(name, layer, dependencies=[array])
    return new_da_object(graph, name, chunks, meta=array._meta)
