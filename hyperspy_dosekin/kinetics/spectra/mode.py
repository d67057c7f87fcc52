# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the likelihood and the posterior of the components of a series of spectra are largest."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.laws.solution import dose_at_level
from hyperspy_dosekin.numerics.batched_minimiser import minimise_batched

from .scan import ComponentParameters, SpectraScan

# Templates along each parameter of a component, and starts that are followed.
_TEMPLATES, _STARTS = {1: (60,), 2: (24, 7), 3: (12, 5, 5)}, 12
# Templates of a component that are combined with others.
_COMBINED = 24
_ITERATIONS, _TOLERANCE = 60, 1e-6


@dataclass(frozen=True, eq=False)
class WithPriors:
    """Deviance with priors, an objective of `minimise_batched`."""

    scan: SpectraScan

    def select(self, index: Tensor) -> WithPriors:
        """Itself: all starts are of the same series."""
        return self

    def evaluate(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Deviance, half its gradient and half its Hessian."""
        return self.scan.evaluate(list(parameters), [True] * len(parameters))


class WithoutPriors(WithPriors):
    """Deviance without priors."""

    def evaluate(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The same without priors."""
        value, gradient, hessian = super().evaluate(parameters)
        penalty, score, precision = self.scan.parameters.prior(list(parameters))
        for place in range(len(parameters)):
            hessian[place, place] -= precision[place]
        return value - penalty, gradient - torch.stack(score), hessian


def minimum(
    objective: WithPriors, start: Tensor, parameters: ComponentParameters
) -> tuple[Tensor, Tensor]:
    """Where objectives are least, from some starts ``(n_free, n)``, and what they are there."""
    lower, upper = start.new_tensor([p.search_box for p in parameters.free]).T
    found = minimise_batched(
        objective,
        start,
        lower,
        upper,
        largest_step=torch.minimum(0.3 * (upper - lower), torch.ones_like(lower)),
        tolerance=_TOLERANCE,
        max_iterations=_ITERATIONS,
    )
    return found.parameters, found.objective


def _grid(parameters: ComponentParameters) -> Tensor:
    """Templates of one component on the scale of search, ``(n_free, n_template)``."""
    free = parameters.each.free
    axes = []
    for parameter, number in zip(free, _TEMPLATES[len(free)], strict=True):
        low, high = parameter.search_box
        axes.append(torch.linspace(low, high, number + 2, dtype=torch.float64)[1:-1])
    return torch.stack([axis.reshape(-1) for axis in torch.meshgrid(*axes, indexing="ij")])


def mode_of(scan: SpectraScan) -> Tensor:
    """Mode of the posterior, the fastest component first, ``(n_free, 1)``."""
    parameters = scan.parameters
    grid = _grid(parameters)
    number = parameters.number
    starts = grid
    if number > 1:
        # Rates are combined with each other, at a middle of the shapes.
        rate = parameters.each.free[0]
        low, high = rate.search_box
        row = torch.linspace(low, high, _COMBINED if number == 2 else 12, dtype=torch.float64)
        middle = [
            p.to_search(row.new_tensor(p.start)).expand_as(row) for p in parameters.each.free[1:]
        ]
        few = torch.stack([row, *middle])
        places = list(combinations(range(row.numel()), number))
        chosen = torch.as_tensor(places)
        starts = few[:, chosen].permute(2, 0, 1).reshape(-1, len(places))
    density = scan.log_density(list(starts))[0]
    best = density.argsort(descending=True)[: 40 if number > 1 else _STARTS]
    found, objective = minimum(WithPriors(scan), starts[:, best], parameters)
    if scan.bound is not None:
        objective = -scan.log_density(list(found))[0]
    return _fastest_first(found[:, objective.argmin()][:, None], parameters)


def _fastest_first(search: Tensor, parameters: ComponentParameters) -> Tensor:
    if parameters.number == 1:
        return search
    parts = parameters.split(list(search))
    half = torch.stack(
        [dose_at_level(parameters.each.law, parameters.each.values(part), 0.5) for part in parts]
    )
    order = half[:, 0].argsort()
    return torch.cat([torch.stack(parts[int(place)]) for place in order])
