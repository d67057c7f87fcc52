# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What drawn examples have found, each kind once and in its smallest form."""

import numpy as np
import pytest

import hyperspy_dosekin
from hyperspy_dosekin.signals.kinetics.dose_series import DoseSeries
from tests.fuzz.fuzzing import attempt
from tests.fuzz.things import eels


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


def test_a_number_of_a_live_frame_that_no_float_holds():
    live = hyperspy_dosekin.LiveKinetics(dose_rate=3.5, frame_time=44.0, windows={"a": (4, 7)})
    with pytest.raises(ValueError, match=r"index=1000.* must be a whole number"):
        live.update(np.array([3.0]), index=10**400)


def test_live_frames_at_the_limit_of_numbers():
    for first, second in ((-1.7e308, 5e-324), (1.0, 3.4e38), (-1.7e308, 1.7e308)):
        live = hyperspy_dosekin.LiveKinetics(dose_rate=3.5, frame_time=44.0, windows={"a": (4, 7)})
        for value in (first, second, 1.0, 2.0, -1.7e308, 3.0):
            attempt(live.update, np.array([value]))
        assert live.n_frames == 6


def test_laws_of_a_series_without_frames():
    with pytest.raises(ValueError, match="a series without frames"):
        hyperspy_dosekin.compare_laws(series(np.empty((1, 0))), ["power law", "delayed"])


def test_laws_of_areas_that_are_not_known():
    areas = series(np.full(6, np.nan))

    def compared():
        return str(hyperspy_dosekin.compare_laws(areas, ["power law", "delayed"]))

    assert "nan" in attempt(compared).lower()


def test_plans_beyond_the_largest_number():
    with pytest.raises(ValueError, match="dose_budget=1e\\+308 must lie"):
        hyperspy_dosekin.plan_dose_series(3.4e38, noise=5, dose_budget=1e308)


def test_plans_for_a_dose_that_is_never_reached():
    options = {"noise": 0.05, "dose_budget": 1000.0, "goal": "critical_dose", "n_simulated": 0}
    with pytest.raises(ValueError, match="goal='critical_dose' is never reached by"):
        hyperspy_dosekin.plan_dose_series((400.0, 0.3), law="dark recovery", **options)


def test_names_of_joint_series_that_no_file_can_hold(tmp_path):
    curves = {
        name: series(np.exp(-np.arange(1.0, 7.0) / n)) for n, name in ((3, "\ud800"), (4, "a"))
    }
    found = hyperspy_dosekin.fit_dose_jointly(curves, show_progressbar=False)
    with pytest.raises(ValueError, match="no file can hold"):
        found.save(tmp_path / "result.hspy")
    assert not list(tmp_path.iterdir())


def test_intervals_of_spectra_come_back_from_a_file(tmp_path):
    """Of every parameter: nodes forgot which of them share a row."""
    random = np.random.default_rng(3741113)
    dose = 40.0 * np.arange(1, 10)
    energy = np.arange(64) * 0.5 - 5.0
    lines = [np.exp(-((energy - place) ** 2) / 4) for place in (8.0, 14.0)]
    left = np.exp(-random.uniform(0.5, 4.0) * dose / dose[-1])
    data = 20.0 + 50.0 * left[:, None] * lines[0] + 30.0 * lines[1]
    spectra = eels(data + random.normal(0, 0.5, data.shape))
    spectra.set_dose_axis(dose=dose)
    # A title that is none is left out.
    spectra.metadata.General.title = np.zeros((2, 0))
    # A number of NumPy is one, too.
    found = spectra.fit_dose_spectra(n_components=np.int64(1), show_progressbar=False)
    found.save(tmp_path / "result.hspy")
    again = hyperspy_dosekin.load(tmp_path / "result.hspy")
    for name in ("rate", "exponent", "half_integrity_dose"):
        np.testing.assert_array_equal(
            *(np.array([each.data for each in one.interval(name)]) for one in (again, found))
        )
