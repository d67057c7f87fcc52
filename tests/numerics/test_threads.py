# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from hyperspy_dosekin.numerics.threads import one_blas_thread, torch_threads


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
