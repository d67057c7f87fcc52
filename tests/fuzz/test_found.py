# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What drawn examples have found, each kind once and in its smallest form."""

import numpy as np
import pytest

import hyperspy_dosekin
from hyperspy_dosekin.signals.kinetics.dose_series import DoseSeries
from tests.fuzz.fuzzing import attempt


def series(values):
    """A series of one window at doses 1, 2, …"""
    values = np.atleast_2d(values)
    n = values.shape[1]
    even = {"size": n, "offset": 1.0, "scale": 1.0}
    axes = [
        {"size": len(values), "name": "window", "navigate": True},
        {**even, "name": "dose", "units": "e⁻/Å²", "navigate": False},
    ]
    return DoseSeries(values, axes=axes)


def test_slopes_that_contradict_each_other_by_rounding():
    areas = series([90.0, 60.0, 85.0, 9.0, 44.0])
    fitted = areas.fit_dose_pinn(
        estimator="exact", law="power law with plateau", show_progressbar=False
    )
    lower, upper = fitted.interval("half_integrity_dose")
    assert 0 < lower.data.item() < upper.data.item()


def test_a_live_series_whose_frames_have_one_dose():
    live = hyperspy_dosekin.LiveKinetics(dose_rate=3.5, frame_time=44.0, windows={"a": (4, 7)})
    for value in (3.0, 2.0, 1.0, 0.5, 0.4):
        live.update(np.array([value]), dose=0)
    with pytest.raises(ValueError, match="frames 0 and 1 have the same dose 0"):
        live.result(show_progressbar=False)


def test_laws_of_a_series_without_frames():
    with pytest.raises(ValueError, match="a series without frames"):
        hyperspy_dosekin.compare_laws(series(np.empty((1, 0))), ["power law", "delayed"])


def test_laws_of_areas_that_are_not_known():
    areas = series(np.full(6, np.nan))

    def compared():
        return str(hyperspy_dosekin.compare_laws(areas, ["power law", "delayed"]))

    assert "nan" in attempt(compared).lower()
