# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
# Read at run time too (lazy_loader). Keep this file ASCII.
from .closed_forms import FirstOrder, PlateauPowerLaw, PowerLaw
from .contract import KineticLaw
from .parameter import LawParameter
from .prior import Prior
from .registry import KINETIC_LAWS, kinetic_law, register_law
from .user_law import UserLaw

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
