# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of growing curves, from the nodes of their posterior."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.model.parameters import Parameters
from hyperspy_dosekin.kinetics.posterior.nodes import Nodes
from hyperspy_dosekin.kinetics.posterior.parts import bound_matters
from hyperspy_dosekin.kinetics.posterior.quantities import Quantity

from .nodes import Place

#: Probability of the intervals.
LEVEL = 0.95
_TAIL = (1 - LEVEL) / 2
#: Lower end, median, upper end.
PROBABILITIES = (_TAIL, 0.5, 1 - _TAIL)
_WANTED = np.asarray(PROBABILITIES)


@dataclass(frozen=True, eq=False)
class LiveEstimate:
    """What is known of some curves, arrays ``(n_curve,)``, NaN where nothing can be said.

    Parameters
    ----------
    half_dose, lower, upper
        Median of D½ and its 95 % interval, in the unit of the doses.
    sd_log_half_dose
        Standard deviation of ln D½.
    integrity, below
        Mean integrity at the last dose, and the probability that it is below the level asked for.
    """

    half_dose: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    sd_log_half_dose: np.ndarray
    integrity: np.ndarray
    below: np.ndarray

    @classmethod
    def unknown(cls, n_curve: int) -> LiveEstimate:
        """Nothing is known yet."""
        return cls(*(np.full(n_curve, np.nan) for _ in range(6)))

    def put(self, index: np.ndarray, found: LiveEstimate) -> None:
        """Write what was found of some of the curves."""
        for name in self.__dataclass_fields__:
            getattr(self, name)[index] = getattr(found, name)


@dataclass(frozen=True)
class Asked:
    """What is asked of the nodes.

    Parameters
    ----------
    config
        Options of the fit.
    scale, last
        Dose that counts as 1, and that of the last frame.
    level
        Integrity below which curves may have fallen.
    """

    config: ExactConfig
    scale: float
    last: float
    level: float

    def at(self, parameters: Parameters, search: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Ln D½ and the integrity at the last dose, at parameters on their scale of search."""
        now = Quantity("integrity", normalised_dose=(self.last / self.scale,))
        half = Quantity("half_integrity_dose").evaluate(parameters, search)
        return half, now.evaluate(parameters, search)

    def estimate(
        self, ends: Tensor, variance: Tensor, integrity: Tensor, below: Tensor
    ) -> LiveEstimate:
        """What is said: with the error of the doses, and in their unit.

        Parameters
        ----------
        ends
            Lower end, median and upper end of ln D½, ``(3, n)``.
        variance, integrity, below
            Of ln D½, its mean now, and the probability that it is below the level, ``(n,)``.
        """
        error = self.config.dose_error
        lower, middle, upper = (ends.exp() * self.scale).numpy()
        lower, upper = error.widened(lower[:, None], upper[:, None], middle[:, None], LEVEL)
        spread = (variance + error.scale**2).sqrt()
        return LiveEstimate(
            middle, lower[:, 0], upper[:, 0], spread.numpy(), integrity.numpy(), below.numpy()
        )


def of_few(nodes: Nodes, asked: Asked, place: Place, shift: float) -> LiveEstimate:
    """Of curves that have nodes of their own.

    Parameters
    ----------
    nodes, asked
        The nodes, and what is asked.
    place, shift
        Where the nodes are, and what makes their rates those of `nodes`.
    """
    n_part, n = len(nodes.weight), nodes.weight.shape[-1]
    half, integrity = asked.at(nodes.parameters, list(nodes.search))
    known = nodes.parameters.law.scales
    spread = place.spread_nodes(half, shift if known else None)
    weight = nodes.weight.numpy()
    # Where they matter, the parts at the bound are further curves beside the whole.
    part = weight[n_part - nodes.n_bound :]
    mass = part.sum((0, 1, 2))
    bound = bound_matters(torch.from_numpy(mass)).numpy()
    both, index = weight, np.arange(n)
    if bound.size:
        alone = np.zeros_like(weight[..., bound])
        alone[n_part - nodes.n_bound :] = part[..., bound] / mass[bound]
        both, index = np.concatenate([weight, alone], axis=-1), np.concatenate([index, bound])
    ends = torch.from_numpy(spread.quantiles(both, _WANTED, -shift if known else 0.0, index))
    ends = with_bound(ends[:, :n], ends[:, n:], torch.from_numpy(bound))
    value, now = (each.expand(nodes.weight.shape).numpy() for each in (half, integrity))
    finite = np.isfinite(value)
    known, certain = np.where(finite, value, 0.0), np.where(finite, weight, 0.0)
    mass = np.maximum(certain.sum((0, 1, 2)), 1e-300)
    mean = (certain * known).sum((0, 1, 2)) / mass
    variance = (certain * (known - mean) ** 2).sum((0, 1, 2)) / mass
    below = (weight * (now < asked.level)).sum((0, 1, 2))
    found = variance, (weight * now).sum((0, 1, 2)), below
    return asked.estimate(ends, *map(torch.from_numpy, found))


def with_bound(ends: Tensor, own: Tensor, index: Tensor) -> Tensor:
    """Lower end, median and upper end ``(3, n)``, which hold those of the bound of some curves."""
    some = ends[:, index]
    ends = ends.clone()
    ends[0, index] = torch.minimum(some[0], own[0])
    ends[2, index] = torch.maximum(some[2], own[2])
    return ends
