# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""States of the interactive tools. They need no widgets; ``tool.gui()`` shows them."""

from hyperspy_dosekin.gui.classification.explorer import ClassificationExplorer
from hyperspy_dosekin.gui.kinetics.state import DoseKineticsTool

__all__ = ["ClassificationExplorer", "DoseKineticsTool"]
