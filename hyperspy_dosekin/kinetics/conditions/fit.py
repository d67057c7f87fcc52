# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows of several series fitted together: shape of the law shared, rates by conditions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from scipy import special
from torch import Tensor

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
from hyperspy_dosekin.kinetics.laws.parameter import LawParameter
from hyperspy_dosekin.kinetics.laws.prior import DEFAULT_PRIOR, Prior
from hyperspy_dosekin.kinetics.laws.solution import dose_at_level
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.model.parameters import Parameters, assumed_before

from .effects import Design
from .rate_likelihood import RateLikelihood, RateScan
from .regression import Draws, draw_effects
from .shapes import between, closer, followed, marginals, shape_grid

# Looks at the shape, each where the one before has left mass, until so many rows of each parameter
# hold it, and rows along each of so many parameters.
_LOOKS, _ENOUGH, _LEAST = 5, 7, 1e-3
_ROWS = {1: 15, 2: 7, 3: 4}
# Spreads between specimens that these looks take, one of so many.
_EVERY = 4


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
    scans = [
        RateScan.of(problem, replace(each, prior=each.prior or DEFAULT_PRIOR, hierarchy=()))
        for problem, each in zip(problems, configs, strict=True)
    ]

    def likelihoods(shapes: Sequence[np.ndarray]) -> list[RateLikelihood]:
        return [scan.likelihoods(shapes)[0] for scan in scans]

    def drawn(
        each: Sequence[RateLikelihood], weight: np.ndarray, draws: int, every: int = 1
    ) -> Draws:
        return draw_effects(
            each,
            design.matrix,
            design.prior_sd,
            weight,
            spread_known=design.freedom > 0,
            number=draws,
            seed=seed,
            every=every,
        )

    def mass(shapes: Sequence[np.ndarray], weight: np.ndarray) -> np.ndarray:
        return drawn(likelihoods(shapes), weight, 1, _EVERY).shape_mass

    free, prior = configs[0].parameters.free[1:], configs[0].prior
    if free and shared:
        shapes, weight = _common_shapes(likelihoods, mass, free, prior)
        return drawn(likelihoods(shapes), weight, number), np.array(shapes)
    shapes, weight = shape_grid(free, prior)
    each = likelihoods(shapes)
    if shapes:
        halves = [log_half_dose(own.parameters, np.array(shapes)) for own in configs]
        pairs = zip(each, halves, strict=True)
        each = [_without_shape(likelihood, weight, half) for likelihood, half in pairs]
    return drawn(each, np.zeros(1), number), np.empty((0, 0))


def _common_shapes(
    likelihoods: Callable[[Sequence[np.ndarray]], list[RateLikelihood]],
    mass_of: Callable[[Sequence[np.ndarray], np.ndarray], np.ndarray],
    free: Sequence[LawParameter],
    prior: Prior | None,
) -> tuple[list[np.ndarray], np.ndarray]:
    """Shapes where they have their mass, and the logarithms of their prior probabilities.

    Rows of all parameters but the last, and on each row nodes of that about its own peak.
    """
    first, last = free[:-1], free[-1]
    before = assumed_before(last, prior)
    ends = before.ppf([1e-3, 1 - 1e-3])
    rows: list[np.ndarray] = []
    nodes, ranges = np.empty((0, 0)), None

    def shapes_of(nodes: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
        values = [np.repeat(row, nodes.shape[1]) for row in rows]
        values.append(last.from_free(torch.as_tensor(nodes.ravel())).numpy())
        weight = row_weight[:, None] + before.logpdf(nodes)
        return values, (weight + np.log(nodes[:, 1] - nodes[:, 0])[:, None]).ravel()

    def alone(nodes: np.ndarray) -> np.ndarray:
        rates = likelihoods(shapes_of(nodes)[0])
        return np.sum([each.log_integral for each in rates], axis=0).reshape(nodes.shape)

    def together(nodes: np.ndarray) -> np.ndarray:
        return np.log(np.maximum(mass_of(*shapes_of(nodes)), 1e-300)).reshape(nodes.shape)

    for look in range(_LOOKS):
        old = rows
        rows, row_weight = shape_grid(first, prior, ranges, _ROWS.get(len(first)))
        low, high = between(old, nodes, rows, ends)
        if first:
            # Where series agree is sought first without what their conditions say of their rates.
            nodes, _ = followed(alone, low, high)
            low, high = nodes[:, 0], nodes[:, -1]
        nodes, log_mass = followed(together, low, high)
        mass = np.exp(log_mass).sum(axis=1)
        held = [(share > _LEAST).sum() for _, share in marginals(first, rows, mass)]
        if all(number >= _ENOUGH for number in held) and (look or not first):
            break
        ranges = closer(first, rows, mass)
    return shapes_of(nodes)


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
    number = max(shapes.shape[1], 1)
    search = [torch.zeros(number, dtype=torch.float64)]
    for parameter, row in zip(parameters.free[1:], shapes, strict=True):
        search.append(parameter.to_search(torch.as_tensor(row)))
    return parameters.values(search)


def log_half_dose(parameters: Parameters, shapes: np.ndarray) -> np.ndarray:
    """Ln of the normalised dose at which C falls to ½ at k = 1, for each shape.

    Parameters
    ----------
    parameters, shapes
        As for `law_values`.
    """
    return dose_at_level(parameters.law, law_values(parameters, shapes), 0.5).log().numpy()
