# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Threads of Torch and BLAS, put back after a piece of work, and work side by side."""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import numpy as np
from threadpoolctl import ThreadpoolController

_Item = TypeVar("_Item")
_Found = TypeVar("_Found")

# The number of threads belongs to the process: of several pieces of work at the same time, only the
# first may remember what to go back to, and only the last may go back.
_lock = threading.Lock()
_active: list[int] = []
_before: list[int] = []
_limits = []
# Of the thread that was granted them alone: those that it starts, and those of dask, have one.
_granted: ContextVar[int] = ContextVar("granted_threads", default=1)


@functools.cache
def _blas() -> ThreadpoolController:
    """The BLAS of this process; looking for it takes milliseconds."""
    # SciPy has a BLAS of its own, which is not there before.
    import scipy.linalg  # noqa: F401

    return ThreadpoolController()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Run a block of code with one thread of the BLAS of NumPy and of SciPy.

    Small matrices lose time on more than one: they wait for each other longer than they compute. On
    a busy machine L-BFGS-B takes a hundred times as long. May be entered from several threads at
    once.

    Examples
    --------
    >>> with one_blas_thread():
    ...     print(np.ones((2, 3)) @ np.ones(3))
    [3. 3.]
    """
    with _lock:
        _limits.append(_limits[0] if _limits else _blas().limit(limits=1, user_api="blas"))
    try:
        yield
    finally:
        with _lock:
            limit = _limits.pop()
            if not _limits:
                limit.restore_original_limits()


@contextmanager
def torch_threads(number: int) -> Iterator[None]:
    """Run a block of code with a given number of Torch threads.

    Small matrices lose time on more than one thread, and sums over a different number of
    threads round differently: a fixed number makes a fit both fast and repeatable. May be
    entered from several threads at once, as dask does; then the first one's number holds.

    Parameters
    ----------
    number
        Threads that Torch may use within one operation, at least 1.

    Examples
    --------
    >>> import torch
    >>> before = torch.get_num_threads()
    >>> with torch_threads(1):
    ...     torch.get_num_threads()
    1
    >>> torch.get_num_threads() == before
    True
    """
    import torch

    with _lock:
        if not _active:
            _before.append(torch.get_num_threads())
            torch.set_num_threads(number)  # noqa: TID251 - put back below
        _active.append(number)
    try:
        yield
    finally:
        with _lock:
            _active.pop()
            if not _active:
                torch.set_num_threads(_before.pop())  # noqa: TID251


def told_threads() -> int | None:
    """Return how many threads the user allows at most; ``None`` where nothing is said of it.

    That is ``OMP_NUM_THREADS`` and, once Torch is imported, ``torch.get_num_threads()`` as it is
    outside of `torch_threads`.
    """
    # A list is of levels of nesting.
    said = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    told = [int(said)] if said.isdecimal() and int(said) else []
    if (torch := sys.modules.get("torch")) is not None:
        with _lock:
            told.append(_before[0] if _active else torch.get_num_threads())
    return min(told, default=None)


@contextmanager
def granted_threads(number: int) -> Iterator[None]:
    """Let `side_by_side` and `map_slices` use so many threads, where they are not told otherwise.

    Who starts a piece of work knows how much of the machine it may have; what is called far
    below, and also by threads of dask, does not.

    Parameters
    ----------
    number
        Threads, at least 1.

    Examples
    --------
    >>> with granted_threads(2):
    ...     print(side_by_side(abs, [-1, 2, -3]))
    [1, 2, 3]
    """
    before = _granted.set(number)
    try:
        yield
    finally:
        _granted.reset(before)


def threads_granted() -> int:
    """Return how many threads were granted to the calling one by `granted_threads`."""
    return _granted.get()


def side_by_side(
    function: Callable[[_Item], _Found], items: Iterable[_Item], workers: int | None = None
) -> list[_Found]:
    """Results of a function of every item, in their order, some at a time in threads.

    Parameters
    ----------
    function
        Work that mostly runs in compiled code; it must not change anything that others use.
    items
        What it is called with.
    workers
        Threads, at most; with one, the calling thread does it. By default as many as were granted,
        which is one unless `granted_threads` says more.

    Examples
    --------
    >>> side_by_side(abs, [-1, 2, -3], 2)
    [1, 2, 3]
    """
    each = list(items)
    workers = min(threads_granted() if workers is None else workers, len(each))
    if workers <= 1:
        return [function(item) for item in each]
    # How NumPy treats what is not finite belongs to a thread.
    treated = np.geterr()

    def work(item: _Item) -> _Found:
        with np.errstate(**treated):
            return function(item)

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(work, each))
