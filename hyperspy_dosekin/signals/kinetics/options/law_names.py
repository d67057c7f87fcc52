# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinetic laws as a result names them, writes them down, and finds them again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NoReturn

from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
from hyperspy_dosekin.kinetics.laws.parameter import LawParameter
from hyperspy_dosekin.kinetics.laws.registry import KINETIC_LAWS, kinetic_law

#: The law of the estimators in closed form and of the networks.
POWER_LAW = "power law"

#: Headers of the parameters that have a symbol.
SYMBOLS: Mapping[str, str] = MappingProxyType(
    {"rate": "k (per Φ_max)", "exponent": "p", "plateau": "C∞", "recovery": "r/(kJ)"}
)

#: Exponents of laws that are the power law with a known one.
KNOWN_EXPONENTS: Mapping[str, float] = MappingProxyType({"first order": 1.0})

_EQUATIONS = {
    "power law": "dC/dφ = −k C^p",
    "first order": "dC/dφ = −k C",
    "reversible": "dC/dΦ = −k C + (r/J)(1 − C), J the dose rate",
    "dose-rate threshold": "dC/dΦ = −k (1 − J*/J) C above the dose rate J*, 0 below",
    "dark recovery": "dC/dΦ = −k C + (r/J)(1 − C), and dC/dt = r (1 − C) while the beam is off",
    "stretched": "C = exp(−(kφ)^s), s the shape",
    "power law with plateau": "dC/dφ = −k (1 − C∞) u^p, u = (C − C∞)/(1 − C∞)",
}


def scale_symbol(dose_scale: float | None) -> str:
    """Symbol of the dose that counts as 1: the largest one, where no other was given."""
    return "Φ_max" if dose_scale is None else "Φ_s"


def header(name: str, dose_scale: float | None) -> str:
    """Header of a parameter, with its unit."""
    return SYMBOLS.get(name, name).replace("Φ_max", scale_symbol(dose_scale))


def is_power_law(law: str | KineticLaw) -> bool:
    """Whether a law is the power law, which has estimators of its own."""
    return kinetic_law(law) is KINETIC_LAWS[POWER_LAW]


def equation(law: KineticLaw) -> str:
    """Equation of a law, or the first line of what its author says of it; may be empty."""
    if law is KINETIC_LAWS.get(law.name) and law.name in _EQUATIONS:
        return _EQUATIONS[law.name]
    if isinstance(law, StoredLaw):
        return law.equation
    function = getattr(law, "function", None)
    text = (type(law) if function is None else function).__doc__ or ""
    return text.strip().split("\n")[0].strip()


class StoredLaw(KineticLaw):
    """A law that a loaded result was fitted with, without its code.

    Parameters
    ----------
    name, parameters
        Of the law.
    equation
        What was said of it.
    """

    def __init__(self, name: str, parameters: tuple[LawParameter, ...], equation: str) -> None:
        self.name = name
        self.parameters = parameters
        self.equation = equation

    def rate(self, integrity: Any, parameters: Any, dose: Any) -> NoReturn:
        """Say that the rate is not known."""
        raise ValueError(
            f"the kinetic law {self.name!r} is not stored with the result, because code is not; "
            "for new trajectories load it with hyperspy_dosekin.load(path, law=...), or register "
            "the law before (hyperspy_dosekin.kinetics.register_law)."
        )

    def solution(self, dose: Any, parameters: Any) -> NoReturn:
        """Say that the solution is not known."""
        self.rate(None, parameters, dose)


def law_record(law: KineticLaw) -> dict[str, object]:
    """What a file says of a law."""
    return {
        "name": law.name,
        "equation": equation(law),
        "parameters": [
            [p.name, p.lower, p.upper, p.start, bool(p.logarithmic)] for p in law.parameters
        ],
        "given": dict(law.given),
        "given_scale": law.given_scale,
    }


class OtherLawError(ValueError):
    """The law that was given is not that of the file."""


def law_of_record(record: Mapping[str, Any], given: str | KineticLaw | None) -> KineticLaw:
    """The law of a file: the one given, the registered one of that name, or its name alone.

    Raises
    ------
    OtherLawError
        If the one given is another.
    """
    parameters = tuple(LawParameter(*entry) for entry in record["parameters"])

    def fits(law: KineticLaw) -> bool:
        return law.name == record["name"] and tuple(law.parameters) == parameters

    if given is not None:
        law = kinetic_law(given)
        if not fits(law):
            raise OtherLawError(
                f"law={law.name!r} with the parameters {law.parameters} is not the one that the "
                f"result was fitted with, {record['name']!r} with {parameters}."
            )
        given_to = record.get("given", {}) if law.lacking else {}
        return law.at(given_to, given_to, record["given_scale"]) if given_to else law
    registered = KINETIC_LAWS.get(record["name"])
    if registered is not None and (fits(registered) or _grown(parameters, registered.parameters)):
        return registered
    return StoredLaw(record["name"], parameters, record["equation"])


def _grown(before: Sequence[LawParameter], now: Sequence[LawParameter]) -> bool:
    """Whether parameters are the same but for boxes that have grown since."""
    return len(before) == len(now) and all(
        (old.name, old.start, old.logarithmic) == (new.name, new.start, new.logarithmic)
        and new.lower <= old.lower
        and old.upper <= new.upper
        for old, new in zip(before, now, strict=True)
    )
