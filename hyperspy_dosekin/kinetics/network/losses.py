# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loss terms of the network fit: a named mapping, weighted and added in one place."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

from hyperspy_dosekin.kinetics.network.architecture import (
    Features,
    Parameters,
    fourier_features,
    integrity,
    kinetic_parameters,
)
from hyperspy_dosekin.kinetics.network.compression import Compression

#: Integrity below this is raised to it before the power, whose slope is infinite at zero.
SMALLEST_INTEGRITY = 1e-12

#: Weight of each term, by its name.
LossWeights = Mapping[str, float]


@dataclass(frozen=True, eq=False)
class PriorTarget:
    """Normal priors of ln k and p, in the unit of the data term.

    Parameters
    ----------
    log_rate, exponent
        (mean, standard deviation); the mean of ln k may be one for each window, ``(n_window,)``.
    scale
        Noise variance of the scores, times the weight of the window in the data term and over
        its number of summands, ``(n_window,)``: with it the sum of data and prior term is the
        negative logarithm of a posterior, up to a factor.
    """

    log_rate: tuple[float | np.ndarray, float]
    exponent: tuple[float, float]
    scale: np.ndarray


@dataclass(frozen=True, eq=False)
class Target:
    """What the network is fitted to, before a device and a precision are chosen.

    Parameters
    ----------
    dose
        Normalised doses of the frames, ``(n_dose,)``.
    collocation
        Normalised doses at which the law is imposed, ascending, ``(n_collocation,)``.
    scores
        Standard scores of the intensities, ``(n_dose, n_window)``, 0 where missing.
    weights
        Weight of each of them, of the same shape, 0 where missing.
    hierarchy
        Pairs (faster, slower) of window indices.
    held
        Parameters that are known and therefore not trained, with their values,
        ``(1, n_window)`` each.
    prior
        Priors of the kinetic parameters; ``None`` for none.
    misfit
        Name of the penalty of the data term, one of `MISFITS`.
    """

    dose: np.ndarray
    collocation: np.ndarray
    scores: np.ndarray
    weights: np.ndarray
    hierarchy: tuple[tuple[int, int], ...]
    held: Mapping[str, np.ndarray] = field(default_factory=dict)
    prior: PriorTarget | None = None
    misfit: str = "log-cosh"


@dataclass(frozen=True, eq=False)
class Task:
    """A target as tensors of the precision and on the device of some parameters.

    The features are of the measured doses, or of the nodes of a `compression`, followed by the
    collocation doses; `scores` and `weights` are ``(1, n_dose, n_window)``, `hierarchy` is
    ``(n_pair, 2)``.
    """

    features: Features
    scores: Tensor
    weights: Tensor
    hierarchy: Tensor
    prior: PriorTarget | None
    misfit: Misfit
    compression: Compression | None = None

    @classmethod
    def of(
        cls, target: Target, parameters: Parameters, compression: Compression | None = None
    ) -> Task:
        """The task that `target` sets to the members in `parameters`."""
        like = parameters["frequencies"]
        first = target.dose if compression is None else compression.dose
        dose = torch.as_tensor(np.concatenate([first, target.collocation])).to(like)
        return cls(
            fourier_features(parameters, dose, first_tangent=first.size),
            torch.as_tensor(target.scores).to(like)[None],
            torch.as_tensor(target.weights).to(like)[None],
            torch.tensor(target.hierarchy, dtype=torch.long, device=like.device).reshape(-1, 2),
            target.prior,
            MISFITS[target.misfit],
            compression,
        )

    @property
    def n_dose(self) -> int:
        """Number of measured doses, or of nodes, which come first in `features`."""
        return self.features.first_tangent

    def of_members(self, members: Tensor) -> Task:
        """The task of some members."""
        features = self.features
        some = replace(features, value=features.value[members], tangent=features.tangent[members])
        return replace(self, features=some)

    def at_frames(self, value: Tensor) -> Tensor:
        """Values at the frames of those at all doses, ``(n_member, n_dose, n_window)``."""
        first = value[:, : self.n_dose]
        if self.compression is None:
            return first
        return torch.as_tensor(self.compression.to_frames).to(first) @ first


def log_cosh(residual: Tensor) -> Tensor:
    """Logarithm of cosh(x) without overflow: half a square near zero, linear far from it."""
    size = residual.abs()
    return size + softplus(-2 * size) - math.log(2)


def square(residual: Tensor) -> Tensor:
    """Half a square: with it the best network is the most probable exact solution."""
    return 0.5 * residual.square()


@dataclass(frozen=True)
class Misfit:
    """A penalty of misfits r, and the share of r²/2 whose slope it has at r."""

    penalty: Callable[[Tensor], Tensor]
    share: Callable[[Tensor], Tensor]


def _log_cosh_share(residual: Tensor) -> Tensor:
    size = residual.abs().clamp(min=1e-6)
    return torch.tanh(size) / size


#: Penalties of the data term by the name that a configuration gives them.
MISFITS: Mapping[str, Misfit] = MappingProxyType(
    {"log-cosh": Misfit(log_cosh, _log_cosh_share), "square": Misfit(square, torch.ones_like)}
)


def ode_residual(parameters: Parameters, value: Tensor, slope: Tensor) -> Tensor:
    """dC/dφ + k C^p at the collocation doses, ``(n_member, n_collocation, n_window)``."""
    rate, exponent = kinetic_parameters(parameters)
    return slope + rate * value.clamp(min=SMALLEST_INTEGRITY) ** exponent


def causal_weights(squared_residual: Tensor, strength: float) -> Tensor:
    """Weights that let a dose count only once the doses before it obey the law.

    S. Wang, S. Sankaran, P. Perdikaris, Comput. Methods Appl. Mech. Eng. 421, 116813 (2024),
    doi:10.1016/j.cma.2024.116813.

    Parameters
    ----------
    squared_residual
        Squared residual summed over windows, ascending in dose, ``(n_member, n_collocation)``.
    strength
        ε in exp(−ε Σ of the squared residuals at smaller doses).
    """
    before = torch.cumsum(squared_residual, dim=1) - squared_residual
    return torch.exp(-strength * before).detach()


def prior_residuals(parameters: Parameters, prior: PriorTarget) -> Tensor:
    """Scaled distances of ln k and p from their means, ``(n_member, 2, n_window)``.

    Half the sum of their squares is the prior term of the loss.
    """
    rate, exponent = kinetic_parameters(parameters)
    mean = torch.as_tensor(prior.log_rate[0]).to(rate)
    # The prior of an exponent that the windows have in common counts once.
    share = exponent.shape[-1] / rate.shape[-1]
    of_exponent = math.sqrt(share) * (exponent - prior.exponent[0]) / prior.exponent[1]
    distance = torch.cat(
        [(rate.log() - mean) / prior.log_rate[1], of_exponent.expand_as(rate)], dim=1
    )
    return torch.as_tensor(prior.scale).to(distance).sqrt() * distance


def loss_terms(
    parameters: Parameters, task: Task, *, causal_strength: float = 0.0
) -> dict[str, Tensor]:
    """Each term of the loss before its weight, ``(n_member,)`` each."""
    value, slope = integrity(parameters, task.features)
    measured, collocated = task.at_frames(value), value[:, task.n_dose :]
    misfit = parameters["amplitude"] * measured + parameters["offset"] - task.scores
    residual = ode_residual(parameters, collocated, slope)
    squared = residual.square().sum(dim=-1)
    if causal_strength > 0:
        squared = causal_weights(squared, causal_strength) * squared
    rate, _ = kinetic_parameters(parameters)
    too_slow = rate[:, 0, task.hierarchy[:, 1]] - rate[:, 0, task.hierarchy[:, 0]]
    return {
        "data": (task.weights * task.misfit.penalty(misfit)).mean(dim=(1, 2)),
        "ode": squared.mean(dim=1),
        "monotonicity": relu(slope).square().mean(dim=(1, 2)),
        # Zero by construction with the exponential head; kept so that another head is held too.
        "boundedness": (relu(-value) + relu(value - 1)).square().mean(dim=(1, 2)),
        "hierarchy": relu(too_slow).square().sum(dim=-1),
        "prior": torch.zeros_like(rate[:, 0, 0])
        if task.prior is None
        else 0.5 * prior_residuals(parameters, task.prior).square().sum(dim=(1, 2)),
    }


def total(terms: Mapping[str, Tensor], weights: LossWeights) -> Tensor:
    """Weighted sum of the terms, ``(n_member,)``: the only place where weights apply."""
    return torch.stack([weights[name] * term for name, term in terms.items()]).sum(dim=0)
