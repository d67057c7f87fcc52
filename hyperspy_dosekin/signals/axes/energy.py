# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The energy axis of a signal in electronvolts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hyperspy.axes import BaseDataAxis


def ev_per_unit(axis: BaseDataAxis) -> float:
    """Return the number of electronvolts in the unit of an axis.

    Parameters
    ----------
    axis
        A HyperSpy axis.

    Returns
    -------
    float
        1 for ``"eV"``, 1000 for ``"keV"`` and so on.

    Raises
    ------
    ValueError
        If the axis has no units, or they are not units of energy.
    """
    units = axis.units
    if units == "eV":
        return 1.0
    label = f"the signal axis {str(axis.name)!r}"
    remedy = 'set s.axes_manager[-1].units = "eV" and calibrate the axis in eV.'
    if not isinstance(units, str) or not units.strip():
        raise ValueError(f"{label} has no units, so windows in eV have no place on it; {remedy}")
    import pint  # HyperSpy has imported it already

    registry = pint.get_application_registry()
    try:
        return float(registry.Quantity(1.0, units).to("eV").magnitude)
    except pint.DimensionalityError:
        raise ValueError(f"{label} is in {units!r}, which is not an energy; {remedy}") from None
    except Exception as error:
        # pint's parser raises whatever its tokeniser meets: AttributeError, ValueError, SyntaxError
        raise ValueError(f"{label} is in {units!r}, which pint cannot read; {remedy}") from error


def energy_in_ev(axis: BaseDataAxis) -> np.ndarray:
    """Return the values of an energy axis in eV, shape ``(n_channels,)``, float64.

    Parameters
    ----------
    axis
        A HyperSpy axis.

    Raises
    ------
    ValueError
        If the axis has no units, or they are not units of energy.
    """
    return np.asarray(axis.axis, dtype=np.float64) * ev_per_unit(axis)
