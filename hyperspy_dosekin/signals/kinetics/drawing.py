# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The frame of figures, at its former place."""

from hyperspy_dosekin.signals.drawing import drawn, name_windows

__all__ = ["drawn", "name_windows"]
