# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interval of the fitted intensity a·C + b: where the curve of the fit lies, all unknowns in it.

It can be narrow where nothing else is: data say well where their own curve runs, and still next to
nothing about the half-integrity dose.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy import stats

from hyperspy_dosekin.kinetics.estimate.interval_data import interval_curves
from hyperspy_dosekin.kinetics.laws.solution import curve

from .posterior import KineticPosterior
from .quantities import check_level

#: Nodes of less probability than this share of the largest do not matter.
_NEGLIGIBLE = 1e-5


def intensity_interval(
    posterior: KineticPosterior, normalised_dose: Sequence[float] | np.ndarray, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Give the interval of a·C + b at some doses, point by point.

    On each node of the posterior the readout is a linear regression, of which mean and
    scale are known (with a and b flat, and Student's t where the noise is marginalised). Their
    mixture over nodes is summed up by its mean and scale, with the spread of the means counted
    into the scale, which makes the interval rather too wide than too narrow.

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
    curves = interval_curves(posterior.problem, posterior.config)
    grid = np.asarray(normalised_dose, dtype=np.float64)
    doses = np.concatenate([curves.normalised_dose, grid])
    shape = curves.unit.shape
    ends = np.full((2, curves.unit.size, grid.size), np.nan)
    values = curves.values.reshape(-1, curves.normalised_dose.size)
    root = curves.root_weight
    weights = np.ones_like(values) if root is None else root.reshape(values.shape) ** 2
    shared = None
    if curves.shared is not None:
        shared = curves.shared.reshape(*values.shape, -1)
    freedom = curves.freedom.reshape(-1)
    every = torch.as_tensor(np.unique(doses))
    place = np.searchsorted(every.numpy(), doses)
    for nodes in posterior.nodes():
        wide = [each.expand(nodes.weight.shape) for each in nodes.search]
        for column, curve_index in enumerate(nodes.index):
            share = nodes.weight[..., column].reshape(-1)
            kept = torch.nonzero(share > _NEGLIGIBLE * share.max())[:, 0]
            chosen = [each[..., column].reshape(-1)[kept] for each in wide]
            parameters = nodes.parameters
            with torch.no_grad():
                found = curve(
                    parameters.law, every.to(share)[:, None], parameters.complete(chosen)
                )[0]
            integrity = found.T.cpu().numpy()[:, place]
            share = share[kept].cpu().numpy()
            degrees = np.inf if curves.variance_known else max(float(freedom[curve_index]), 1.0)
            mean, scale = _mixture(
                integrity,
                share / share.sum(),
                values[curve_index],
                _precision(weights[curve_index], None if shared is None else shared[curve_index]),
                offset_known=curves.offset_known,
                degrees=degrees,
            )
            reach = stats.t.ppf((1 + level) / 2, degrees) * scale
            ends[:, curve_index] = mean - reach, mean + reach
    ends = ends * curves.unit.reshape(-1, 1) + curves.centre.reshape(-1, 1)
    lower, upper = ends.reshape(2, *shape, grid.size)
    return lower, upper


def _mixture(
    integrity: np.ndarray,
    share: np.ndarray,
    values: np.ndarray,
    precision: np.ndarray,
    *,
    offset_known: bool,
    degrees: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and scale of a·C + b over nodes, ``(n_grid,)``.

    Parameters
    ----------
    integrity
        C at the measured doses and then on the grid, ``(n_node, n_dose + n_grid)``.
    share
        Probability of the nodes, ``(n_node,)``.
    values
        Of the measured doses, ``(n_dose,)``.
    precision
        Inverse of their covariance, ``(n_dose, n_dose)``; missing ones have none.
    offset_known
        Whether b is known; the values are then free of it.
    degrees
        Degrees of freedom of the noise; infinite where values are in units of a known noise.
    """
    n_dose = values.size
    weights = precision.sum(axis=0)
    total = weights.sum()
    measured, wanted = integrity[:, :n_dose], integrity[:, n_dose:]
    middle = np.zeros((share.size, 1))
    mean_value = 0.0
    if not offset_known:
        middle = (measured @ weights / total)[:, np.newaxis]
        mean_value = float(values @ weights / total)
    column, free_values = measured - middle, values - mean_value
    norm = np.maximum(((column @ precision) * column).sum(axis=1), 1e-300)
    amplitude = column @ (precision @ free_values) / norm
    squares = np.maximum(free_values @ precision @ free_values - amplitude**2 * norm, 0.0)
    noise = np.ones_like(squares) if np.isinf(degrees) else squares / degrees
    curve = mean_value + amplitude[:, np.newaxis] * (wanted - middle)
    spread = (wanted - middle) ** 2 / norm[:, np.newaxis]
    if not offset_known:
        spread = spread + 1 / total
    mean = share @ curve
    variance = share @ (noise[:, np.newaxis] * spread + (curve - mean) ** 2)
    return mean, np.sqrt(variance)


def _precision(weights: np.ndarray, shared: np.ndarray | None) -> np.ndarray:
    """Inverse of the covariance of some frames, up to a factor, ``(n_dose, n_dose)``.

    Parameters
    ----------
    weights
        One over the variance of the noise, ``(n_dose,)``.
    shared
        Errors that frames share, in standard deviations of it, ``(n_dose, n_error)``.
    """
    if shared is None:
        return np.diag(weights)
    root = np.sqrt(weights)
    inner = np.eye(shared.shape[-1]) + shared.T @ shared
    inverse = np.eye(root.size) - shared @ np.linalg.solve(inner, shared.T)
    return root[:, np.newaxis] * inverse * root
