# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parameters of a law with what is known of them: priors, and values that are held.

Torch is imported when they are evaluated, not with this module.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
from hyperspy_dosekin.kinetics.laws.parameter import LawParameter, search_to_free
from hyperspy_dosekin.kinetics.laws.prior import Prior

if TYPE_CHECKING:
    from torch import Tensor

# A parameter is determined where its interval is narrower than this share of what was assumed.
_DETERMINED = 0.8


def known_before(parameter: LawParameter, prior: Prior | None) -> tuple[float, float] | None:
    """Mean and standard deviation of a parameter before the data, on its scale of estimation.

    ``None`` where nothing but its box is assumed.
    """
    if parameter.known is not None:
        return parameter.known
    if prior is None:
        return None
    if parameter.name == "rate" and parameter.logarithmic:
        return prior.log_rate
    if parameter.name == "exponent" and not parameter.logarithmic:
        return prior.exponent
    return None


def assumed_before(parameter: LawParameter, prior: Prior | None) -> Any:
    """What is assumed of a parameter before the data, on its scale of estimation."""
    from scipy import stats

    low, high = parameter.free_box
    known = known_before(parameter, prior)
    if known is None:
        return stats.uniform(low, high - low)
    mean, width = known
    return stats.truncnorm((low - mean) / width, (high - mean) / width, mean, width)


def is_determined(
    parameter: LawParameter, prior: Prior | None, lower: np.ndarray, upper: np.ndarray
) -> np.ndarray:
    """Whether the data say more of a parameter than was assumed before them.

    Parameters
    ----------
    prior
        The priors of the fit.
    lower, upper
        Its 95 % posterior interval.
    """
    assumed = assumed_before(parameter, prior).interval(0.95)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.log(upper) - np.log(lower) if parameter.logarithmic else upper - lower
        return found < _DETERMINED * (assumed[1] - assumed[0])


@dataclass(frozen=True, eq=False)
class Parameters:
    """A law with its priors; some of its parameters may be held.

    Parameters
    ----------
    law
        The law.
    prior_of_law
        Priors of rate and exponent, or ``None``.
    held
        Values of parameters that are not estimated, by name.
    order
        Names of those that are estimated, where their order is not that of the law.
    """

    law: KineticLaw
    prior_of_law: Prior | None
    held: tuple[tuple[str, float], ...] = ()
    order: tuple[str, ...] = ()

    @cached_property
    def free(self) -> tuple[LawParameter, ...]:
        """Parameters that are estimated, in the order of the law if no other is asked for."""
        names = dict(self.held)
        found = tuple(p for p in self.law.parameters if p.name not in names)
        return tuple(sorted(found, key=lambda p: self.order.index(p.name))) if self.order else found

    @cached_property
    def places(self) -> tuple[int, ...]:
        """Place in the law of each parameter that is estimated."""
        return tuple(self.law.parameters.index(p) for p in self.free)

    @cached_property
    def is_free(self) -> tuple[bool, ...]:
        """Which parameters of the law are estimated."""
        names = dict(self.held)
        return tuple(p.name not in names for p in self.law.parameters)

    @property
    def informed(self) -> bool:
        """Whether there are priors."""
        return self.prior_of_law is not None

    def complete(self, search: Sequence[Tensor]) -> list[Tensor]:
        """All parameters of the law on their scale of search, from the free ones."""
        free, names = dict(zip(self.places, search, strict=True)), dict(self.held)
        return [
            free[place]
            if place in free
            else parameter.to_search(search[0].new_tensor(names[parameter.name]))
            for place, parameter in enumerate(self.law.parameters)
        ]

    def values(self, search: Sequence[Tensor]) -> Tensor:
        """All parameters of the law, ``(n_parameter, …)``, from the free ones."""
        import torch

        return torch.stack(torch.broadcast_tensors(*self.each_value(search)))

    def each_value(self, search: Sequence[Tensor]) -> list[Tensor]:
        """The same one by one, each of the shape that it has there."""
        # A held value may lie outside the box.
        pairs = zip(self.law.parameters, self.complete(search), strict=True)
        return [parameter.from_search(row) for parameter, row in pairs]

    def prior(
        self, search: Sequence[Tensor], count: Sequence[float] | None = None
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """−2 ln prior, and by parameter half its gradient and half its Gauss–Newton Hessian.

        With `count` the prior of each free parameter is taken that many times.
        """
        import torch

        penalty: Tensor | None = None
        gradient, hessian = [], []
        times = [1.0] * len(search) if count is None else count
        for parameter, row, number in zip(self.free, search, times, strict=True):
            known = known_before(parameter, self.prior_of_law)
            if known is None:
                gradient.append(torch.zeros_like(row))
                hessian.append(torch.zeros_like(row))
                continue
            mean, width = known
            value = search_to_free(parameter, row)
            score = (value - mean).mul_(number**0.5 / width)
            if parameter.direct:
                gradient.append(score * (number**0.5 / width))
                hessian.append(row.new_full((), number / width**2).expand_as(row))
            else:
                slope = value * (number**0.5 / width)
                gradient.append(score * slope)
                hessian.append(slope.square_())
            own = score.square_()
            penalty = own if penalty is None else penalty + own
        return torch.zeros_like(search[0]) if penalty is None else penalty, gradient, hessian

    def log_prior(self, search: Sequence[Tensor]) -> Tensor:
        """Normalised log prior density on the scales of estimation, without regard to the box."""
        penalty: Tensor | float = 0.0
        for parameter, row in zip(self.free, search, strict=True):
            known = known_before(parameter, self.prior_of_law)
            if known is not None:
                mean, width = known
                value = search_to_free(parameter, row)
                penalty = penalty + ((value - mean) * (1 / width)).square()
        return self._log_scale - 0.5 * penalty + search[0].new_zeros(())

    @cached_property
    def _log_scale(self) -> float:
        """Logarithm of what makes the prior integrate to 1 over the box."""
        from scipy import special

        constant = 0.0
        for parameter in self.free:
            low, high = parameter.free_box
            known = known_before(parameter, self.prior_of_law)
            if known is None:
                constant -= math.log(high - low)
                continue
            mean, width = known
            inside = special.ndtr((high - mean) / width) - special.ndtr((low - mean) / width)
            constant -= math.log(width * math.sqrt(2 * math.pi) * max(inside, 1e-300))
        return constant
