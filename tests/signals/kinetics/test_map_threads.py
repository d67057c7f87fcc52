# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks of a map that threads share: as without them, but sooner."""

import _thread
import signal
import threading

import numpy as np
import pytest

from hyperspy_dosekin.kinetics.posterior import posterior
from hyperspy_dosekin.signals.kinetics.numbers import maps, pixels
from tests.patience import EVENT
from tests.signals.kinetics.kinetics_series import make_series

QUIET = {"estimator": "exact", "show_progressbar": False}


@pytest.fixture
def image(monkeypatch):
    """A map of two steps with several blocks each."""
    monkeypatch.setattr(posterior, "_BLOCK", 8)
    monkeypatch.setattr(maps, "PIXELS_WITH_INTERVALS", 6)
    return make_series(noise=0.01, space=(2, 5))


@pytest.fixture
def blocks(monkeypatch):
    """What is done before the work on a block, by its number, and the threads that did it."""
    found = {"before": {}, "threads": []}
    made, lock = posterior.mixed_nodes, threading.Lock()

    def spied(*args, **options):
        with lock:
            found["threads"].append(threading.get_ident())
            before = found["before"].pop(len(found["threads"]), None)
        if before is not None:
            before()
        return made(*args, **options)

    monkeypatch.setattr(posterior, "mixed_nodes", spied)
    return found


def fitted(image, monkeypatch, number, **options):
    monkeypatch.setattr(pixels, "cpu_count", lambda: number)
    return image.fit_dose_pinn(**options, **QUIET)


@pytest.fixture
def interrupts():
    """Ctrl-C is heard: a shell starts what it runs in the background with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def assert_ended(threads):
    """Of an interrupt while it was started a thread learns when its block is done."""
    for thread in threading.enumerate():
        if thread.ident in threads:
            thread.join(EVENT)
            assert not thread.is_alive()


def test_results_are_the_same_to_the_last_bit(image, blocks, monkeypatch):
    found = []
    for number in (1, 3):
        blocks["threads"].clear()
        result = fitted(image, monkeypatch, number)
        used = set(blocks["threads"])
        assert used == {threading.get_ident()} if number == 1 else len(used) > 1
        ends = (*result.interval("half_integrity_dose"), *result.interval("exponent", level=0.5))
        found.append([each.data for each in (result.rate, result.identifiable, *ends)])
    for one, several in zip(*found, strict=True):
        np.testing.assert_array_equal(one, several)


def test_an_error_in_a_thread_is_raised(image, blocks, monkeypatch):
    def fail():
        raise ArithmeticError("not in this block")

    blocks["before"][5] = fail
    with pytest.raises(ArithmeticError, match="not in this block"):
        fitted(image, monkeypatch, 2)
    assert_ended(blocks["threads"])


def test_an_interrupt_keeps_what_is_there(image, blocks, monkeypatch, caplog, interrupts):
    # Without the signal itself, which ended the process of a whole suite in two of three runs.
    blocks["before"][5] = _thread.interrupt_main
    result = fitted(image, monkeypatch, 2)
    assert not result.complete
    assert "interrupted" in caplog.text
    there = np.isfinite(result.rate.data).sum()
    assert 0 < there < result.rate.data.size
    assert_ended(blocks["threads"])
