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
from torch import Tensor

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.fit import fit_exact
from hyperspy_dosekin.kinetics.laws.prior import DEFAULT_PRIOR
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.model.parameters import Parameters
from hyperspy_dosekin.kinetics.posterior.posterior import kinetic_posterior
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

    @property
    def log_integral(self) -> np.ndarray:
        """Log likelihood of the shapes if all rates are as likely, ``(n_shape,)``."""
        return np.asarray(special.logsumexp(self.log_likelihood, axis=1)) + np.log(self.spacing)

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of ln k if nothing else were known, ``(n_shape,)`` each."""
        weight = special.softmax(self.log_likelihood, axis=1)
        mean = (weight * self.log_rate).sum(1)
        variance = (weight * (self.log_rate - mean[:, None]) ** 2).sum(1)
        return mean, np.maximum(variance, (self.spacing / 4) ** 2)

    def expected(self, level: np.ndarray, spread: float) -> np.ndarray:
        """Log likelihood of the mean η of a normal ln k of which the curve is one draw.

        Parameters
        ----------
        level
            η for each shape, ``(n_shape, n)``.
        spread
            Standard deviation ω of ln k about η.

        Returns
        -------
        Array of the same shape.
        """
        found = np.empty_like(level)
        wide = spread >= self.spacing / 2
        for shape in np.flatnonzero(~wide):
            found[shape] = _continued(
                level[shape], self.log_rate[shape], self.log_likelihood[shape]
            )
        if wide.any():
            step = np.log(self.spacing[wide] / (spread * math.sqrt(2 * math.pi)))
            place, nodes, values = (
                torch.as_tensor(each[wide] / size)
                for each, size in (
                    (level, spread),
                    (self.log_rate, spread),
                    (self.log_likelihood, 1.0),
                )
            )
            rows = (place[:, :, None] - nodes[:, None]).square_().mul_(-0.5).add_(values[:, None])
            found[wide] = rows.logsumexp(2).numpy() + step[:, None]
        return found


def _continued(at: np.ndarray, nodes: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Interpolate, and go on by straight lines beyond the nodes."""
    found = np.interp(at, nodes, values)
    step = nodes[1] - nodes[0]
    below, above = (values[1] - values[0]) / step, (values[-1] - values[-2]) / step
    found = found + np.minimum(at - nodes[0], 0) * below
    return found + np.maximum(at - nodes[-1], 0) * above


@dataclass(frozen=True, eq=False)
class RateScan:
    """The likelihood of the windows of one series, whatever the rate and the shape.

    Parameters
    ----------
    parameters
        The law with its priors, none of which is in the likelihood.
    parts
        Parts of the posterior, see `parts_of`.
    n_bound
        How many of them, the last, have the offset at its bound.
    n_window
        Number of windows.
    """

    parameters: Parameters
    parts: tuple[ScanData, ...]
    n_bound: int
    n_window: int

    @classmethod
    def of(cls, problem: DoseProblem, config: ExactConfig) -> RateScan:
        """Prepare the windows of a series ``(1, n_window, n_dose)``.

        Raises
        ------
        ValueError
            If a window has too few usable doses or is constant.
        """
        fit = fit_exact(problem, replace(config, prior=config.prior or DEFAULT_PRIOR))
        posterior = kinetic_posterior(problem, replace(config, device="cpu"), fit=fit)
        number = len(problem.window_names)
        dead = np.setdiff1d(np.arange(number), posterior.alive)
        if dead.size:
            raise ValueError(
                f"window {problem.window_names[dead[0]]!r} has too few usable doses, or is "
                "constant; leave it out, or the series."
            )
        parts, n_bound = posterior.parts(np.arange(number))
        return cls(config.parameters, tuple(parts), n_bound, number)

    def log_likelihood(self, log_rate: Tensor, shapes: Sequence[np.ndarray]) -> Tensor:
        """Logarithms, ``(n_part, n_node, n_shape, n_window)``.

        Parameters
        ----------
        log_rate
            ``(n_node, n_shape, n_window)``.
        shapes
            Values of the other free parameters of the law, each ``(n_shape,)``.
        """
        with torch.no_grad():
            search = [log_rate, *self.others(shapes)]
            prior = self.parameters.log_prior(search)
            rows = [part.log_density(search)[0] - prior for part in self.parts]
            return torch.stack([row.expand(log_rate.shape) for row in rows])

    def others(self, shapes: Sequence[np.ndarray]) -> list[Tensor]:
        """The parameters beside the rate on their scale of search, ``(1, n_shape, 1)`` each."""
        return [
            parameter.to_search(torch.as_tensor(row))[None, :, None]
            for parameter, row in zip(self.parameters.free[1:], shapes, strict=True)
        ]

    def likelihoods(self, shapes: Sequence[np.ndarray]) -> list[RateLikelihood]:
        """What each window says of its rate, whatever the correlation of its noise.

        Parameters
        ----------
        shapes
            As for `log_likelihood`.
        """
        nodes, parts = self.nodes(shapes)
        values = torch.logsumexp(parts, 0)
        return [
            RateLikelihood(nodes[..., place].T.numpy(), values[..., place].T.numpy())
            for place in range(self.n_window)
        ]

    def nodes(
        self, shapes: Sequence[np.ndarray], box: tuple[float, float] = LOG_RATE
    ) -> tuple[Tensor, Tensor]:
        """Nodes of ln k that follow the peak for each shape, and `log_likelihood` on them.

        Parameters
        ----------
        shapes
            As for `log_likelihood`.
        box
            Ends of ln k.
        """
        number = len(shapes[0]) if len(shapes) else 1
        low, high = box
        nodes = torch.linspace(low, high, _COARSE, dtype=torch.float64)[:, None, None]
        nodes = nodes.expand(-1, number, self.n_window)
        for _ in range(_LOOKS):
            values = torch.logsumexp(self.log_likelihood(nodes, shapes), 0)
            near = values > values.amax(0) - _DEPTH
            step = nodes[1] - nodes[0]
            lower = torch.where(near, nodes, torch.inf).amin(0) - step
            upper = torch.where(near, nodes, -torch.inf).amax(0) + step
            share = torch.linspace(0, 1, _NODES, dtype=torch.float64)[:, None, None]
            nodes = lower.clamp(min=low) + share * (upper.clamp(max=high) - lower.clamp(min=low))
        return nodes, self.log_likelihood(nodes, shapes)
