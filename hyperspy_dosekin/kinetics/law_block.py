# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that is said of a block of curves under any kinetic law, in one array.

The twin of `block` for laws other than the power law: estimates (`law_fit`), posterior intervals
(`law_posterior`) and the flag of `identifiability`, with its thresholds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.law_fit import LawFit, fit_law
from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
from hyperspy_dosekin.kinetics.laws.solution import dose_at_level, trajectories
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.model.coupling import LawData, LawModel, law_blocks, law_curves
from hyperspy_dosekin.kinetics.posterior.band import Band
from hyperspy_dosekin.kinetics.posterior.law_intervals import (
    LawQuantity,
    allowed_range,
    posterior_ends,
)
from hyperspy_dosekin.kinetics.posterior.sampling import LawNodes, posterior_nodes
from hyperspy_dosekin.numerics.device import resolve_device

from .block import LEVEL, offset_of, problem_of, with_band
from .identifiability import LARGEST_POSTERIOR_SD, LARGEST_PROFILE_WIDTH

#: Probability of never reaching ½ above which nothing is said of D½.
NEVER = 0.025
_FITTED = ("amplitude", "offset", "residual_sigma", "noise_sigma", "converged", "dead")
_DOSES = ("half_integrity_dose", "critical_dose")


def law_fields(law: KineticLaw) -> tuple[str, ...]:
    """What the rows of a block hold, in their order; doses are normalised."""
    names = [parameter.name for parameter in law.parameters]
    ends = [
        f"{name} {end}" for name in (*names, "half_integrity_dose") for end in ("lower", "upper")
    ]
    flags = ("sd_log_half_dose", "profile_width", "identifiable")
    return (*names, *_FITTED, *_DOSES, *flags, *ends)


def _node_blocks(
    problem: DoseProblem, law: KineticLaw, config: ExactConfig, fit: LawFit, *, with_prior: bool
) -> Iterator[tuple[LawModel, LawData, LawNodes]]:
    """Posterior of all curves that were fitted, block by block."""
    device = resolve_device(config.device)
    curves = law_curves(problem, law, config)
    curves.dead[fit.dead] = True
    model = LawModel.of(law, config, device)
    if not with_prior:
        model = model.without_prior()
    grid = model.grid()
    on_grid = trajectories(law, torch.as_tensor(curves.normalised_dose), model.values(grid))
    mode = np.stack([value.reshape(-1) for value in fit.parameters.values()])
    for index, data in law_blocks(curves, model, device):
        start = model.shares(torch.as_tensor(mode[:, index], device=device))
        yield model, data, posterior_nodes(model, data, index, start, grid, on_grid)


def fit_law_block(
    values: np.ndarray,
    variance: np.ndarray | None,
    offset: np.ndarray | None,
    *,
    dose_e_per_a2: np.ndarray,
    window_names: Sequence[str],
    law: KineticLaw,
    config: ExactConfig,
    with_intervals: bool = True,
    band_dose: Sequence[float] = (),
) -> np.ndarray:
    """Fit a law to a block of curves and say what the data determine.

    Parameters
    ----------
    values, variance, offset, dose_e_per_a2, window_names, config, with_intervals, band_dose
        As for `block.fit_block`.
    law
        The law.

    Returns
    -------
    numpy.ndarray
        Shape ``(…, len(law_fields(law)) + 2·n_band_dose, n_window)``, float64, NaN where there is
        no estimate.
    """
    lead, n_window = values.shape[:-2], values.shape[-2]
    problem, config = _problem(values, variance, offset, dose_e_per_a2, window_names, config)
    fit = fit_law(problem, law, config)
    found = {**fit.parameters, **{name: getattr(fit, name) for name in (*_FITTED, *_DOSES)}}
    band = None
    if with_intervals or len(band_dose):
        curves = law_curves(problem, law, config)
        band = Band(curves, np.asarray(band_dose, dtype=np.float64), LEVEL)
        found |= _summary(problem, law, config, fit, band)
    fields = law_fields(law)
    block = np.full((fit.dead.shape[0], len(fields), n_window), np.nan)
    for position, name in enumerate(fields):
        if name in found:
            block[:, position] = found[name]
    if band is not None and len(band_dose):
        block = with_band(block, band.ends)
    return block.reshape(*lead, -1, n_window)


def _summary(
    problem: DoseProblem, law: KineticLaw, config: ExactConfig, fit: LawFit, band: Band
) -> dict[str, np.ndarray]:
    """Intervals, moments and flags of all curves, each ``(n_curve, n_window)``, and the band."""
    names = [parameter.name for parameter in law.parameters]
    half = LawQuantity("dose_at")
    quantities = {**{name: LawQuantity(name) for name in names}, "half_integrity_dose": half}
    found = {
        name: np.full(fit.dead.size, np.nan)
        for name in law_fields(law)
        if name.endswith((" lower", " upper")) or name in ("sd_log_half_dose", "profile_width")
    }
    open_box = config.prior is None
    for model, _, nodes in _node_blocks(problem, law, config, fit, with_prior=True):
        _add_to_band(band, law, nodes)
        for name, quantity in quantities.items():
            value = quantity.evaluate(law, nodes.values)
            ends = posterior_ends(model, quantity, value, nodes, LEVEL, open_box=open_box)
            low, high = ends[..., 0].cpu().numpy()
            found[f"{name} lower"][nodes.index], found[f"{name} upper"][nodes.index] = low, high
        # The last of them is D½.
        log_dose = value[..., 0].log()
        weight = torch.where(torch.isinf(log_dose), 0.0, nodes.weight)
        mass = weight.sum(1)
        log_dose = torch.where(torch.isinf(log_dose), 0.0, log_dose)
        mean = (weight * log_dose).sum(1) / mass.clamp(min=1e-300)
        spread = (weight * (log_dose - mean[:, None]) ** 2).sum(1) / mass.clamp(min=1e-300)
        spread = torch.where(mass < 1 - NEVER, torch.inf, spread.sqrt())
        found["sd_log_half_dose"][nodes.index] = spread.cpu().numpy()
    with np.errstate(invalid="ignore"):
        narrow = found["sd_log_half_dose"] <= LARGEST_POSTERIOR_SD
    if narrow.any():
        rest = replace(fit, dead=fit.dead | ~narrow.reshape(fit.dead.shape))
        for model, data, nodes in _node_blocks(problem, law, config, rest, with_prior=False):
            ends = allowed_range(model, data, half, nodes, LEVEL)[..., 0].log()
            found["profile_width"][nodes.index] = (ends[1] - ends[0]).cpu().numpy()
    with np.errstate(invalid="ignore"):
        found["identifiable"] = narrow & (found["profile_width"] <= LARGEST_PROFILE_WIDTH)
    return {name: array.reshape(fit.dead.shape) for name, array in found.items()}


def _add_to_band(band: Band, law: KineticLaw, nodes: LawNodes) -> None:
    if not band.n_grid:
        return
    # Trajectories are asked for at ascending doses.
    ascending, places = np.unique(band.doses, return_inverse=True)
    for place, curve in enumerate(nodes.index):
        share = nodes.weight[place].cpu().numpy()
        kept = band.kept(share)
        values = nodes.values[:, place].cpu()[:, torch.as_tensor(kept)]
        integrity = trajectories(law, torch.as_tensor(ascending), values).numpy()
        band.add(int(curve), integrity[:, places], share[kept])


def _problem(
    values: np.ndarray,
    variance: np.ndarray | None,
    offset: np.ndarray | None,
    dose_e_per_a2: np.ndarray,
    window_names: Sequence[str],
    config: ExactConfig,
) -> tuple[DoseProblem, ExactConfig]:
    problem = problem_of(values, variance, dose_e_per_a2, window_names)
    known = offset_of(offset, values.shape[-2])
    return problem, replace(config, offset=known, hierarchy=())


def interval_law_block(
    values: np.ndarray,
    variance: np.ndarray | None,
    offset: np.ndarray | None,
    *,
    dose_e_per_a2: np.ndarray,
    window_names: Sequence[str],
    law: KineticLaw,
    config: ExactConfig,
    quantity: LawQuantity,
    level: float,
    method: str,
) -> np.ndarray:
    """Interval of one quantity of a law for a block of curves.

    Parameters
    ----------
    values, variance, offset, dose_e_per_a2, window_names, law, config
        As for `fit_law_block`.
    quantity
        What the interval is of; doses are in normalised dose.
    level
        Its probability or confidence.
    method
        ``"posterior"``, or ``"profile"`` for the range over the nodes that the data alone allow.

    Returns
    -------
    numpy.ndarray
        Lower and upper ends, ``(…, 2, n_window, n_value)``.
    """
    lead, n_window = values.shape[:-2], values.shape[-2]
    problem, config = _problem(values, variance, offset, dose_e_per_a2, window_names, config)
    fit = fit_law(problem, law, config)
    found = np.full((fit.dead.size, 2, quantity.n_value), np.nan)
    posterior = method == "posterior"
    for model, data, nodes in _node_blocks(problem, law, config, fit, with_prior=posterior):
        if posterior:
            value = quantity.evaluate(law, nodes.values)
            open_box = config.prior is None
            ends = posterior_ends(model, quantity, value, nodes, level, open_box=open_box)
        else:
            ends = allowed_range(model, data, quantity, nodes, level)
        found[nodes.index] = ends.permute(1, 0, 2).cpu().numpy()
    found = found.reshape(-1, n_window, 2, quantity.n_value)
    return np.moveaxis(found, 2, 1).reshape(*lead, 2, n_window, quantity.n_value)


def law_integrity(
    *parameters: np.ndarray, law: KineticLaw, normalised_dose: np.ndarray
) -> np.ndarray:
    """Integrity ``(…, n_dose)`` for parameters ``(…)`` in the order of the law; NaN where NaN."""
    values, good = _finite(parameters)
    integrity = np.full((*good.shape, np.size(normalised_dose)), np.nan)
    doses = torch.as_tensor(np.asarray(normalised_dose, dtype=np.float64))
    integrity[good] = trajectories(law, doses, values).numpy()
    return integrity


def law_dose(*parameters: np.ndarray, law: KineticLaw, level: float) -> np.ndarray:
    """Normalised dose ``(…)`` at which the integrity falls to a level; infinite where never."""
    values, good = _finite(parameters)
    dose = np.full(good.shape, np.nan)
    dose[good] = dose_at_level(law, values, level).numpy()
    return dose


def _finite(parameters: tuple[np.ndarray, ...]) -> tuple[torch.Tensor, np.ndarray]:
    values = np.stack(np.broadcast_arrays(*parameters))
    good = np.asarray(np.isfinite(values).all(axis=0))
    return torch.as_tensor(values[:, good]), good
