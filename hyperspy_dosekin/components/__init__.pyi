# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
# Read at run time too (lazy_loader). Keep this file ASCII.
from .kinetic_degradation import KineticDegradation
from .power_law_degradation import PowerLawDegradation

__all__ = ["KineticDegradation", "PowerLawDegradation"]
