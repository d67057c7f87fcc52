# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which pixels among others count as determined.

A map is looked at as a whole, and what a reader asks of it is how many of the pixels that it calls
determined are right. So many as possible are, such that the expected share of right ones, which is
the mean of their probabilities, is `SHARED_RIGHT`: the Bayesian control of the rate of false finds
(P. Müller, G. Parmigiani, C. Robert, J. Rousseau, doi:10.1198/016214504000001646). It comes to a
least probability of a pixel, learned from some pixels, with what their neighbours say where they
are heard, and the same for all of a window and group.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import special

from hyperspy_dosekin.kinetics.identifiability import (
    SHARED_LEAST_NEAR,
    SHARED_NEAR,
    SHARED_RIGHT,
)

from .frames import only_a_jump
from .population import Population
from .posterior import SharedPosterior

#: Pixels that the least probability is learned from, at most.
PIXELS = 512


def least_near(near: np.ndarray, right: float = SHARED_RIGHT) -> float:
    """The least probability of a determined pixel; above 1 where there is none.

    Parameters
    ----------
    near
        Probability of some pixels that ln D½ is near the estimate, ``(n,)``.
    right
        Share of right ones that is expected of those that are determined.

    Examples
    --------
    >>> least_near(np.array([0.99, 0.97, 0.6, 0.4]))
    0.785
    """
    ordered = np.sort(near[np.isfinite(near)])[::-1]
    mean = np.cumsum(ordered) / np.arange(1, ordered.size + 1)
    kept = np.flatnonzero((mean >= right) & (ordered >= SHARED_LEAST_NEAR))
    if not kept.size:
        return 1.1
    # Between two pixels, so that rounding flags neither of them otherwise.
    following = ordered[kept[-1] + 1] if kept[-1] + 1 < ordered.size else SHARED_LEAST_NEAR
    return max(float(0.5 * (ordered[kept[-1]] + following)), SHARED_LEAST_NEAR)


def near_of_normal(spread: np.ndarray, reach: float) -> np.ndarray:
    """Probability that a normal number is within a distance of its mean.

    Parameters
    ----------
    spread
        Its standard deviation.
    reach
        The distance.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return special.erf(reach / (spread * np.sqrt(2.0)))


def with_flag(
    population: Population, posterior: SharedPosterior, common: float = 0.0
) -> Population:
    """The population with the least probability of its determined pixels.

    Parameters
    ----------
    posterior
        Some of its pixels, `PIXELS` at most.
    common
        Standard deviation of ln D½ by errors that all pixels have in common.
    """
    alive = posterior.curves.alive
    near = posterior.estimates(SHARED_NEAR)["near_by"][alive]
    if common > 0:
        spread = posterior.summarise().sd_log_half_dose[alive, 0]
        near = np.minimum(near, near_of_normal(np.hypot(spread, common), SHARED_NEAR))
    jump = only_a_jump(posterior.curves, float(population.shared.sigma))
    if jump is not None:
        # D½ is somewhere in between, wherever a law would have it.
        middle = np.median(posterior.summarise().mean_log_half_dose[alive, 0])
        near = near * (np.abs(np.log(jump) - middle).max() <= SHARED_NEAR)
    return replace(population, least_near=least_near(near), jump=jump)
