# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
# Read at run time too (lazy_loader). Keep this file ASCII.
from .definitions import LOW_LOSS_WINDOWS, Window

__all__ = ["LOW_LOSS_WINDOWS", "Window"]
