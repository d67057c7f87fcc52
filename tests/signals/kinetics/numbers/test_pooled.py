# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pixels whose residuals are small by luck have the noise that all pixels show together."""

import numpy as np
import pytest

import hyperspy_dosekin
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.pooled_noise import least_variance, pooled_noise
from hyperspy_dosekin.signals.axes.variance import attach_variance
from hyperspy_dosekin.signals.kinetics.dose_series import LazyDoseSeries
from tests.signals.kinetics.kinetics_series import DOSE, make_series

NAMES = ("a", "b")


def pixels(deviation, shape=(20, 10), seed=0, thickness=1.0):
    """Exponential decays ``(…space…, window, dose)`` with noise of a standard deviation."""
    random = np.random.default_rng(seed)
    rate = random.uniform(1.5, 4, (*shape, 2, 1))
    clean = np.asarray(thickness) * (np.exp(-rate * DOSE / DOSE[-1]) + 1)
    return clean + deviation * random.standard_normal(clean.shape), np.log(2) / rate[..., 0]


def found(values, **given):
    return pooled_noise(
        values, given.get("variance"), None, dose=DOSE, window_names=NAMES, config=ExactConfig()
    )


def fitted(series, **options):
    return series.fit_dose_pinn(estimator="exact", show_progressbar=False, **options)


def test_most_pixels_set_the_noise():
    random = np.random.default_rng(1)
    for few in (1.0, 4.0):
        deviation = np.where(random.random((20, 10, 1, 1)) < 0.1, few, 1.0) * 0.02
        values, _ = pixels(deviation)
        least = np.sqrt(least_variance(found(values), values))
        np.testing.assert_allclose(least / 0.02, 1, atol=0.2)


def test_it_goes_with_the_intensity_where_the_noise_does():
    thickness = np.exp(np.linspace(-1, 1, 20))[:, None, None, None]
    values, _ = pixels(0.02 * np.sqrt(thickness), thickness=thickness)
    pooled = found(values)
    np.testing.assert_allclose(pooled[:, 1], 1, atol=0.25)
    ratio = least_variance(pooled, values) / (0.02**2 * thickness)
    np.testing.assert_allclose(np.log(ratio), 0, atol=0.5)


def test_a_variance_is_only_made_larger():
    values, _ = pixels(0.02)
    for times, asked in ((1.0, 1.0), (0.25, 4.0), (9.0, 1.0)):
        factor = found(values, variance=np.full(values.shape, times * 0.02**2))[:, 0]
        np.testing.assert_allclose(factor, asked, rtol=0.2)


def test_regions_of_other_noise_keep_their_intervals():
    deviation = np.where(np.arange(20) < 10, 0.01, 0.04)[:, None, None, None]
    values, half = pixels(deviation)
    series = make_series(values, names=NAMES)
    width, held = {}, {}
    for noise in ("floor", "relative"):
        result = fitted(series, noise=noise)
        low, high = (each.data for each in result.interval("half_integrity_dose"))
        truth = np.moveaxis(half, -1, 0) * DOSE[-1]
        width[noise], held[noise] = np.log(high / low), (low <= truth) & (truth <= high)
    assert held["floor"][:, 10:].mean() >= max(0.93, held["relative"][:, 10:].mean() - 0.01)
    assert held["floor"][:, :10].mean() >= 0.95
    # Of the noisy half hardly anything changes, and nothing is narrower.
    both = np.isfinite(width["floor"]) & np.isfinite(width["relative"])
    assert np.quantile((width["floor"] / width["relative"])[both], 0.05) > 0.97
    noisy = both & (np.arange(20) >= 10)[:, None]
    assert np.median((width["floor"] / width["relative"])[noisy]) < 1.05


def test_no_pixel_has_less_noise_by_luck():
    values, _ = pixels(0.04)
    least = {
        noise: fitted(make_series(values, names=NAMES), noise=noise, intervals=False)
        .maps.field("noise_sigma")
        .min()
        for noise in ("floor", "relative")
    }
    assert least["relative"] < 0.02
    assert least["floor"] > 0.034


@pytest.mark.parametrize("told", [False, True])
def test_chunks_files_and_later_intervals_do_not_matter(tmp_path, told):
    values, _ = pixels(0.02, shape=(7, 5))
    values[0, 0, :, 3] = np.nan
    values[1, 2] = np.nan
    series = make_series(values, names=NAMES)
    if told:
        attach_variance(series, np.full(values.shape, 2.5e-4), (type(series), LazyDoseSeries))
    result = fitted(series)
    lazy = series.as_lazy()
    lazy.data = lazy.data.rechunk((4, 2, 2, 9))
    in_chunks = fitted(lazy)
    names = ("half_integrity_dose", "identifiable", "adequate")
    for name in names:
        np.testing.assert_array_equal(getattr(in_chunks, name).data, getattr(result, name).data)
    path = tmp_path / "result.hspy"
    result.save(path)
    again = hyperspy_dosekin.load(path)
    bare = fitted(series, intervals=False)
    for other in (again, bare, in_chunks):
        for level in (0.95, 0.8):
            for end, known in zip(
                other.interval("half_integrity_dose", level=level),
                result.interval("half_integrity_dose", level=level),
                strict=True,
            ):
                np.testing.assert_array_equal(end.data, known.data)


def test_windows_and_maps_of_few_pixels_are_as_they_were():
    values, _ = pixels(0.02, shape=(31,))
    series = make_series(values, names=NAMES)
    np.testing.assert_array_equal(
        fitted(series).half_integrity_dose.data,
        fitted(series, noise="relative").half_integrity_dose.data,
    )
    values, _ = pixels(0.02, shape=(40,))
    values[10:, 1] = np.nan
    series = make_series(values, names=NAMES)
    floor, own = fitted(series), fitted(series, noise="relative")
    ends, known = (each.interval("half_integrity_dose")[1].data for each in (floor, own))
    # Nodes of the posterior lie otherwise where the noise has a least, however small.
    np.testing.assert_allclose(ends[1], known[1], rtol=5e-3)
    assert not np.allclose(ends[0], known[0], rtol=5e-3)
