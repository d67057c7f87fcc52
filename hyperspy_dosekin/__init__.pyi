# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
# The public names. Read at run time too (lazy_loader). Keep this file ASCII.
from . import components, data, dose, kinetics, signals, windows
from .signals.classification.dual_vae import DualVAE
from .signals.classification.live import LiveClassifier, LiveStream
from .signals.classification.references import reference_spectra
from .signals.classification.result import VAEClassification
from .signals.kinetics.comparison.fit import compare_laws
from .signals.kinetics.comparison.result import LawComparison
from .signals.kinetics.conditions.fit import fit_dose_conditions
from .signals.kinetics.conditions.result import ConditionKinetics
from .signals.kinetics.data.from_maps import dose_series_of
from .signals.kinetics.joint.fit import fit_dose_jointly
from .signals.kinetics.joint.result import JointKinetics
from .signals.kinetics.planning.fit import plan_dose_series
from .signals.kinetics.planning.result import DosePlan
from .signals.kinetics.result.processing_spread import ProcessingSpread
from .signals.kinetics.result.result import DoseKinetics
from .signals.kinetics.result.side_by_side import ResultComparison, compare_results
from .signals.kinetics.spectra.result import DoseSpectra
from .signals.live.kinetics import LiveKinetics
from .signals.live.posterior import DosePosterior
from .signals.load import load
from .windows.definitions import LOW_LOSS_WINDOWS

__version__: str

__all__ = [
    "LOW_LOSS_WINDOWS",
    "ConditionKinetics",
    "DoseKinetics",
    "DosePlan",
    "DosePosterior",
    "DoseSpectra",
    "DualVAE",
    "JointKinetics",
    "LawComparison",
    "LiveClassifier",
    "LiveKinetics",
    "LiveStream",
    "ProcessingSpread",
    "ResultComparison",
    "VAEClassification",
    "__version__",
    "compare_laws",
    "compare_results",
    "components",
    "data",
    "dose",
    "dose_series_of",
    "fit_dose_conditions",
    "fit_dose_jointly",
    "kinetics",
    "load",
    "plan_dose_series",
    "reference_spectra",
    "signals",
    "windows",
]
