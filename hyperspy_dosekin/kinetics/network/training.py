# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two phases of training of the paper: Adam, then L-BFGS."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.network.architecture import Parameters, trainable
from hyperspy_dosekin.kinetics.network.config import NetworkConfig
from hyperspy_dosekin.kinetics.network.losses import Target, Task, loss_terms, total
from hyperspy_dosekin.kinetics.network.observer import Interrupted, Observer
from hyperspy_dosekin.numerics.adam import Adam
from hyperspy_dosekin.numerics.lockstep import LockstepMinimiser

#: A fall of the loss smaller than this, relatively, does not count as progress.
SMALLEST_PROGRESS = 1e-3


def learning_rate(epoch: int, config: NetworkConfig) -> float:
    """Learning rate of an epoch: linear warm-up, then a half cosine down to the minimum."""
    if epoch < config.warmup_epochs:
        return config.learning_rate * (epoch + 1) / config.warmup_epochs
    length = max(1, config.adam_epochs - config.warmup_epochs)
    cosine = 0.5 * (1 + math.cos(math.pi * (epoch - config.warmup_epochs) / length))
    return (
        config.minimum_learning_rate
        + (config.learning_rate - config.minimum_learning_rate) * cosine
    )


def _detached(parameters: Parameters) -> Parameters:
    return {name: value.detach().clone() for name, value in parameters.items()}


def _leaves(parameters: Parameters, target: Target) -> tuple[Parameters, list[Tensor]]:
    """A copy of the parameters, and those of them that are trained."""
    copy = _detached(parameters)
    return copy, [copy[name].requires_grad_() for name in trainable(copy, target.held)]


def _plain_terms(parameters: Parameters, task: Task) -> dict[str, Tensor]:
    with torch.no_grad():
        return loss_terms(parameters, task)


def train_adam(
    parameters: Parameters, target: Target, config: NetworkConfig, observer: Observer
) -> Parameters:
    """Adam on all members at once; they do not interact, their losses are added.

    Raises
    ------
    Interrupted
        If the user pressed Ctrl-C or the observer asked to stop.
    """
    parameters, leaves = _leaves(parameters, target)
    task = Task.of(target, parameters)
    optimiser = Adam(leaves, config.learning_rate)
    members = list(range(len(config.seeds)))
    good, recorder = _detached(parameters), observer.recorder
    best, since = torch.full((len(members),), math.inf, dtype=torch.float64), 0
    try:
        for epoch in range(config.adam_epochs):
            rate = optimiser.rate = learning_rate(epoch, config)
            if epoch % config.record_every == 0:
                good = _detached(parameters)
                recorder.add(epoch, _plain_terms(parameters, task), members, rate)
                observer.progress("Adam", epoch, config.adam_epochs)
                if observer.stop():
                    raise Interrupted(good)
            optimiser.zero_grad()
            loss = total(
                loss_terms(parameters, task, causal_strength=config.causal_strength),
                config.loss_weights,
            )
            loss.sum().backward()
            optimiser.step()
            recorder.n_adam = epoch + 1
            if config.patience is not None:
                current = loss.detach().double().cpu()
                improved = current < best * (1 - SMALLEST_PROGRESS)
                best = torch.where(improved, current, best)
                since = 0 if bool(improved.any()) else since + 1
                if since >= config.patience:
                    break
    except KeyboardInterrupt:
        raise Interrupted(good) from None
    observer.progress("Adam", config.adam_epochs, config.adam_epochs)
    return _detached(parameters)


def train_lbfgs(
    parameters: Parameters, target: Target, config: NetworkConfig, observer: Observer
) -> Parameters:
    """L-BFGS with a strong Wolfe line search in float64, without causal weights.

    Every member has its own curvature estimate and step; only their evaluations are batched.

    Raises
    ------
    Interrupted
        If the user pressed Ctrl-C or the observer asked to stop.
    """
    if config.lbfgs_iterations == 0:
        return parameters
    names = trainable(parameters, target.held)
    double = {name: value.detach().double() for name, value in parameters.items()}
    task = Task.of(target, double)
    members = list(range(len(config.seeds)))
    recorder, terms = observer.recorder, {}

    def evaluate(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        flat = torch.as_tensor(points, device=double["frequencies"].device).requires_grad_()
        terms.update(loss_terms(_unflatten(flat, double, names), task))
        loss = total(terms, config.loss_weights)
        (gradient,) = torch.autograd.grad(loss.sum(), flat)
        return loss.detach().cpu().numpy(), gradient.cpu().numpy()

    def after_round(rounds: int) -> bool:
        if rounds % config.record_every:
            return False
        recorder.add(recorder.n_adam + rounds, terms, members)
        observer.progress("L-BFGS", min(rounds, config.lbfgs_iterations), config.lbfgs_iterations)
        stopped[0] = observer.stop()
        return stopped[0]

    stopped = [False]
    start = torch.cat([double[name].flatten(1) for name in names], dim=1).cpu().numpy()
    minimiser = LockstepMinimiser(
        evaluate, start, iterations=config.lbfgs_iterations, history=config.lbfgs_history
    )
    try:
        minimiser.run(after_round)
    except KeyboardInterrupt:
        stopped[0] = True
    accepted = torch.as_tensor(minimiser.accepted, device=double["frequencies"].device)
    finished = _unflatten(accepted, double, names)
    if stopped[0]:
        raise Interrupted(finished)
    observer.progress("L-BFGS", config.lbfgs_iterations, config.lbfgs_iterations)
    return finished


def _unflatten(flat: Tensor, like: Parameters, names: list[str]) -> Parameters:
    """The parameters whose trained ones lie side by side in ``(n_member, n)``."""
    sizes = [like[name][0].numel() for name in names]
    parts = torch.split(flat, sizes, dim=1)
    return {**like, **{n: part.view_as(like[n]) for n, part in zip(names, parts, strict=True)}}
