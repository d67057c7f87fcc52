# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
# Read at run time too (lazy_loader). Keep this file ASCII.
from .annealing import annealing_series, reference_spectra
from .real import lsmo_line_scan
from .simulation import dose_series, dose_series_image

__all__ = [
    "annealing_series",
    "dose_series",
    "dose_series_image",
    "lsmo_line_scan",
    "reference_spectra",
]
