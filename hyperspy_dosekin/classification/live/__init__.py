# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Classification beside the detector: one graph from counts to probabilities, for any runtime."""
