# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
# The public names. Read at run time too (lazy_loader). Keep this file ASCII.
from . import components, data, kinetics, signals, windows
from .signals.dose_kinetics import DoseKinetics
from .signals.dual_vae import DualVAE
from .signals.live_classifier import LiveClassifier, LiveStream
from .signals.persistence import load
from .signals.reference_spectra import reference_spectra
from .signals.vae_classification import VAEClassification
from .windows.definitions import LOW_LOSS_WINDOWS

__version__: str

__all__ = [
    "LOW_LOSS_WINDOWS",
    "DoseKinetics",
    "DualVAE",
    "LiveClassifier",
    "LiveStream",
    "VAEClassification",
    "__version__",
    "components",
    "data",
    "kinetics",
    "load",
    "reference_spectra",
    "signals",
    "windows",
]
