# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
# Read at run time too (lazy_loader). Keep this file ASCII.
from .class_map import ClassMap, LazyClassMap
from .dose_kinetics import DoseKinetics
from .dose_series import DoseSeries, LazyDoseSeries
from .dual_vae import DualVAE
from .vae_classification import VAEClassification

__all__ = [
    "ClassMap",
    "DoseKinetics",
    "DoseSeries",
    "DualVAE",
    "LazyClassMap",
    "LazyDoseSeries",
    "VAEClassification",
]
