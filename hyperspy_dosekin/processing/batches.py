# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a kernel on a few spectra at a time, on one or several threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from hyperspy_dosekin.numerics.memory import keep_work_memory

#: Values of one work array: half a MiB as float64, so that several fit in the cache of a core.
VALUES_AT_A_TIME = 2**16
_BATCHES_PER_WORKER, _LARGE_BATCHES = 4, 2


def run_in_batches(
    kernel: Callable[..., tuple[np.ndarray, ...] | Iterator[tuple[np.ndarray, ...]]],
    arrays: Sequence[np.ndarray],
    core: Sequence[int],
    outputs: Sequence[tuple[tuple[int, ...], npt.DTypeLike]],
    *,
    workers: int = 1,
    larger: int = 1,
) -> tuple[np.ndarray, ...]:
    """Call a kernel on batches of spectra and put the results together.

    Parameters
    ----------
    kernel
        Takes one array for each of `arrays`, shape ``(n_batch, *core)``, and returns one for each
        of `outputs`, shape ``(n_batch, *core)``.
    arrays
        Arrays ``(…, *core)`` with the same leading axes.
    core
        Number of core axes of each array.
    outputs
        Core shape and type of each output.
    workers
        Threads; NumPy and SciPy release Python's lock.
    larger
        Factor by which batches are larger than usual, for a kernel that divides them again: above
        1 it yields its outputs piece by piece.

    Returns
    -------
    tuple of numpy.ndarray
        Arrays ``(…, *core)``.
    """
    lead = arrays[0].shape[: arrays[0].ndim - core[0]]
    flat = [
        array.reshape(-1, *array.shape[array.ndim - number :])
        for array, number in zip(arrays, core, strict=True)
    ]
    n_spectra = len(flat[0])
    results = tuple(np.empty((n_spectra, *shape), dtype=dtype) for shape, dtype in outputs)
    few = max(1, VALUES_AT_A_TIME // max(flat[0][:1].size, 1))
    workers = max(1, min(workers, -(-n_spectra // few) // _BATCHES_PER_WORKER))
    if workers > 1:
        # Never so large that a worker has but one.
        larger = max(min(larger, n_spectra // (few * workers * _LARGE_BATCHES)), 1)
    size = few * larger
    starts = range(0, n_spectra, size)

    def work(start: int) -> None:
        made = kernel(*(a[start : start + size] for a in flat))
        for piece in [made] if isinstance(made, tuple) else made:
            stop = start + len(piece[0])
            for result, values in zip(results, piece, strict=True):
                result[start:stop] = values
            start = stop

    keep_work_memory()
    if workers == 1:
        for start in starts:
            work(start)
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(work, starts))
    return tuple(
        result.reshape(*lead, *shape) for result, (shape, _) in zip(results, outputs, strict=True)
    )
