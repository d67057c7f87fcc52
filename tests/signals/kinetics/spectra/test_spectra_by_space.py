# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinetics of whole spectra by space: regions, pixels of a population, lazy as the data are."""

import exspy
import numpy as np
import pytest

import hyperspy_dosekin

SHAPE, DOSE = (5, 7), np.arange(100.0, 1000, 100)


def image(seed=0, noise=0.02, lazy=False):
    """Two halves that decay at other rates, thickness and residue that vary from pixel to pixel."""
    random = np.random.default_rng(seed)
    energy = np.arange(1.0, 30, 0.4)
    decaying = np.exp(-0.5 * ((energy - 12) / 3) ** 2)
    stays = 0.4 * np.exp(-energy / 20)
    rate = np.where(np.arange(SHAPE[1]) < 4, 1.5, 3.5) * np.ones(SHAPE)
    rate *= np.exp(0.1 * random.normal(size=SHAPE))
    thick = random.uniform(0.7, 1.4, SHAPE)[..., None, None]
    left = np.exp(-rate[..., None] * DOSE / DOSE[-1])[..., None]
    data = thick * (left * decaying + random.uniform(0.8, 1.2, SHAPE)[..., None, None] * stays)
    data = data + noise * random.normal(size=data.shape)
    # The dose is the first axis of the array.
    s = exspy.signals.EELSSpectrum(np.ascontiguousarray(np.moveaxis(data, 2, 0)))
    axis = s.axes_manager[-1]
    axis.scale, axis.offset, axis.units = 0.4, 1.0, "eV"
    s = s.as_lazy() if lazy else s
    s.set_dose_axis(DOSE, axis=s.axes_manager.navigation_axes[-1])
    return s, np.log(2) / rate * DOSE[-1]


@pytest.fixture(scope="module")
def fitted():
    s, truth = image()
    return s, truth, s.fit_dose_spectra(1, law="first order", spatial="population")


def test_every_pixel_has_kinetics_beside_the_mean(fitted):
    s, truth, found = fitted
    maps = found.maps
    assert isinstance(maps, hyperspy_dosekin.DoseKinetics)
    assert maps.window_names == ("component 1",)
    half = maps.half_integrity_dose.data[0]
    assert half.shape == SHAPE
    assert np.sqrt(np.mean(np.log(half / truth) ** 2)) < 0.12
    lower, upper = (end.data[0] for end in maps.interval("half_integrity_dose"))
    assert np.mean((lower <= truth) & (truth <= upper)) > 0.85
    # A window of the same width over the feature, each pixel by itself, knows less.
    window = s.integrate_windows({"w": (9.0, 15.0)})
    alone = window.fit_dose_pinn(estimator="exact", law="first order")
    low, high = (end.data[0] for end in alone.interval("half_integrity_dose"))
    assert np.median(np.log(upper / lower)) < 0.95 * np.median(np.log(high / low))
    plain = s.fit_dose_spectra(1, law="first order")
    assert plain.maps is None
    np.testing.assert_array_equal(plain.rate.data, found.rate.data)


def test_lazy_maps_are_lazy_and_the_same(fitted):
    _, _, found = fitted
    lazy = image(lazy=True)[0].fit_dose_spectra(1, law="first order", spatial="population")
    assert lazy.maps.is_lazy
    assert not found.maps.is_lazy
    np.testing.assert_allclose(
        lazy.maps.half_integrity_dose.data.compute(),
        found.maps.half_integrity_dose.data,
        rtol=0.02,
    )


def test_file_holds_the_maps(fitted, tmp_path):
    _, _, found = fitted
    found.save(tmp_path / "spectra.hspy")
    same = hyperspy_dosekin.load(tmp_path / "spectra.hspy")
    assert str(same) == str(found)
    assert str(same.maps) == str(found.maps)
    np.testing.assert_array_equal(
        same.maps.half_integrity_dose.data, found.maps.half_integrity_dose.data
    )


def test_two_components_are_told_apart_pixel_by_pixel():
    s, _ = image(seed=3)
    energy = s.axes_manager[-1].axis
    second = np.exp(-0.5 * ((energy - 22) / 2) ** 2)
    slow = np.exp(-0.4 * DOSE / DOSE[-1])[:, None, None, None]
    s.data = s.data + slow * second
    found = s.fit_dose_spectra(2, law="first order")
    series = found.project(s)
    assert series.window_names == ("component 1", "component 2")
    fast, rest = series.data.mean(axis=(0, 1)) / series.data.mean(axis=(0, 1))[:, :1]
    assert fast[-1] < rest[-1]


@pytest.mark.parametrize("lazy", [False, True])
def test_regions_have_kinetics_of_their_own(lazy):
    s, truth = image(lazy=lazy)
    groups = np.where(np.arange(SHAPE[1]) < 4, 0, 1) * np.ones(SHAPE, int)
    groups[0] = -1
    found = s.fit_dose_spectra(1, law="first order", groups=groups)
    assert list(found) == ["0", "1"]
    for label, (name, each) in enumerate(found.items()):
        dose = np.median(truth[groups == label])
        assert abs(np.log(each.half_integrity_dose.data[0] / dose)) < 0.15, name
        assert each.origin.pixels == np.sum(groups == label)


def test_what_makes_no_sense_is_refused(fitted):
    s, _, found = fitted
    with pytest.raises(ValueError, match="same energy axis"):
        found.project(s.isig[3:])
    with pytest.raises(ValueError, match="no such bound"):
        s.fit_dose_spectra(1, spatial="pixel", nonnegative=True)
    with pytest.raises(ValueError, match="do not fit the pixels"):
        s.fit_dose_spectra(1, groups=np.zeros((2, 2), int))
