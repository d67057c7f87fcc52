# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wrong values within a zero-loss peak, and none in spectra without noise: spectra of NumPy."""

import math
import warnings

import hyperspy.api as hs
import numpy as np
import pytest
from scipy.stats import norm

from hyperspy_dosekin.processing.low_loss.survey import survey_low_loss
from hyperspy_dosekin.signals.processing import look

ENERGY = -10 + 0.2 * np.arange(320)
WINDOWS = {"C–O": (10, 16), "M–O": (20, 25)}
ODD = "not as in the others"


def counts(frames=9, electrons=1e7, seed=0):
    random = np.random.default_rng(seed)
    place = ENERGY - random.uniform(-0.5, 0.5, (frames, 1))
    mean = 0.7 * norm.pdf(place, 0, 0.25) + 0.08 * norm.pdf(place, 13, 2)
    mean += 0.15 * norm.pdf(place, 23, 3)
    return random.poisson(0.2 * electrons * mean)


def areas(data, lazy=False):
    s = hs.signals.Signal1D(data)
    s.set_signal_type("EELS")
    s.axes_manager[-1].trait_set(offset=-10.0, scale=0.2, units="eV", name="Energy loss")
    s = s.as_lazy() if lazy else s
    found = s.process_low_loss(show_progressbar=False).integrate_windows(WINDOWS)
    return np.asarray(found.data)


def quiet(data, lazy=False):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=f".*{ODD}")
        return areas(data, lazy)


@pytest.mark.parametrize(
    ("away", "change"),
    [
        (0, lambda y, top: 1e5),
        (0, lambda y, top: 0),
        (1, lambda y, top: y / 2),
        (-1, lambda y, top: y + 0.05 * top),
        (2, lambda y, top: y + 0.03 * top),
        (-3, lambda y, top: 1e5),
        ([1, 2], lambda y, top: y + 0.1 * top),
    ],
)
def test_a_wrong_value_in_one_peak_is_bridged(away, change):
    data = counts()
    clean = quiet(data)
    place = data[3].argmax() + np.array(away)
    data[3, place] = change(data[3, place], data[3].max())
    with pytest.warns(UserWarning, match=rf"{ODD}: channel \d+ \(.* eV\) of spectrum \(3,\)"):
        found = areas(data)
    np.testing.assert_allclose(found, clean, rtol=0.01)


def test_lazy_spectra_are_bridged_too():
    data = counts()
    clean = quiet(data, lazy=True)
    data[3, data[3].argmax()] = 1e5
    with pytest.warns(UserWarning, match=ODD):
        found = areas(data, lazy=True)
    np.testing.assert_allclose(found, clean, rtol=0.01)
    # Of spectra in memory only one is looked at again, of lazy ones all.
    with pytest.warns(UserWarning, match=ODD):
        np.testing.assert_allclose(found, areas(data), rtol=1e-9)


def test_only_what_was_bridged_is_looked_at_again(monkeypatch):
    seen = []

    def counted(block, **options):
        seen.append(math.prod(block.shape[:-1]))
        return survey_low_loss(block, **options)

    monkeypatch.setattr(look, "survey_low_loss", counted)
    data = counts()
    data[3, data[3].argmax()] = 1e5
    with pytest.warns(UserWarning, match=ODD):
        areas(data)
    assert seen == [9, 1]


def test_a_peak_that_moved_within_its_frame_is_named(caplog):
    data = counts()
    quiet(data)
    assert "not as wide" not in caplog.text
    data[4] = (data[4] + np.roll(data[4], 9)) // 2
    areas(data)
    assert "The zero-loss peak of 1 of 9 spectra is not as wide" in caplog.text
    assert "others: (4,)" in caplog.text


@pytest.mark.parametrize(("frames", "electrons"), [(1, 1e6), (4, 1e5), (30, 1e3), (30, 1e8)])
def test_peaks_as_they_are_are_left(frames, electrons):
    quiet(counts(frames, electrons, seed=frames))


def test_bends_of_spectra_without_noise_are_no_spikes():
    scale, width = 0.3, 0.35
    energy = -10 + scale * np.arange(int(70 / scale))
    place = energy - np.random.default_rng(1).uniform(-0.5, 0.5, (9, 1))
    left = np.exp(-np.arange(9.0)[:, np.newaxis] / 4)
    losses = 0.01 * (1.5 - left) * norm.pdf(place, 2, 0.6) + 0.2 * norm.pdf(place, 23, 4)
    losses += left * (0.03 * norm.pdf(place, 5.5, 1.2) + 0.08 * norm.pdf(place, 12.5, 2.2))
    s = hs.signals.Signal1D(
        1e6 * scale * (0.7 * norm.pdf(place, 0, width) + losses * (place > 0.5))
    )
    s.set_signal_type("EELS")
    s.axes_manager[-1].trait_set(offset=-10.0, scale=scale, units="eV", name="Energy loss")
    found, plain = (
        s.process_low_loss(spikes=search, show_progressbar=False).integrate_windows().data
        for search in (True, False)
    )
    np.testing.assert_allclose(found, plain, rtol=0.01)
