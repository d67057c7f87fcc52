# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stopping power against the tables of NIST ESTAR, which others have computed."""

import pytest

from hyperspy_dosekin.dose import collision_stopping_power
from hyperspy_dosekin.dose.elements import ELEMENTS

#: Mass collision stopping powers in MeV cm²/g at the energies below, from NIST ESTAR
#: (https://physics.nist.gov/PhysRefData/Star/Text/ESTAR.html), with the density effect.
ENERGIES_KEV = (60, 80, 100, 200, 300)
ESTAR = {
    "water, liquid": ("H2O", (5.797, 4.757, 4.115, 2.793, 2.355)),
    "graphite": ("C", (5.179, 4.253, 3.674, 2.485, 2.087)),
    "amorphous carbon": ("C", (5.150, 4.226, 3.654, 2.472, 2.076)),
    "alanine": ("C3H7NO2", (5.661, 4.645, 4.017, 2.725, 2.297)),
    "PMMA": ("C5H8O2", (5.644, 4.631, 4.006, 2.719, 2.292)),
}
#: ESTAR's elements of ZIF-8, Zn(C4H5N2)2, which it does not list itself. Zinc, amorphous carbon,
#: hydrogen and nitrogen gas, added up by mass: Bragg's rule on the tables.
ZIF8_MASSES = {"Zn": 65.38, "C": 8 * 12.011, "H": 10 * 1.008, "N": 4 * 14.007}
ZIF8_ELEMENTS = {
    "Zn": (3.738, 3.100, 2.701, 1.866, 1.585),
    "C": (5.150, 4.226, 3.654, 2.472, 2.076),
    "H": (12.45, 10.15, 8.737, 5.851, 4.897),
    "N": (5.150, 4.229, 3.660, 2.486, 2.097),
}


@pytest.mark.parametrize("name", ESTAR)
def test_like_estar(name):
    formula, expected = ESTAR[name]
    found = [collision_stopping_power(formula, energy) for energy in ENERGIES_KEV]
    assert found == pytest.approx(expected, rel=0.02)


def test_water_is_nearer_than_that():
    formula, expected = ESTAR["water, liquid"]
    found = [collision_stopping_power(formula, energy) for energy in ENERGIES_KEV]
    assert found == pytest.approx(expected, rel=0.001)


def test_metal_organic_framework():
    total = sum(ZIF8_MASSES.values())
    for place, energy in enumerate(ENERGIES_KEV):
        expected = sum(
            mass / total * ZIF8_ELEMENTS[element][place] for element, mass in ZIF8_MASSES.items()
        )
        found = collision_stopping_power("Zn(C4H5N2)2", energy)
        assert found == pytest.approx(expected, rel=0.02)


def test_density_effect_at_one_megavolt():
    """ESTAR for liquid water at 1 MeV, and 0 at 300 keV."""
    assert collision_stopping_power("H2O", 1000, density=1.0) == pytest.approx(1.849, rel=0.003)
    with_density = collision_stopping_power("H2O", 300, density=1.0)
    assert with_density == collision_stopping_power("H2O", 300)


def test_elements_are_whole():
    assert len(ELEMENTS) == 92
    assert ELEMENTS["U"].number == 92
    # Standard atomic weights of a light, a middle and a heavy element.
    for symbol, mass in (("O", 15.999), ("Zn", 65.38), ("Pb", 207.2)):
        assert ELEMENTS[symbol].mass == pytest.approx(mass, rel=3e-4)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("H2O", 5), ValueError, "between 10 and 10000 keV"),
        (("H2O", -5), ValueError, "positive; give it in keV"),
        (("H2O", "fast"), TypeError, "give it in keV"),
        (("Xx2", 200), ValueError, "names Xx"),
        (("", 200), ValueError, "chemical formula"),
        (("H2O)", 200), ValueError, "cannot be read"),
        (("(H2O", 200), ValueError, "cannot be read"),
        (("water", 200), ValueError, "cannot be read"),
        (({"H": -2}, 200), ValueError, "positive number"),
        (({"H": "two"}, 200), TypeError, "numbers of atoms"),
        ((3, 200), TypeError, "chemical formula"),
    ],
)
def test_errors(arguments, error, message):
    with pytest.raises(error, match=message):
        collision_stopping_power(*arguments)


def test_density_must_be_positive():
    with pytest.raises(ValueError, match="density=0"):
        collision_stopping_power("H2O", 200, density=0)


@pytest.mark.parametrize(
    "same",
    ["H₂O", "(H2)O", "O1H2.0", {"H": 4, "O": 2}, {"O": 0.5, "H": 1}],
)
def test_ways_to_write_water(same):
    assert collision_stopping_power(same, 200) == pytest.approx(
        collision_stopping_power("H2O", 200), rel=1e-12
    )
