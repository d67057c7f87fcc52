# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fluences and absorbed doses in other units."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hyperspy_dosekin.dose.stopping_power import collision_stopping_power
from hyperspy_dosekin.numerics.arguments import short

if TYPE_CHECKING:
    from pint.facets.plain import PlainQuantity

#: Gray for 1 MeV cm²/g and an electron in each cm²: the elementary charge, 10⁶ eV and 1000 g/kg.
_GY_CM2_PER_MEV_CM2_PER_G = 1.602176634e-10
_CM2_PER_A2 = 1e-16

_PLAIN = str.maketrans({"⁻": "-", "−": "-", "–": "-", "\u212b": "Å", "·": " ", "⋅": " "})
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_ELECTRON = re.compile(r"(?<![A-Za-zµμ])(?:electrons?|el|e)(?:-(?!\d)|(?![A-Za-z]))")
_ANGSTROM = re.compile(r"(?<![A-Za-z])(?:A|[Aa]ngstroms?)(?![A-Za-z])")
_POWER = re.compile(r"(?<=[A-Za-zÅ])(-?\d)")
_KNOWN = "e⁻/Å², e⁻/nm², C/cm², C/m², Gy, kGy, MGy"


def convert(
    value: npt.ArrayLike,
    from_unit: str,
    to_unit: str,
    *,
    beam_energy: float | None = None,
    composition: str | Mapping[str, float] | None = None,
    density: float | None = None,
) -> np.ndarray | float:
    r"""Convert a fluence or an absorbed dose into another unit.

    Electrons through an area (e⁻/Å², e⁻/nm², C/cm², C/m²) are a *fluence*. Energy left in a mass
    (Gy, kGy, MGy) is a *dose* in the strict sense. In one material, at one beam energy, they are
    proportional: the factor is the mass collision stopping power.

    Parameters
    ----------
    value
        A number or an array of any shape, in `from_unit`.
    from_unit, to_unit
        Units, such as ``"e⁻/Å²"``, ``"e-/nm^2"``, ``"C/cm²"``, ``"C m-2"``, ``"Gy"``, ``"MGy"``, or
        any of these with another prefix. The same for rates: ``"e⁻/Å²/s"`` to ``"MGy/s"``.
    beam_energy
        Energy of the electrons in keV. Needed only from a fluence to a dose or back.
    composition
        What the specimen consists of: a chemical formula, or a mapping of symbols to numbers of
        atoms. Needed only from a fluence to a dose or back.
    density
        Density in g/cm³ for the density effect, which matters above some 500 keV; see
        `collision_stopping_power`.

    Returns
    -------
    float or ndarray
        The values in `to_unit`, of the shape of `value`.

    Raises
    ------
    TypeError
        If `value` is not numeric, or a unit is no text.
    ValueError
        If a unit is not understood or is of another kind, or the beam energy or the composition is
        needed and not given.

    Notes
    -----
    The dose is that of a specimen from which no energy escapes, of which each part has the same
    fluence. In a film of some ten nanometres fast secondary electrons take a part of the energy
    with them: the number is an upper limit. Elastic scattering, which lengthens the path, is not
    counted.

    Examples
    --------
    >>> convert(1.0, "e⁻/Å²", "e⁻/nm²")
    100.0
    >>> round(convert(1.0, "C/cm²", "e⁻/Å²"), 2)
    624.15
    >>> round(convert(1.0, "e⁻/Å²", "MGy", beam_energy=300, composition="H2O"), 2)
    3.77
    """
    source, target = _unit("from_unit", from_unit), _unit("to_unit", to_unit)
    values = np.asarray(value)
    if values.dtype.kind not in "iuf":
        raise TypeError(f"value={short(value)} is not numeric; give it in {from_unit}.")
    per_fluence = _gray_per_fluence(source)
    if not (_is_dose(source, per_fluence) and _is_dose(target, per_fluence)):
        ratio = None
    elif (source / target).dimensionless:
        ratio = source / target
    elif (source * per_fluence / target).dimensionless:
        ratio = source * per_fluence / target * _factor(beam_energy, composition, density, to_unit)
    elif (source / per_fluence / target).dimensionless:
        ratio = (
            source / per_fluence / target / _factor(beam_energy, composition, density, from_unit)
        )
    else:
        ratio = None
    if ratio is None:
        raise ValueError(
            f"from_unit={from_unit!r} cannot be converted to to_unit={to_unit!r}: both must be "
            f"fluences or absorbed doses ({_KNOWN}), or both rates of them."
        )
    with np.errstate(over="ignore"):
        found = values * float(ratio.to("").magnitude)
    if (np.isfinite(values) & ~np.isfinite(found)).any():
        raise ValueError(
            f"value={short(value)} is beyond the largest number in {to_unit}; give it in a larger "
            "unit."
        )
    return float(found) if found.ndim == 0 else found


def _factor(
    beam_energy: float | None,
    composition: str | Mapping[str, float] | None,
    density: float | None,
    unit: str,
) -> float:
    """Gray of one electron in each Å²."""
    missing = [
        name
        for name, given in (("beam_energy= (keV)", beam_energy), ("composition=", composition))
        if given is None
    ]
    if beam_energy is None or composition is None:
        raise ValueError(
            f"a fluence and a dose in {unit} are proportional, by a factor that depends on the "
            f"material and on the beam energy; pass {' and '.join(missing)}, for instance "
            'composition="H2O".'
        )
    power = collision_stopping_power(composition, beam_energy, density=density)
    return power * _GY_CM2_PER_MEV_CM2_PER_G / _CM2_PER_A2


def _gray_per_fluence(like: PlainQuantity) -> PlainQuantity:
    """1 Gy for each e⁻/Å², from the registry of `like`."""
    registry = like._REGISTRY
    return registry.Quantity(1.0, "gray * angstrom**2 / elementary_charge")


def _is_dose(one: PlainQuantity, per_fluence: PlainQuantity) -> bool:
    """Whether a unit is one of fluence or of absorbed dose, or of a rate of either."""
    gray = one._REGISTRY.Quantity(1.0, "gray")
    kinds = ((one / gray).dimensionality, (one * per_fluence / gray).dimensionality)
    return any(set(kind) <= {"[time]"} for kind in kinds)


def is_dose_unit(text: str) -> bool:
    """Whether a text is a unit of a fluence or of an absorbed dose.

    Examples
    --------
    >>> is_dose_unit("MGy"), is_dose_unit("e-/nm^2"), is_dose_unit("nm"), is_dose_unit("frames")
    (True, True, False, False)
    """
    try:
        one = _unit("text", text)
    except ValueError:
        return False
    gray = one._REGISTRY.Quantity(1.0, "gray")
    return any((each / gray).dimensionless for each in (one, one * _gray_per_fluence(one)))


def _unit(name: str, text: str) -> PlainQuantity:
    """One of a unit, as pint has it."""
    if not isinstance(text, str):
        raise TypeError(f"{name}={text!r} is no unit; give a text, one of {_KNOWN}.")
    import pint

    plain = re.sub(r"\s+", " ", text.translate(_PLAIN).translate(_RAISED)).strip()
    expression, electrons = _ELECTRON.subn("elementary_charge", plain, count=1)
    if electrons:  # An electron in an ampere is no unit.
        expression = _ANGSTROM.sub("angstrom", expression)
    expression = _POWER.sub(r"**\1", expression)
    registry = pint.get_application_registry()
    try:
        return registry.Quantity(1.0, expression)
    except Exception:
        # pint's parser raises whatever its tokeniser meets
        raise ValueError(
            f"{name}={text!r} is no unit that is understood; give one of {_KNOWN}."
        ) from None
