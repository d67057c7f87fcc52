# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to a device and back, taken on the processor."""

import numpy as np
import pytest
import torch

from hyperspy_dosekin.numerics import batching
from hyperspy_dosekin.windows import on_device
from hyperspy_dosekin.windows.definitions import Window
from hyperspy_dosekin.windows.integrate import integrate, integrate_with_noise
from hyperspy_dosekin.windows.on_device import choose_device, sums_on_device
from hyperspy_dosekin.windows.weights import window_weights

WEIGHTS = window_weights(np.arange(40.0), [Window("a", 3.5, 9), Window("b", 20, 31.25)])
CPU = torch.device("cpu")


def _spectra(dtype, order="C"):
    values = np.random.default_rng(0).integers(0, 60_000, (3, 5, 7, 40))
    return np.asarray(values.astype(dtype), order=order)[..., WEIGHTS.channels]


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint16", ">i4"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("staged", [False, True])
def test_equals_the_processor(dtype, order, staged, monkeypatch):
    monkeypatch.setattr(batching, "_overlaps", lambda device: staged)
    monkeypatch.setattr(on_device, "VALUES_AT_A_TIME", 29 * 11)
    block = _spectra(dtype, order)
    areas, squares = sums_on_device(block, WEIGHTS, CPU, with_squares=True)
    expected, variance = integrate_with_noise(block, WEIGHTS)
    # Float64 on both, summed in another order.
    np.testing.assert_allclose(areas, expected, rtol=1e-13)
    np.testing.assert_allclose(squares, variance, rtol=1e-13)
    (alone,) = sums_on_device(block, WEIGHTS, CPU, with_squares=False)
    np.testing.assert_array_equal(alone, areas)


def test_nan_stays_in_its_window():
    block = _spectra("float32").copy()
    block[0, 0, 0, 0] = np.nan
    (areas,) = sums_on_device(block, WEIGHTS, CPU, with_squares=False)
    np.testing.assert_array_equal(np.isnan(areas).nonzero(), [[0], [0], [0], [0]])


def test_a_small_memory_takes_longer_and_gives_the_same(monkeypatch, caplog):
    block = _spectra("uint16")
    whole = sums_on_device(block, WEIGHTS, CPU, with_squares=False)[0]
    stack = torch.stack

    def limited(tensors, dim=0):
        if len(tensors[0]) > 30:
            raise torch.OutOfMemoryError("simulated")
        return stack(tensors, dim=dim)

    monkeypatch.setattr(torch, "stack", limited)
    np.testing.assert_array_equal(sums_on_device(block, WEIGHTS, CPU, with_squares=False)[0], whole)
    assert "integrate_windows: a batch of 105 did not fit" in caplog.text


def test_auto_measures_and_remembers(monkeypatch):
    calls = []
    monkeypatch.setattr(on_device, "_COMPARED", 100)
    monkeypatch.setattr(on_device, "_faster", {})
    monkeypatch.setattr(on_device, "resolve_device", lambda device: torch.device("cuda"))
    monkeypatch.setattr(on_device, "sums_on_device", lambda *_, **__: calls.append("device"))

    def slow(block):
        import time

        calls.append("processor")
        time.sleep(0.01)

    for dtype in ("float32", "uint16"):
        calls.clear()
        for _ in range(2):
            found = choose_device(_spectra(dtype), WEIGHTS, "auto", False, slow)
            assert found == torch.device("cuda")
        assert calls.count("processor") == 3
    monkeypatch.setattr(on_device, "sums_on_device", lambda *_, **__: slow(None))
    chosen = choose_device(_spectra("float64"), WEIGHTS, "auto", False, lambda block: None)
    assert chosen is None


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_without_cuda_everything_is_done_by_the_processor():
    block = _spectra("float32")
    np.testing.assert_array_equal(
        integrate(block, WEIGHTS, device="auto"), integrate(block, WEIGHTS)
    )
    with pytest.raises(ValueError, match="'cuda' is not present"):
        integrate(block, WEIGHTS, device="cuda")
