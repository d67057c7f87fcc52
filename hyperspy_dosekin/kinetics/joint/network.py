# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""One ensemble of networks for the windows of several series: the multi-task kind of the paper.

Each series has its own doses, and the networks see them over the largest one of the series. All
windows are outputs of one network, those of the other series are tasks beside them, and an exponent
that they share is one number of each member. What a window has no frame for is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import optimize

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.exact_fit import ExactFit
from hyperspy_dosekin.kinetics.estimate.fit import fit_exact
from hyperspy_dosekin.kinetics.laws.prior import Prior
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.network.config import NetworkConfig
from hyperspy_dosekin.kinetics.network.fit import (
    check_network_problem,
    make_target,
    parameters_of,
    prior_target,
    stiffened,
    trained,
)
from hyperspy_dosekin.kinetics.network.losses import PriorTarget, Target
from hyperspy_dosekin.kinetics.network.network_fit import NetworkFit
from hyperspy_dosekin.numerics.progress import Progress, Stop, never_stop, no_progress

from .shape import SharedShape

# Mass of the posterior of the shape beyond which its most probable value is not looked for.
_TAIL = 1e-3
# Noise below this share of that of the noisiest window weighs no more.
_LEAST_NOISE = 1e-3
#: Parameters of single windows in what a network is made of.
_BY_WINDOW = ("raw_rate", "raw_exponent", "amplitude", "offset", "output.weight", "output.bias")


def common_mode_of(
    problems: Sequence[DoseProblem], configs: Sequence[ExactConfig], shape: SharedShape
) -> tuple[tuple[str, float], ...]:
    """The most probable common exponent, with rates, amplitudes and offsets at their best.

    It is what networks of the same loss end at. The estimate of `SharedShape` is another one: there
    these are integrated out.

    Parameters
    ----------
    problems, configs
        The series as networks see them, and their options.
    shape
        What is known of the exponent.

    Returns
    -------
    The name of the parameter and its value; nothing where none is shared.
    """
    if not shape.free:
        return ()
    (parameter,) = shape.free
    prior = configs[0].prior

    def deviance(value: float) -> float:
        total = 0.0
        for problem, config in zip(problems, configs, strict=True):
            held = (*config.held, (parameter.name, value))
            total += float(np.nansum(fit_exact(problem, replace(config, held=held)).objective))
        if isinstance(prior, Prior):
            total += ((value - prior.exponent[0]) / prior.exponent[1]) ** 2
        return total

    low, high = shape.quantiles((_TAIL, 1 - _TAIL))[0]
    found = optimize.minimize_scalar(
        deviance, bounds=(float(low), float(high)), method="bounded", options={"xatol": 1e-3}
    )
    return ((parameter.name, float(found.x)),)


def fit_joint_network(
    problems: Sequence[DoseProblem],
    starts: Sequence[ExactFit],
    configs: Sequence[NetworkConfig],
    prior: Prior | None,
    *,
    common_exponent: bool,
    device: str = "auto",
    progress: Progress = no_progress,
    stop: Stop = never_stop,
) -> list[NetworkFit]:
    """Fit one ensemble to the windows of several series.

    Parameters
    ----------
    problems
        One for each series, ``(1, n_window, n_dose)``.
    starts
        Exact fits of them, with the exponent that they share.
    configs
        Settings, alike but for known offsets.
    prior
        Priors that join the loss of a warm start.
    common_exponent
        Whether all windows have one exponent.
    device, progress, stop
        As for `fit_network`.

    Returns
    -------
    A fit for each series. They have the same layers; a certificate of each is that of its share of
    the loss.
    """
    number = sum(len(problem.window_names) for problem in problems)
    scores = [check_network_problem(p, c) for p, c in zip(problems, configs, strict=True)]
    warm, whole = configs[0].warm_start, configs[0]
    triples = list(zip(problems, starts, scores, strict=True))
    if warm:
        noise = [start.noise_sigma[0] / score.spread for _, start, score in triples]
        if common_exponent:
            weights = _inverse_noise(noise, [problem.usable[0].sum(1) for problem in problems])
            configs = [
                replace(
                    config, window_weights=dict(zip(p.window_names, each.tolist(), strict=True))
                )
                for config, p, each in zip(configs, problems, weights, strict=True)
            ]
        stiff = [
            stiffened(c, start, score)
            for c, (_, start, score) in zip(configs, triples, strict=True)
        ]
        # The law is as stiff beside the heaviest window as it is beside a single one.
        heaviest = max(
            max(c.window_weights.get(n, 1.0) for n in p.window_names)
            for c, (p, *_) in zip(configs, triples, strict=True)
        )
        ode = max(config.loss_weights["ode"] for config in stiff) * max(heaviest, 1.0)
        whole = replace(whole, loss_weights={**whole.loss_weights, "ode": ode})
    # The data term of a series alone is the mean over its own windows.
    shares = [len(problem.window_names) / number for problem in problems]
    configs = [
        replace(
            config,
            loss_weights={**whole.loss_weights, "ode": whole.loss_weights["ode"] / share},
        )
        for config, share in zip(configs, shares, strict=True)
    ]
    targets = [
        make_target(problem, score, config)
        for (problem, _, score), config in zip(triples, configs, strict=True)
    ]
    started: dict[str, np.ndarray] = {}
    if warm:
        each = [parameters_of(start, score, p.reach) for p, start, score in triples]
        started = {name: np.concatenate([e[name] for e in each], axis=1) for name in each[0]}
        if prior is not None:
            priors = [
                prior_target(start, prior, problem, score, config)
                for (problem, start, score), config in zip(triples, configs, strict=True)
            ]
            targets = [replace(t, prior=p) for t, p in zip(targets, priors, strict=True)]
    target = _joined(targets, shares)
    arrays, history, complete = trained(
        whole, target, started, common_exponent=common_exponent, device=device,
        progress=progress, stop=stop,
    )  # fmt: skip
    if common_exponent:
        arrays["raw_exponent"] = np.repeat(arrays["raw_exponent"], number, axis=-1)
    found, first = [], 0
    for (problem, _, score), config in zip(triples, configs, strict=True):
        own = slice(first, first + len(problem.window_names))
        first = own.stop
        parts = {n: a[..., own] if n in _BY_WINDOW else a for n, a in arrays.items()}
        found.append(NetworkFit(problem, config, score, parts, history, complete))
    return found


def _inverse_noise(noise: Sequence[np.ndarray], frames: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Weights with which the squares of all windows count by their noise; 1 for the noisiest."""
    largest = max(float(each.max()) for each in noise)
    if not largest > 0:
        return [np.ones_like(each) for each in noise]
    most = max(int(each.max()) for each in frames)
    return [
        (largest / np.maximum(each, _LEAST_NOISE * largest)) ** 2 * count / most
        for each, count in zip(noise, frames, strict=True)
    ]


def _joined(targets: Sequence[Target], shares: Sequence[float]) -> Target:
    """The targets of several series as one, on the doses of all of them."""
    keys = [_numbered(target.dose) for target in targets]
    every = sorted(set().union(*keys))
    place = {key: row for row, key in enumerate(every)}
    scores, weights = [], []
    for target, own in zip(targets, keys, strict=True):
        rows = [place[key] for key in own]
        for found, array, factor in (
            (scores, target.scores, 1.0),
            # The mean over the frames of all is to be that over its own.
            (weights, target.weights, len(every) / len(own)),
        ):
            column = np.zeros((len(every), array.shape[1]))
            column[rows] = factor * array
            found.append(column)
    names = targets[0].held
    # All have one, or none.
    priors, prior = [target.prior for target in targets if target.prior is not None], None
    if priors:
        means = [np.broadcast_to(each.log_rate[0], each.scale.shape) for each in priors]
        # Of the whole, of which a series has its share of the windows.
        scales = [share * each.scale for each, share in zip(priors, shares, strict=True)]
        prior = PriorTarget(
            (np.concatenate(means), priors[0].log_rate[1]),
            priors[0].exponent,
            np.concatenate(scales),
        )
    return Target(
        np.array([dose for dose, _ in every]),
        targets[0].collocation,
        np.concatenate(scores, axis=1),
        np.concatenate(weights, axis=1),
        (),
        {name: np.concatenate([t.held[name] for t in targets], axis=1) for name in names},
        prior,
        targets[0].misfit,
    )


def _numbered(dose: np.ndarray) -> list[tuple[float, int]]:
    """Doses, each with how many of the same came before it."""
    seen: dict[float, int] = {}
    found = []
    for value in dose.tolist():
        seen[value] = seen.get(value, -1) + 1
        found.append((value, seen[value]))
    return found
