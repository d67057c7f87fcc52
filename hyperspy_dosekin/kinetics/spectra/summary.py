# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the posterior of a series of spectra says: of rates and doses, and of the spectra."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.identifiability import (
    LARGEST_SHARE_OF_PRIOR,
    LEAST_NEAR,
    spread_before,
)
from hyperspy_dosekin.kinetics.laws.solution import curve, dose_at_level
from hyperspy_dosekin.kinetics.posterior.ends import half_dose_moments, quantity_ends
from hyperspy_dosekin.kinetics.posterior.nodes import Nodes
from hyperspy_dosekin.kinetics.posterior.quantities import Quantity, check_level

from .fit import SpectraFit

# Draws of the posterior that bands of spectra stand on.
_DRAWS = 600
#: Effective nodes below which draws say little.
FEW_NODES = 30.0


@dataclass(frozen=True, eq=False)
class ComponentSummary:
    """What is known of the half-integrity doses, ``(n_component,)`` each.

    Parameters
    ----------
    sd_log_half_dose, near_estimate
        As in `PosteriorSummary`.
    identifiable
        Whether the data determine it.
    """

    sd_log_half_dose: np.ndarray
    near_estimate: np.ndarray
    identifiable: np.ndarray


def component_nodes(fit: SpectraFit) -> list[Nodes]:
    """The posterior of each component, the fastest first at every node."""
    nodes, parameters = fit.nodes, fit.parameters
    if parameters.number == 1:
        return [replace(nodes, parameters=parameters.each)]
    with torch.no_grad():
        parts = torch.stack([torch.stack(list(part)) for part in parameters.split(nodes.search)])
        law = parameters.each.law
        half = torch.stack(
            [dose_at_level(law, parameters.each.values(list(part)), 0.5) for part in parts]
        )
        order = half.argsort(dim=0)[:, None].expand(parts.shape)
        parts = parts.gather(0, order)
    return [
        replace(nodes, parameters=parameters.each, search=tuple(part.unbind(0))) for part in parts
    ]


def component_estimates(fit: SpectraFit) -> list[list[Tensor]]:
    """Free parameters of the estimate on their scale of search, by component."""
    return fit.parameters.split(list(fit.search))


def component_values(fit: SpectraFit) -> dict[str, np.ndarray]:
    """The parameters of the law by name, ``(n_component,)`` each."""
    each = fit.parameters.each
    rows = torch.stack([each.values(part)[:, 0] for part in component_estimates(fit)], 1)
    names = [parameter.name for parameter in each.law.parameters]
    return dict(zip(names, rows.numpy(), strict=True))


def half_doses(fit: SpectraFit, level: float = 0.5) -> np.ndarray:
    """Normalised dose at which each integrity first falls to a level; inf where never."""
    each = fit.parameters.each
    found = [dose_at_level(each.law, each.values(p), level)[0] for p in component_estimates(fit)]
    return torch.stack(found).numpy()


def integrities(fit: SpectraFit, normalised_dose: np.ndarray) -> np.ndarray:
    """C of the estimate, ``(n_component, n_dose)``."""
    each, dose = fit.parameters.each, torch.as_tensor(normalised_dose, dtype=torch.float64)
    with torch.no_grad():
        found = [
            curve(each.law, dose[:, None], each.complete(part))[0].expand(dose.numel(), 1)[:, 0]
            for part in component_estimates(fit)
        ]
    return torch.stack(found).numpy()


def summary(fit: SpectraFit, dose_scale_error: float = 0.0) -> ComponentSummary:
    """What is known of the half-integrity doses.

    Parameters
    ----------
    dose_scale_error
        Relative standard deviation of all doses.
    """
    half, each = Quantity("half_integrity_dose"), fit.parameters.each
    rows = []
    for nodes, at in zip(component_nodes(fit), component_estimates(fit), strict=True):
        value, centre = half.evaluate(each, nodes.search), half.evaluate(each, at)
        rows.append(half_dose_moments(value, nodes, centre, dose_scale_error)[:, 0])
    _, spread, near, _ = torch.stack(rows, 1).numpy()
    informed = spread <= LARGEST_SHARE_OF_PRIOR * spread_before(each)
    sampled = nodes_are_enough(fit)
    return ComponentSummary(spread, near, informed & (near >= LEAST_NEAR) & sampled)


def nodes_are_enough(fit: SpectraFit) -> bool:
    """Whether the posterior stands on enough nodes for intervals to be believed."""
    return fit.nodes.ordered or fit.effective >= FEW_NODES


def component_interval(
    fit: SpectraFit, quantity: Quantity, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Central interval of a quantity of each component.

    Parameters
    ----------
    level
        Its probability.

    Returns
    -------
    (lower, upper), each ``(n_component,)`` or ``(n_component, n_dose)`` of an integrity.

    Examples
    --------
    >>> from hyperspy_dosekin.kinetics.spectra.fit import fit_spectra
    >>> from hyperspy_dosekin.kinetics.spectra.problem import SpectraProblem
    >>> random = np.random.default_rng(0)
    >>> dose, energy = np.linspace(100, 900, 9), np.linspace(-3, 3, 300)
    >>> decay = np.exp(-3 * dose / 900)[:, None]
    >>> values = 1 + decay * np.exp(-energy**2) + 0.02 * random.normal(size=(9, 300))
    >>> fit = fit_spectra(SpectraProblem(dose, values))
    >>> lower, upper = component_interval(fit, Quantity("rate"))
    >>> bool(lower[0] < 3 < upper[0])
    True
    """
    check_level(level)
    found = []
    for nodes, at in zip(component_nodes(fit), component_estimates(fit), strict=True):
        tails = nodes.weight.new_tensor([(1 - level) / 2, (1 + level) / 2])
        with torch.no_grad():
            values, estimates = (
                quantity.evaluate_all(nodes.parameters, search) for search in (nodes.search, at)
            )
            each = [
                quantity_ends(nodes, quantity, tails, *pair)[:, 0]
                for pair in zip(values, estimates, strict=True)
            ]
        found.append(torch.stack(each, 1).numpy())
    ends = np.stack(found, 1)
    if quantity.name != "integrity":
        ends = ends[..., 0]
    return ends[0], ends[1]


def spectra_of(
    fit: SpectraFit, integrity: np.ndarray, factor: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Spectra that go best with some integrities, and how they follow from the data.

    Parameters
    ----------
    integrity
        C at the measured doses, ``(…, n_component, n_frame)``.
    factor
        How much brighter each frame is than it should be, ``(…, n_frame)``; the best by default.

    Returns
    -------
    spectra : numpy.ndarray
        ``(…, n_component + 1, n_channel)``, the residue last (0 where it is known).
    weights : numpy.ndarray
        What they are of the data, ``(…, n_component + 1, n_frame)``.
    """
    root = 1 / fit.spectra.frame_sd
    level = (root * (fit.frame_factors if factor is None else factor))[..., None]
    columns = np.moveaxis(integrity, -2, -1) * level
    if fit.config.residue:
        constant = np.broadcast_to(level, (*columns.shape[:-1], 1))
        # C − 1: more exact for small rates; the constant is then the spectrum of the beginning.
        columns = np.concatenate([columns - constant, constant], -1)
    weights = np.linalg.pinv(columns, rcond=1e-9) * root
    if fit.config.residue:
        weights[..., -1, :] -= weights[..., :-1, :].sum(-2)
    else:
        weights = np.concatenate([weights, np.zeros_like(weights[..., :1, :])], -2)
    return weights @ fit.problem.values, weights


def spectra_interval(fit: SpectraFit, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Central intervals of the spectra, channel by channel: of the kinetics and of the noise.

    Parameters
    ----------
    level
        Probability.

    Returns
    -------
    (lower, upper), each ``(n_component + 1, n_channel)``, the residue last.
    """
    check_level(level)
    spectra, weights = spectra_of(fit, drawn_integrities(fit), _drawn_factors(fit))
    # One draw of the noise for each of the kinetics, the same quantiles in every channel.
    shift = np.random.default_rng(0).normal(size=(_DRAWS, spectra.shape[1], 1))
    spectra += shift * np.sqrt(weights**2 @ fit.spectra.variance)
    lower, upper = np.quantile(spectra, [(1 - level) / 2, (1 + level) / 2], axis=0)
    if fit.config.nonnegative:
        lower[-1], upper[-1] = np.maximum(lower[-1], 0.0), np.maximum(upper[-1], 0.0)
    return lower, upper


def drawn_integrities(fit: SpectraFit) -> np.ndarray:
    """Integrities at the measured doses, draws of the posterior, ``(n, n_component, n_frame)``."""
    nodes = component_nodes(fit)
    weight = nodes[0].weight
    place = (torch.arange(_DRAWS, dtype=torch.float64) + 0.5) / _DRAWS
    cumulated = weight.reshape(-1).cumsum(0)
    chosen = torch.searchsorted(cumulated / cumulated[-1], place).clamp(max=weight.numel() - 1)
    dose = fit.scan.dose[:, None]
    found = []
    with torch.no_grad():
        for each in nodes:
            rows = [row.expand(each.weight.shape).reshape(-1)[chosen] for row in each.search]
            parameters = each.parameters
            column = curve(parameters.law, dose, parameters.complete(rows))[0]
            found.append(column.expand(dose.numel(), _DRAWS))
    return torch.stack(found).movedim(-1, 0).numpy()


def _drawn_factors(fit: SpectraFit) -> np.ndarray | None:
    """Draws of what the errors of frames have made of a 1, ``(n, n_frame)``."""
    scan = fit.scan
    if scan.errors is None or scan.centre is None:
        return None
    centre, covariance = scan.error_moments(list(fit.search))
    random = np.random.default_rng(1).normal(size=(_DRAWS, centre.numel()))
    drawn = centre.numpy() + random @ np.linalg.cholesky(covariance.numpy()).T
    return 1 + drawn @ scan.errors.numpy().T
