# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Levenberg–Marquardt for the network in its dual form, in float64.

The fit is a nonlinear least-squares problem with many more weights than residuals. The step
δ = −Jᵀ (J Jᵀ + λ)⁻¹ r therefore solves a system of the size of the residuals (about 170 for four
windows) instead of the weights (29 396); Jᵀ v is one backward pass. Many frames are compressed
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
from hyperspy_dosekin.kinetics.network.losses import Target, Task, loss_terms, total
from hyperspy_dosekin.kinetics.network.observer import Interrupted, Observer

#: λ at the start, its factors after a good and a bad step, and the range it is kept in.
FIRST_DAMPING, GOOD_STEP, BAD_STEP = 1e-2, 0.25, 4.0
SMALLEST_DAMPING, LARGEST_DAMPING = 1e-12, 1e8
#: A step has to lower the loss at these doses, which are denser than those it was computed at:
#: otherwise it obeys the law at the points and bends between them.
CHECK_DOSES = (np.arange(128) + 0.5) / 128
#: Steps in a row that gain less than this share of the loss, for all members, end the training.
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
    recorder, length, idle = observer.recorder, config.gauss_newton_iterations, 0
    try:
        for iteration in range(length):
            task = Task.of(_jittered(target, config, generator), parameters, few)
            with torch.no_grad():
                terms = loss_terms(parameters, task)
            recorder.add(recorder.n_adam + iteration, terms, members)
            observer.progress("Levenberg–Marquardt", iteration, length)
            if observer.stop():
                raise Interrupted(parameters)
            parameters, damping, gain = damped_step(
                parameters,
                partial(
                    linearise,
                    task=task,
                    weights=config.loss_weights,
                    trained=trainable(parameters, target.held),
                ),
                lambda trial: total(loss_terms(trial, check), config.loss_weights),
                trainable(parameters, target.held),
                damping,
            )
            idle = idle + 1 if bool((gain < SMALLEST_GAIN).all()) else 0
            if idle == IDLE_STEPS or bool((damping > LARGEST_DAMPING).all()):
                break
    except KeyboardInterrupt:
        raise Interrupted(parameters) from None
    observer.progress("Levenberg–Marquardt", length, length)
    return parameters


def _jittered(target: Target, config: NetworkConfig, generator: np.random.Generator) -> Target:
    if not config.jitter:
        return target
    number = target.collocation.size
    return replace(target, collocation=(np.arange(number) + generator.random()) / number)


def damped_step(
    parameters: Parameters,
    linearised: Callable[[Parameters], Linearisation],
    loss_of: Callable[[Parameters], Tensor],
    trained: list[str],
    damping: Tensor,
) -> tuple[Parameters, Tensor, Tensor]:
    """One step of every member that lowers its loss; its next damping, and what was gained.

    Parameters
    ----------
    parameters
        Of all members.
    linearised
        The least-squares problem at parameters that require gradients.
    loss_of
        The loss ``(n_member,)`` that a step has to lower.
    trained
        Names of the parameters that move.
    damping
        λ of every member.
    """
    leaves = {n: v.clone().requires_grad_(n in trained) for n, v in parameters.items()}
    linear = linearised(leaves)
    right = linear.residuals.detach()[..., None]
    identity = torch.eye(right.shape[1], dtype=right.dtype, device=right.device)
    with torch.no_grad():
        loss = loss_of(parameters)
    pending, gain = torch.ones_like(loss, dtype=torch.bool), torch.zeros_like(loss)
    for _ in range(TRIALS):
        factor, info = torch.linalg.cholesky_ex(linear.gram + damping[:, None, None] * identity)
        dual = torch.cholesky_solve(right, factor)[..., 0]
        steps = torch.autograd.grad(
            (linear.residuals * dual).sum(), [leaves[name] for name in trained], retain_graph=True
        )
        trial = dict(parameters)
        for name, step in zip(trained, steps, strict=True):
            trial[name] = parameters[name] - step
        with torch.no_grad():
            trial_loss = loss_of(trial)
        better = pending & (info == 0) & (trial_loss < loss)
        parameters = {
            name: torch.where(better.view(-1, *[1] * (value.dim() - 1)), trial[name], value)
            for name, value in parameters.items()
        }
        damping = torch.where(
            better, damping * GOOD_STEP, torch.where(pending, damping * BAD_STEP, damping)
        ).clamp(min=SMALLEST_DAMPING)
        gain = torch.where(better, 1 - trial_loss / loss, gain)
        pending = pending & ~better
        if not bool(pending.any()):
            break
    return parameters, damping, gain
