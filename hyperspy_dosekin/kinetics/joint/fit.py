# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several series of one specimen, fitted together: a common shape, frames without their gain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import special

from hyperspy_dosekin.kinetics.conditions.rate_likelihood import RateScan
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.fit import fit_exact
from hyperspy_dosekin.kinetics.estimate.moved_frames import with_moved_frames
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.posterior.nodes import Nodes
from hyperspy_dosekin.kinetics.posterior.posterior import kinetic_posterior

from .agreement import Agreement, agreement
from .assembly import in_own_law, plain_config, with_rates
from .common_mode import LINEAR_GAIN, without_common_mode
from .dependence import correlation_of_rates, power_of_windows
from .rates import RateModel
from .ratio import CommonRatio, RatioResult
from .series import JointSeries, RateResult, joint_nodes
from .shape import CurveNodes, SharedShape, shared_shape

# Rounds of taking off the gain: its estimate needs the curves, and these the gain.
_ROUNDS = 2


@dataclass(frozen=True, eq=False)
class JointFit:
    """Result of `fit_jointly`.

    Parameters
    ----------
    series
        One for each problem.
    shape
        What all say of the shared parameters.
    agreement
        Tests of a common shape; ``None`` where there is nothing to compare.
    rates
        What was found of rates in common; ``None`` where rates have nothing to do with each other.
    ratios
        What was found of b/a; ``None`` where each curve has its own.
    """

    series: tuple[JointSeries, ...]
    shape: SharedShape
    agreement: Agreement | None
    rates: RateResult | None = None
    ratios: RatioResult | None = None


def fit_jointly(
    problems: Sequence[DoseProblem],
    configs: Sequence[ExactConfig],
    shared: Sequence[str],
    *,
    common_mode: bool = True,
    model: RateModel | None = None,
    ratios: Sequence[Sequence[str]] | None = None,
) -> JointFit:
    """Fit series that share parameters of their shape.

    Parameters
    ----------
    problems
        One for each series, ``(1, n_window, n_dose)``; doses and windows may differ.
    configs
        Options of each, with the same law and priors.
    shared
        Names of the shared parameters.
    common_mode
        Whether the gain that the windows of a frame share is estimated and taken off.
    model
        Which rates have to do with each other; all shapes are to be shared then.
    ratios
        Names of the windows of each series, where those of the same name have the same b/a; all
        shapes are to be shared then, and no rates.

    Raises
    ------
    ValueError
        If a window has too few usable doses or is constant.
    """
    freed, moved, tested, gains, powers, correlations = [], [], [], [], [], []
    for problem, config in zip(problems, configs, strict=True):
        config = replace(config, hierarchy=())
        plain = plain_config(config)
        changed, gain = problem, None
        power, correlation = 1.0, np.eye(problem.values.shape[1])
        for _ in range(_ROUNDS if common_mode else 0):
            fit = fit_exact(changed, plain)
            largest = np.inf if model is None else LINEAR_GAIN
            changed, gain = without_common_mode(problem, plain, fit, largest=largest)
            if gain is None:
                power, correlation = 1.0, np.eye(problem.values.shape[1])
                break
            power = power_of_windows(changed, plain, fit, gain, shared)
            correlation = correlation_of_rates(changed, plain, fit, gain)
        correlations.append(correlation)
        powers.append(power)
        freed.append(changed)
        moved.append(with_moved_frames(changed, config))
        estimated = changed.variance is not None and problem.variance is None
        tested.append(_of_unknown_noise(*moved[-1]) if estimated else moved[-1])
        gains.append(gain)
    scans = [RateScan.of(problem, config) for problem, config in moved]
    common = None if ratios is None else CommonRatio.of(moved, ratios, powers)
    if common is None:
        shape, curves = shared_shape(scans, shared, powers)
    else:
        scans = [replace(scan, n_bound=0) for scan in scans]
        shape, curves = shared_shape(scans, shared, common.shares, common.curves)
    others = [
        scan if pair is plain else RateScan.of(*pair)
        for scan, pair, plain in zip(scans, tested, moved, strict=True)
    ]
    tests, rates = agreement(others, shared), None
    if model is not None:
        model = replace(model, correlations=tuple(correlations))
        shape, every, rates = with_rates(scans, shape, curves, model, powers)
    elif shape.free or common is not None:
        every = [_weighed(nodes, shape, scan) for scan, nodes in zip(scans, curves, strict=True)]
    else:
        every = [next(kinetic_posterior(*pair, fit=fit_exact(*pair)).nodes()) for pair in moved]
    series = tuple(
        in_own_law(
            alone, pair[0], pair[1], nodes, shape, gain, rates is not None or common is not None
        )
        for alone, pair, nodes, gain in zip(freed, moved, every, gains, strict=True)
    )
    found = None if common is None else common.result(shape, tested)
    return JointFit(series, shape, tests, rates, found)


def _of_unknown_noise(problem: DoseProblem, config: ExactConfig) -> tuple[DoseProblem, ExactConfig]:
    """A series to be tested, where a few residuals have said what the noise beside the gain is.

    A test that took this noise for certain would doubt what is right.
    """
    return problem, replace(config, noise="relative")


def _weighed(nodes: CurveNodes, shape: SharedShape, scan: RateScan) -> Nodes:
    """The nodes of a series with what all others say of the shape."""
    whole = shape.log_weight + shape.log_likelihood.sum(axis=0)
    # Where the windows of a frame are alike, others say less: all together they say `whole`.
    others = whole - nodes.by_shape  # (n_window, n_shape)
    evidence = np.asarray(special.logsumexp(whole)) - np.asarray(special.logsumexp(others, axis=1))
    added = torch.as_tensor(np.repeat(others, nodes.n_own, axis=1).T.copy())
    log_weight = (nodes.log_density + added).transpose(1, 2)
    weight = torch.softmax(log_weight.reshape(-1, scan.n_window), 0).reshape(log_weight.shape)
    return joint_nodes(
        scan.parameters,
        nodes.log_rate.transpose(0, 1)[None],
        nodes.shapes,
        weight,
        evidence,
        ordered=nodes.n_own == 1 and len(shape.free) < 2,
        n_bound=scan.n_bound,
    )
