# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small classification problems with known truth."""

import numpy as np
import torch

from hyperspy_dosekin.classification.noise import NoiseModel
from hyperspy_dosekin.classification.nuisances import Nuisances, background_basis
from hyperspy_dosekin.classification.references import ReferenceSet
from hyperspy_dosekin.classification.simulation import Simulator


def make_references(n_channels=47):
    """Three classes with five references, one of them twice with another height."""
    energy = 500 + 0.5 * np.arange(n_channels)
    x = np.linspace(-1, 1, n_channels)
    step = 0.5 * (1 + np.tanh((x + 0.5) / 0.1))
    narrow = step + np.exp(-0.5 * ((x + 0.3) / 0.08) ** 2)
    wide = 0.8 * step + 0.9 * np.exp(-0.5 * ((x - 0.1) / 0.2) ** 2)
    spectra = np.stack([narrow, 0.9 * narrow, wide, 0.85 * wide, 0.4 * step])
    return ReferenceSet(energy, spectra, np.array([0, 0, 1, 1, 2]), ("narrow", "wide", "flat"))


def make_nuisances(references, *, noise_sd=0.1, gain=0.004, scale_sd=0.15, shift_sd_ev=0.4):
    n_channels = references.energy_ev.size
    return Nuisances(
        noise=NoiseModel(np.full(n_channels, noise_sd**2), gain),
        scale_mean=1.0,
        scale_sd=scale_sd,
        shift_mean_ev=0.0,
        shift_sd_ev=shift_sd_ev,
        background_basis=background_basis(references.energy_ev),
        background_mean=np.zeros(2),
        background_covariance=np.diag([0.04**2, 0.005**2]),
        class_share=np.array([0.5, 0.3, 0.2]),
    )


def draw(references, nuisances, number, seed=0):
    """Raw and clean spectra and labels, NumPy."""
    generator = torch.Generator().manual_seed(seed)
    batch = Simulator(references, nuisances, generator, nuisances.class_share).draw(number)
    return batch.raw.double().numpy(), batch.clean.double().numpy(), batch.label.numpy()
