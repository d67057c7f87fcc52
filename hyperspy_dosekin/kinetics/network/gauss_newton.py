# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Levenberg–Marquardt for the network in its dual form, in float64.

The fit is a nonlinear least-squares problem with many more weights than residuals. The step
δ = −Jᵀ (J Jᵀ + λ)⁻¹ r therefore solves a system of the size of the residuals (about 170 for four
windows) instead of the weights (29 396). Many frames are compressed
to few residuals first, so that the cost grows with the frames and not with their cube.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.network.architecture import Parameters, trainable
from hyperspy_dosekin.kinetics.network.compression import compress
from hyperspy_dosekin.kinetics.network.config import NetworkConfig
from hyperspy_dosekin.kinetics.network.linearisation import Linearisation, linearise
from hyperspy_dosekin.kinetics.network.losses import LossWeights, Target, Task, loss_terms, total
from hyperspy_dosekin.kinetics.network.observer import Interrupted, Observer

#: λ at the start, its factors after a good and a bad step, and the range it is kept in.
FIRST_DAMPING, GOOD_STEP, BAD_STEP = 1e-2, 0.25, 4.0
SMALLEST_DAMPING, LARGEST_DAMPING = 1e-12, 1e8
#: A step has to lower the loss at these doses, which are denser than those it was computed at:
#: otherwise it obeys the law at the points and bends between them.
CHECK_DOSES = (np.arange(128) + 0.5) / 128
#: Steps in a row that gain less than this share of the loss end the training of a member.
SMALLEST_GAIN, IDLE_STEPS = 1e-4, 2
#: Damped steps that are tried before a linearisation is given up.
TRIALS = 6


def train_gauss_newton(
    parameters: Parameters, target: Target, config: NetworkConfig, observer: Observer
) -> Parameters:
    """Minimise the loss of every member, each with its own damping.

    The collocation doses are shifted at random before every step where `config.jitter` is set:
    on a fixed grid the network learns to obey the law at the points and not between them.

    Raises
    ------
    Interrupted
        If the user pressed Ctrl-C or the observer asked to stop.
    """
    parameters = {name: value.detach().double() for name, value in parameters.items()}
    members = list(range(len(config.seeds)))
    like = parameters["frequencies"]
    damping = torch.full((len(members),), FIRST_DAMPING, dtype=like.dtype, device=like.device)
    generator = np.random.default_rng(config.seeds)
    few = (
        compress(target.dose, target.scores, target.weights) if target.misfit == "square" else None
    )
    check = Task.of(replace(target, collocation=CHECK_DOSES), parameters, few)
    recorder, length = observer.recorder, config.gauss_newton_iterations
    trained = trainable(parameters, target.held)
    moving = torch.ones(len(members), dtype=torch.bool, device=like.device)
    idle = torch.zeros(len(members), dtype=torch.long, device=like.device)
    loss = None
    try:
        for iteration in range(length):
            task = Task.of(_jittered(target, config, generator), parameters, few)
            with torch.no_grad():
                terms = loss_terms(parameters, task)
            recorder.add(recorder.n_adam + iteration, terms, members)
            observer.progress("Levenberg–Marquardt", iteration, length)
            if observer.stop():
                raise Interrupted(parameters)
            active = moving.nonzero()[:, 0]
            moved, damping[active], gain, after = damped_step(
                {name: value[active] for name, value in parameters.items()},
                partial(
                    linearise,
                    task=task.of_members(active),
                    weights=config.loss_weights,
                    trained=trained,
                ),
                partial(_loss, check=check.of_members(active), weights=config.loss_weights),
                trained,
                damping[active],
                None if loss is None else loss[active],
            )
            loss = after if loss is None else loss.index_copy(0, active, after)
            parameters = {n: v.index_copy(0, active, moved[n]) for n, v in parameters.items()}
            idle[active] = torch.where(gain < SMALLEST_GAIN, idle[active] + 1, 0)
            moving = (idle < IDLE_STEPS) & (damping <= LARGEST_DAMPING)
            if not bool(moving.any()):
                break
    except KeyboardInterrupt:
        raise Interrupted(parameters) from None
    observer.progress("Levenberg–Marquardt", length, length)
    return parameters


def _loss(trial: Parameters, members: Tensor, check: Task, weights: LossWeights) -> Tensor:
    return total(loss_terms(trial, check.of_members(members)), weights)


def _jittered(target: Target, config: NetworkConfig, generator: np.random.Generator) -> Target:
    if not config.jitter:
        return target
    number = target.collocation.size
    return replace(target, collocation=(np.arange(number) + generator.random()) / number)


def damped_step(
    parameters: Parameters,
    linearised: Callable[[Parameters], Linearisation],
    loss_of: Callable[[Parameters, Tensor], Tensor],
    trained: list[str],
    damping: Tensor,
    before: Tensor | None = None,
) -> tuple[Parameters, Tensor, Tensor, Tensor]:
    """One step of every member that lowers its loss; its next damping, its gain and its loss.

    Parameters
    ----------
    parameters
        Of all members.
    linearised
        The least-squares problem at parameters that require gradients.
    loss_of
        The loss ``(n,)`` that a step has to lower, of parameters of members ``(n,)``.
    trained
        Names of the parameters that move.
    damping
        λ of every member.
    before
        Its loss, where it is known.
    """
    leaves = {n: v.clone().requires_grad_(n in trained) for n, v in parameters.items()}
    linear = linearised(leaves)
    right = linear.residuals.detach()[..., None]
    identity = torch.eye(right.shape[1], dtype=right.dtype, device=right.device)
    parameters = {name: value.clone() for name, value in parameters.items()}
    damping, gain = damping.clone(), torch.zeros_like(damping)
    pending = torch.arange(len(damping), device=damping.device)
    with torch.no_grad():
        loss = loss_of(parameters, pending) if before is None else before
        after = loss.clone()
        for _ in range(TRIALS):
            damped = linear.gram[pending] + damping[pending, None, None] * identity
            factor, info = torch.linalg.cholesky_ex(damped)
            dual = torch.cholesky_solve(right[pending], factor)[..., 0]
            trial = {name: value[pending] for name, value in parameters.items()}
            for name, step in linear.transposed(dual, pending).items():
                trial[name] = trial[name] - step
            trial_loss = loss_of(trial, pending)
            better = (info == 0) & (trial_loss < loss)
            done = pending[better]
            for name in trained:
                parameters[name][done] = trial[name][better]
            gain[done] = 1 - trial_loss[better] / loss[better]
            after[done] = trial_loss[better]
            factors = torch.where(better, GOOD_STEP, BAD_STEP)
            damping[pending] = (damping[pending] * factors).clamp(min=SMALLEST_DAMPING)
            pending, loss = pending[~better], loss[~better]
            if not len(pending):
                break
    return parameters, damping, gain, after
