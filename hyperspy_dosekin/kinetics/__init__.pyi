# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
# Read at run time too (lazy_loader). Keep this file ASCII.
from .laws import (
    KINETIC_LAWS,
    FirstOrder,
    KineticLaw,
    LawParameter,
    PlateauPowerLaw,
    PowerLaw,
    kinetic_law,
    register_law,
)
from .numerical_law import UserLaw
from .prior import Prior

__all__ = [
    "KINETIC_LAWS",
    "FirstOrder",
    "KineticLaw",
    "LawParameter",
    "PlateauPowerLaw",
    "PowerLaw",
    "Prior",
    "UserLaw",
    "kinetic_law",
    "register_law",
]
