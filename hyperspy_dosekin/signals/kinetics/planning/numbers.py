# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The numbers of a planned dose series, and how many specimens it takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hyperspy_dosekin.numerics.arguments import check_fields, real_numbers, short
from hyperspy_dosekin.signals.kinetics.planning.power import check_spread, number_that_shows

#: Standard deviation of ln D½ below which a window counts as known.
KNOWN = 0.2


@dataclass(frozen=True)
class PlannedFrames:
    """One way to spread the frames, and what can be expected of it.

    Parameters
    ----------
    name
        What it is.
    dose
        Cumulative doses of the frames.
    sd
        Expected standard deviation of the logarithm of the goal: the geometric mean of the
        Cramér–Rao bound over what is expected.
    share
        Share of what is expected of which the bound is below 0.2.
    """

    name: str
    dose: tuple[float, ...]
    sd: float
    share: float

    def __post_init__(self) -> None:
        check_fields(self)
        doses = real_numbers("dose", self.dose, "give cumulative doses")
        if doses.ndim != 1 or not doses.size or not (np.diff(doses, prepend=0.0) > 0).all():
            raise ValueError(f"dose={short(self.dose)} must be positive and ascending doses.")


@dataclass(frozen=True, eq=False, repr=False)
class PlanNumbers:
    """What a plan promises, and of which alternatives it is the best; fields as in `DosePlan`."""

    frames: PlannedFrames
    compared: tuple[PlannedFrames, ...]
    goal: str
    dose_unit: str
    chance_determined: float
    simulated_ratio: float
    n_simulated: int
    curves: Mapping[str, np.ndarray]
    notes: tuple[str, ...]

    @property
    def dose(self) -> np.ndarray:
        """Cumulative dose at the end of each frame, ascending, ``(n_frame,)``."""
        return np.asarray(self.frames.dose)

    @property
    def expected_sd(self) -> float:
        """Expected standard deviation of the logarithm of the goal, a relative error."""
        return self.frames.sd

    def specimens(
        self,
        ratio: float = 1.3,
        *,
        between: float = 0.0,
        power: float = 0.8,
        level: float = 0.05,
    ) -> int:
        """Number of specimens of each kind that show a ratio of two goals.

        Parameters
        ----------
        ratio
            The ratio of D½ between the two kinds that is to be found.
        between
            Standard deviation of ln D½ between specimens of one kind.
        power
            Probability of finding it.
        level
            Probability of finding a difference where there is none.

        Returns
        -------
        int
            Specimens of each kind, two at least: one says nothing of the spread between them.

        Raises
        ------
        ValueError
            If a number is out of range, or no number of specimens up to a thousand is enough.

        Examples
        --------
        >>> plan = hyperspy_dosekin.plan_dose_series(400.0, noise=0.01, dose_budget=1500.0)
        >>> plan.specimens(1.3, between=0.1) <= plan.specimens(1.3, between=0.3)
        True
        """
        if not (math.isfinite(ratio) and ratio > 0 and ratio != 1):
            raise ValueError(f"ratio={ratio} must be positive and not 1, such as 1.3.")
        check_spread(between, power, level)
        found = number_that_shows(
            math.hypot(self.expected_sd, between),
            lambda number: abs(math.log(ratio)) * math.sqrt(number / 2),
            lambda number: 2 * number - 2,
            power,
            level,
        )
        if found is None:
            spread = math.hypot(self.expected_sd, between)
            raise ValueError(
                f"a ratio of {ratio} cannot be found with 1000 specimens of a spread of "
                f"{spread:.2g} in ln D½; look for a larger one."
            )
        return found

    def dose_rates(
        self,
        exponent: float,
        *,
        span: float = 25.0,
        n_rates: int = 3,
        between: float = 0.0,
        power: float = 0.8,
        level: float = 0.05,
    ) -> int:
        """Number of specimens at each of some dose rates that show a dependence on it.

        The plan is recorded at each dose rate, and the exponent β of D½ ∝ J^−β is found by
        `fit_dose_conditions`: a straight line through the ln D½ of all specimens.

        Parameters
        ----------
        exponent
            The β that is to be found.
        span
            Largest dose rate over the smallest.
        n_rates
            Number of dose rates, evenly spaced in their logarithm.
        between
            Standard deviation of ln D½ between specimens.
        power, level
            As for `specimens`.

        Returns
        -------
        int
            Specimens at each dose rate.

        Raises
        ------
        ValueError
            If a number is out of range, or no number of specimens up to a thousand is enough.

        Examples
        --------
        >>> plan = hyperspy_dosekin.plan_dose_series(400.0, noise=0.01, dose_budget=1500.0)
        >>> plan.dose_rates(0.3, between=0.1) <= plan.dose_rates(0.3, between=0.1, span=4.0)
        True
        """
        if not (math.isfinite(exponent) and exponent != 0):
            raise ValueError(f"exponent={exponent} must be a number that is not 0, such as 0.2.")
        if not (math.isfinite(span) and span > 1):
            raise ValueError(f"span={span} must be above 1: the largest over the smallest rate.")
        if isinstance(n_rates, bool) or int(n_rates) != n_rates or n_rates < 2:
            raise ValueError(f"n_rates={n_rates} must be a whole number, 2 or more.")
        check_spread(between, power, level)
        places = np.linspace(0, math.log(span), int(n_rates))
        size = float(((places - places.mean()) ** 2).sum())
        found = number_that_shows(
            math.hypot(self.expected_sd, between),
            lambda number: abs(exponent) * math.sqrt(number * size),
            lambda number: int(n_rates) * number - 2,
            power,
            level,
        )
        if found is None:
            raise ValueError(
                f"a dependence with an exponent of {exponent} cannot be found with 1000 specimens "
                "at each dose rate; look for a larger one, or spread the dose rates further."
            )
        return found
