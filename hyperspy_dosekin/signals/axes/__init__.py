# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Axes, units, noise and quantities of signals, and arrays turned into signals."""
