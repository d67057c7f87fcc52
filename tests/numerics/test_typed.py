# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers as people type them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperspy_dosekin.numerics.typed import number_of, numbers_of


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_what_python_writes_is_read_with_either_decimal_sign(value):
    assert number_of(repr(value)) == value
    assert number_of(f"  {value!r} ".replace(".", ",").replace("-", "−")) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("7,5", 7.5), ("1 000,5", 1000.5), ("1'000", 1000.0), ("−3", -3.0), ("1e3", 1000.0)],
)
def test_number(text, value):
    assert number_of(text) == value


@pytest.mark.parametrize("text", ["", " ", "a", "1,2,3", "1,234.5", "1_0", "nan", "inf", "0x1"])
def test_no_number(text):
    with pytest.raises(ValueError, match="is no number; type one"):
        number_of(text)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0,5; 2", (0.5, 2.0)),
        ("0.5,2", (0.5, 2.0)),
        ("1, 2", (1.0, 2.0)),
        ("1,2,3", (1.0, 2.0, 3.0)),
        ("1,5", (1.5,)),
        ("", ()),
    ],
)
def test_numbers(text, values):
    assert numbers_of(text) == values
