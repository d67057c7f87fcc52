# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units of axes, as files and users write them."""

from __future__ import annotations


def in_unit(units: object, wanted: str) -> float | None:
    """Return how many of the unit `wanted` one of `units` is, or ``None`` if it is no such unit.

    Parameters
    ----------
    units
        Units of an axis; anything that is no text is no unit.
    wanted
        A unit.

    Examples
    --------
    >>> in_unit("ms", "s"), in_unit("nm", "s"), in_unit("no unit", "s")
    (0.001, None, None)
    """
    if not isinstance(units, str) or not units.strip():
        return None
    import pint  # HyperSpy has imported it already

    registry = pint.get_application_registry()
    try:
        return float(registry.Quantity(1.0, units.strip()).to(wanted).magnitude)
    except Exception:
        # pint's parser raises whatever its tokeniser meets: AttributeError, ValueError, SyntaxError
        return None


def has_dimension(units: object, wanted: str) -> bool:
    """Return whether `units` can be converted to the unit `wanted`."""
    return in_unit(units, wanted) is not None
