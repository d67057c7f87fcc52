# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit

from hyperspy_dosekin.processing.background import fit_power_law, spikes_in_background

ENERGY = np.arange(400.0, 700.0, 1.0)
WINDOW, KEPT = ENERGY < 460, (ENERGY > 480) & (ENERGY < 600)


@settings(max_examples=30, deadline=None)
@given(st.floats(1e-3, 1e6), st.floats(0.5, 6))
def test_power_laws_are_recovered(level, exponent):
    counts = level * (ENERGY / 400) ** -exponent
    fit = fit_power_law(counts[WINDOW], ENERGY[WINDOW])
    assert fit.exponent == pytest.approx(exponent, abs=1e-5)
    np.testing.assert_allclose(fit.at(ENERGY), counts, rtol=1e-5)


def test_equal_to_scipy_and_error_as_predicted():
    rng = np.random.default_rng(0)
    exponent = rng.uniform(2.5, 3.5, (3, 5, 40))
    expected = 300 * (ENERGY / 400) ** -exponent[..., np.newaxis]
    counts = rng.poisson(expected)
    fit = fit_power_law(counts[..., WINDOW], ENERGY[WINDOW])
    background = fit.at(ENERGY[KEPT]).sum(axis=-1)

    def model(energy, a, r):
        return np.exp(a - r * np.log(energy / fit.reference_ev))

    for index in np.ndindex(3, 5, 1):
        sigma = np.sqrt(fit.at(ENERGY[WINDOW])[index])
        best, _ = curve_fit(model, ENERGY[WINDOW], counts[(*index, WINDOW)], (5.5, 3.0), sigma)
        edge = 0.1 * expected[(*index, KEPT)].sum()
        assert abs(model(ENERGY[KEPT], *best).sum() - background[index]) < 1e-3 * edge
    pull = (background - expected[..., KEPT].sum(axis=-1)) / np.sqrt(
        fit.area_variance(ENERGY[KEPT])
    )
    # 600 spectra: the standard deviation is known to 3 %, the mean to 0.04.
    assert pull.std() == pytest.approx(1, abs=0.1)
    assert abs(pull.mean()) < 0.15
    channel = (fit.at(ENERGY) - expected)[..., -1] / np.sqrt(fit.variance(ENERGY)[..., -1])
    assert channel.std() == pytest.approx(1, abs=0.1)


def test_scale_of_counts_and_gain_cancel():
    rng = np.random.default_rng(1)
    counts = rng.poisson(200 * (ENERGY / 400) ** -3.0, (7, ENERGY.size)).astype(float)
    one = fit_power_law(counts[:, WINDOW], ENERGY[WINDOW], offset=3.0)
    two = fit_power_law(9 * counts[:, WINDOW], ENERGY[WINDOW], gain=9.0, offset=243.0)
    np.testing.assert_allclose(two.exponent, one.exponent, rtol=1e-6)
    np.testing.assert_allclose(two.covariance, one.covariance, rtol=1e-5)
    known = fit_power_law(counts[:, WINDOW], ENERGY[WINDOW], variance=one.at(ENERGY[WINDOW]) + 3.0)
    np.testing.assert_allclose(known.exponent, one.exponent, rtol=1e-5)


def test_nothing_to_fit_is_nan_and_negative_counts_are_survived():
    counts = np.stack([np.zeros(300), np.full(300, np.nan), 50 * (ENERGY / 400) ** -3.0])
    counts[2, ::7] = -3
    fit = fit_power_law(counts[:, WINDOW], ENERGY[WINDOW])
    assert np.isnan(fit.exponent[:2]).all()
    assert np.isfinite(fit.at(ENERGY)[2]).all()


@pytest.mark.parametrize(
    ("energy", "message"),
    [([400.0, 401, 402], "3 channel"), ([-1.0, 0, 1, 2, 3], "positive energies")],
)
def test_impossible_windows(energy, message):
    with pytest.raises(ValueError, match=message):
        fit_power_law(np.ones(len(energy)), np.array(energy))


@pytest.mark.parametrize("size", [90, 2e3, 1e5])
def test_spikes_are_no_background(size):
    energy = np.arange(460.0, 525.0, 0.5)
    mean = 2e4 * (energy / 500) ** -3
    for seed in range(20):
        counts = np.random.default_rng(seed).poisson(mean, (5, energy.size)).astype(float)
        assert not spikes_in_background(counts).any()
        few = np.random.default_rng(seed).poisson(mean / 2e4, (5, energy.size)).astype(float)
        assert not spikes_in_background(few).any()
        counts[2, 40] += 30 * size
        assert spikes_in_background(counts)[2, 40]
