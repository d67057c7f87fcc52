# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interactive tools: their state in `tools`, without widgets, and views of it."""
