# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Noise by scatter, against noise of known law on spectra of many kinds."""

import numpy as np
import pytest

from hyperspy_dosekin.numerics.photon_transfer import joined, photon_transfer

CHANNEL = np.arange(700)


def spectrum(position=80.0):
    """A peak of two channels, a plasmon, an edge."""
    peak = 4e5 * np.exp(-0.5 * ((CHANNEL - position) / 2) ** 2)
    plasmon = 4e3 / (1 + ((CHANNEL - 190) / 40) ** 2)
    edge = 600.0 * (CHANNEL > 420) * np.exp(-(CHANNEL - 420) / 150)
    return 30 + peak + plasmon + edge


def frames(number=9, drift=0.3, change=0.1, seed=0):
    rng = np.random.default_rng(seed)
    moved = [spectrum(80 + drift * rng.normal()) for _ in range(number)]
    return rng, np.array(moved) * np.linspace(1, 1 - change, number)[:, np.newaxis]


@pytest.mark.parametrize("number", [1, 2, 3, 5, 9, 40])
@pytest.mark.parametrize("gain", [1e-6, 1.0, 7.8])
@pytest.mark.parametrize("read_noise", [0.0, 20.0])
def test_gain_and_read_noise(number, gain, read_noise):
    rng, mean = frames(number)
    counts = rng.poisson(mean) + rng.normal(0, read_noise, mean.shape)
    found = photon_transfer([gain * counts], [gain * np.maximum(gain * counts, 0)])
    middle = np.median(mean)
    expected = gain**2 * (middle + read_noise**2)
    at = found.gain * gain * middle + found.offset
    # Of a single spectrum the edge counts too.
    assert at == pytest.approx(expected, rel=0.4 if number > 1 else 0.8)
    if read_noise == 0:
        assert found.share_beyond(2) < 1 / 3
        assert found.ratio == pytest.approx(1, abs=0.35)
    else:
        assert found.read_noise == pytest.approx(gain * read_noise, rel=0.25 if number > 1 else 0.4)


@pytest.mark.parametrize("mean", [0.5, 3.0])
def test_few_counts(mean):
    counts = np.random.default_rng(0).poisson(mean, (9, 700))
    found = photon_transfer([counts], [counts])
    assert found.ratio == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("averaged", [4, 50])
def test_averages(averaged):
    rng, mean = frames(9, drift=0.05)
    found = photon_transfer([rng.poisson(averaged * mean) / averaged], [mean])
    assert found.ratio == pytest.approx(1 / averaged, rel=0.3)


def test_a_pedestal_is_where_the_line_begins():
    rng, mean = frames(9, drift=0.05)
    found = photon_transfer([rng.poisson(mean) + 600.0])
    assert found.pedestal == pytest.approx(600, abs=40)
    assert found.gain == pytest.approx(1, abs=0.25)


def test_spikes_and_missing_values_are_passed_over():
    rng, mean = frames(9, drift=0.05)
    counts = rng.poisson(mean).astype(float)
    for row in range(9):
        counts[row, rng.integers(150, 700)] += 1e4
    counts[4, 300] = np.nan
    assert photon_transfer([counts], [mean]).ratio == pytest.approx(1, abs=0.3)


def test_structure_that_drifts_is_not_noise():
    rng = np.random.default_rng(3)
    # A pattern from channel to channel of a per cent, as a mean of real spectra has.
    pattern = spectrum() * (1 + 0.01 * rng.normal(size=CHANNEL.size)) * 100
    rows = [np.interp(CHANNEL - 0.1 * rng.normal(), CHANNEL, pattern) for _ in range(9)]
    counts = rng.poisson(rows)
    found = photon_transfer([counts], [counts])
    assert found is None or found.share_beyond(2) < 1 / 3
    single = photon_transfer([counts[0]], [counts[0]])
    assert single is None


@pytest.mark.parametrize(
    "values",
    [np.ones((9, 700)), np.full((9, 700), 100, "u2"), np.tile(spectrum(), (9, 1)), spectrum()],
)
def test_data_without_noise_say_nothing(values):
    assert photon_transfer([values], [values]) is None


def test_too_few_channels_say_nothing():
    assert photon_transfer([np.random.default_rng(0).poisson(9.0, (3, 12))]) is None


def test_joined_channels():
    (joint,) = joined([np.arange(11.0).reshape(1, 11)])
    np.testing.assert_array_equal(joint, [[6.0, 22.0]])


def test_channels_of_like_intensity_and_unlike_noise():
    """Beside a peak that was subtracted, or after any weighing of channels."""
    rng = np.random.default_rng(2)
    level = np.linspace(1.0, 3.0, 600)
    variance = np.where(np.arange(600) % 200 < 20, 1e-2, 1e-5) * np.ones((9, 1))
    box = level + rng.normal(0, np.sqrt(variance))
    assert 0.8 < photon_transfer([box], [variance]).ratio < 1.25
    assert photon_transfer([box], [variance / 9]).ratio == pytest.approx(9, rel=0.25)


@pytest.mark.parametrize("number", [12, 15, 25, 40])
def test_components_of_few_channels_are_not_all_of_the_noise(number):
    """Of 15 energies of images, the four largest components left a tenth of it."""
    rng = np.random.default_rng(number)
    mean = np.linspace(200, 1000, number)
    boxes = [rng.poisson(mean, (32, number)).astype(float) for _ in range(4)]
    found = photon_transfer(boxes, boxes)
    assert 0.75 < found.ratio < 1.2
