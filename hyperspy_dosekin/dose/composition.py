# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a specimen consists of: atoms of each element, from a chemical formula."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from hyperspy_dosekin.dose.elements import ELEMENTS

_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_TOKEN = re.compile(
    r"(?P<element>[A-Z][a-z]?)(?P<count>\d*\.?\d*)"
    r"|(?P<open>[(\[{])|(?P<close>[)\]}])(?P<times>\d*\.?\d*)"
)
_EXAMPLES = 'such as "H2O", "Zn(C4H5N2)2" or "CuSO4·5H2O", or a mapping {"H": 2, "O": 1}'


def atoms_of(composition: str | Mapping[str, float]) -> dict[str, float]:
    """Return the number of atoms of each element.

    Parameters
    ----------
    composition
        A chemical formula, or a mapping of symbols to numbers of atoms.

    Raises
    ------
    TypeError
        If `composition` is neither text nor a mapping of numbers.
    ValueError
        If the formula cannot be read, an element is not known, or a number is not positive.

    Examples
    --------
    >>> atoms_of("Zn(C4H5N2)2")
    {'Zn': 1.0, 'C': 8.0, 'H': 10.0, 'N': 4.0}
    >>> atoms_of("CuSO4·5H2O")
    {'Cu': 1.0, 'S': 1.0, 'O': 9.0, 'H': 10.0}
    """
    if isinstance(composition, str):
        atoms: dict[str, float] = {}
        for part in re.split("[·•*]", re.sub(r"\s", "", composition.translate(_SUBSCRIPTS))):
            number, formula = _times(part)
            for element, count in _parsed(formula, composition).items():
                atoms[element] = atoms.get(element, 0.0) + number * count
    elif isinstance(composition, Mapping):
        try:
            atoms = {str(name): float(count) for name, count in composition.items()}
        except (TypeError, ValueError):
            raise TypeError(
                f"composition={composition!r} must map symbols to numbers of atoms."
            ) from None
    else:
        raise TypeError(f"composition={composition!r} must be a chemical formula {_EXAMPLES}.")
    unknown = sorted(set(atoms) - set(ELEMENTS))
    if unknown:
        raise ValueError(
            f"composition={composition!r} names {', '.join(unknown)}; elements are known from H to "
            "U, by their symbols."
        )
    if not atoms or not all(np.isfinite(count) and count > 0 for count in atoms.values()):
        raise ValueError(
            f"composition={composition!r} must hold a positive number of atoms of each element."
        )
    return atoms


def mass_fractions(atoms: Mapping[str, float]) -> dict[str, float]:
    """Return the share of each element in the mass; they add up to 1."""
    # Numbers of atoms may be as large as a mapping has them.
    most = max(atoms.values())
    masses = {name: count / most * ELEMENTS[name].mass for name, count in atoms.items()}
    total = sum(masses.values())
    return {name: mass / total for name, mass in masses.items()}


def _times(part: str) -> tuple[float, str]:
    """A number in front, as that of water in a hydrate, and the rest."""
    number = re.match(r"\d*\.?\d*", part)
    text = number.group() if number else ""
    return (float(text) if text.strip(".") else 1.0), part[len(text) :]


def _parsed(formula: str, whole: str) -> dict[str, float]:
    """Atoms of a formula without dots, by a stack of the brackets that are open."""
    stack: list[dict[str, float]] = [{}]
    place = 0
    while place < len(formula):
        token = _TOKEN.match(formula, place)
        if token is None or (token["close"] and len(stack) == 1):
            raise _unreadable(whole, formula[place:])
        if token["open"]:
            stack.append({})
        else:
            inner = {token["element"]: 1.0} if token["element"] else stack.pop()
            count = _number(token["count"] or token["times"], whole)
            for element, each in inner.items():
                stack[-1][element] = stack[-1].get(element, 0.0) + count * each
        place = token.end()
    if len(stack) > 1 or not formula:
        raise _unreadable(whole, formula)
    return stack[0]


def _number(text: str | None, whole: str) -> float:
    if not text:
        return 1.0
    try:
        return float(text)
    except ValueError:
        raise _unreadable(whole, text) from None


def _unreadable(whole: str, rest: str) -> ValueError:
    return ValueError(
        f"composition={whole!r} cannot be read from {rest!r} on; give a chemical "
        f"formula {_EXAMPLES}."
    )
