# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
# Read at run time too (lazy_loader). Keep this file ASCII.
from .laws.closed_form import ClosedForm
from .laws.closed_forms import (
    Delayed,
    DelayedPowerLaw,
    FirstOrder,
    MultiHit,
    PlateauPowerLaw,
    PowerLaw,
    TwoPopulations,
)
from .laws.contract import KineticLaw
from .laws.parameter import LawParameter
from .laws.prior import Prior
from .laws.rate_laws import DarkRecovery, DoseRateThreshold, Reversible
from .laws.registry import KINETIC_LAWS, kinetic_law, register_law
from .laws.stretched import Stretched
from .laws.user_law import UserLaw

__all__ = [
    "KINETIC_LAWS",
    "ClosedForm",
    "DarkRecovery",
    "Delayed",
    "DelayedPowerLaw",
    "DoseRateThreshold",
    "FirstOrder",
    "KineticLaw",
    "LawParameter",
    "MultiHit",
    "PlateauPowerLaw",
    "PowerLaw",
    "Prior",
    "Reversible",
    "Stretched",
    "TwoPopulations",
    "UserLaw",
    "kinetic_law",
    "register_law",
]
