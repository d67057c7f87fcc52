# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many specimens show an effect."""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy import stats


def check_spread(between: float, power: float, level: float) -> None:
    """Raise where a spread, a power or a level is none."""
    if not (math.isfinite(between) and between >= 0):
        raise ValueError(f"between={between} must be a standard deviation, not negative.")
    for name, value in (("power", power), ("level", level)):
        if not 0 < value < 1:
            raise ValueError(f"{name}={value} must lie between 0 and 1.")


def number_that_shows(
    spread: float,
    effect: Callable[[int], float],
    freedom: Callable[[int], int],
    power: float,
    level: float,
) -> int | None:
    """Least number for which a test of an effect has a power; ``None`` above a thousand.

    Parameters
    ----------
    spread
        Standard deviation between specimens.
    effect
        Effect over its standard error for a spread of 1, by the number of specimens.
    freedom
        Degrees of freedom, by the number of specimens.
    power
        Probability of finding the effect.
    level
        Probability of finding one where there is none.
    """
    for number in range(1, 1001):
        left = freedom(number)
        if left < 1:
            continue
        shift = effect(number) / spread
        if stats.nct.sf(stats.t.isf(level / 2, left), left, shift) >= power:
            return number
    return None
