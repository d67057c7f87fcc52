# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the figures of kinetics show: plain arrays and labels, checked once, without any drawing."""
