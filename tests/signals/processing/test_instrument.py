# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What instruments do to whole frames is said, and nothing of frames they did nothing to."""

import hyperspy.api as hs
import numpy as np
import pytest
from scipy.stats import norm

ENERGY = -9 + 0.15 * np.arange(480)
#: Losses: energy, width, area and decay.
LOSSES = [(5.5, 1.2, 0.03, 1.0), (12.5, 2.2, 0.08, 1.8), (22.5, 2.5, 0.12, 1.2), (33, 9, 0.12, 0)]


def means(stretch=0.0, shape=(), seed=0):
    random = np.random.default_rng(seed)
    factor = 1 + stretch * random.standard_normal((12, 1))
    place = ENERGY - random.uniform(-0.4, 0.4, (12, 1))
    mean = 0.6 * norm.pdf(place, 0, 0.25)
    for energy, width, area, rate in LOSSES:
        left = 0.3 + 0.7 * np.exp(-rate * np.arange(12)[:, np.newaxis] / 12)
        mean += area * left * norm.pdf(place / factor, energy, width)
    return np.broadcast_to(0.15 * mean[(slice(None), *([None] * len(shape)))], (12, *shape, 480))


def counts(**options):
    return np.random.default_rng(1).poisson(2e7 * means(**options)).astype(float)


def said(data, caplog, lazy=False):
    s = hs.signals.Signal1D(data)
    s.set_signal_type("EELS")
    s.axes_manager[-1].trait_set(offset=-9.0, scale=0.15, units="eV", name="Energy loss")
    if data.ndim > 2:
        s.axes_manager.navigation_axes[-1].trait_set(name="dose", units="e/Å^2")
    if lazy:
        s = s.as_lazy()
    s.process_low_loss(show_progressbar=False)
    return "".join(each.getMessage() for each in caplog.records if "instrument" in each.name)


def glowing(data, share):
    data[1:] += share * data[:-1].copy()
    return data


@pytest.mark.parametrize("electrons", [1e4, 1e6, 1e9])
def test_nothing_is_said_of_nothing(electrons, caplog):
    random = np.random.default_rng(2)
    assert not said(random.poisson(electrons * means()), caplog)
    assert not said(random.poisson(electrons / 20 * means(shape=(4, 5))), caplog)


def test_a_camera_that_spreads_its_light_has_no_gain(caplog):
    kernel = 0.1 / (1 + (np.arange(-200, 201) / 3) ** 2)
    kernel *= 0.1 / kernel.sum()
    kernel[200] += 0.9
    rows = np.random.default_rng(1).poisson(2e8 * means(seed=1))
    assert not said(np.stack([np.convolve(row, kernel, "same") for row in rows]), caplog)


@pytest.mark.parametrize("lazy", [False, True])
def test_a_repeated_frame_is_named(lazy, caplog):
    data = counts()
    data[7] = data[6]
    text = said(data, caplog, lazy)
    assert "1 of 12 spectra are the same in all channels as others" in text
    assert "(7,) repeats (6,)" in text


def test_a_repeated_frame_of_an_image_is_named(caplog):
    data = np.random.default_rng(3).poisson(1e5 * means(shape=(2, 3)))
    data[4] = data[3]
    text = said(data, caplog)
    assert "6 of 72 spectra are the same" in text
    assert "(4, 1, 0) repeats (3, 1, 0)" in text


def test_a_frame_made_of_others_is_named(caplog):
    data = counts()
    data[7] = 0.5 * (data[6] + data[8])
    assert "Frames 6 and 7" in said(data, caplog)


def test_an_afterglow_is_said_with_its_share(caplog):
    assert "Each frame holds about 0.5 % (" in said(glowing(counts(), 0.005), caplog)


def test_a_dispersion_that_differs_is_said(caplog):
    text = said(counts(stretch=0.01), caplog)
    assert "The energy scale differs from frame to frame by" in text
    worst = np.random.default_rng(0).standard_normal(12)
    assert f"frame {np.abs(worst - worst.mean()).argmax()} (" in text


def test_a_dispersion_of_an_image_that_differs_is_said(caplog):
    data = np.random.default_rng(4).poisson(1e6 * means(stretch=0.01, shape=(4, 5)))
    assert "The energy scale differs" in said(data, caplog)


def test_a_gain_that_varies_along_the_detector_is_said(caplog):
    wave = 1 + 0.03 * np.sin(np.arange(480) / 12)
    assert "Intensities follow the place" in said(counts() * wave, caplog)


@pytest.mark.parametrize("step", [1.1, 0.95])
def test_a_half_with_another_gain_is_said(step, caplog):
    text = said(counts() * np.where(np.arange(480) >= 200, step, 1.0), caplog)
    assert "From channel 200 on the detector shows about" in text
    assert ("more" if step > 1 else "less") in text


def test_a_half_with_another_pedestal_is_said(caplog):
    text = said(counts() + 500 + np.where(np.arange(480) >= 200, 4e3, 0.0), caplog)
    assert "From channel 200 on the detector shows about" in text


@pytest.mark.parametrize("seed", range(3))
def test_an_edge_that_moves_with_the_spectrum_is_no_half(seed, caplog):
    random = np.random.default_rng(seed)
    mean, place = means(seed=seed), np.random.default_rng(seed).uniform(-0.4, 0.4, (12, 1))
    # Another composition at each place of a line scan.
    share = random.uniform(0.1, 1.0, (12, 1)) if seed else 0.5
    edge = 2e-4 * share * norm.cdf(ENERGY - place, 30, 0.1)
    assert "From channel" not in said(random.poisson(2e8 * (mean + edge)), caplog)
