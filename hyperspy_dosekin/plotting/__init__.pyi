# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
# Read at run time too (lazy_loader). Keep this file ASCII.
from .classification.latency import plot_latency
from .kinetics.ablation import plot_ablation
from .kinetics.curves import plot_fit, plot_integrity
from .kinetics.diagnostics import plot_diagnostics
from .kinetics.maps import plot_maps
from .kinetics.parameters import plot_parameters
from .kinetics.pictures.ablation import AblationPicture
from .kinetics.pictures.curves import CurvePicture
from .kinetics.pictures.diagnostics import DiagnosticsPicture
from .kinetics.pictures.maps import MapPicture
from .kinetics.pictures.parameters import Estimate, ParameterPicture
from .spectra.windows import plot_spectra

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
