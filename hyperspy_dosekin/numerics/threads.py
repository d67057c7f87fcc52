# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Threads of Torch and of BLAS, set for a piece of work and put back afterwards."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from threadpoolctl import ThreadpoolController

# Torch's thread count belongs to the process: of several pieces of work at the same time, only
# the first may remember what to go back to, and only the last may go back.
_lock = threading.Lock()
_active: list[int] = []
_before: list[int] = []


@functools.cache
def _blas() -> ThreadpoolController:
    """The BLAS of this process; looking for it takes milliseconds."""
    return ThreadpoolController()


def one_blas_thread() -> AbstractContextManager[object]:
    """Run a block of code with one thread of NumPy's BLAS.

    Small matrices lose time on more than one: they wait for each other longer than they compute.

    Examples
    --------
    >>> import numpy as np
    >>> with one_blas_thread():
    ...     print(np.ones((2, 3)) @ np.ones(3))
    [3. 3.]
    """
    return _blas().limit(limits=1, user_api="blas")


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
