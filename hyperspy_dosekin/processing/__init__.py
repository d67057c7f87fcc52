# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From raw counts to spectra that can be analysed, on blocks (…, energy). Knows no HyperSpy."""
