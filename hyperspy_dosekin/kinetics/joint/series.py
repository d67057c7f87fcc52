# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a joint fit has found of one of its series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from hyperspy_dosekin.kinetics.adequacy.common_mode import CommonGain
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.exact_fit import ExactFit
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.model.parameters import Parameters
from hyperspy_dosekin.kinetics.posterior.nodes import Nodes
from hyperspy_dosekin.kinetics.posterior.posterior import KineticPosterior, kinetic_posterior


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
class RateResult:
    """What was found of rates that series have in common.

    Parameters
    ----------
    kind
        As in `RateModel`.
    p_value
        Probability of rates as unlike as found if they had it in common.
    common
        By window: ends and median of k per dose, ``(0.025, 0.5, 0.975)`` quantiles.
    ratios
        By window but the first: the same of its rate over that of the first.
    factors
        By series: the same of what the doses of the series have to be multiplied by, or of the
        factor of its rates.
    log_factor
        Mean and standard deviation of ln of that, ``(n_series, 2)``.
    """

    kind: str
    p_value: float
    common: dict[str, tuple[float, float, float]]
    ratios: dict[str, tuple[float, float, float]]
    factors: tuple[tuple[float, float, float], ...]
    log_factor: np.ndarray


def joint_nodes(
    parameters: Parameters,
    log_rate: torch.Tensor,
    shapes: Sequence[np.ndarray | torch.Tensor],
    weight: torch.Tensor,
    evidence: np.ndarray,
    *,
    ordered: bool,
    n_bound: int,
) -> Nodes:
    """Nodes of the windows of a series.

    Parameters
    ----------
    log_rate
        ``(1, n_shape, n_node, n_window)``.
    shapes
        Other free parameters, each ``(n_shape,)``, or of the shape of `log_rate`.
    weight
        Probabilities, ``(n_part, n_shape, n_node, n_window)``.
    evidence
        Log of the probability of each window given the others, ``(n_window,)``.
    ordered, n_bound
        As in `Nodes`.
    """
    others = [
        parameter.to_search(row)
        if (row := torch.as_tensor(each)).ndim > 1
        else parameter.to_search(row)[None, :, None, None]
        for parameter, each in zip(parameters.free[1:], shapes, strict=True)
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
