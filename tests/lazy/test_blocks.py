# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import sys

import dask
import dask.array as da
import numpy as np
import pytest
import torch
from dask.callbacks import Callback
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperspy_dosekin.lazy.blocks import as_lazy_as, cpu_count, crop_last, is_lazy, map_blocks, take
from hyperspy_dosekin.lazy.overlapping import blocks_with_halo

SHAPE = (3, 5, 4, 7)


def weighted(values, variance, *, power, workers=0):
    """Two inputs, two outputs with other core axes."""
    assert type(values) is type(variance) is np.ndarray
    mean = values.mean(axis=-1) ** power
    spread = np.stack([variance.min(axis=(-2, -1)), variance.max(axis=(-2, -1))], axis=-1)
    return mean, spread + workers


def example():
    rng = np.random.default_rng(0)
    return rng.random(SHAPE), rng.random(SHAPE)


def chunks_of(shape):
    return st.tuples(*(st.integers(1, size) for size in shape))


@settings(max_examples=8, deadline=None)
@given(first=chunks_of(SHAPE), second=chunks_of(SHAPE))
def test_any_chunks_of_several_inputs_give_what_the_whole_gives(first, second):
    values, variance = example()
    signature, sizes = "(w,d),(w,d)->(w),(s)", {"s": 2}
    options = {"output_sizes": sizes, "output_dtypes": (float, float), "power": 2}
    expected = map_blocks(weighted, signature, values, variance, **options)
    lazy = map_blocks(
        weighted,
        signature,
        da.from_array(values, chunks=first),
        da.from_array(variance, chunks=second),
        **options,
    )
    assert all(is_lazy(array) for array in lazy)
    for array, eager in zip(dask.compute(*lazy), expected, strict=True):
        assert array.shape == eager.shape
        np.testing.assert_array_equal(array, eager)


def test_lazy_and_eager_inputs_mix():
    values, variance = example()
    options = {"output_sizes": {"s": 2}, "output_dtypes": (float, float), "power": 1}
    lazy, _ = map_blocks(
        weighted, "(w,d),(w,d)->(w),(s)", da.from_array(values), variance, **options
    )
    np.testing.assert_array_equal(lazy.compute(), values.mean(axis=-1))


def test_the_kernel_is_not_called_while_the_graph_is_built():
    calls = []

    def kernel(block):
        calls.append(block.shape)
        return block.sum(axis=-1)

    lazy = map_blocks(kernel, "(e)->()", da.ones((4, 6), chunks=(2, 3)))
    assert calls == []
    np.testing.assert_array_equal(lazy.compute(), [6.0] * 4)
    assert sum(n_spectra for n_spectra, _ in calls) == 4
    assert {n_channels for _, n_channels in calls} == {6}


def test_eager_options_are_for_whole_arrays_only():
    values, variance = example()
    options = {"output_sizes": {"s": 2}, "output_dtypes": (float, float), "power": 1}
    options["eager_options"] = {"workers": 100}
    signature = "(w,d),(w,d)->(w),(s)"
    _, eager = map_blocks(weighted, signature, values, variance, **options)
    _, lazy = map_blocks(weighted, signature, da.from_array(values), variance, **options)
    assert eager.min() >= 100
    assert lazy.compute().max() < 100
    assert cpu_count() >= 1


def test_the_user_says_how_many_threads_there_are_at_most(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("hyperspy_dosekin.lazy.blocks.CPU_COUNT", 6)
    with monkeypatch.context() as told:
        told.setattr(torch, "get_num_threads", lambda: 5)
        assert cpu_count() == 5
    with monkeypatch.context() as before_torch:
        before_torch.delitem(sys.modules, "torch")
        assert cpu_count() == 6
        for said, number in [("4,2", 4), ("0", 6), ("many", 6), ("99", 6)]:
            before_torch.setenv("OMP_NUM_THREADS", said)
            assert cpu_count() == number
        with dask.config.set(num_workers=3):
            assert cpu_count() == 3


@pytest.mark.parametrize("chunks", [(2, 6), (2, 2)])
def test_crop_last(chunks):
    array = np.arange(24).reshape(4, 6)
    lazy = da.from_array(array, chunks=chunks)
    for part in (slice(1, 5), slice(0, 6), slice(3, 4)):
        cropped = crop_last(lazy, part)
        assert cropped.shape == (4, part.stop - part.start)
        np.testing.assert_array_equal(cropped.compute(), array[:, part])
        assert np.shares_memory(crop_last(array, part), array)


def test_chunks_outside_the_part_are_not_read():
    read = []

    def note(block, block_info):
        read.append(block_info[0]["chunk-location"])
        return block

    array = da.ones((2, 12), chunks=(2, 3)).map_blocks(note, dtype=float, meta=np.empty((0, 0)))
    crop_last(array, slice(4, 8)).compute(scheduler="synchronous")
    assert sorted(read) == [(0, 1), (0, 2)]


def test_as_lazy_as():
    array = np.arange(24).reshape(4, 6)
    other = da.zeros((4, 6), chunks=(3, 2))
    assert as_lazy_as(array, array) is array
    assert as_lazy_as(other, array) is other
    lazy = as_lazy_as(array, other)
    assert lazy.chunks == other.chunks
    np.testing.assert_array_equal(lazy.compute(), array)


def test_take():
    array = np.arange(24).reshape(4, 6)
    lazy = da.from_array(array, chunks=(2, 2))
    started = []
    with Callback(start=lambda graph: started.append(graph)):
        reordered = take(lazy, [3, 0, 2, 1], 0)
    assert not started
    np.testing.assert_array_equal(reordered.compute(), array[[3, 0, 2, 1]])
    eager = take(array, [3, 0, 2, 1], 0)
    np.testing.assert_array_equal(eager, array[[3, 0, 2, 1]])
    assert not np.shares_memory(eager, array)


@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_an_axis_shorter_than_its_margin_arrives_whole(chunk):
    values = np.arange(21.0).reshape(3, 7, 1, 1)
    blocks = da.from_array(values, chunks=(chunk, 3, 1, 1))

    def across(block):
        return block + block.sum(axis=0, keepdims=True)

    found = blocks_with_halo(across, blocks, n_space=2, halo=4, core=(1, 1))
    np.testing.assert_array_equal(found.compute(), across(values))
