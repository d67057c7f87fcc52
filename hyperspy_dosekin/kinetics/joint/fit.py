# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several series of one specimen, fitted together: a common shape, frames without their gain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import special

from hyperspy_dosekin.kinetics.adequacy.common_mode import CommonGain
from hyperspy_dosekin.kinetics.conditions.rate_likelihood import RateScan
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.fit import ExactFit, fit_exact
from hyperspy_dosekin.kinetics.estimate.moved_frames import with_moved_frames
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.model.parameters import Parameters
from hyperspy_dosekin.kinetics.posterior.nodes import Nodes
from hyperspy_dosekin.kinetics.posterior.posterior import KineticPosterior, kinetic_posterior

from .agreement import Agreement, agreement
from .common_mode import without_common_mode
from .shape import CurveNodes, SharedShape, shared_shape

# Rounds of taking off the gain: its estimate needs the curves, and these the gain.
_ROUNDS = 2


@dataclass(frozen=True, eq=False)
class JointSeries:
    """One of the series of a joint fit.

    Parameters
    ----------
    freed
        The data without what the windows of a frame have in common.
    problem
        The same with the errors of single doses in their noise.
    config
        Options; with the shared parameters free.
    fit
        Estimates, with the shared parameters at their common estimate.
    nodes
        Posterior of the windows.
    gain
        What the windows of each frame had in common, ``None`` where nothing.
    """

    freed: DoseProblem
    problem: DoseProblem
    config: ExactConfig
    fit: ExactFit
    nodes: Nodes
    gain: CommonGain | None

    @property
    def posterior(self) -> KineticPosterior:
        """Posterior of the windows, with what the other series say of them."""
        return kinetic_posterior(self.problem, self.config, fit=self.fit).on([self.nodes])


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
    """

    series: tuple[JointSeries, ...]
    shape: SharedShape
    agreement: Agreement | None


def fit_jointly(
    problems: Sequence[DoseProblem],
    configs: Sequence[ExactConfig],
    shared: Sequence[str],
    *,
    common_mode: bool = True,
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

    Raises
    ------
    ValueError
        If a window has too few usable doses or is constant.
    """
    freed, moved, gains = [], [], []
    for problem, config in zip(problems, configs, strict=True):
        config = replace(config, hierarchy=())
        changed, gain = problem, None
        for _ in range(_ROUNDS if common_mode else 0):
            changed, gain = without_common_mode(problem, config, fit_exact(changed, config))
            if gain is None:
                break
        freed.append(changed)
        moved.append(with_moved_frames(changed, config))
        gains.append(gain)
    scans = [RateScan.of(problem, config) for problem, config in moved]
    shape, curves = shared_shape(scans, shared)
    alone = not shape.free
    held = tuple(zip((p.name for p in shape.free), shape.estimate, strict=True))
    series, first = [], 0
    for place, ((problem, config), scan, nodes) in enumerate(
        zip(moved, scans, curves, strict=True)
    ):
        fit = fit_exact(problem, replace(config, held=(*config.held, *held)))
        places = slice(first, first + scan.n_window)
        first = places.stop
        if alone:
            weighed = next(kinetic_posterior(problem, config, fit=fit).nodes())
        else:
            weighed = _weighed(nodes, shape, places, scan)
        series.append(JointSeries(freed[place], problem, config, fit, weighed, gains[place]))
    return JointFit(tuple(series), shape, agreement(scans, shared))


def _weighed(nodes: CurveNodes, shape: SharedShape, places: slice, scan: RateScan) -> Nodes:
    """The nodes of a series with what all others say of the shape."""
    whole = shape.log_weight + shape.log_likelihood.sum(axis=0)
    others = whole - shape.log_likelihood[places]  # (n_window, n_shape)
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


def joint_nodes(
    parameters: Parameters,
    log_rate: torch.Tensor,
    shapes: Sequence[np.ndarray],
    weight: torch.Tensor,
    evidence: np.ndarray,
    *,
    ordered: bool,
    n_bound: int,
) -> Nodes:
    """Nodes of the windows of a series.

    Parameters
    ----------
    parameters
        The law with its priors.
    log_rate
        ``(1, n_shape, n_node, n_window)``.
    shapes
        Other free parameters, each ``(n_shape,)``.
    weight
        Probabilities, ``(n_part, n_shape, n_node, n_window)``.
    evidence
        Log of the probability of each window given the others, ``(n_window,)``.
    ordered, n_bound
        As in `Nodes`.
    """
    others = [
        parameter.to_search(torch.as_tensor(row))[None, :, None, None]
        for parameter, row in zip(parameters.free[1:], shapes, strict=True)
    ]
    return Nodes(
        np.arange(weight.shape[-1]),
        parameters,
        (log_rate, *others),
        weight,
        torch.as_tensor(evidence),
        ordered,
        n_bound,
        tuple(range(len(weight))),
    )
