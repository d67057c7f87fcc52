# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
# Read at run time too (lazy_loader). Keep this file ASCII.
from .laws.closed_forms import FirstOrder, PlateauPowerLaw, PowerLaw
from .laws.contract import KineticLaw, LawParameter
from .laws.prior import Prior
from .laws.registry import KINETIC_LAWS, kinetic_law, register_law
from .laws.user_law import UserLaw

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
