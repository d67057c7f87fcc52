# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import dataclasses
import re
from types import SimpleNamespace

import numpy as np
import pytest
from hyperspy.api import roi

from hyperspy_dosekin import LOW_LOSS_WINDOWS
from hyperspy_dosekin.windows import Window
from hyperspy_dosekin.windows.definitions import parse_windows, validate

AXIS = np.arange(0, 30, 0.5)  # 0 … 29.5 eV


def test_low_loss_windows_are_those_of_the_paper_and_cannot_be_changed():
    assert dict(LOW_LOSS_WINDOWS) == {
        "π–π*": (1, 3),
        "C–C": (4, 7),
        "C–O": (10, 15),
        "M–O": (20, 25),
    }
    with pytest.raises(TypeError):
        LOW_LOSS_WINDOWS["C–O"] = (9, 15)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Window("w", 1, 2).left = 0


def test_no_argument_means_the_low_loss_windows():
    windows = parse_windows()
    assert {w.name: (w.left, w.right) for w in windows} == dict(LOW_LOSS_WINDOWS)
    assert [w.name for w in windows] == list(LOW_LOSS_WINDOWS)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"b": (4, 7), "a": [1, 3]}, [("b", 4, 7), ("a", 1, 3)]),
        ({"b": np.array([4, 7], dtype=np.int16)}, [("b", 4, 7)]),
        ({3: (4, 7)}, [("3", 4, 7)]),
        ([(4, 7), (1, 3.5)], [("1", 4, 7), ("2", 1, 3.5)]),
        (np.array([[4, 7], [1, 3]]), [("1", 4, 7), ("2", 1, 3)]),
        ((pair for pair in [(4, 7)]), [("1", 4, 7)]),
        ([roi.SpanROI(4, 7), roi.SpanROI(1, 3)], [("1", 4, 7), ("2", 1, 3)]),
        (roi.SpanROI(4, 7), [("1", 4, 7)]),
        ({"C–C": roi.SpanROI(4, 7)}, [("C–C", 4, 7)]),
        ([SimpleNamespace(left=4, right=7, name="C–C"), (1, 3)], [("C–C", 4, 7), ("2", 1, 3)]),
        ([Window("C–C", 4, 7)], [("C–C", 4, 7)]),
    ],
)
def test_windows_can_be_given_as(given, expected):
    assert [(w.name, w.left, w.right) for w in parse_windows(given)] == expected


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"a": (3, 1)}, ValueError, r"'a': \(3, 1\) is reversed; write \(1, 3\)"),
        ({"a": (3, 3)}, ValueError, r"'a': \(3, 3\) is empty"),
        ({"a": (np.nan, 3)}, ValueError, r"'a': the left limit nan is not finite"),
        ({"a": (1, np.inf)}, ValueError, r"'a': the right limit inf is not finite"),
        ({"a": (1, 3j)}, TypeError, r"'a': the right limit 3j is not a number"),
        ({"a": ("1", 3)}, TypeError, r"'a': the left limit '1' is not a number"),
        ({"a": (True, 3)}, TypeError, r"'a': the left limit True is not a number"),
        ({"a": (1, 2, 3)}, TypeError, r"'a': \(1, 2, 3\) is not a pair"),
        ([roi.SpanROI()], TypeError, r"'1': the left limit <undefined> is not a number"),
        ((1, 3), TypeError, r"'1': 1 is not a pair"),
        (5, TypeError, "windows=5 describes no windows; pass"),
        ("C–O", TypeError, "windows='C–O' describes no windows"),
        ({}, ValueError, "holds no window; pass"),
        ([], ValueError, "holds no window; pass"),
        ({1: (1, 3), "1": (4, 7)}, ValueError, r"names \['1'\] repeat"),
        ([SimpleNamespace(left=4, right=7, name="2"), (1, 3)], ValueError, r"\['2'\] repeat"),
    ],
)
def test_what_is_no_window_is_refused(given, error, message):
    with pytest.raises(error, match=message):
        parse_windows(given)


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        ([], "no window to integrate"),
        ([Window("a", -1, 3)], r"'a' \(-1, 3\) eV lies outside .* from 0 to 29.5 eV"),
        ([Window("a", 1, 30)], r"'a' \(1, 30\) eV lies outside .* from 0 to 29.5 eV"),
        ([Window("a", 40, 50)], "outside"),
        ([Window("a", 4.1, 4.5)], r"narrower than one channel \(0.5 eV\) .* from 0 to 29.5 eV"),
        ([Window("a", 4, 5), Window("a", 6, 7)], r"\['a'\] repeat"),
    ],
)
@pytest.mark.parametrize("axis", [AXIS, AXIS[::-1]])
def test_windows_that_do_not_fit_the_axis_are_refused(windows, message, axis):
    with pytest.raises(ValueError, match=message):
        validate(windows, axis)


def test_messages_use_the_units_given():
    with pytest.raises(ValueError, match=re.escape("'a' (1, 40) nm lies outside")):
        validate([Window("a", 1, 40)], AXIS, units="nm")


@pytest.mark.parametrize("n_channels", [0, 1])
def test_an_axis_without_width_is_refused(n_channels):
    with pytest.raises(ValueError, match="at least two channels"):
        validate([Window("a", 1, 2)], AXIS[:n_channels])


def test_rounding_errors_of_the_axis_do_not_put_a_window_outside():
    axis = 0.1 * np.arange(4)  # ends at 0.30000000000000004
    validate([Window("a", 0.0, 0.3), Window("b", 0.1, 0.2)], axis)
    validate([Window("a", -1e-12, 0.3 + 1e-12)], axis)


def test_the_width_of_a_channel_is_taken_where_the_window_is():
    axis = np.concatenate([np.arange(0, 10, 1.0), np.arange(10, 12, 0.1)])
    validate([Window("fine", 11, 11.2)], axis)
    with pytest.raises(ValueError, match=r"'coarse' .* narrower than one channel"):
        validate([Window("coarse", 4, 4.2)], axis)
