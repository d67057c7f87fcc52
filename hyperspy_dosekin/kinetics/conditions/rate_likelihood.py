# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each series says of its rate, for shapes of the law that all series share.

The likelihood is that of the posterior of a single series, with amplitude, offset and noise
integrated out, on nodes of ln k that follow its peak; no prior of the rate is in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import special

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.fit import fit_exact
from hyperspy_dosekin.kinetics.estimate.interval_data import interval_curves
from hyperspy_dosekin.kinetics.laws.prior import DEFAULT_PRIOR, Prior
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.posterior.parts import parts_of, zero_errors
from hyperspy_dosekin.kinetics.posterior.scan import ScanData

#: Box of ln k per dose scale: half of a window gone between a thousandth and a thousand scales.
LOG_RATE = (-7.0, 7.0)
# Nodes of the first look, and of the closer ones.
_COARSE, _NODES, _LOOKS = 141, 61, 3
# How far, in ln likelihood, the nodes reach down from the peak.
_DEPTH = 16.0


@dataclass(frozen=True, eq=False)
class RateLikelihood:
    """Log likelihoods of ln k, each on nodes of its own.

    Parameters
    ----------
    log_rate
        ln k per dose scale, evenly spaced, ``(n_shape, n_node)``.
    log_likelihood
        At the nodes, same shape, up to a constant common to all shapes.
    """

    log_rate: np.ndarray
    log_likelihood: np.ndarray

    @property
    def spacing(self) -> np.ndarray:
        """Distance of the nodes, ``(n_shape,)``."""
        return self.log_rate[:, 1] - self.log_rate[:, 0]

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of ln k if nothing else were known, ``(n_shape,)`` each."""
        weight = special.softmax(self.log_likelihood, axis=1)
        mean = (weight * self.log_rate).sum(1)
        variance = (weight * (self.log_rate - mean[:, None]) ** 2).sum(1)
        return mean, np.maximum(variance, (self.spacing / 4) ** 2)

    def expected(self, shape: int, spread: float) -> tuple[np.ndarray, np.ndarray]:
        """Log likelihood of the mean η of a normal ln k of which the curve is one draw.

        Parameters
        ----------
        shape
            Place of the shape.
        spread
            Standard deviation ω of ln k about η.

        Returns
        -------
        (η, log likelihood), each ``(n,)``; to be continued by straight lines.
        """
        nodes, values = self.log_rate[shape], self.log_likelihood[shape]
        step = nodes[1] - nodes[0]
        if spread < step / 2:
            return nodes, values
        place = np.linspace(nodes[0] - 5 * spread, nodes[-1] + 5 * spread, 2 * _NODES)
        kernel = -0.5 * ((place[:, None] - nodes) / spread) ** 2
        kernel += math.log(step / (spread * math.sqrt(2 * math.pi)))
        return place, np.asarray(special.logsumexp(values + kernel, axis=1))


def rate_likelihood(
    problem: DoseProblem, config: ExactConfig, shapes: Sequence[np.ndarray]
) -> list[RateLikelihood]:
    """What the windows of one series say of their rates.

    Parameters
    ----------
    problem
        A single series, ``(1, n_window, n_dose)``, with the dose scale of all series.
    config
        Options.
    shapes
        Values of the other free parameters of the law, each ``(n_shape,)``.

    Returns
    -------
    One for each window.

    Raises
    ------
    ValueError
        If a window has too few usable doses or is constant.
    """
    prior = config.prior or DEFAULT_PRIOR
    # Next to nothing is known of the rate: its prior is that of the comparison.
    config = replace(config, prior=Prior((0.0, 1e3), prior.exponent), hierarchy=())
    parameters = config.parameters
    curves = interval_curves(problem, config)
    fit = fit_exact(problem, replace(config, prior=prior))
    dead = (curves.dead | fit.dead).reshape(-1)
    if dead.any():
        name = problem.window_names[int(np.flatnonzero(dead)[0])]
        raise ValueError(
            f"window {name!r} has too few usable doses, or is constant; leave it out, or the "
            "series."
        )
    device = torch.device("cpu")
    index = np.arange(dead.size)
    data = ScanData.of(curves, index, device, parameters, curves.noise_model(config.noise))
    sigma = fit.noise_sigma / curves.unit * np.sqrt(np.maximum(curves.mean_weight, 1e-300))
    zero, bounded = zero_errors(config, curves.unit.shape, curves.unit), config.bounded(curves)
    parts = parts_of(
        data,
        config,
        torch.as_tensor(fit.amplitude.reshape(-1) < 0),
        torch.as_tensor(sigma.reshape(-1)).clamp(min=1e-12),
        None if zero is None else torch.as_tensor(zero.reshape(-1)),
        torch.as_tensor(bounded.reshape(-1)) if bounded is not None and bounded.any() else None,
    )
    others = [
        parameter.to_search(torch.as_tensor(row))[None, :, None]
        for parameter, row in zip(parameters.free[1:], shapes, strict=True)
    ]
    number = len(shapes[0]) if len(shapes) else 1
    low, high = LOG_RATE
    nodes = torch.linspace(low, high, _COARSE, dtype=torch.float64)[:, None, None]
    nodes = nodes.expand(-1, number, index.size)

    def density(at: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            rows = [part.log_density([at, *others])[0].expand(at.shape) for part in parts]
            # The flat prior of ln k is no part of a likelihood.
            return torch.logsumexp(torch.stack(rows), 0) + math.log(1e3 * math.sqrt(2 * math.pi))

    for _ in range(_LOOKS):
        values = density(nodes)
        near = values > values.amax(0) - _DEPTH
        step = nodes[1] - nodes[0]
        lower = torch.where(near, nodes, torch.inf).amin(0) - step
        upper = torch.where(near, nodes, -torch.inf).amax(0) + step
        share = torch.linspace(0, 1, _NODES, dtype=torch.float64)[:, None, None]
        nodes = lower.clamp(min=low) + share * (upper.clamp(max=high) - lower.clamp(min=low))
    values = density(nodes)
    return [
        RateLikelihood(nodes[..., place].T.numpy(), values[..., place].T.numpy())
        for place in range(index.size)
    ]
