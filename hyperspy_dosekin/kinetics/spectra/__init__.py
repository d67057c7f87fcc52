# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinetics of whole spectra: all channels of a series speak for the same rates."""
