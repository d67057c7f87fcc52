# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
# The public names. Read at run time too (lazy_loader). Keep this file ASCII.
from . import components, data, dose, kinetics, signals, windows
from .signals.classification.dual_vae import DualVAE
from .signals.classification.live import LiveClassifier, LiveStream
from .signals.classification.references import reference_spectra
from .signals.classification.result import VAEClassification
from .signals.kinetics.comparison import compare_laws
from .signals.kinetics.condition_result import ConditionKinetics
from .signals.kinetics.conditions import fit_dose_conditions
from .signals.kinetics.dose_spectra import DoseSpectra
from .signals.kinetics.from_maps import dose_series_of
from .signals.kinetics.joint import fit_dose_jointly
from .signals.kinetics.joint_result import JointKinetics
from .signals.kinetics.law_comparison import LawComparison
from .signals.kinetics.planned import DosePlan
from .signals.kinetics.planning import plan_dose_series
from .signals.kinetics.processing_spread import ProcessingSpread
from .signals.kinetics.result import DoseKinetics
from .signals.kinetics.results import ResultComparison, compare_results
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
