# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""LiberTEM, where it is installed, and what is said where it is not."""

import importlib.util

import numpy as np
import pytest

import hyperspy_dosekin.libertem as doorway
from hyperspy_dosekin import LiveKinetics
from tests.signals.live.frames import RATE, TIME, WINDOWS, counts, frame, same

INSTALLED = importlib.util.find_spec("libertem") is not None


@pytest.mark.skipif(INSTALLED, reason="LiberTEM is installed")
@pytest.mark.parametrize("name", ["WindowUDF", "follow"])
def test_the_extra_is_named(name):
    assert name in dir(doorway)
    with pytest.raises(ImportError, match=r"hyperspy_dosekin\[libertem\]"):
        getattr(doorway, name)


def test_other_names_are_no_names():
    with pytest.raises(AttributeError, match="nothing"):
        _ = doorway.nothing


@pytest.mark.skipif(not INSTALLED, reason="LiberTEM is not installed")
@pytest.mark.parametrize("space", [(), (3, 2)])
def test_frames_of_libertem_are_those_of_signals(space):
    from libertem.api import Context

    s = counts(7, space=space)
    with Context.make_with("inline") as context:
        # A detector of three rows, which are summed up.
        rows = np.stack([s.data, 0 * s.data, 0 * s.data], axis=-2)
        nav = s.data.shape[:-1] if space else (7, 1)
        data = rows.reshape(*nav, 3, 300)
        dataset = context.load("memory", data=data, sig_dims=2, num_partitions=3)
        live = LiveKinetics(WINDOWS, dose_rate=RATE, frame_time=TIME, estimator="exact")
        energy = s.axes_manager[-1].axis
        found = list(doorway.follow(live, context, dataset, energy_axis=energy))
    assert len(found) == 7
    other = LiveKinetics(WINDOWS, dose_rate=RATE, frame_time=TIME, estimator="exact")
    for place in range(7):
        other.update(frame(s, place))
    if space:
        same(live.result(), other.result())
    else:
        np.testing.assert_allclose(live.series.data[0], other.series.data)
