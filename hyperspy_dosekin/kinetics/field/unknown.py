# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is unknown of the numbers of a population.

It is a product of Student's t along the axes of their covariance. The first axis is the one along
which the mean ln D½ changes, so that no other changes it. Where the pixels leave it open that is a
ridge, which is bent: it is walked then (`spine`), and between the two the vectors go over from the
straight axis to the walked one little by little.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from .climb import log_posterior
from .curves import SharedCurves
from .hyper import Layout
from .pixels import PixelNodes
from .spine import Spine, slope_of_mean, walked

# Standard deviation of the mean ln D½, pixels being independent, from which its ridge is walked,
# and the one from which the straight axis counts no more.
_WALKED = 0.05, 0.085
# The same of pixels that share nothing: where the first are assumed, and where they are half of
# what stands for the unknown. On the ridge nothing but the shape that is assumed of a population
# speaks for one end or the other, and a mixture with a prior that shares nothing holds whatever is
# the case (H. Schmidli and others, doi:10.1111/biom.12242).
_ON_RIDGE = 0.17, 0.23
# Distance, in standard deviations, at which a direction is examined for being lopsided.
_PROBE = 1.3
# Sides of a direction may be that much wider or narrower than its curvature says.
_LOPSIDED = 2.5
# Shifts across what independent pixels leave open along the ridge.
_SHIFTS = 25


@dataclass(frozen=True, eq=False)
class Unknown:
    """Vectors about the most probable one, as likely as they are.

    Parameters
    ----------
    vector
        The most probable numbers, ``(n,)``.
    steps
        The axes, each as long as a standard deviation, in columns, ``(n, n)``.
    sides
        How much wider than that the sides below and above are, ``(2, n)``.
    freedom
        Degrees of freedom of Student's t.
    spine
        The first axis where it was walked.
    bent
        Share of the walked axis, from 0 to 1.
    more
        Standard deviation of what pixels as they are leave open along the walked axis beside what
        independent ones do.
    """

    vector: np.ndarray
    steps: np.ndarray
    sides: np.ndarray
    freedom: float
    spine: Spine | None = None
    bent: float = 0.0
    more: float = 0.0

    @classmethod
    def of_covariance(cls, vector: np.ndarray, covariance: np.ndarray, freedom: float) -> Unknown:
        """Axes of a covariance, of which nothing else is known."""
        values, axes = np.linalg.eigh(covariance)
        return cls(vector, axes * np.sqrt(values.clip(min=0)), np.ones((2, len(vector))), freedom)

    def vectors(self, probability: np.ndarray, wider: float = 1.0) -> np.ndarray:
        """Vectors at probabilities along every axis.

        Parameters
        ----------
        probability
            Between 0 and 1, ``(number, n)``.
        wider
            Factor of all distances.

        Returns
        -------
        numpy.ndarray
            Shape ``(number, n)``.
        """
        score = wider * stats.t.ppf(probability, self.freedom)
        score = np.where(score < 0, score * self.sides[0], score * self.sides[1])
        straight = self.vector + score @ self.steps.T
        if self.spine is None:
            return straight
        strata = (np.arange(_SHIFTS) + 0.5) / _SHIFTS
        shifts = self.more * wider * stats.t.ppf(strata, self.freedom)
        along = self.spine.vectors(self.spine.quantiles(probability[:, 0], shifts))
        bent = along + score[:, 1:] @ self.steps[:, 1:].T
        return (1 - self.bent) * straight + self.bent * bent

    def design(self, number: int) -> np.ndarray:
        """Equally likely vectors, a Latin hypercube, ``(number, n)``."""
        random = np.random.default_rng(0)
        strata = (np.arange(number) + 0.5) / number
        # Normal scores of so few strata would have unit variance.
        wider = float(np.mean(stats.norm.ppf(strata) ** 2)) ** -0.5
        order = np.stack([random.permutation(number) for _ in self.vector], 1)
        return self.vectors(strata[order], wider)

    def share_of_nothing(self, known: float) -> float:
        """How likely it is taken to be that pixels share nothing, up to a half.

        Parameters
        ----------
        known
            Standard deviation of the mean ln D½ that independent pixels leave open, by curvature.
        """
        if self.spine is None:
            return 0.0
        return 0.5 * _passed(max(self.spine.deviation, known), *_ON_RIDGE)


def unknown_of(
    curves: SharedCurves,
    nodes: PixelNodes,
    layout: Layout,
    vector: Tensor,
    covariance: Tensor,
    hessian: Tensor,
    power: float,
    freedom: float,
) -> tuple[Unknown, float]:
    """What is unknown of a population, and what independent pixels leave open of its mean ln D½.

    Each side of an axis is as wide as the fall of the likelihood along it says. What so few
    independent pixels say of a mean and its spread is Student's t.

    Parameters
    ----------
    vector, covariance
        The most probable numbers and their covariance, pixels being no independent draws.
    hessian
        Curvature of −ln posterior of independent pixels.
    power
        That the likelihood is raised to.
    freedom
        Degrees of freedom of Student's t.
    """
    slope = slope_of_mean(curves, layout, vector)
    variance = float(slope @ covariance @ slope)
    known = max(float(slope @ torch.linalg.solve(hessian, slope)), 0.0) ** 0.5
    bent, spine = _passed(known, *_WALKED), None
    if bent > 0:
        spine = walked(curves, layout, vector, covariance, power)
    if variance > 0:
        along = covariance @ slope / variance**0.5
        values, axes = torch.linalg.eigh(covariance - along[:, None] * along)
        # The least of these is the first axis itself, of which nothing is left.
        steps = torch.cat([along[:, None], (axes * values.clamp(min=0).sqrt())[:, 1:]], 1)
    else:
        values, axes = torch.linalg.eigh(covariance)
        steps = axes * values.clamp(min=0).sqrt()
    top = log_posterior(nodes, layout, vector, power)
    sides = np.ones((2, len(vector)))
    for axis, step in enumerate(steps.T):
        expected = 0.5 * _PROBE**2 * float(step @ hessian @ step)
        for side, sign in enumerate((-_PROBE, _PROBE)):
            fall = float(top - log_posterior(nodes, layout, vector + sign * step, power))
            # What cannot be computed there is as unlikely as can be.
            fall = fall if math.isfinite(fall) else math.inf
            ratio = (expected / max(fall, 1e-3 * expected, 1e-300)) ** 0.5
            sides[side, axis] = min(max(ratio, 1 / _LOPSIDED), _LOPSIDED)
    more = 0.0 if spine is None else max(variance - spine.deviation**2, 0.0) ** 0.5
    found = Unknown(vector.numpy(), steps.numpy(), sides, freedom, spine, bent, more)
    return found, known


def _passed(value: float, first: float, last: float) -> float:
    """0 below one value, 1 above another, and smooth between them."""
    share = min(max((value - first) / (last - first), 0.0), 1.0)
    return share * share * (3 - 2 * share)
