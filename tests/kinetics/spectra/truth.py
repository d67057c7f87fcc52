# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Series of whole spectra with a known truth, made without the package."""

import numpy as np

DOSE = np.linspace(152.0, 1368.0, 9)
ENERGY = np.linspace(0.0, 50.0, 400)
RESIDUE = 1 + 2 * np.exp(-0.5 * ((ENERGY - 22) / 8) ** 2)


def peak(centre, width=3.0, height=1.0):
    return height * np.exp(-0.5 * ((ENERGY - centre) / width) ** 2)


def power_law(rate, exponent=1.0, dose=DOSE):
    """Integrity, with the rate per largest dose."""
    time = rate * dose / dose[-1]
    if exponent == 1:
        return np.exp(-time)
    return np.maximum(1 + (exponent - 1) * time, 0) ** (-1 / (exponent - 1))


def series(seed, components, noise=0.03, residue=RESIDUE, dose=DOSE):
    """Spectra of (rate, exponent, spectrum) of each component, with white noise."""
    clean = sum(np.outer(power_law(rate, p, dose), spectrum) for rate, p, spectrum in components)
    random = np.random.default_rng(seed)
    return clean + residue + noise * random.normal(size=(dose.size, ENERGY.size))
