# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Densities per eV and contents of channels, whatever exspy makes of `is_binned`."""

import exspy
import numpy as np
import pytest

import hyperspy_dosekin
from hyperspy_dosekin.signals.axes.quantity import area_quantity, holds_channel_contents


def spectrum(quantity):
    s = exspy.signals.EELSSpectrum(np.ones((3, 200)))
    s.axes_manager[-1].scale = 0.25
    s.axes_manager[-1].units = "eV"
    s.metadata.Signal.quantity = quantity
    return s


@pytest.mark.parametrize(
    "quantity", ["S (1/eV)", "S (counts/eV)", "S (eV⁻¹)", "S (counts eV^-1)", "S (counts / eV)"]
)
def test_a_unit_per_ev_makes_a_density(quantity):
    s = spectrum(quantity)
    assert s.axes_manager[-1].is_binned
    assert not holds_channel_contents(s)
    np.testing.assert_allclose(s.integrate_windows({"w": (5, 9)}).data, 4.0)


@pytest.mark.parametrize("quantity", ["", "Intensity (Counts)", "Time (s)", "Energy (eV)"])
def test_other_units_leave_it_to_the_axis(quantity):
    s = spectrum(quantity)
    assert holds_channel_contents(s)
    np.testing.assert_allclose(s.integrate_windows({"w": (5, 9)}).data, 16.0)


@pytest.mark.parametrize(
    ("quantity", "area"),
    [
        ("S (1/eV)", "Window area"),
        ("S (counts/eV)", "Window area (counts)"),
        ("Intensity (Counts)", "Window area (Counts)"),
        ("", "Window area"),
    ],
)
def test_unit_of_the_area(quantity, area):
    assert area_quantity(spectrum(quantity)) == area


def test_copies_of_a_density_have_the_same_areas():
    """exspy makes copies binned: the eager, the lazy and the sliced signal must agree."""
    s = hyperspy_dosekin.data.dose_series(processed=True, noise=False)
    truth = s.metadata.Simulation.window_areas
    for copy in (s, s.deepcopy(), s.as_lazy(), s.isig[:]):
        areas = copy.integrate_windows()
        # Trapezoidal rule on 0.18 eV channels of bands with edges at the window limits.
        np.testing.assert_allclose(np.asarray(areas.data), truth, rtol=0.06)
        assert areas.metadata.Signal.quantity == "Window area"
