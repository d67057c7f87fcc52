# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Optimisation, scaling, devices and progress; knows neither spectra nor chemistry."""
