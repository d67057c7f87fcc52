# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Spikes that are told by the other spectra, and features of few spectra that are no spikes."""

import numpy as np
import pytest

from hyperspy_dosekin.processing.low_loss.zero_loss import protected_channels
from hyperspy_dosekin.processing.spikes.removal import learn_subspace, remove_spikes

N_CHANNELS = 300
CHANNEL = np.arange(N_CHANNELS)
#: Of the zero-loss peak; nothing that the specimen does is narrower.
SIGMA = 1.5
FWHM = SIGMA * 2.3548
NOISE = {"gain": 1.0, "offset": 0.0}


def lines(centre, height, sigma=SIGMA):
    """One line for each spectrum."""
    centre, height = (np.asarray(each, dtype=float)[..., np.newaxis] for each in (centre, height))
    return height * np.exp(-0.5 * ((CHANNEL - centre) / sigma) ** 2)


def expected(position, damage, thickness):
    """Zero-loss peak and its tail, a band that changes, a plasmon and an edge."""
    position, damage, thickness = np.broadcast_arrays(position, damage, thickness)
    energy = CHANNEL - position[:, np.newaxis]
    rise = 0.5 * (1 + np.tanh((energy - 170) / 3.0))
    tail = 3e4 / (1 + (energy / 1.5) ** 2)
    specimen = 3000 * np.exp(-0.5 * ((energy - 100) / 35) ** 2) + 600 * rise
    specimen += (900 * (1 - damage))[:, np.newaxis] * np.exp(-0.5 * ((energy - 30) / 4) ** 2)
    peak = lines(position, np.full(position.shape, 4e5))
    return peak + tail + thickness[:, np.newaxis] * specimen + 15


class Spectra:
    """Spectra of a drifting, damaged specimen of varying thickness."""

    def __init__(self, seed=0, number=300, drift=2.0):
        self.rng = np.random.default_rng(seed)
        self.position = 40 + drift * self.rng.uniform(-1, 1, number)
        self.mean = expected(
            self.position, self.rng.uniform(0, 1, number), self.rng.uniform(0.5, 1.5, number)
        )
        self.number = number

    def record(self):
        return self.rng.poisson(self.mean).astype(float)

    def learn(self, spectra, every=2, **options):
        position, fwhm = self.position[::every], np.full(self.number, FWHM)[::every]
        options = {**NOISE, "protected": protected_channels(position, fwhm), **options}
        self.subspace = learn_subspace(spectra[::every], position, fwhm, **options)
        return self.subspace

    def clean(self, spectra, rows=slice(None), **options):
        return remove_spikes(
            spectra[rows],
            **{**NOISE, **options},
            protected=protected_channels(self.position[rows], np.full(self.number, FWHM)[rows]),
            position=self.position[rows],
            subspace=self.subspace,
        )


def add_spikes(data, spectra, height, fraction=0.5):
    """One spike in a part of the spectra, one or two channels wide, anywhere but at the peak."""
    where = np.zeros(spectra.shape, dtype=bool)
    rows = np.flatnonzero(data.rng.random(data.number) < fraction)
    for row in rows:
        first, width = data.rng.integers(0, N_CHANNELS - 1), data.rng.integers(1, 3)
        if abs(first - data.position[row]) < 2.5 * FWHM + 2:
            continue
        part = slice(first, first + width)
        spectra[row, part] += np.round(height * np.sqrt(data.mean[row, first]))
        where[row, part] = True
    return where


def test_spikes_of_eight_sigma_are_removed_and_hardly_anything_else():
    hits, clean, number = [], 0, 0
    for seed in range(3):
        data = Spectra(seed, number=400)
        spectra = data.record()
        where = add_spikes(data, spectra, 8)
        data.learn(spectra)
        _, touched, variance = data.clean(spectra)
        hits += [row[spike].all() for row, spike in zip(touched, where, strict=True) if spike.any()]
        clean += touched[~where].sum()
        number += (~where).sum()
        assert not touched[np.abs(CHANNEL - data.position[:, np.newaxis]) < 2.4 * FWHM].any()
        assert (variance[touched] > 0).all()
    # Of some 550 spikes.
    assert np.mean(hits) >= 0.985
    assert clean < 1e-4 * number


def test_what_is_put_there_is_what_belongs_there():
    data = Spectra(5)
    spectra = data.record()
    where = add_spikes(data, spectra, 30)
    data.learn(spectra)
    cleaned, touched, variance = data.clean(spectra)
    found = touched & where
    error = cleaned[found] - data.mean[found]
    # Far better than a channel of its own, without bias, and about as well as it says.
    assert (error / np.sqrt(data.mean[found])).std() < 0.4
    assert abs((error / np.sqrt(data.mean[found])).mean()) < 0.1
    assert 0.6 < (error / np.sqrt(variance[found])).std() < 1.6


@pytest.mark.parametrize("height", [10, 20, 50, 150])
def test_lines_of_single_spectra_are_no_spikes(height):
    """As narrow as the resolution lets them be, and unlike all that the model has seen."""
    data = Spectra(7)
    data.learn(data.record())
    centre = data.rng.uniform(70, 290, data.number)
    strength = np.sqrt(data.mean[np.arange(data.number), centre.astype(int)])
    data.mean = data.mean + lines(centre, height * strength)
    _, touched, _ = data.clean(data.record())
    near = np.abs(CHANNEL - centre[:, np.newaxis]) < 4
    assert (touched & near).any(axis=-1).mean() <= 0.01


def test_an_interface_and_a_rare_phase_are_no_spikes():
    data = Spectra(8)
    first = np.arange(data.number) < 130
    data.mean[first] += lines(np.full(130, 120), np.full(130, 1500.0))
    # Four spectra of a third phase, none of which the model has seen.
    rare = np.array([11, 99, 201, 255])
    data.mean[rare] += lines(np.full(4, 200.0), np.full(4, 2500.0), sigma=SIGMA)
    spectra = data.record()
    data.learn(spectra)
    _, touched, _ = data.clean(spectra)
    assert touched[:, 114:127].mean() < 1e-3
    assert not touched[rare, 194:207].any()


def test_a_hot_pixel_that_is_not_always_hot_is_removed():
    data = Spectra(9)
    spectra = data.record()
    hot = data.rng.random(data.number) < 0.3
    spectra[hot, 210] += 1000
    data.learn(spectra)
    cleaned, touched, _ = data.clean(spectra)
    assert touched[hot, 210].all()
    assert touched[~hot, 210].mean() < 0.01
    error = cleaned[hot, 210] - data.mean[hot, 210]
    assert (error / np.sqrt(data.mean[hot, 210])).std() < 0.6


@pytest.mark.parametrize("drift", [0.0, 4.0])
def test_a_hot_pixel_that_stays_is_removed_only_if_the_spectra_drift(drift):
    """What moves with the zero-loss peak is of the specimen, and the rest of the camera."""
    data = Spectra(10, drift=drift)
    spectra = data.record()
    spectra[:, 210] += 1500
    data.learn(spectra)
    _, touched, _ = data.clean(spectra)
    assert touched[:, 210].mean() == pytest.approx(float(drift > 0), abs=0.1)


@pytest.mark.parametrize("apart", [1, 2, 3, 5])
def test_spikes_near_each_other_are_all_removed(apart):
    data = Spectra(11)
    spectra = data.record()
    data.learn(spectra)
    place = data.rng.integers(80, 280, data.number)
    rows = np.arange(data.number)
    for channel in (place, place + apart):
        spectra[rows, channel] += 15 * np.sqrt(data.mean[rows, channel])
    _, touched, _ = data.clean(spectra)
    assert (touched[rows, place] & touched[rows, place + apart]).mean() > 0.97


def test_spikes_on_the_flanks_of_the_peak_and_of_an_edge():
    data = Spectra(12)
    spectra = data.record()
    data.learn(spectra)
    rows = np.arange(data.number)
    beside = np.ceil(data.position + 2.5 * FWHM).astype(int) + data.rng.integers(0, 4, data.number)
    edge = np.round(data.position).astype(int) + data.rng.integers(167, 174, data.number)
    for channel in (beside, edge):
        spectra[rows, channel] += 10 * np.sqrt(data.mean[rows, channel])
    _, touched, _ = data.clean(spectra)
    assert touched[rows, edge].mean() > 0.99
    # The tail of the peak is 30 times as steep there, and what it says of itself less certain.
    assert touched[rows, beside].mean() > 0.95


def test_noise_that_neighbouring_channels_share_makes_no_spikes():
    """The point spread of a camera."""
    data = Spectra(13)
    independent = data.rng.standard_normal((data.number, N_CHANNELS + 2))
    shared = independent[:, 1:-1] + 0.5 * (independent[:, :-2] + independent[:, 2:])
    spectra = data.mean + np.sqrt(data.mean / 1.5) * shared
    data.learn(spectra)
    _, touched, _ = data.clean(spectra)
    assert touched.mean() < 1e-4


def test_vacuum_beside_a_specimen():
    data = Spectra(14)
    vacuum = np.arange(data.number) % 7 == 0
    peak = expected(data.position, 0.0, 0.0)
    data.mean[vacuum] = peak[vacuum]
    spectra = data.record()
    where = add_spikes(data, spectra, 12)
    data.learn(spectra)
    _, touched, _ = data.clean(spectra)
    hits = [row[spike].all() for row, spike in zip(touched, where, strict=True) if spike.any()]
    assert np.mean(hits) > 0.97
    assert touched[~where].mean() < 1e-4


def test_channels_that_few_spectra_have_are_searched_too():
    data = Spectra(15, drift=0.0)
    data.position[:3] = 36.0
    data.mean[:3] = expected(data.position[:3], 0.5, 1.0)
    spectra = data.record()
    spectra[:3, [1, 298]] += 800
    data.learn(spectra)
    begin, end = np.array(data.subspace.covered) - (N_CHANNELS - 36)
    assert begin < 0
    assert end == 296
    _, touched, _ = data.clean(spectra)
    assert touched[:3, [1, 298]].all()
    assert touched[3:].mean() < 1e-4


def test_too_few_spectra_have_no_subspace():
    data = Spectra(16, number=7)
    assert data.learn(data.record(), every=1) is None


def test_a_spectrum_does_not_depend_on_those_it_is_cleaned_with():
    data = Spectra(18)
    spectra = data.record()
    add_spikes(data, spectra, 10)
    data.learn(spectra)
    whole = data.clean(spectra)
    for rows in (slice(0, 1), slice(1, 111), slice(111, None)):
        for one, other in zip(data.clean(spectra, rows), whole, strict=True):
            np.testing.assert_array_equal(one, other[rows])


def test_a_variance_for_each_channel_stands_for_gain_and_offset():
    data = Spectra(20)
    spectra = data.record()
    where = add_spikes(data, spectra, 12)
    data.learn(spectra)
    _, touched, _ = data.clean(spectra, gain=0.0, offset=data.mean)
    assert touched[where].mean() > 0.98
    assert touched[~where].mean() < 1e-4
