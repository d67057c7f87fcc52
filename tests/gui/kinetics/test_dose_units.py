# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dose controls of the tool assume no unit."""

import pytest

from hyperspy_dosekin.data import dose_series
from hyperspy_dosekin.gui.kinetics.controls import DoseControls


def controls(units):
    series = dose_series(processed=True)
    series.axes_manager[0].units = units
    return DoseControls(series)


@pytest.mark.parametrize(("units", "factor"), [("e⁻/Å²", 1.0), ("e/nm^2", 0.01)])
def test_doses_are_given_back_in_the_unit_of_the_call(units, factor):
    dose = controls(units)
    dose.pre_exposure = 20.0
    found = dose.arguments()
    assert found["pre_exposure"] == 20.0
    assert found["dose"] == pytest.approx([152 * factor * (1 + frame) for frame in range(9)])


@pytest.mark.parametrize("units", ["counts of frames", ""])
def test_a_unit_that_does_not_convert_is_left_alone(units):
    dose = controls(units)
    assert dose.arguments() == {}
    dose.pre_exposure = 20.0
    with pytest.raises(ValueError, match=r"does not convert into e⁻/Å²"):
        dose.arguments()
