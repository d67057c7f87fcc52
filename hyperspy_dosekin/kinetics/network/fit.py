# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fit the ensemble: a problem and a configuration in, a result out."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import torch

from hyperspy_dosekin.kinetics.curves.preparation import check_doses
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.exact_fit import ExactFit
from hyperspy_dosekin.kinetics.laws.prior import HIERARCHY_FREE, HIERARCHY_WIDTH, Prior
from hyperspy_dosekin.kinetics.network.architecture import (
    Parameters,
    initial_parameters,
    inverse_softplus,
)
from hyperspy_dosekin.kinetics.network.config import NetworkConfig
from hyperspy_dosekin.kinetics.network.gauss_newton import train_gauss_newton
from hyperspy_dosekin.kinetics.network.history import History, Recorder
from hyperspy_dosekin.kinetics.network.losses import PriorTarget, Target
from hyperspy_dosekin.kinetics.network.network_fit import NetworkFit
from hyperspy_dosekin.kinetics.network.observer import Interrupted, Observer
from hyperspy_dosekin.kinetics.network.training import train_adam, train_lbfgs
from hyperspy_dosekin.numerics.device import resolve_device
from hyperspy_dosekin.numerics.progress import Progress, Stop, never_stop, no_progress
from hyperspy_dosekin.numerics.scaling import StandardScore
from hyperspy_dosekin.numerics.threads import torch_threads

_logger = logging.getLogger(__name__)

#: Phases of training by the name that a configuration gives them.
PHASES: Mapping[str, Callable[..., Parameters]] = MappingProxyType(
    {"adam": train_adam, "lbfgs": train_lbfgs, "gauss_newton": train_gauss_newton}
)

#: Noise, in standard scores, for which the weight of the law in the protocol is meant.
STIFF_NOISE = 0.05

#: More windows in one network take minutes: their residuals are one matrix.
MANY_WINDOWS = 10

#: The matrices of the network are too small for more threads, see `torch_threads`.
TRAINING_THREADS = 1


def fit_network(
    problem: DoseProblem,
    config: NetworkConfig | None = None,
    *,
    start: ExactFit | None = None,
    prior: Prior | None = None,
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
    start
        Exact fit of the same problem, from which k, p, a and b start.
    prior
        Prior of k and p that joins the loss; needs `start` for the noise that weighs it.
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
        If there is more than one curve, a window has too few usable doses, or does not change
        with dose.

    References
    ----------
    G. T. dos Santos, R. dos Reis, V. P. Dravid, arXiv:2605.01697 (2026).
    """
    config = NetworkConfig() if config is None else config
    score = check_network_problem(problem, config)
    if score.mean.size > MANY_WINDOWS:
        _logger.warning(
            "One network is trained for all %d windows, for which its time grows faster than "
            'their number; estimator="exact" gives the same kinetics in seconds.',
            score.mean.size,
        )
    if start is not None:
        config = without_false_pairs(stiffened(config, start, score), start, problem.window_names)
    target = make_target(problem, score, config)
    started = {} if start is None else parameters_of(start, score, problem.reach)
    if start is not None and prior is not None:
        target = replace(target, prior=prior_target(start, prior, problem, score, config))
    arrays, history, complete = trained(
        config, target, started, device=device, progress=progress, stop=stop
    )
    return NetworkFit(problem, config, score, arrays, history, complete)


def trained(
    config: NetworkConfig,
    target: Target,
    started: Mapping[str, np.ndarray],
    *,
    common_exponent: bool = False,
    device: str = "auto",
    progress: Progress = no_progress,
    stop: Stop = never_stop,
) -> tuple[dict[str, np.ndarray], History, bool]:
    """Train the networks of all windows of a target.

    Parameters
    ----------
    started
        Where parameters start that do not start at random, ``(1, n_window)`` each.
    common_exponent
        Whether the windows have one exponent in common.
    device, progress, stop
        As for `fit_network`.

    Returns
    -------
    parameters, history, complete : dict, History, bool
        As in `NetworkFit`; of a common exponent there is one, ``(n_member, 1, 1)``.
    """
    place = resolve_device(device)
    recorder = Recorder(len(config.seeds))
    observer = Observer(recorder, progress, stop)
    with torch_threads(TRAINING_THREADS):
        parameters = initial_parameters(config, target.scores.shape[1])
        for name, value in {**started, **target.held}.items():
            parameters[name] = torch.as_tensor(value).expand_as(parameters[name]).clone()
        if common_exponent:
            parameters["raw_exponent"] = parameters["raw_exponent"][..., :1]
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
    return arrays, recorder.history(), complete


def check_network_problem(problem: DoseProblem, config: NetworkConfig) -> StandardScore:
    """Check that a network can be fitted, and return the standard score of its windows."""
    if problem.values.shape[0] != 1:
        raise ValueError(
            f"the network fits one curve per window, got {problem.values.shape[0]}; average "
            'over space with spatial="mean", or use estimator="exact" for maps.'
        )
    for name, usable in zip(problem.window_names, problem.usable[0], strict=True):
        check_doses(
            problem.dose[usable],
            ["rate", *["exponent"] * (config.exponent is None)],
            offset_free=config.offset is None,
            of=f"window {name!r}",
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
    weights = np.where(usable, (window * share)[:, None], 0.0) * frame_weights(problem, config)
    index = {name: position for position, name in enumerate(problem.window_names)}
    pairs = tuple(
        (index[fast], index[slow])
        for fast, slow in config.hierarchy
        if fast in index and slow in index
    )
    collocation = np.linspace(0.0, 1.0, config.collocation)
    held = held_parameters(score, config, len(problem.window_names))
    return Target(
        problem.dose / problem.dose_max,
        collocation,
        scores.T,
        weights.T,
        pairs,
        held,
        misfit=config.misfit,
    )


def frame_weights(problem: DoseProblem, config: NetworkConfig) -> np.ndarray:
    """Relative weights of the frames of each window with a mean of 1, ``(n_window, n_dose)``."""
    usable = problem.usable[0]
    if problem.variance is None or not config.weigh_by_variance:
        return np.ones(usable.shape)
    variance = np.where(usable & (problem.variance[0] > 0), problem.variance[0], np.inf)
    # A count of zero has a Poisson variance of zero: it weighs as much as the best other frame.
    lowest = variance.min(axis=1, keepdims=True)
    lowest = np.where(np.isfinite(lowest), lowest, 1.0)
    weight = np.where(usable, lowest / np.where(np.isfinite(variance), variance, lowest), 0.0)
    return weight * usable.sum(axis=1, keepdims=True) / weight.sum(axis=1, keepdims=True)


def stiffened(config: NetworkConfig, start: ExactFit, score: StandardScore) -> NetworkConfig:
    """The configuration with a law as stiff as the noise demands.

    Bending away from the law gains noise⁴/weight of the data term, so the weight of the law has
    to grow with noise² for the trajectory to stay the same share of it away from the law.
    """
    noise = float(np.max(start.noise_sigma[0] / score.spread))
    factor = max(1.0, (noise / STIFF_NOISE) ** 2)
    weights = {**config.loss_weights, "ode": config.loss_weights["ode"] * factor}
    return replace(config, loss_weights=weights)


def without_false_pairs(
    config: NetworkConfig, start: ExactFit, names: Sequence[str]
) -> NetworkConfig:
    """The configuration without pairs that the exact fit has let go, since the data contradict."""
    if "rate" not in start.parameters:
        return config
    log_rate = dict(zip(names, np.log(start.rate[0]), strict=True))
    least = -HIERARCHY_FREE * HIERARCHY_WIDTH
    kept = tuple(
        (fast, slow)
        for fast, slow in config.hierarchy
        if not log_rate.get(fast, np.nan) - log_rate.get(slow, np.nan) < least
    )
    return replace(config, hierarchy=kept)


def parameters_of(start: ExactFit, score: StandardScore, reach: float) -> dict[str, np.ndarray]:
    """Parameters of an exact fit as the network holds them, ``(1, n_window)`` each.

    Its rates are per largest dose, which is `reach` dose scales.
    """
    return {
        "raw_rate": np.log(np.expm1(start.rate * reach)),
        "raw_exponent": np.log(np.expm1(start.exponent)),
        "amplitude": start.amplitude / score.spread,
        "offset": (start.offset - score.mean) / score.spread,
    }


def prior_target(
    start: ExactFit, prior: Prior, problem: DoseProblem, score: StandardScore, config: NetworkConfig
) -> PriorTarget:
    """The prior in the unit of the data term, by the noise that the exact fit found."""
    window = np.array([config.window_weights.get(name, 1.0) for name in problem.window_names])
    noise = start.noise_sigma[0] / score.spread
    summands = len(problem.window_names) * problem.usable[0].sum(axis=1)
    mean, width = prior.log_rate
    log_rate = (mean + math.log(problem.reach), width)
    return PriorTarget(log_rate, prior.exponent, window * noise**2 / summands)


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
