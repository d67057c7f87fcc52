# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a kernel on a few spectra at a time, on one or several threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from hyperspy_dosekin.numerics.arrays import namespace
from hyperspy_dosekin.numerics.batching import Ferry, map_slices
from hyperspy_dosekin.numerics.memory import keep_work_memory

if TYPE_CHECKING:
    import torch
    from torch import Tensor

#: Values of one work array: half a MiB as float64, so that several fit in the cache of a core.
VALUES_AT_A_TIME = 2**16
#: The same on a device: 4 096 spectra of 2 048 channels, of which a dozen arrays take 1 GiB.
VALUES_ON_DEVICE = 2**23
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
    lead, flat = _flat(arrays, core)
    n_spectra = len(flat[0])
    results = _results(n_spectra, outputs)
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
    return tuple(result.reshape(*lead, *result.shape[1:]) for result in results)


def run_on_device(
    kernel: Callable[..., tuple[np.ndarray, ...]] | Callable[..., tuple[Tensor, ...]],
    arrays: Sequence[np.ndarray],
    core: Sequence[int],
    outputs: Sequence[tuple[tuple[int, ...], npt.DTypeLike]],
    *,
    device: torch.device,
    what: str,
) -> tuple[np.ndarray, ...]:
    """The same on a device, in batches that fill it and are halved where its memory runs out.

    Parameters
    ----------
    kernel
        Takes a tensor on the device for each array with a core, and the array itself for numbers
        of each spectrum; returns tensors.
    arrays, core, outputs
        As for `run_in_batches`.
    device
        Of Torch.
    what
        What is done, for messages.

    Examples
    --------
    >>> import torch
    >>> device = torch.device("cpu")
    >>> def kernel(spectra, factor):
    ...     return (spectra * torch.as_tensor(factor)[:, None],)
    >>> arrays = [np.ones((2, 3), dtype=np.uint16), np.array([2.0, 4.0])]
    >>> run_on_device(kernel, arrays, [1, 0], [((3,), float)], device=device, what="example")[0]
    array([[2., 2., 2.],
           [4., 4., 4.]])
    """
    lead, flat = _flat(arrays, core)
    results = _results(len(flat[0]), outputs)
    ferries = threading.local()

    def work(part: slice) -> None:
        if not hasattr(ferries, "own"):
            ferries.own = Ferry(device)
        ferry = ferries.own
        made = kernel(
            *(
                ferry.to_device(f"in{place}", array[part]) if number else array[part]
                for place, (array, number) in enumerate(zip(flat, core, strict=True))
            )
        )
        for place, (result, values) in enumerate(zip(results, made, strict=True)):
            tensor = cast("Tensor", values)
            # In the type of the result, so that no more than that comes back.
            kind = getattr(namespace(tensor), result.dtype.name, tensor.dtype)
            ferry.to_host(f"out{place}", tensor.to(kind), result[part])

    size = max(VALUES_ON_DEVICE // max(flat[0][:1].size, 1), 1)
    map_slices(work, len(flat[0]), size=size, device=device, what=what)
    return tuple(result.reshape(*lead, *result.shape[1:]) for result in results)


def _flat(
    arrays: Sequence[np.ndarray], core: Sequence[int]
) -> tuple[tuple[int, ...], list[np.ndarray]]:
    """Leading axes, and the arrays with these as one."""
    lead = arrays[0].shape[: arrays[0].ndim - core[0]]
    return lead, [
        array.reshape(-1, *array.shape[array.ndim - number :])
        for array, number in zip(arrays, core, strict=True)
    ]


def _results(
    number: int, outputs: Sequence[tuple[tuple[int, ...], npt.DTypeLike]]
) -> tuple[np.ndarray, ...]:
    return tuple(np.empty((number, *shape), dtype=dtype) for shape, dtype in outputs)
