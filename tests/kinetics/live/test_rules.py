# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest

from hyperspy_dosekin.kinetics.live.rules import StopRule, rules_of

NAMES = ("C–C", "C–O")


def test_precision_of_the_windows_that_count():
    rule = StopRule.of({"half_integrity_dose": 0.1, "windows": "C–O"})
    below = np.zeros((2, 1))
    assert rule.windows == ("C–O",)
    assert not rule.about_kinetics(NAMES, np.array([[0.05], [0.2]]), below)
    assert "C–O is known to 10 %" in rule.about_kinetics(NAMES, np.array([[np.nan], [0.1]]), below)


def test_one_window_that_is_gone_is_enough():
    rule = StopRule.of({"integrity": 0.5, "probability": 0.9})
    sd = np.full((2, 1), np.nan)
    assert not rule.about_kinetics(NAMES, sd, np.array([[0.2], [np.nan]]))
    assert "C–O is below 0.5" in rule.about_kinetics(NAMES, sd, np.array([[0.2], [0.95]]))


def test_most_pixels_of_a_map_have_to_agree():
    rule = StopRule.of({"half_integrity_dose": 0.1, "share": 0.5})
    below = np.zeros((2, 4))
    sd = np.array([[0.05, 0.05, 0.3, 0.3], [0.05, 0.3, 0.3, 0.3]])
    assert not rule.about_kinetics(NAMES, sd, below)
    assert rule.about_kinetics(NAMES, sd[[0, 0]], below)


def test_the_dose_is_not_exceeded():
    rule = StopRule.of({"dose": 1000})
    assert not rule.about_dose(800, 200)
    assert "1000 is spent" in rule.about_dose(900, 200)


@pytest.mark.parametrize(
    ("told", "error", "message"),
    [
        ({"precision": 0.1}, ValueError, "names .'precision'."),
        ({"windows": ["C–O"]}, ValueError, "no reason"),
        ({"half_integrity_dose": -1}, ValueError, "larger than 0|above 0|positive"),
        ({"half_integrity_dose": "little"}, TypeError, "not a number|one number"),
        ({"integrity": 0.5, "probability": 2}, ValueError, "between"),
        ({"dose": 3, "in_a_row": 0}, ValueError, "in_a_row=0"),
        ("dose", TypeError, "stop_when="),
        (3, TypeError, "stop_when="),
        ([3], TypeError, "stop_when="),
    ],
)
def test_impossible_rules_are_refused(told, error, message):
    with pytest.raises(error, match=message):
        rules_of(told)


def test_windows_that_are_not_there():
    with pytest.raises(ValueError, match="C-O"):
        StopRule.of({"dose": 3, "windows": ["C-O"]}).check_windows(NAMES)


def test_functions_and_lists():
    assert rules_of(None) == []
    assert len(rules_of([{"dose": 3}, print])) == 2
