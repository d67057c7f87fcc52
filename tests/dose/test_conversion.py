# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fluences and doses in other units."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperspy_dosekin.dose import convert, cross_section_barn

UNITS = ("e⁻/Å²", "e⁻/nm²", "C/cm²", "C/m²", "Gy", "kGy", "MGy")


@pytest.mark.parametrize(
    ("value", "source", "target", "expected"),
    [
        (1.0, "e⁻/Å²", "e⁻/nm²", 100.0),
        (1.0, "C/cm²", "e⁻/Å²", 624.150907),
        (1.0, "C/m²", "e⁻/nm²", 6.24150907),
        (1.0, "C/cm²", "C/m²", 1e4),
        (3.0, "MGy", "Gy", 3e6),
        (1.0, "Gy", "kGy", 1e-3),
        (2.0, "e⁻/Å²/s", "e⁻/nm²/s", 200.0),
    ],
)
def test_without_a_material(value, source, target, expected):
    assert convert(value, source, target) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(
    ("beam_energy", "stopping_power"), [(60, 5.797), (200, 2.793), (300, 2.355)]
)
def test_grays_of_water(beam_energy, stopping_power):
    """By hand: S (MeV cm²/g) · 1e16 electrons/cm² · 1.602e-13 J/MeV · 1000 g/kg, S from ESTAR."""
    expected = stopping_power * 1e16 * 1.602176634e-13 * 1e3
    found = convert(1.0, "e⁻/Å²", "Gy", beam_energy=beam_energy, composition="H2O")
    assert found == pytest.approx(expected, rel=0.001)


@given(
    st.sampled_from(UNITS),
    st.sampled_from(UNITS),
    st.floats(1e-6, 1e9),
    st.sampled_from([80.0, 300.0]),
)
def test_there_and_back(source, target, value, beam_energy):
    how = {"beam_energy": beam_energy, "composition": "Zn(C4H5N2)2"}
    there = convert(value, source, target, **how)
    assert convert(there, target, source, **how) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        "e⁻/Å²",
        "e-/A^2",
        "e/Å**2",
        "e⁻·Å⁻²",
        "e Angstrom^-2",
        "electrons/angstrom^2",
        "el/A2",
        " e- / Å² ",
    ],
)
def test_ways_to_write_it(text):
    assert convert(1.0, text, "e⁻/nm²") == pytest.approx(100.0, rel=1e-12)


def test_arrays_keep_their_shape():
    found = convert(np.ones((2, 3), dtype=int), "e⁻/Å²", "e⁻/nm²")
    np.testing.assert_allclose(found, np.full((2, 3), 100.0))
    assert isinstance(convert(1, "Gy", "kGy"), float)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("1", "Gy", "kGy"), TypeError, "not numeric"),
        ((1, None, "kGy"), TypeError, "is no unit"),
        ((1, "e⁻/Å²", "furlong"), ValueError, "cannot be converted"),
        ((1, "bogus!", "Gy"), ValueError, "is no unit that is understood"),
        ((1, "nm", "Å"), ValueError, "must be fluences"),
        ((1, "", "Gy"), ValueError, "must be fluences"),
        ((1, "e⁻/Å²/s", "MGy"), ValueError, "cannot be converted"),
        ((1, "e⁻/Å²", "MGy"), ValueError, r"pass beam_energy= \(keV\) and composition="),
    ],
)
def test_errors(arguments, error, message):
    with pytest.raises(error, match=message):
        convert(*arguments)


def test_what_is_missing_is_named():
    with pytest.raises(ValueError, match=r"pass composition=, for"):
        convert(1, "MGy", "C/m²", beam_energy=200)


def test_cross_section():
    """σ = 1 Å² is 1e-16 cm², and a barn is 1e-24 cm²."""
    np.testing.assert_allclose(cross_section_barn([1.0, 0.002]), [1e8, 2e5])
