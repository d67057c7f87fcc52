# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What terminals without the signs of the field show."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperspy_dosekin.numerics.text import printable

ENCODINGS = ["ascii", "cp1252", "cp437", "latin-1", "utf-8"]


@given(text=st.text(), encoding=st.sampled_from(ENCODINGS))
def test_any_text_can_be_written(text, encoding):
    if encoding == "utf-8":  # of which lone surrogates are no part either
        text = text.encode("utf-8", "ignore").decode("utf-8")
    shown = printable(text, encoding)
    shown.encode(encoding)
    assert printable(shown, encoding) == shown


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_plain_text_stays(encoding):
    text = "k = 1.2 [0.9, 1.5] per dose | determined: yes"
    assert printable(text, encoding) == text


def test_signs_that_a_terminal_has_stay():
    assert printable("D½ = 3 ± 1 Å² → Φ", "cp1252") == "D½ = 3 ± 1 Å² -> Phi"


def test_unknown_encoding_is_taken_for_the_poorest():
    assert printable("½", "nonsense") == "1/2"
