# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
# Read at run time too (lazy_loader). Keep this file ASCII.
from .classification.class_map import ClassMap, LazyClassMap
from .classification.dual_vae import DualVAE
from .classification.result import VAEClassification
from .kinetics.data.window_map import (
    LazyWindowAreas,
    LazyWindowMap,
    LazyWindowMap1D,
    WindowAreas,
    WindowMap,
    WindowMap1D,
)
from .kinetics.dose_series import DoseSeries, LazyDoseSeries
from .kinetics.result.result import DoseKinetics

__all__ = [
    "ClassMap",
    "DoseKinetics",
    "DoseSeries",
    "DualVAE",
    "LazyClassMap",
    "LazyDoseSeries",
    "LazyWindowAreas",
    "LazyWindowMap",
    "LazyWindowMap1D",
    "VAEClassification",
    "WindowAreas",
    "WindowMap",
    "WindowMap1D",
]
