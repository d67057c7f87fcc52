# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
# Read at run time too (lazy_loader). Keep this file ASCII.
from .conversion import convert
from .cross_section import cross_section_barn
from .stopping_power import collision_stopping_power

__all__ = ["collision_stopping_power", "convert", "cross_section_barn"]
