# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Noise of spectra that were each divided by something of their own."""

import numpy as np
import pytest

from hyperspy_dosekin.numerics.noise_of_spectra import noise_by_spectra, ratio_of_spectra

EXPOSURE = np.geomspace(0.1, 3, 9)[:, np.newaxis]


def spectra(gains=0.05, seed=0):
    """Counts of a broad peak, over exposures and gains of channels."""
    random = np.random.default_rng(seed)
    mean = 50 + 2000 * np.exp(-0.5 * ((np.arange(512) - 200) / 60) ** 2)
    gain = 1 + gains * random.standard_normal(512)
    return random.poisson(mean * EXPOSURE * gain) / gain / EXPOSURE


def test_exposures_of_their_own_are_seen_spectrum_by_spectrum():
    values = spectra()
    found = noise_by_spectra([values], [values])
    assert found is not None
    assert found.independent
    np.testing.assert_allclose(ratio_of_spectra(values, values), 1 / EXPOSURE[:, 0], rtol=0.35)


def test_one_gain_of_all_is_none_of_that():
    counts = np.random.default_rng(1).poisson(500.0, (9, 512)).astype(float)
    assert noise_by_spectra([7.3 * counts], [7.3 * counts]) is None
    assert noise_by_spectra([counts[:, :100]], [counts[:, :100]]) is None


def test_interpolated_channels_do_not_tell_it():
    moved = [
        np.interp(np.arange(512) + shift, np.arange(512), row)
        for shift, row in zip(np.linspace(0, 0.5, 9), spectra(gains=0.0), strict=True)
    ]
    found = noise_by_spectra([np.array(moved)], [np.array(moved)])
    assert found is not None
    assert not found.independent


@pytest.mark.filterwarnings("error")
def test_missing_and_dark_spectra_say_nothing():
    values = spectra()
    values[0], values[1, 30], values[2] = np.nan, np.inf, 0.0
    ratio = ratio_of_spectra(values, values)
    assert np.isnan(ratio[[0, 2]]).all()
    assert np.isfinite(ratio[3:]).all()
