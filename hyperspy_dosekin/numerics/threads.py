# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Threads of Torch, set for a piece of work and put back afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def torch_threads(number: int) -> Iterator[None]:
    """Run a block of code with a given number of Torch threads.

    Small matrices lose time on more than one thread, and sums over a different number of
    threads round differently: a fixed number makes a fit both fast and repeatable.

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

    before = torch.get_num_threads()
    torch.set_num_threads(number)  # noqa: TID251 - put back below
    try:
        yield
    finally:
        torch.set_num_threads(before)  # noqa: TID251
