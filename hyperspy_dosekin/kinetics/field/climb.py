# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The search for the numbers of a population of the highest posterior density."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from hyperspy_dosekin.numerics.threads import one_blas_thread

from .curves import SharedCurves
from .evidence import pixel_evidence, scores
from .hyper import Layout
from .pixels import PixelNodes, PixelPrior, find_modes
from .readout import Shared

# Steps of a round, and the change after which nothing changes.
_STEPS, _SETTLED = 15, 0.01
# A round that gains less of ln posterior is the last, and how often one that loses is cut short.
_LEAST_CLIMB, _HALVINGS = 0.003, 4
# A gain that is not worth to be tried: the nodes where a climb begins know it to a few percent.
_LEAST_PROMISE = 0.5 * _LEAST_CLIMB


def settled(
    curves: SharedCurves,
    layout: Layout,
    vector: Tensor,
    power: float,
    rounds: int,
    start: tuple[PixelNodes, Tensor] | None = None,
) -> Tensor:
    """Climb and place nodes anew, until nothing changes.

    Nodes are good near where they were placed: where pixels are nearly alike, in a narrow range.
    Whether a climb is one is seen on those that are placed where it ends. To begin with they may be
    given, as `nodes_of` has found them.
    """
    nodes, free = nodes_of(curves, layout.shared(vector), None) if start is None else start
    height = float(log_posterior(nodes, layout, vector, power))
    for _ in range(rounds):
        move = _climbed(nodes, layout, vector, power) - vector
        for _ in range(_HALVINGS):
            # What the old nodes do not promise at all the new ones need not be placed for.
            promised = float(log_posterior(nodes, layout, vector + move, power)) - height
            if promised < _LEAST_PROMISE:
                return vector
            there = nodes_of(curves, layout.shared(vector + move), free)
            gained = float(log_posterior(there[0], layout, vector + move, power)) - height
            if gained > _LEAST_CLIMB:
                break
            move = move / 3
        else:
            break
        vector, (nodes, free), height = vector + move, there, height + gained
        if move.abs().max() < _SETTLED:
            break
    return vector


def nodes_of(
    curves: SharedCurves, shared: Shared, start: Tensor | None
) -> tuple[PixelNodes, Tensor]:
    """Nodes of the pixels under their population, and their modes."""
    prior = PixelPrior.common(shared)
    modes = find_modes(curves, shared, prior, start)
    return PixelNodes.around(curves, modes, few=True), modes.free


def log_posterior(nodes: PixelNodes, layout: Layout, vector: Tensor, power: float) -> Tensor:
    """Ln posterior of a vector, with the likelihood raised to a power."""
    shared = layout.shared(vector)
    likelihood = pixel_evidence(nodes, shared, PixelPrior.common(shared)).sum()
    return power * likelihood + layout.log_prior(vector)


def _climbed(nodes: PixelNodes, layout: Layout, vector: Tensor, power: float) -> Tensor:
    """A few steps up the marginal likelihood with the nodes as they are."""
    # In units of what the scores say, every direction is about as steep as the others.
    score = power * scores(nodes, layout, vector)
    hessian = information(score, layout, vector, power)
    values, axes = torch.linalg.eigh(hessian)
    units = axes / values.clamp(min=1e-2).sqrt()

    def loss(away: np.ndarray) -> tuple[float, np.ndarray]:
        at = (vector + units @ torch.as_tensor(away)).requires_grad_()
        with torch.enable_grad():
            value = -log_posterior(nodes, layout, at, power)
            slope = torch.autograd.grad(value, at)[0]
        if not bool(value.isfinite() & slope.isfinite().all()):
            return 1e12, np.zeros(len(away))
        return value.item(), (units.T @ slope).numpy()

    # The nodes are good near where they were placed: no further than that at once. A climb that is
    # cut off afterwards, number by number, may go down.
    reach = 1 / units.abs().amax(0).numpy()
    with one_blas_thread():
        found = minimize(
            loss,
            np.zeros(len(vector)),
            jac=True,
            method="L-BFGS-B",
            bounds=list(zip(-reach, reach, strict=True)),
            options={"maxiter": _STEPS},
        )
    return vector + units @ torch.as_tensor(found.x)


def information(score: Tensor, layout: Layout, vector: Tensor, power: float) -> Tensor:
    """Curvature of −ln posterior, from the scores of the pixels times the power, ``(n, n)``."""
    before = layout.prior_curvature(vector)
    values, axes = torch.linalg.eigh(-0.5 * (before + before.T))
    return score.T @ score / power + (axes * values.clamp(min=0)) @ axes.T
