# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units as texts: beside a quantity, and turned over."""

from __future__ import annotations


def with_unit(text: str, unit: str) -> str:
    """A label with its unit in brackets, or the label alone where the unit is not known.

    Examples
    --------
    >>> with_unit("Dose", "MGy"), with_unit("Dose", "")
    ('Dose (MGy)', 'Dose')
    """
    return f"{text} ({unit})" if unit else text


def inverse_unit(unit: str) -> str:
    """The unit of one over a quantity.

    Examples
    --------
    >>> inverse_unit("e⁻/Å²"), inverse_unit("MGy"), inverse_unit("")
    ('Å²/e⁻', '1/MGy', '')
    """
    if not unit:
        return ""
    above, stroke, below = unit.partition("/")
    if not stroke:
        return f"1/{unit}"
    return below if above.strip() == "1" else f"{below}/{above}"
