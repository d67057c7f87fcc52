# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""States of the interactive tools. They need no widgets; ``tool.gui()`` shows them."""

from hyperspy_dosekin.gui._kinetics_state import DoseKineticsTool
from hyperspy_dosekin.gui.explorer import ClassificationExplorer

__all__ = ["ClassificationExplorer", "DoseKineticsTool"]
