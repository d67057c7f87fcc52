# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinetics of dose damage: laws, estimators, intervals and flags. Knows no HyperSpy."""
