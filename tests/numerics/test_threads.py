# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import threading

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from hyperspy_dosekin.numerics.threads import (
    granted_threads,
    one_blas_thread,
    side_by_side,
    torch_threads,
)


def fail():
    raise RuntimeError("boom")


def test_threads_are_put_back_even_after_an_error():
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="boom"), torch_threads(1):
        fail()
    assert torch.get_num_threads() == before


def test_overlapping_pieces_of_work_put_the_threads_back():
    """The first to enter leaves first, as it may in a thread pool."""
    before = torch.get_num_threads()
    first, second = torch_threads(1), torch_threads(1)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert torch.get_num_threads() == 1
    second.__exit__(None, None, None)
    assert torch.get_num_threads() == before


def test_the_last_of_two_blocks_gives_the_blas_its_threads_back():
    """As torch_threads: with dask, blocks end in any order."""

    def threads():
        return [info["num_threads"] for info in threadpool_info() if info["user_api"] == "blas"]

    with threadpool_limits(2, user_api="blas"):
        before = threads()
        first, second = one_blas_thread(), one_blas_thread()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert set(threads()) == {1}
        second.__exit__(None, None, None)
        assert threads() == before
        assert set(before) == {2}


def test_work_is_shared_by_the_threads_that_were_granted_and_by_no_more():
    """Who works for others has one thread: pools within pools would be more than were granted."""
    both = threading.Barrier(2, timeout=20)

    def who(_):
        both.wait()
        return threading.get_ident(), set(side_by_side(lambda _: threading.get_ident(), range(3)))

    mine = threading.get_ident()
    assert set(side_by_side(lambda _: threading.get_ident(), range(3))) == {mine}
    with granted_threads(2):
        found = side_by_side(who, range(2))
    assert len({own for own, _ in found}) == 2
    assert all(inner == {own} for own, inner in found)
    assert set(side_by_side(lambda _: threading.get_ident(), range(3))) == {mine}
