# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import logging
import threading

import numpy as np
import pytest
import torch

from hyperspy_dosekin.numerics import batching
from hyperspy_dosekin.numerics.batching import Ferry, is_out_of_memory, map_batches, map_slices
from hyperspy_dosekin.numerics.threads import granted_threads
from tests.patience import EVENT

CPU = torch.device("cpu")


def _limited(kernel, most):
    """A kernel on a device whose memory holds no more than `most` rows."""

    def limited(rows, *others):
        if len(rows) > most:
            raise torch.OutOfMemoryError(f"simulated: {len(rows)} rows")
        return kernel(rows, *others)

    return limited


@pytest.fixture
def staged(monkeypatch):
    """The way through buffers and several threads that CUDA takes, on the processor."""
    monkeypatch.setattr(batching, "_overlaps", lambda device: True)


@pytest.mark.parametrize("size", [1, 4, 7, 100])
def test_batches_cover_everything_once(size):
    rows, factor = np.arange(35.0).reshape(7, 5), np.arange(7.0)
    out = np.full((7, 5), np.nan)
    found = map_batches(
        lambda r, f: r * f[:, None], [rows, factor], out, size=size, device=CPU, what="test"
    )
    assert found is out
    np.testing.assert_array_equal(out, rows * factor[:, None])


@pytest.mark.parametrize("most", [1, 3, 6])
def test_out_of_memory_halves_the_batch_and_says_so(most, caplog):
    rows = np.arange(22.0).reshape(11, 2)
    notes = []
    with caplog.at_level(logging.WARNING, logger="hyperspy_dosekin"):
        found = map_batches(
            _limited(torch.square, most),
            [rows],
            np.empty_like(rows),
            size=11,
            device=CPU,
            what="squares",
            note=notes.append,
        )
    np.testing.assert_array_equal(found, rows**2)
    expected = {6: [11], 3: [11, 5], 1: [11, 5, 2]}[most]
    assert [
        f"batch of {size} did not fit" in note for size, note in zip(expected, notes, strict=True)
    ]
    assert all(note.startswith("squares: ") and "cpu" in note for note in notes)
    assert [record.getMessage() for record in caplog.records] == notes


def test_what_is_done_is_not_done_again():
    done = []

    def work(part):
        if 4 in range(part.start, part.stop) and part.stop - part.start > 1:
            raise torch.OutOfMemoryError("simulated")
        done.append(part)

    map_slices(work, 8, size=2, device=CPU, what="test")
    covered = [index for part in done for index in range(part.start, part.stop)]
    assert sorted(covered) == list(range(8))
    assert slice(0, 2) in done


def test_a_batch_of_one_that_does_not_fit_is_an_error():
    with pytest.raises(MemoryError, match=r"squares: not even a batch of one .* cpu.*device="):
        map_batches(
            _limited(torch.square, 0), [np.ones(3)], np.ones(3), size=3, device=CPU, what="squares"
        )


@pytest.mark.parametrize("workers", [1, 3])
def test_other_errors_pass_and_end_the_work(workers):
    started = []

    def work(part):
        started.append(part)
        if part.start == 2:
            raise RuntimeError("wrong shapes")

    with pytest.raises(RuntimeError, match="wrong shapes"):
        map_slices(work, 1000, size=1, device=CPU, what="test", workers=workers)
    assert len(started) < 1000


def test_threads_that_were_granted_are_taken_with_the_callers_errstate():
    both, treated = threading.Barrier(2, timeout=EVENT), []

    def work(part):
        both.wait()
        treated.append(np.geterr()["over"])

    with granted_threads(2), np.errstate(over="raise"):
        map_slices(work, 4, size=2, device=CPU, what="test")
    assert treated == ["raise", "raise"]


def test_several_workers_share_the_work_and_retry_together():
    lock, names, done = threading.Lock(), set(), []
    both = threading.Barrier(2, timeout=EVENT)

    def work(part):
        if part.stop - part.start > 5:
            raise torch.OutOfMemoryError("simulated")
        if part.start < 10:
            # Returns only if two batches are worked on at the same time.
            both.wait()
        with lock:
            names.add(threading.get_ident())
            done.append(part)

    map_slices(work, 40, size=10, device=CPU, what="test", workers=2)
    assert len(names) >= 2
    assert sorted(part.start for part in done) == list(range(0, 40, 5))


def test_nothing_to_do():
    assert (
        map_batches(
            torch.square, [np.empty((0, 3))], np.empty((0, 3)), size=5, device=CPU, what="x"
        ).size
        == 0
    )


def test_different_lengths_are_an_error():
    with pytest.raises(ValueError, match=r"lengths \[2, 3\]"):
        map_batches(torch.add, [np.ones(3), np.ones(2)], np.ones(3), size=1, device=CPU, what="x")


_TYPES = [
    "?",
    "u1",
    "i1",
    "<u2",
    ">u2",
    "<i2",
    "<u4",
    ">u4",
    "<i8",
    "<u8",
    ">f4",
    "<f4",
    ">f8",
    "<f2",
    "g",
]


@pytest.mark.parametrize("dtype", _TYPES)
@pytest.mark.parametrize("layout", ["contiguous", "strided", "reversed", "read-only"])
def test_every_real_type_and_layout_arrives(dtype, layout, request):
    for way in ("direct", "through buffers"):
        if way == "through buffers":
            request.getfixturevalue("staged")
        with np.errstate(over="ignore", invalid="ignore"):
            array = np.array([[0, 1, 65535, 7], [200, 3, 4294967295, 9]]).astype(dtype)
        if layout == "strided":
            array = np.repeat(array, 3, axis=1)[:, ::3]
        elif layout == "reversed":
            array = array[::-1, ::-1]
        elif layout == "read-only":
            array.flags.writeable = False
        before = array.copy()
        tensor = Ferry(CPU).to_device("a", array)
        np.testing.assert_array_equal(tensor.double().numpy(), array.astype(np.float64))
        np.testing.assert_array_equal(array, before)


def test_the_way_of_cuda_gives_the_same(staged):
    rows = np.random.default_rng(0).random((37, 3)).astype(np.float32)
    weights = np.arange(37, dtype=np.uint16)
    notes = []
    found = map_batches(
        _limited(lambda r, w: r.double() * w[:, None], 4),
        [rows, weights],
        np.empty((37, 3)),
        size=9,
        device=CPU,
        what="test",
        note=notes.append,
    )
    np.testing.assert_array_equal(found, rows.astype(float) * weights[:, None])
    assert len(notes) == 1


def test_gradients_are_off_in_every_thread(staged):
    weight = torch.ones(1, requires_grad=True)
    recorded = []

    def kernel(rows):
        recorded.append((rows * weight).requires_grad)
        return rows

    map_batches(kernel, [np.ones(6)], np.ones(6), size=1, device=CPU, what="test")
    assert recorded == [False] * 6


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("x"), True),
        (MemoryError(), True),
        (RuntimeError("MPS backend out of memory"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling"), True),
        (RuntimeError("shapes do not match"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_what_counts_as_out_of_memory(error, expected):
    assert is_out_of_memory(error) is expected
