# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
# Read at run time too (lazy_loader). Keep this file ASCII.
from .ablation import plot_ablation
from .curves import plot_fit, plot_integrity
from .diagnostics import plot_diagnostics
from .latency import plot_latency
from .maps import plot_maps
from .parameters import plot_parameters
from .pictures import (
    AblationPicture,
    CurvePicture,
    DiagnosticsPicture,
    Estimate,
    MapPicture,
    ParameterPicture,
)
from .spectra import plot_spectra

__all__ = [
    "AblationPicture",
    "CurvePicture",
    "DiagnosticsPicture",
    "Estimate",
    "MapPicture",
    "ParameterPicture",
    "plot_ablation",
    "plot_diagnostics",
    "plot_fit",
    "plot_integrity",
    "plot_latency",
    "plot_maps",
    "plot_parameters",
    "plot_spectra",
]
