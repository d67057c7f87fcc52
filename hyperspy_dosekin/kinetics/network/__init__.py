# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The physics-informed network: architecture, losses, training and its certificate."""
