# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sums by tensors against NumPy's: Torch on the processor stands for a card."""

import numpy as np
import pytest
import torch

from hyperspy_dosekin.windows import on_device
from hyperspy_dosekin.windows.definitions import parse_windows
from hyperspy_dosekin.windows.integrate import integrate, integrate_with_noise
from hyperspy_dosekin.windows.weights import window_weights

CHANNELS = 64
WINDOWS = parse_windows({"low": (2.3, 14.0), "gap": (25.25, 27.2), "wide": (9.1, 60.4)})
WEIGHTS = window_weights(np.arange(CHANNELS, dtype=float), WINDOWS)
PROCESSOR = torch.device("cpu")


def block_of(kind, lead=(3, 5, 7)):
    values = np.random.default_rng(0).uniform(1, 200, (*lead, CHANNELS)).astype(kind)
    return values[..., WEIGHTS.channels]


@pytest.mark.parametrize("kind", ["u1", ">u2", "u4", "i8", "u8", "?", "f2", "f4", ">f8"])
def test_areas_and_noise_of_any_type(kind, monkeypatch):
    monkeypatch.setattr(on_device, "VALUES_AT_A_TIME", 2_000)
    block = block_of(kind)
    if np.dtype(kind).kind == "f":
        block[0, 1, 2, 0], block[2] = np.nan, -block[2]
    rtol = 1e-6 if kind == "f4" else 1e-12
    ours, theirs = (integrate(block, WEIGHTS, device=device) for device in ("cpu", PROCESSOR))
    np.testing.assert_allclose(theirs, ours, rtol)
    ours, theirs = (
        integrate_with_noise(block, WEIGHTS, gain=1.5, offset=2.0, device=device)
        for device in ("cpu", PROCESSOR)
    )
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(other, one, 1e-12)


@pytest.mark.parametrize("lead", [(), (1,), (0,), (2, 0, 3)])
def test_any_number_of_spectra(lead):
    block = block_of("f8", lead)
    found = integrate(block, WEIGHTS, device=PROCESSOR)
    assert found.shape == (*lead, len(WINDOWS))
    np.testing.assert_allclose(found, integrate(block, WEIGHTS), 1e-12)
