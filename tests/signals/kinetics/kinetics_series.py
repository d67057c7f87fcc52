# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dose series with known kinetics, and options that make a network fit short."""

import hyperspy.api as hs
import numpy as np

from hyperspy_dosekin.kinetics.laws.power_law import power_law_integrity
from hyperspy_dosekin.windows.definitions import LOW_LOSS_WINDOWS

DOSE = 152.0 * np.arange(1, 10)
NAMES = ("π–π*", "C–C", "C–O", "M–O")
RATE = np.array([0.8, 2.0, 2.6, 0.4])
EXPONENT = np.array([1.0, 1.3, 0.9, 1.1])
AMPLITUDE = np.array([-0.6, 1.0, 2.0, 1.5])
OFFSET = np.array([1.2, 0.5, 0.3, 2.0])

#: A network that is trained just long enough to have a result.
SHORT = {
    "seeds": (1, 2),
    "protocol": "paper",
    "adam_epochs": 30,
    "warmup_epochs": 5,
    "lbfgs_iterations": 10,
    "show_progressbar": False,
}


def values(dose=DOSE, noise=0.0, space=(), seed=0):
    """Intensities ``(…space…, window, dose)`` of the kinetics above."""
    c = power_law_integrity(dose / dose.max(), RATE[:, None], EXPONENT[:, None])
    exact = AMPLITUDE[:, None] * c + OFFSET[:, None]
    rng = np.random.default_rng(seed)
    error = noise * np.abs(AMPLITUDE)[:, None] * rng.standard_normal((*space, *exact.shape))
    return exact + error


def make_series(data=None, dose=DOSE, names=NAMES, **options):
    """A `DoseSeries` of the values above, or of some data."""
    data = values(dose, **options) if data is None else np.asarray(data)
    axes = [{"name": f"space {i}", "size": size} for i, size in enumerate(data.shape[:-2])]
    axes += [{"name": "window", "size": data.shape[-2]}]
    axes += [{"name": "dose", "units": "e⁻/Å²", "axis": np.asarray(dose, dtype=float)}]
    metadata = {"window_names": list(names)}
    if tuple(names) == NAMES:
        metadata["window_ranges"] = [list(LOW_LOSS_WINDOWS[name]) for name in names]
    s = hs.signals.Signal1D(data, axes=axes, metadata={"Dose": metadata})
    s.set_signal_type("DoseSeries")
    return s
