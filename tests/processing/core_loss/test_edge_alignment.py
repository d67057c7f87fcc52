# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperspy_dosekin.processing.core_loss.edge_alignment import align_on_edge

CHANNEL = np.arange(80)
ROW, COLUMN = np.mgrid[:13, :22]
SHIFT = 2.5 * np.sin(COLUMN / 9.0) + 1.5 * ROW / 13


def edge(shift, height=1.0):
    shift = np.asarray(shift, dtype=float)[..., np.newaxis]
    lines = np.exp(-0.5 * ((CHANNEL - 38 - shift) / 5) ** 2)
    lines += 0.6 * np.exp(-0.5 * ((CHANNEL - 50 - shift) / 5) ** 2)
    return height * lines + 30 - 0.1 * CHANNEL


def test_shifts_at_a_signal_to_noise_of_three():
    noise = np.random.default_rng(0).standard_normal((13, 22, 80))
    found = align_on_edge(edge(SHIFT, 3.0) + noise, 1.0, max_shift=10)
    residual = found.position - (SHIFT - SHIFT.mean())
    assert residual.std() < 0.3
    # The expected error is that of noise alone; curvature of the shifts inside an average adds.
    assert found.error < residual.std() < 2.5 * found.error
    assert np.median(found.signal_to_noise) > 8


@settings(max_examples=15, deadline=None)
@given(st.floats(0.1, 1e4), st.floats(-500, 500))
def test_height_and_background_do_not_matter(height, background):
    shift = SHIFT[:3, :7]
    found = align_on_edge(height * edge(shift) + background, None, max_shift=10, width=0)
    np.testing.assert_allclose(found.position, shift - shift.mean(), atol=0.02)


def test_frames_are_not_mixed():
    """Smoothing along one axis only: shifts that jump from frame to frame survive."""
    jump = np.array([-3.0, 2.0, 0.5, 1.5])[:, np.newaxis] + np.zeros(30)
    noise = np.random.default_rng(0).standard_normal((4, 30, 80))
    found = align_on_edge(edge(jump, 3.0) + noise, 1.0, max_shift=10, smooth_axes=(1,))
    assert found.width > 0
    assert (found.position - (jump - jump.mean())).std() < 0.35


def test_without_neighbours_there_is_nothing_to_average():
    found = align_on_edge(edge(np.array([-1.0, 0.4, 0.6])), None, max_shift=5, smooth_axes=())
    assert found.width == 0
    assert found.position == pytest.approx([-1.0, 0.4, 0.6], abs=0.02)
