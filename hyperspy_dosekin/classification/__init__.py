# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Theory-embedded classification of spectra: dual autoencoder, nuisances, calibration.

Knows Torch and NumPy, not HyperSpy. Spectra are arrays ``(n, n_channels)``, energies in eV.
"""
