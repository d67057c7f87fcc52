# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Conditions as columns, and what is refused."""

import numpy as np
import pytest

from hyperspy_dosekin.kinetics.conditions.effects import Condition, Design


def test_columns_are_the_laws_of_the_guide():
    rate = Condition.of("dose_rate", [1.0, 10.0, 100.0])
    np.testing.assert_allclose(
        rate.columns(rate.values)[:, 0], np.log([0.1, 1.0, 10.0]), atol=1e-12
    )
    cold = Condition.of("temperature", [100, 300], reference=300)
    # E_a = 0.1 eV between 300 and 100 K is a factor of exp(−0.1/k_B (1/100 − 1/300)).
    np.testing.assert_allclose(cold.columns([100])[0, 0], -(1 / 100 - 1 / 300) / 8.617333e-5)
    gas = Condition.of("gas", ["none", "water", "argon", "water"])
    assert gas.effects == ("gas[water]", "gas[argon]")
    np.testing.assert_array_equal(gas.columns(gas.values), [[0, 0], [1, 0], [0, 1], [1, 0]])
    thickness = Condition.of("thickness", [10, 20, 60], reference=20)
    np.testing.assert_allclose(thickness.columns([60])[:, 0], [40])


def test_numpy_values_and_booleans_are_taken():
    assert Condition.of("thickness", np.array([1, 2])).kind == "number"
    assert Condition.of("coated", [True, False]).effects == ("coated[False]",)


@pytest.mark.parametrize(
    ("name", "values", "reference", "words"),
    [
        ("dose_rate", [5, 5, 5], None, "5 in every series"),
        ("gas", ["air", "air"], None, "'air' in every series"),
        ("dose_rate", [1, 0], None, "positive"),
        ("temperature", [-100, 20], None, "kelvin"),
        ("thickness", [1, np.inf], None, "finite"),
        ("thickness", [1, np.nan], None, "no value for series 2"),
        ("thickness", [None, 1, None], None, "no value for series 1, 3"),
        ("thickness", [1, [2, 3]], None, "number for each"),
        ("gas", ["air", None], None, "no value for series 2"),
        ("temperature", ["100 K", "300 K"], None, "number in kelvin"),
        ("gas", ["air", "none"], "water", "none of the levels"),
        ("dose_rate", [1, 2], -1.0, "positive"),
        ("thickness", [1, 2], "thin", "must be a number"),
    ],
)
def test_bad_conditions(name, values, reference, words):
    with pytest.raises(ValueError, match=words):
        Condition.of(name, values, reference)


def test_collinear_conditions_are_named():
    rate = Condition.of("dose_rate", [1, 1, 5, 5])
    gas = Condition.of("gas", ["none", "none", "water", "water"])
    with pytest.raises(ValueError, match=r"'gas\[water\]' cannot be told from .*'dose_rate'"):
        Design((rate, gas), 4)


def test_more_effects_than_series_are_refused():
    with pytest.raises(ValueError, match="cannot be told"):
        Design((Condition.of("gas", ["a", "b"]), Condition.of("thickness", [1, 2])), 2)


def test_prediction_stays_near_what_was_measured():
    design = Design((Condition.of("dose_rate", [1, 10]),), 2)
    assert design.row({"dose_rate": 5})[1] == []
    assert design.row({"dose_rate": 50})[1] == ["dose_rate"]
    with pytest.raises(ValueError, match="further outside"):
        design.row({"dose_rate": 1000})
    with pytest.raises(ValueError, match="no conditions of this fit"):
        design.row({"temperature": 300})
    with pytest.raises(ValueError, match="number"):
        design.row({"dose_rate": "high"})
