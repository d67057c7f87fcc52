# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the readout of a fit may be: the interval of a·C + b, and whether a is negative.

The interval can be narrow where nothing else is: data say well where their own curve runs, and
still next to nothing about the half-integrity dose.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from hyperspy_dosekin.kinetics.laws.solution import curve

from .nodes import Nodes
from .posterior import KineticPosterior
from .quantities import check_level
from .scan import ScanData

#: Nodes of less probability than this share of the largest do not matter.
_NEGLIGIBLE = 1e-5
#: Newton's steps to an end, and halvings after them of the interval that holds it; an end that
#: moves by less than a share of that interval is found.
_NEWTON, _HALVINGS, _AT_REST = 12, 30, 1e-9
#: An end is near where its tail is right to this share.
_NO_JUMP = 1e-3


def intensity_interval(
    posterior: KineticPosterior, normalised_dose: Sequence[float] | np.ndarray, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Give the interval of a·C + b at some doses, point by point.

    On each node of the posterior the readout is a linear regression, of which mean and
    scale are known (with b flat, a within what its prior allows, and Student's t where the noise is
    marginalised), with the correlation and the bound on the offset that its part of the posterior
    assumes. The ends are quantiles of their mixture over the nodes.

    Parameters
    ----------
    posterior
        Posterior of the parameters, from `kinetic_posterior`.
    normalised_dose
        Doses in units of the dose scale, ``(n_grid,)``, not negative.
    level
        Probability of the interval.

    Returns
    -------
    lower, upper : numpy.ndarray
        ``(n_curve, n_window, n_grid)`` each, in the unit of the data; NaN where there is no
        estimate.

    Raises
    ------
    ValueError
        If the level does not lie between 0 and 1.

    Examples
    --------
    >>> from hyperspy_dosekin.kinetics.posterior.posterior import kinetic_posterior
    >>> from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
    >>> dose = np.linspace(100.0, 900.0, 9)
    >>> noise = np.random.default_rng(0).normal(scale=0.02, size=9)
    >>> truth = 5 + 2 * np.exp(-3 * dose / 900)
    >>> problem = DoseProblem(dose, (truth + noise)[None, None], ("C–O",))
    >>> lower, upper = intensity_interval(kinetic_posterior(problem), dose / 900)
    >>> bool(np.all((lower < truth) & (truth < upper)))
    True
    """
    check_level(level)
    problem = posterior.problem
    shape, unit = problem.values.shape[:2], posterior.unit.reshape(-1)
    grid = torch.as_tensor(np.asarray(normalised_dose, dtype=np.float64))
    ascending, place = torch.unique(grid, return_inverse=True)
    ends = np.full((2, unit.size, grid.numel()), np.nan)
    for index, nodes, parts, column, degree in _curves(posterior):
        with torch.no_grad():
            both = _ends(*_readouts(nodes, parts, column, ascending), degree, level)
        ends[:, index] = unit[index] * both[:, place].cpu().numpy()
    lower, upper = ends.reshape(2, *shape, grid.numel())
    return lower, upper


def probability_of_growth(posterior: KineticPosterior) -> np.ndarray:
    """How likely a is negative, so that the window grows while C falls.

    Parameters
    ----------
    posterior
        Posterior of the parameters, from `kinetic_posterior`.

    Returns
    -------
    numpy.ndarray
        ``(n_curve, n_window)``; NaN where there is no estimate.

    Examples
    --------
    >>> from hyperspy_dosekin.kinetics.posterior.posterior import kinetic_posterior
    >>> from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
    >>> dose = np.linspace(100.0, 900.0, 9)
    >>> noise = np.random.default_rng(0).normal(scale=0.02, size=9)
    >>> decays, noisy = 5 + 2 * np.exp(-3 * dose / 900) + noise, 5 + noise
    >>> problem = DoseProblem(dose, np.stack([decays, noisy])[None], ("C–O", "M–O"))
    >>> found = probability_of_growth(kinetic_posterior(problem))[0]
    >>> bool(found[0] < 0.001), bool(0.01 < found[1] < 0.99)
    (True, True)
    """
    found = np.full(posterior.unit.size, np.nan)
    for index, nodes, parts, column, degree in _curves(posterior):
        negative, whole = 0.0, 0.0
        with torch.no_grad():
            for own, chosen, share in _likely(nodes, parts, column):
                mean, variance = own.amplitude([each[:, None] for each in chosen])
                score = _normal_score(-mean / variance.clamp(min=1e-300).sqrt(), degree)
                negative += float(torch.special.ndtr(score[:, 0]) @ share)
                whole += float(share.sum())
        found[index] = negative / whole
    return found.reshape(posterior.problem.values.shape[:2])


def _curves(
    posterior: KineticPosterior,
) -> Iterator[tuple[int, Nodes, list[ScanData], int, float]]:
    """Every curve: its place, its nodes, their parts, its column there, degrees of freedom."""
    for nodes in posterior.nodes():
        parts = posterior.parts(nodes.index)[0]
        degrees = _degrees(parts[0])
        some = [parts[number] for number in nodes.parts]
        for column, index in enumerate(nodes.index):
            yield int(index), nodes, some, column, float(degrees[column])


def _degrees(data: ScanData) -> np.ndarray:
    """Degrees of freedom of the noise of curves; infinite where it is known."""
    freedom = data.freedom.clamp(min=1).cpu().numpy()
    return np.full_like(freedom, np.inf) if data.noise == "given" else freedom


def _readouts(
    nodes: Nodes, parts: Sequence[ScanData], column: int, dose: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and scale of a·C + b of one curve at its nodes, ``(n_dose, n_node)``, and their weight.

    Parameters
    ----------
    nodes, column
        The nodes, and which of their curves.
    parts
        Likelihoods of the curves, one for each part of the nodes.
    dose
        Normalised doses, ascending, ``(n_dose,)``.
    """
    law = nodes.parameters.law
    means, variances, shares = [], [], []
    for own, chosen, share in _likely(nodes, parts, column):
        found = curve(law, dose.to(share)[:, None], nodes.parameters.complete(chosen))[0]
        mean, variance = own.readout([each[:, None] for each in chosen], found[..., None])
        means.append(mean[..., 0])
        variances.append(variance[..., 0])
        shares.append(share)
    whole = torch.cat(shares)
    return torch.cat(means, 1), torch.cat(variances, 1).sqrt(), whole / whole.sum()


def _likely(
    nodes: Nodes, parts: Sequence[ScanData], column: int
) -> Iterator[tuple[ScanData, list[Tensor], Tensor]]:
    """Of each part: the likelihood of one curve, its nodes that matter and their weight."""
    weight = nodes.weight[..., column]
    for number, data in enumerate(parts):
        share = weight[number].reshape(-1)
        kept = torch.nonzero(share > _NEGLIGIBLE * weight.max())[:, 0]
        if kept.numel() == 0:
            continue
        chosen = [
            each.expand(nodes.weight.shape)[number, ..., column].reshape(-1)[kept]
            for each in nodes.search
        ]
        yield data.select(kept.new_tensor([column])), chosen, share[kept]


def _ends(mean: Tensor, scale: Tensor, weight: Tensor, freedom: float, level: float) -> Tensor:
    """Quantiles of a mixture of distributions t of one freedom, ``(2, n_dose)``.

    Newton's steps, in normal scores: of a single part they would be right at once. What leaves the
    interval that holds an end, or has not come to rest after some, is halved.
    """
    tail = (1 - level) / 2
    goal = float(stats.norm.isf(tail))
    # The lower end is the upper one of the mirrored mixture.
    mean, scale = torch.cat([-mean, mean]), torch.cat([scale, scale]).clamp(min=1e-300)
    # The quantile of a mixture lies between those of its parts.
    single = mean + scale * float(stats.t.isf(tail, freedom))
    low, high = single.amin(1), single.amax(1)
    near = _AT_REST * (high - low)
    centre = mean @ weight
    spread = ((mean - centre[:, None]).square() + scale.square()) @ weight
    end = torch.minimum(torch.maximum(centre + goal * spread.sqrt(), low), high)
    found, rows = torch.full_like(end, math.nan), torch.arange(len(end), device=end.device)
    for step in range(_NEWTON + _HALVINGS):
        score = (mean - end[:, None]) / scale
        normal = _normal_score(score, freedom)
        beyond = torch.special.ndtr(normal) @ weight
        low, high = torch.where(beyond > tail, end, low), torch.where(beyond > tail, high, end)
        moved = 0.5 * (low + high)
        if step < _NEWTON:
            density = (_density(normal) * _slope(score, normal, freedom) / scale) @ weight
            reached = torch.special.ndtri(beyond)
            newton = end + (reached + goal) * _density(reached) / density
            # Where parts without width make the sum jump, a short step is no sign of the end.
            close = ((newton - end).abs() <= near) & ((beyond - tail).abs() < _NO_JUMP * tail)
            moved = torch.where(close | ((low < newton) & (newton < high)), newton, moved)
        found[rows] = moved
        open_ones = (moved - end).abs() > near
        if not open_ones.any():
            break
        rows, mean, scale, end = (each[open_ones] for each in (rows, mean, scale, moved))
        low, high, near = (each[open_ones] for each in (low, high, near))
    lower, upper = found.reshape(2, -1)
    return torch.stack([-lower, upper])


def _density(score: Tensor) -> Tensor:
    """Normal density, without its constant factor."""
    return torch.exp(-0.5 * score.square())


def _normal_score(score: Tensor, freedom: float) -> Tensor:
    """Place in the normal distribution of one in Student's t, within .02 (Wallace, 1959)."""
    if math.isinf(freedom):
        return score
    return (
        score.sign() * _factor(freedom) * (freedom * torch.log1p(score.square() / freedom)).sqrt()
    )


def _slope(score: Tensor, normal: Tensor, freedom: float) -> Tensor:
    """Derivative of `_normal_score`."""
    if math.isinf(freedom):
        return torch.ones_like(score)
    slope = _factor(freedom) ** 2 * score / ((1 + score.square() / freedom) * normal)
    return torch.where(normal == 0, _factor(freedom), slope)


def _factor(freedom: float) -> float:
    return (8 * freedom + 1) / (8 * freedom + 3)
