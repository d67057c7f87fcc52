# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers as people type them."""

from __future__ import annotations

import math
import re

#: Signs that stand between groups of digits, and a minus that is not the one of the keyboard.
_AS_TYPED = str.maketrans({"−": "-", "\u00a0": "", "\u202f": "", "\u2009": "", " ": "", "'": ""})


def number_of(text: str) -> float:
    """Return the number that a person has typed; a decimal comma is a decimal point.

    Parameters
    ----------
    text
        One number.

    Returns
    -------
    float
        A finite number.

    Raises
    ------
    ValueError
        If the text is no number, or has more than one comma.

    Examples
    --------
    >>> number_of("7,5"), number_of("1 000"), number_of("−3e-2")
    (7.5, 1000.0, -0.03)
    """
    plain = text.translate(_AS_TYPED)
    if plain.count(",") == 1 and "." not in plain:
        plain = plain.replace(",", ".")
    try:
        value = float(plain)
    except ValueError:
        value = math.nan
    # Python takes "1_000" and "nan" too, which nobody means here.
    if not math.isfinite(value) or "_" in plain:
        raise ValueError(f"{text.strip()!r} is no number; type one, such as 7.5 or 7,5.")
    return value


def numbers_of(text: str) -> tuple[float, ...]:
    """Return the numbers that a person has typed, with semicolons or with commas between them.

    Parameters
    ----------
    text
        Numbers; one comma between two digits is a decimal comma.

    Raises
    ------
    ValueError
        If a part is no number.

    Examples
    --------
    >>> numbers_of("0,5; 2"), numbers_of("0.5, 2"), numbers_of("0.5,2,3"), numbers_of("0,5")
    ((0.5, 2.0), (0.5, 2.0), (0.5, 2.0, 3.0), (0.5,))
    """
    if ";" in text:
        parts = text.split(";")
    elif "." in text or text.count(",") > 1 or re.search(r",\s", text.strip()):
        parts = text.split(",")
    else:
        parts = [text]
    return tuple(number_of(part) for part in parts if part.strip())
