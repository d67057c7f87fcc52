# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same spectra in another form, unit or order have the same areas."""

import hyperspy.api as hs
import numpy as np
import pytest
from scipy.stats import norm

ENERGY = -9 + 0.15 * np.arange(400)
RANDOM = np.random.default_rng(0)
PLACE = ENERGY - RANDOM.uniform(-0.4, 0.4, (7, 1))
MEAN = 0.7 * norm.pdf(PLACE, 0, 0.3) + 0.2 * norm.pdf(PLACE, 21, 5)
MEAN += 0.1 * np.exp(-np.arange(7) / 7)[:, np.newaxis] * norm.pdf(PLACE, 6, 1)
COUNTS = RANDOM.poisson(3e5 * MEAN)
EDGE = 2000 * (ENERGY + 459) ** -3.0 * 450**3 * (1 + 0.2 * norm.cdf(PLACE, 25, 1))
CORE = RANDOM.poisson(EDGE)


def low(data, variance=None, scale=0.15, begin=-9.0, units="eV"):
    s = signal(data, variance, scale, begin, units)
    unit = scale / 0.15
    windows = {"π–π*": (4 * unit, 8 * unit), "σ": (15 * unit, 25 * unit)}
    return numbers(s.process_low_loss(show_progressbar=False).integrate_windows(windows))


def core(data, variance=None, scale=0.15, begin=450.0, units="eV"):
    s = signal(data, variance, scale, begin, units)
    unit = scale / 0.15
    processed = s.process_core_loss(background=(452, 478))
    return numbers(processed.integrate_windows({"edge": (486 * unit, 505 * unit)}))


def signal(data, variance, scale, begin, units):
    s = hs.signals.Signal1D(data)
    s.set_signal_type("EELS")
    s.axes_manager[-1].trait_set(scale=scale, offset=begin, units=units, name="Energy loss")
    if variance is not None:
        s.set_noise_variance(hs.signals.Signal1D(variance))
    return s


def numbers(areas):
    return areas.data, areas.get_noise_variance().data


CHAINS = pytest.mark.parametrize(
    ("chain", "data"), [(low, COUNTS), (core, CORE)], ids=["low", "core"]
)


@CHAINS
@pytest.mark.parametrize("factor", [2.0, 1e-4, 1e6])
def test_a_factor_changes_nothing_beside_its_variance(chain, data, factor):
    usual = chain(data.astype(float), data.astype(float))
    changed = chain(data * factor, data * factor**2)
    power = (0, 0) if chain is low else (1, 2)
    for one, other, exponent in zip(usual, changed, power, strict=True):
        np.testing.assert_allclose(other, one * factor**exponent, rtol=3e-6)


@CHAINS
@pytest.mark.parametrize("kind", ["int64", ">i4", ">u4", "uint32"])
def test_types_and_places_in_memory_change_nothing(chain, data, kind):
    usual = chain(data)
    apart = np.zeros((data.shape[1], 2, data.shape[0]), kind)
    apart[:, 1] = data.T
    apart.flags.writeable = False
    for one, other in zip(usual, chain(apart[:, 1].T), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-12)


@CHAINS
def test_frames_in_another_order_have_the_same_areas(chain, data):
    order = np.random.default_rng(1).permutation(len(data))
    for one, other in zip(chain(data), chain(data[order]), strict=True):
        np.testing.assert_allclose(other, one[order], rtol=1e-9)


@CHAINS
@pytest.mark.parametrize(("units", "unit"), [("meV", 1e3), ("keV", 1e-3)])
def test_units_of_energy_change_nothing(chain, data, units, unit):
    begin = -9.0 if chain is low else 450.0
    changed = chain(data, scale=0.15 * unit, begin=begin * unit, units=units)
    for one, other in zip(chain(data), changed, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-9)


def test_places_of_the_peak_and_pedestals_change_no_low_loss():
    areas, variance = low(COUNTS)
    for begin in (-12.0, 41.0):
        np.testing.assert_allclose(low(COUNTS, begin=begin)[0], areas, rtol=1e-9)
    assert np.all(np.abs(low(COUNTS + 1000)[0] - areas) < 0.01 * np.sqrt(variance))
