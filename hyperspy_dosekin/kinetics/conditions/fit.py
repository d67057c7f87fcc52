# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows of several series fitted together: shape of the law shared, rates by conditions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy import special
from torch import Tensor

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
from hyperspy_dosekin.kinetics.laws.solution import dose_at_level
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.model.parameters import Parameters

from .effects import Design
from .rate_likelihood import RateLikelihood, rate_likelihood
from .regression import Draws, draw_effects
from .shapes import closer, marginals, shape_grid

# Looks at the shape, each where the one before has left mass, until so many nodes of each parameter
# hold it; nodes of the later ones along each of two.
_LOOKS, _ENOUGH, _LEAST, _LAST = 4, 5, 1e-3, 15


def check_law_of_conditions(law: KineticLaw) -> None:
    """Raise if a law has no rate, or knows doses of its own.

    Raises
    ------
    ValueError
        With the remedy.
    """
    first = law.parameters[0]
    if first.name != "rate" or not first.logarithmic or not (law.scales or law.inputs):
        raise ValueError(
            f"the law {law.name!r} cannot be compared between series: its doses do not all scale "
            'with its rate (scales=True). Take a law such as "first order" or "power law".'
        )


def fit_window(
    problems: Sequence[DoseProblem],
    configs: Sequence[ExactConfig],
    design: Design,
    *,
    shared: bool = True,
    number: int = 4000,
    seed: int = 0,
) -> tuple[Draws, np.ndarray]:
    """Fit one window of several series.

    Parameters
    ----------
    problems
        One for each series, ``(1, 1, n_dose)``, with the same dose scale.
    configs
        Options of each, with the law of each, see `KineticLaw.at`.
    design
        Conditions of the series.
    shared
        Whether the shape of the law is the same for all series; each has its own otherwise.
    number, seed
        Of the draws.

    Returns
    -------
    The draws, and the shapes that they point at, ``(n_free − 1, n_shape)``. Where shapes are not
    shared there are none, and −ln D½ takes the place of ln k: rates of laws of different shape
    cannot be compared.
    """
    config = configs[0]

    def likelihoods(shapes: list[np.ndarray]) -> list[RateLikelihood]:
        pairs = zip(problems, configs, strict=True)
        return [rate_likelihood(problem, each, shapes)[0] for problem, each in pairs]

    def drawn(each: list[RateLikelihood], weight: np.ndarray, draws: int) -> Draws:
        return draw_effects(
            each,
            design.matrix,
            design.prior_sd,
            weight,
            spread_known=design.freedom > 0,
            number=draws,
            seed=seed,
        )

    free, prior = config.parameters.free[1:], config.prior
    shapes, weight = shape_grid(free, prior)
    each = likelihoods(shapes)
    if shapes and shared:
        for look in range(_LOOKS):
            mass = drawn(each, weight, 1).shape_mass
            held = [(share > _LEAST).sum() for _, share in marginals(free, shapes, mass)]
            if look and all(number >= _ENOUGH for number in held):
                break
            number_along = _LAST if len(free) == 2 and look else None
            shapes, weight = shape_grid(free, prior, closer(free, shapes, mass), number_along)
            each = likelihoods(shapes)
    elif shapes:
        halves = [log_half_dose(own.parameters, np.array(shapes)) for own in configs]
        pairs = zip(each, halves, strict=True)
        each = [_without_shape(likelihood, weight, half) for likelihood, half in pairs]
        shapes, weight = [], np.zeros(1)
    return drawn(each, weight, number), np.array(shapes).reshape(len(shapes), -1 if shapes else 0)


def _without_shape(
    likelihood: RateLikelihood, weight: np.ndarray, log_half: np.ndarray
) -> RateLikelihood:
    """Integrate over the shape of one series: the likelihood of −ln D½."""
    nodes = likelihood.log_rate - log_half[:, None]
    place = np.linspace(nodes.min(), nodes.max(), 4 * nodes.shape[1])
    rows = [
        # Beyond its nodes a likelihood has fallen to nothing.
        np.interp(place, row, values, left=-1e4, right=-1e4) + log_weight
        for row, values, log_weight in zip(nodes, likelihood.log_likelihood, weight, strict=True)
    ]
    whole = np.asarray(special.logsumexp(np.stack(rows), axis=0))
    return RateLikelihood(place[None], whole[None])


def law_values(parameters: Parameters, shapes: np.ndarray) -> Tensor:
    """All parameters of a law at k = 1, ``(n_parameter, n_shape)``.

    Parameters
    ----------
    parameters
        The law with what is held.
    shapes
        Its other free parameters, ``(n_free − 1, n_shape)``.
    """
    number = shapes.shape[1] if shapes.size else 1
    search = [torch.zeros(number, dtype=torch.float64)]
    for parameter, row in zip(parameters.free[1:], shapes, strict=True):
        search.append(parameter.to_search(torch.as_tensor(row)))
    return parameters.values(search)


def log_half_dose(parameters: Parameters, shapes: np.ndarray, level: float = 0.5) -> np.ndarray:
    """Ln of the normalised dose at which C falls to a level at k = 1, for each shape.

    Parameters
    ----------
    parameters, shapes
        As for `law_values`.
    level
        The level.
    """
    return dose_at_level(parameters.law, law_values(parameters, shapes), level).log().numpy()
