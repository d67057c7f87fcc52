# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Populations of windows in which nothing can be seen to decay."""

import warnings

import hyperspy.api as hs
import numpy as np
import pytest

import hyperspy_dosekin

DOSE = np.linspace(100.0, 900.0, 9)
BUMP = np.where(np.arange(9) == 4, 1.0, 0.0)


def _one_window(values):
    """Maps ``(y, x, dose)`` as a signal."""
    axes = [
        {"size": values.shape[0], "name": "y"},
        {"size": values.shape[1], "name": "x"},
        {"size": 1, "name": "window"},
        {"axis": DOSE, "name": "dose"},
    ]
    s = hs.signals.Signal1D(values[:, :, np.newaxis], axes=axes)
    s.set_signal_type("DoseSeries")
    return s


# The ridge of these populations leads to where the sums of their pixels cancel.
@pytest.mark.parametrize(("seed", "noise"), [(13, "floor"), (19, "floor"), (6, "relative")])
def test_no_pixel_of_a_flat_window_is_determined(seed, noise):
    random = np.random.default_rng(seed)
    offset = 0.06 * np.exp(0.03 * random.standard_normal((6, 7)))
    # What decays is gone before the first frame.
    values = 0.02 * (seed % 3) * np.exp(-30 * DOSE / 900) + offset[..., None]
    values = values + 0.0046 * random.standard_normal(values.shape)
    s = _one_window(values)
    s.set_noise_variance(s._deepcopy_with_new_data(np.full(s.data.shape, 4e-6)))
    with warnings.catch_warnings():
        # The scatter is more than the claimed one, which the test is not about.
        warnings.simplefilter("ignore")
        result = s.fit_dose_pinn(spatial="population", noise=noise, show_progressbar=False)
    assert not result.identifiable.data.any()
    lower, upper = (end.data for end in result.interval("half_integrity_dose"))
    assert (lower < DOSE[0]).all()
    assert (upper > DOSE[0]).all()


# What stands for the unknown of these went to where fields and sides cannot be computed, or beyond
# all doses, where every pixel seemed to be sure.
@pytest.mark.parametrize(
    ("spatial", "seed", "height"), [("field", 17, 0.0), ("field", 2, 1.0), ("population", 12, 0.0)]
)
def test_what_does_not_decay_stays_open(spatial, seed, height):
    random = np.random.default_rng(seed)
    values = np.exp(0.1 * random.standard_normal((3, 4)))[..., None] + height * BUMP
    values = values + 0.01 * random.standard_normal(values.shape)
    s = _one_window(values)
    result = s.fit_dose_pinn(spatial=spatial, law="first order", show_progressbar=False)
    assert not result.identifiable.data.any()
    lower, upper = (end.data for end in result.interval("half_integrity_dose"))
    assert (upper > 30 * lower).all()


def test_pixels_in_which_nothing_happens_are_none_of_the_population(tmp_path):
    random = np.random.default_rng(3)
    inside = np.hypot(*(np.indices((8, 8)) - 3.5)) < 2.6
    rate = np.exp(0.8 + 0.3 * random.standard_normal((8, 8)))
    amplitude = np.where(inside, 1 + 0.2 * random.standard_normal((8, 8)), 0.0)
    curve = np.exp(-rate[..., None] * DOSE / 900)
    values = amplitude[..., None] * curve + 0.5 * inside[..., None]
    values = values + 0.005 * random.standard_normal(values.shape)
    result = _one_window(values).fit_dose_pinn(spatial="field", show_progressbar=False)
    half, sure = np.log(result.half_integrity_dose.data[0] / 900), result.identifiable.data[0]
    assert not sure[~inside].any()
    assert sure[inside].mean() > 0.5
    right = np.abs(half - np.log(np.log(2) / rate)) < 0.25
    assert right[sure].mean() > 0.85
    assert f"nothing changes in {round(100 * np.mean(~inside))} % of the pixels" in str(result)
    result.save(tmp_path / "result.hspy")
    again = hyperspy_dosekin.load(tmp_path / "result.hspy")
    np.testing.assert_array_equal(again.identifiable.data, result.identifiable.data)
    assert str(again) == str(result)


def test_known_offsets_go_with_frames_that_are_wrong_in_all_pixels():
    random = np.random.default_rng(1)
    values = np.exp(0.2 * random.standard_normal((4, 4, 1))) * np.exp(-DOSE / 400)
    values = values * np.where(np.arange(9) % 2, 1.2, 0.8)
    s = _one_window(values + 0.01 * random.standard_normal(values.shape))
    result = s.fit_dose_pinn(spatial="population", offset=0.0, show_progressbar=False)
    assert "Frames are wrong" in str(result)
    assert np.isfinite(result.half_integrity_dose.data).all()


@pytest.mark.parametrize("law", ["power law", "first order", "two populations"])
def test_windows_of_a_hierarchy_may_all_be_empty(law):
    axes = [{"size": 2, "name": "window"}, {"axis": DOSE, "name": "dose"}]
    s = hs.signals.Signal1D(np.zeros((2, 9)), axes=axes)
    s.set_signal_type("DoseSeries")
    s.metadata.set_item("Dose.window_names", ["C–O", "C–C"])
    result = s.fit_dose_pinn(law=law, estimator="exact", show_progressbar=False)
    assert np.isnan(result.half_integrity_dose.data).all()
    assert not result.identifiable.data.any()
    assert "C–O" in str(result)
