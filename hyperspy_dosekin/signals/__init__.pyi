# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
# Read at run time too (lazy_loader). Keep this file ASCII.
from .dose_kinetics import DoseKinetics
from .dose_series import DoseSeries, LazyDoseSeries

__all__ = ["DoseKinetics", "DoseSeries", "LazyDoseSeries"]
