# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The chain for low-loss spectra: zero-loss peak, alignment, deconvolution."""
