# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ridge of a population: its numbers by the ln D½ of its mean, all others as likely as can be.

Rate, exponent, amplitude and offset of all pixels can change together such that no curve changes by
much. In the space of the numbers that is a bent line, and the posterior along it leans to one side.
An expansion about its top follows neither. So the line is walked: from point to point the mean ln
D½ is held and the other numbers climb, and what they leave open is taken into the density along
the line (the profile of Laplace's approximation; L. Tierney, J. B. Kadane,
doi:10.1080/01621459.1986.10478240).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.interpolate import PchipInterpolator
from torch import Tensor

from .climb import information, log_posterior, nodes_of
from .curves import SharedCurves
from .dependence import root_of_inverse
from .evidence import log_half_dose, scores
from .hyper import Layout

# Length of a stride, in standard deviations, strides to each side at most, and the fall of ln
# density at which nothing is left.
_STRIDE, _MOST_STRIDES, _FALLEN = 0.75, 8, 5.0
# Climbs at a point at most; the length of one, in standard deviations, of which the expansion knows
# what it gains, and of the longest.
_CLIMBS, _SHORT, _LONGEST = 8, 0.8, 2.0
_DIFFERENCE, _LEAST_APART = 1e-4, 0.1
# Points of the density between those that were walked.
_FINE = 2001


@dataclass(frozen=True, eq=False)
class Spine:
    """Numbers of a population along its ridge.

    Parameters
    ----------
    at
        Ln D½ of the mean, rising, ``(n_point,)``.
    vector
        The numbers there, ``(n_point, n)``.
    log_density
        Ln posterior density of ln D½, up to a constant.
    """

    at: np.ndarray
    vector: np.ndarray
    log_density: np.ndarray

    @cached_property
    def _density(self) -> tuple[np.ndarray, np.ndarray]:
        """Places, and the share of the posterior at each."""
        fine = np.linspace(self.at[0], self.at[-1], _FINE)
        density = np.exp(
            PchipInterpolator(self.at, self.log_density - self.log_density.max())(fine)
        )
        return fine, density / density.sum()

    @property
    def deviation(self) -> float:
        """Standard deviation of ln D½."""
        fine, share = self._density
        return float(np.sqrt(share @ (fine - share @ fine) ** 2))

    def quantiles(
        self, probability: np.ndarray, shifts: Sequence[float] | np.ndarray = (0.0,)
    ) -> np.ndarray:
        """Quantiles of ln D½ and one of some shifts, which are equally likely."""
        fine, share = self._density
        at = (fine[:, None] + np.asarray(shifts)).ravel()
        share = np.repeat(share, len(shifts)) / len(shifts)
        order = at.argsort(kind="stable")
        share = share[order]
        return np.interp(probability, np.cumsum(share) - 0.5 * share, at[order])

    def vectors(self, at: np.ndarray) -> np.ndarray:
        """Numbers where ln D½ has some values, ``(n_value, n)``; beyond its ends straight on."""
        inside = np.clip(at, self.at[0], self.at[-1])
        found = PchipInterpolator(self.at, self.vector)(inside)
        for end, other in ((0, 1), (-1, -2)):
            ahead = (self.vector[end] - self.vector[other]) / (self.at[end] - self.at[other])
            beyond = np.where(inside == self.at[end], at - inside, 0.0)
            found = found + beyond[:, None] * ahead
        return found


def mean_log_half(curves: SharedCurves, layout: Layout, vector: Tensor) -> float:
    """Ln D½ of the mean of a population."""
    return float(log_half_dose(curves, vector[: layout.d, None])[0])


def slope_of_mean(curves: SharedCurves, layout: Layout, vector: Tensor) -> Tensor:
    """Its gradient by the numbers, ``(n,)``."""
    steps = _DIFFERENCE * torch.eye(layout.d, dtype=vector.dtype)
    mean = vector[: layout.d, None]
    found = torch.zeros_like(vector)
    above, below = (log_half_dose(curves, mean + sign * steps) for sign in (1, -1))
    found[: layout.d] = (above - below) / (2 * _DIFFERENCE)
    return found


def walked(
    curves: SharedCurves, layout: Layout, vector: Tensor, covariance: Tensor, power: float
) -> Spine | None:
    """Walk the ridge from its top to both sides; ``None`` where D½ says nothing of a population.

    Parameters
    ----------
    vector
        The most probable numbers, ``(n,)``.
    covariance
        Their covariance, ``(n, n)``.
    power
        That the likelihood is raised to.
    """
    slope = slope_of_mean(curves, layout, vector)
    along = covariance @ slope
    width = float(slope @ along) ** 0.5
    if not np.isfinite(width) or width <= 0:
        return None
    top = mean_log_half(curves, layout, vector)
    first = _climb(curves, layout, vector, top, power)
    if not np.isfinite(first[1]):
        return None
    points = [first]
    for sign in (-1, 1):
        here, ahead = first[0], sign * _STRIDE * along / width
        for stride in range(1, _MOST_STRIDES + 1):
            target = top + sign * stride * _STRIDE * width
            begin = layout.held((here + ahead)[None], vector)[0]
            found = _climb(curves, layout, begin, target, power)
            if not np.isfinite(found[1]):
                break
            points.append(found)
            here, ahead = found[0], found[0] - here
            if first[1] - found[1] > _FALLEN:
                break
    at = np.array([mean_log_half(curves, layout, vector) for vector, _ in points])
    order = at.argsort()
    order = order[np.append(True, np.diff(at[order]) > _LEAST_APART * width)]
    if len(order) < 3:
        return None
    vectors = torch.stack([vector for vector, _ in points]).numpy()
    return Spine(at[order], vectors[order], np.array([height for _, height in points])[order])


def _climb(
    curves: SharedCurves, layout: Layout, vector: Tensor, target: float, power: float
) -> tuple[Tensor, float]:
    """The most probable numbers near a mean ln D½, and ln density of that."""
    found, volume, begin = (vector, -np.inf), 0.0, vector
    nodes, free = nodes_of(curves, layout.shared(vector), None)
    for climb in range(_CLIMBS):
        score = power * scores(nodes, layout, vector)
        before = torch.autograd.functional.jacobian(layout.log_prior, vector)
        assert isinstance(before, Tensor)
        precision = information(score, layout, vector, power)
        root, values = root_of_inverse(precision)
        slope = root.T @ slope_of_mean(curves, layout, vector)
        square = max(float(slope @ slope), 1e-12)
        volume = -0.5 * float(values.log().sum()) - 0.5 * np.log(square)
        uphill = root.T @ (score.sum(0) + before)
        away = target - mean_log_half(curves, layout, vector)
        step = uphill + (away - float(slope @ uphill)) / square * slope
        length = float(step.norm())
        vector = vector + root @ step * min(1.0, _LONGEST / max(length, 1e-12))
        vector = layout.held(vector[None], begin)[0]
        nodes, free = nodes_of(curves, layout.shared(vector), free)
        height = float(log_posterior(nodes, layout, vector, power)) + volume
        if climb == 0 or height > found[1]:
            found = vector, height
        if length < _SHORT:
            break
    return found
