# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The population of the pixels of a window: its numbers and how sure they are.

The numbers maximise the marginal likelihood of all pixels, each integrated over its nodes, as if
pixels were independent. They are not, so that the curvature alone would make them too certain:
they have less weight against what is assumed, and the covariance is Godambe's (`dependence`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.identifiability import SHARED_RIGHT

from .climb import information, nodes_of, settled
from .curves import CommonScale, SharedCurves
from .dependence import godambe, redundancy
from .evidence import answer_by_numbers, scores
from .frames import common_gain, frame_noise
from .hyper import Layout
from .pixels import PixelNodes
from .readout import Shared, Sums
from .still import Still, find_still, moving
from .unknown import Unknown, unknown_of

#: Pixels that the numbers of a population are estimated from, at most.
MOST_PIXELS = 768
#: Pixels that it takes at least.
LEAST_PIXELS = 8
#: Populations that stand for what is unknown of it.
N_DESIGN = 12
# Rounds of placing nodes and climbing: first of some of the pixels.
_FIRST_PIXELS, _FIRST_ROUNDS, _ROUNDS = 160, 6, 12
# Rounds of the noise of the frames.
_NOISE_ROUNDS = 6
# Degrees of freedom of what is known of a population, at least.
_LEAST_PIXELS_FREE = 3.0


@dataclass(frozen=True, eq=False)
class Population:
    """The population of a window.

    Parameters
    ----------
    layout, scale
        What the vectors mean, and their units.
    vector
        Its most probable numbers, ``(n,)``.
    covariance
        Their covariance, pixels being no independent draws, ``(n, n)``.
    design
        Vectors that stand for what is unknown of them, ``(n_design, n)``.
    n_pixel
        Pixels that it was estimated from.
    n_effective
        Independent pixels that would say as much of its mean.
    least_near
        Least probability of a determined pixel that its ln D½ is near the estimate (`flag`).
    gain
        Standard deviation of a gain of the frames that all pixels have in common (`frames`).
    repeats
        Neighbours that have one amplitude and offset, where they are heard (`repeats`).
    unknown
        What the design and random vectors come from; ``None`` in files of earlier versions.
    weight
        How likely the vectors of the design are, ``(n_design,)``; ``None`` for equally so.
    jump
        Doses between which all that pixels show has happened (`frames`); ``None`` for a decay.
    still
        How to tell pixels in which nothing happens, which are none of it; ``None`` without any.
    """

    layout: Layout
    scale: CommonScale
    vector: np.ndarray
    covariance: np.ndarray
    design: np.ndarray
    n_pixel: int
    n_effective: float
    least_near: float = SHARED_RIGHT
    gain: float = 0.0
    repeats: float = 1.0
    unknown: Unknown | None = None
    weight: np.ndarray | None = None
    jump: tuple[float, float] | None = None
    still: Still | None = None

    @property
    def shared(self) -> Shared:
        """The most probable population."""
        return self.layout.shared(torch.as_tensor(self.vector))

    @property
    def designs(self) -> list[Shared]:
        """The populations that stand for what is unknown of it."""
        return [self.layout.shared(torch.as_tensor(row)) for row in self.design]

    @property
    def weights(self) -> np.ndarray:
        """How likely the vectors of the design are; they add up to 1."""
        weight = np.ones(len(self.design)) if self.weight is None else self.weight
        return weight / weight.sum()

    @property
    def share_of_nothing(self) -> float:
        """How likely it is that pixels share nothing."""
        return float(self.weights[~self.shares].sum())

    @property
    def shares(self) -> np.ndarray:
        """Whether pixels share anything in each of these, ``(n_design,)``."""
        nothing = self.layout.nothing_shared(torch.as_tensor(self.vector)).numpy()
        return np.any(np.abs(self.design - nothing) > 1e-9, axis=1)

    @property
    def nearest(self) -> int:
        """Place of the design nearest to the most probable numbers, where pixels share."""
        precision = np.linalg.pinv(self.covariance, hermitian=True)
        away = self.design - self.vector
        squares = np.einsum("ki,ij,kj->k", away, precision, away)
        return int(np.where(self.shares, squares, np.inf).argmin())

    def draws(self, number: int) -> np.ndarray:
        """Random vectors of what the design stands for, ``(number, n)``, where pixels share."""
        unknown = self.unknown
        if unknown is None:
            freedom = freedom_of(self.n_effective)
            unknown = Unknown.of_covariance(self.vector, self.covariance, freedom)
        probability = np.random.default_rng(0).uniform(size=(number, len(self.vector)))
        found = torch.as_tensor(unknown.vectors(probability))
        return self.layout.held(found, torch.as_tensor(self.vector)).numpy()


def fit_population(
    curves: SharedCurves, places: np.ndarray, noise: str = "free", *, n_design: int = N_DESIGN
) -> Population:
    """Estimate the population of some pixels.

    Parameters
    ----------
    places
        Where they are, in pixels, ``(n, n_axis)``.
    noise
        ``"free"``: its size is one of the numbers; ``"given"``; or ``"floor"``, at least the
        given one.
    n_design
        Populations that stand for what is unknown, beside one that shares nothing.

    Raises
    ------
    ValueError
        If there are too few pixels.
    """
    if curves.number < LEAST_PIXELS:
        raise ValueError(
            f"{curves.number} pixels that can be fitted are too few for a population, which "
            f'needs at least {LEAST_PIXELS}; use spatial="pixel", or larger groups.'
        )
    chosen = subset(curves.number, MOST_PIXELS)
    curves, places = curves.select(chosen), places[chosen]
    still = find_still(curves)
    chosen = moving(still, curves)
    if len(chosen) < LEAST_PIXELS:
        still, chosen = None, np.arange(curves.number)
    curves, places = curves.select(chosen), places[chosen]
    layout = Layout.of(curves, noise)
    vector = _start(curves, layout)
    some = curves.select(subset(curves.number, _FIRST_PIXELS))
    vector = settled(some, layout, vector, 1.0, _FIRST_ROUNDS)
    curves, vector, (nodes, free) = _with_frame_noise(curves, layout, vector)
    # Neighbours repeat each other: their likelihood has less weight against what is assumed.
    score = scores(nodes, layout, vector)
    asked = answer_by_numbers(nodes, layout, vector)
    power = 1 / redundancy(information(score, layout, vector, 1.0), score, asked, places)
    before = vector
    vector = settled(curves, layout, vector, power, _ROUNDS, (nodes, free))
    if vector is not before:
        nodes = nodes_of(curves, layout.shared(vector), None)[0]
        score = scores(nodes, layout, vector)
    inflation = godambe(information(score, layout, vector, 1.0), score, places)[1]
    hessian = information(power * score, layout, vector, power)
    covariance = layout.bounded(godambe(hessian, power * score, places)[0])
    effective = curves.number / inflation
    freedom = freedom_of(effective)
    unknown, known = unknown_of(curves, nodes, layout, vector, covariance, hessian, power, freedom)
    # The last one of the design are pixels that share nothing.
    nothing = unknown.share_of_nothing(known)
    some = layout.held(torch.as_tensor(unknown.design(n_design)), vector)
    design = torch.vstack([some, layout.nothing_shared(vector)]).numpy()
    weight = np.append(np.full(n_design, (1 - nothing) / n_design), nothing)
    return Population(
        layout,
        curves.scale,
        vector.numpy(),
        covariance.numpy(),
        design,
        curves.number,
        effective,
        gain=common_gain(nodes, layout.shared(vector)),
        unknown=unknown,
        weight=weight,
        still=still,
    )


def freedom_of(n_effective: float) -> float:
    """Degrees of freedom of what so many independent pixels say of their population."""
    return max(n_effective - 1, _LEAST_PIXELS_FREE)


def subset(number: int, most: int) -> np.ndarray:
    """Places of some of so many pixels, in their order.

    Parameters
    ----------
    number
        Number of pixels.
    most
        How many are wanted at most.
    """
    if number <= most:
        return np.arange(number)
    return np.sort(np.random.default_rng(0).choice(number, most, replace=False))


def _with_frame_noise(
    curves: SharedCurves, layout: Layout, vector: Tensor
) -> tuple[SharedCurves, Tensor, tuple[PixelNodes, Tensor]]:
    """The pixels with the noise of their frames, where it is unequal and nothing is given.

    With them come the vector and the nodes.
    """
    placed = nodes_of(curves, layout.shared(vector), None)
    known = curves.scale.variance != curves.scale.unit**2
    if known or layout.noise != "free":
        return curves, vector, placed
    for _ in range(_NOISE_ROUNDS):
        noise = frame_noise(placed[0], layout.shared(vector))
        if noise is None:
            break
        curves = curves.with_frame_noise(noise)
        some = curves.select(subset(curves.number, _FIRST_PIXELS))
        vector = settled(some, layout, vector, 1.0, _FIRST_ROUNDS)
        placed = nodes_of(curves, layout.shared(vector), None)
    return curves, vector, placed


def _start(curves: SharedCurves, layout: Layout) -> Tensor:
    """Amplitudes, offsets and noise with all pixels at the middle of the prior."""
    middle = torch.tensor(layout.centre, dtype=torch.float64)[:, None].expand(-1, curves.number)
    sums = Sums.of(curves, curves.integrity(curves.inside(middle)))
    if curves.offset is None:
        det = (sums.c2 * sums.s0 - sums.c1**2).clamp(min=1e-12)
        a = (sums.s0 * sums.cy - sums.c1 * sums.sy) / det
        b = (sums.c2 * sums.sy - sums.c1 * sums.cy) / det
    else:
        a = sums.cy / sums.c2.clamp(min=1e-12)
        b = torch.zeros_like(a)
    squares = (sums.syy - a * sums.cy - b * sums.sy).clamp(min=0) / (sums.count - 2).clamp(min=1)
    return layout.start(
        float(a.median()),
        float(b.median()),
        max(float(squares.median().sqrt()), 1e-3),
        float(1.5 * (b - b.median()).abs().median()),
    )
