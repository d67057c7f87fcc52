# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fit the ensemble: a problem and a configuration in, a result out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import torch

from hyperspy_dosekin.kinetics.network.architecture import (
    Parameters,
    initial_parameters,
    inverse_softplus,
)
from hyperspy_dosekin.kinetics.network.config import NetworkConfig
from hyperspy_dosekin.kinetics.network.gauss_newton import train_gauss_newton
from hyperspy_dosekin.kinetics.network.history import Recorder
from hyperspy_dosekin.kinetics.network.losses import Target
from hyperspy_dosekin.kinetics.network.network_fit import NetworkFit
from hyperspy_dosekin.kinetics.network.observer import Interrupted, Observer
from hyperspy_dosekin.kinetics.network.training import train_adam, train_lbfgs
from hyperspy_dosekin.kinetics.problem import MINIMUM_DOSES, DoseProblem
from hyperspy_dosekin.numerics.device import resolve_device
from hyperspy_dosekin.numerics.progress import Progress, Stop, never_stop, no_progress
from hyperspy_dosekin.numerics.scaling import StandardScore
from hyperspy_dosekin.numerics.threads import torch_threads

_logger = logging.getLogger(__name__)

#: Phases of training by the name that a configuration gives them.
PHASES: Mapping[str, Callable[..., Parameters]] = MappingProxyType(
    {"adam": train_adam, "lbfgs": train_lbfgs, "gauss_newton": train_gauss_newton}
)

#: The matrices of the network are too small for more threads, see `torch_threads`.
TRAINING_THREADS = 1


def fit_network(
    problem: DoseProblem,
    config: NetworkConfig | None = None,
    *,
    device: str = "auto",
    progress: Progress = no_progress,
    stop: Stop = never_stop,
) -> NetworkFit:
    """Fit the physics-informed ensemble to the windows of one curve.

    Parameters
    ----------
    problem
        The data, with ``n_curve == 1``.
    config
        Settings; by default the protocol of the paper.
    device
        ``"auto"``, ``"cpu"`` or any other device of Torch.
    progress
        Told the phase, the steps done and the steps in all.
    stop
        Asked now and then; ``True`` ends the training and keeps what is there.

    Returns
    -------
    NetworkFit
        `complete` is ``False`` if Ctrl-C or `stop` ended the training early.

    Raises
    ------
    ValueError
        If there is more than one curve, a window has fewer than 4 usable doses, or a window
        does not change with dose.

    References
    ----------
    G. T. dos Santos, R. dos Reis, V. P. Dravid, arXiv:2605.01697 (2026).
    """
    config = NetworkConfig() if config is None else config
    score = check_network_problem(problem)
    target = make_target(problem, score, config)
    place = resolve_device(device)
    recorder = Recorder(len(config.seeds))
    observer = Observer(recorder, progress, stop)
    with torch_threads(TRAINING_THREADS):
        parameters = initial_parameters(config, len(problem.window_names))
        for name, value in target.held.items():
            parameters[name] = torch.as_tensor(value).expand_as(parameters[name]).clone()
        parameters = {name: value.float().to(place) for name, value in parameters.items()}
        complete = True
        for phase in config.phases:
            try:
                parameters = PHASES[phase](parameters, target, config, observer)
            except Interrupted as interruption:
                parameters, complete = interruption.parameters, False
                _logger.warning("The training was interrupted; the result is incomplete.")
                break
    arrays = {name: value.double().cpu().numpy() for name, value in parameters.items()}
    return NetworkFit(problem, config, score, arrays, recorder.history(), complete)


def check_network_problem(problem: DoseProblem) -> StandardScore:
    """Check that a network can be fitted, and return the standard score of its windows."""
    if problem.values.shape[0] != 1:
        raise ValueError(
            f"the network fits one curve per window, got {problem.values.shape[0]}; average "
            'over space with spatial="mean", or use estimator="exact" for maps.'
        )
    for name, number in zip(problem.window_names, problem.distinct_doses[0], strict=True):
        if number < MINIMUM_DOSES:
            raise ValueError(
                f"window {name!r} has {number} usable distinct doses; a fit of k, p, a and b "
                f"needs at least {MINIMUM_DOSES}."
            )
    score = StandardScore.of(np.where(problem.usable, problem.values, np.nan)[0])
    if score.constant.any():
        names = [n for n, c in zip(problem.window_names, score.constant, strict=True) if c]
        raise ValueError(
            f"the intensity of window {names} does not change with dose, so no rate can be "
            "estimated; leave the window out."
        )
    return score


def make_target(problem: DoseProblem, score: StandardScore, config: NetworkConfig) -> Target:
    """Scores, weights and collocation doses of a problem with one curve."""
    usable = problem.usable[0]
    scores = np.where(usable, score.apply(problem.values[0]), 0.0)
    window = np.array([config.window_weights.get(name, 1.0) for name in problem.window_names])
    share = usable.shape[1] / usable.sum(axis=1)
    weights = np.where(usable, (window * share)[:, None], 0.0)
    index = {name: position for position, name in enumerate(problem.window_names)}
    pairs = tuple(
        (index[fast], index[slow])
        for fast, slow in config.hierarchy
        if fast in index and slow in index
    )
    collocation = np.linspace(0.0, 1.0, config.collocation)
    held = held_parameters(score, config, len(problem.window_names))
    return Target(problem.normalised_dose, collocation, scores.T, weights.T, pairs, held)


def held_parameters(
    score: StandardScore, config: NetworkConfig, n_window: int
) -> dict[str, np.ndarray]:
    """Values of the parameters that the user knows, as the network holds them."""
    held = {}
    if config.offset is not None:
        if len(config.offset) != n_window:
            raise ValueError(
                f"offset has {len(config.offset)} values for {n_window} windows; give one "
                "number for all of them or one for each."
            )
        held["offset"] = ((np.array(config.offset) - score.mean) / score.spread)[np.newaxis]
    if config.exponent is not None:
        held["raw_exponent"] = np.full((1, n_window), inverse_softplus(config.exponent))
    return held
