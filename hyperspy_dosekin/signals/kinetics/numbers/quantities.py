# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be asked of a fit: quantities with their units, doses and levels, checked."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from hyperspy_dosekin.numerics.arguments import real_number, real_numbers, short
from hyperspy_dosekin.numerics.units import inverse_unit, with_unit

#: Quantities that have an interval beside the parameters of the law, and the unit in which the
#: law gives them.
INTERVAL_SCALES: Mapping[str, str] = MappingProxyType(
    {
        "integrity": "none",
        "half_integrity_dose": "dose",
        "dose_at": "dose",
        "rate_per_dose": "per dose",
    }
)


def checked_doses(dose: object) -> np.ndarray:
    """Doses to ask for, ``(n_dose,)``, checked.

    Raises
    ------
    TypeError
        If they are no numbers.
    ValueError
        If there is none, or one is negative or not finite.
    """
    remedy = "give one or more doses in the unit of the series, counted from zero"
    found = np.atleast_1d(real_numbers("dose", dose, remedy))
    if found.ndim != 1 or not found.size or np.any(found < 0):
        raise ValueError(f"dose={short(dose)} must be a row of doses, none negative; {remedy}.")
    return found


def checked_integrity(name: str, level: Any) -> float:
    """A level of integrity, checked; `name` is that of the argument, for messages."""
    return real_number(
        name, level, "give an integrity between 0 and 1, such as 0.5", above=0.0, below=1.0
    )


def quantity_of(name: str, dose_unit: str) -> str:
    """What a map holds, with its unit."""
    texts = {
        "rate": "Rate constant k (per normalised dose)",
        "exponent": "Exponent p",
        "plateau": "Plateau C∞",
        "amplitude": "Amplitude a",
        "offset": "Offset b",
        "rate_per_dose": with_unit("Rate constant", inverse_unit(dose_unit)),
        "half_integrity_dose": with_unit("Half-integrity dose", dose_unit),
        "critical_dose": with_unit("Critical dose", dose_unit),
        "half_change_dose": with_unit("Half-change dose", dose_unit),
        "dose_at": with_unit("Dose at a level of integrity", dose_unit),
        "integrity": "Latent integrity C",
        "fitted": "Fitted intensity",
        "log_evidence": "Logarithm of the evidence",
        "shrinkage": "Share of the others in the answer of a pixel",
    }
    return texts.get(name, name)
