# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What follows from a fluence: absorbed doses and cross sections, and their words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hyperspy_dosekin.dose.conversion import convert
from hyperspy_dosekin.dose.cross_section import cross_section_barn

if TYPE_CHECKING:
    from hyperspy_dosekin.signals.kinetics.numbers.kinetics_numbers import KineticsNumbers

#: The unit in which series carry fluences.
FLUENCE = "e⁻/Å²"
FIRST_ORDER = "first order"
FLUENCE_NOTE = "Doses in e⁻/Å² are fluences: electrons through an area"
ABSORBED_NOTE = (
    "{fluence}. At {beam_energy:g} keV 1 e⁻/Å² leaves {factor:.3g} MGy in {formula}, by the "
    "collision stopping power: an upper limit in a thin film."
)


def absorbed_per_fluence(numbers: KineticsNumbers) -> float | None:
    """MGy for each e⁻/Å², where the series says what it consists of and the beam energy."""
    metadata = numbers.data.dose_metadata
    composition, beam_energy = metadata.get("composition"), metadata.get("beam_energy")
    if numbers.dose_unit != FLUENCE or not composition or not beam_energy:
        return None
    return float(
        convert(1.0, FLUENCE, "MGy", beam_energy=float(beam_energy), composition=dict(composition))
    )


def fluence_note(numbers: KineticsNumbers) -> list[str]:
    """That a dose in e⁻/Å² is a fluence, and what dose it is."""
    if numbers.dose_unit != FLUENCE:
        return []
    factor = absorbed_per_fluence(numbers)
    if factor is None:
        return [f"{FLUENCE_NOTE}."]
    metadata = numbers.data.dose_metadata
    atoms = dict(metadata["composition"])
    formula = "".join(name if count == 1 else f"{name}{count:g}" for name, count in atoms.items())
    return [
        ABSORBED_NOTE.format(
            fluence=FLUENCE_NOTE,
            beam_energy=float(metadata["beam_energy"]),
            factor=factor,
            formula=formula,
        )
    ]


def has_cross_section(numbers: KineticsNumbers) -> bool:
    """Whether the rate constant is a cross section."""
    return numbers.law.name == FIRST_ORDER and numbers.dose_unit == FLUENCE


def cross_section(numbers: KineticsNumbers) -> np.ndarray:
    """Cross section in barn as a map ``(window, …space…)``, lazy where the result is.

    Raises
    ------
    ValueError
        If the law is not first order, or the dose is no fluence.
    """
    if numbers.law.name != FIRST_ORDER:
        raise ValueError(
            f"a cross section is the rate constant of a first-order decay, and the law is "
            f'{numbers.law.name!r}; fit with law="first order".'
        )
    if numbers.dose_unit != FLUENCE:
        raise ValueError(
            f"a cross section needs a fluence, and the unit of the dose is "
            f"{numbers.dose_unit or 'not known'!r}; give the dose in {FLUENCE}."
        )
    return numbers.map("rate_per_dose") * float(cross_section_barn(1.0))
