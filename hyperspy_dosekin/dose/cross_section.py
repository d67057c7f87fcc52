# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cross sections of damage."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

#: Barns in 1 Å²: 1e-20 m² and 1e-28 m².
BARN_PER_A2 = 1e8


def cross_section_barn(rate_per_dose: npt.ArrayLike) -> np.ndarray:
    """Cross section of a first-order decay in barn.

    Where each electron destroys what it meets with the same probability, the intensity falls as
    exp(−σ Φ) with the fluence Φ: the rate constant for each unit of fluence *is* the cross section.
    No other law has one number of this kind.

    Parameters
    ----------
    rate_per_dose
        Rate constants in Å²/e⁻, of any shape.

    Returns
    -------
    ndarray
        Cross sections in barn (10⁻²⁴ cm²), of the shape of `rate_per_dose`.

    Examples
    --------
    >>> print(cross_section_barn(0.002))
    200000.0
    """
    return np.asarray(rate_per_dose, dtype=np.float64) * BARN_PER_A2
