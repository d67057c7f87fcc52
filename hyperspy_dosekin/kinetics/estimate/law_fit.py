# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Estimates for any kinetic law of one to three parameters.

What `exact` does for the power law in closed form, from the trajectories of the law alone: the
readout a·C + b is projected out, a grid of trajectories that all curves share gives the starts,
and Levenberg–Marquardt with numerical derivatives goes on from them. It is one to three orders of
magnitude slower than `fit_exact`, most of all where a law has to be integrated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
from hyperspy_dosekin.kinetics.laws.solution import check_law, dose_at_level, trajectories
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.model.coupling import (
    FLOOR,
    LawData,
    LawModel,
    law_blocks,
    law_curves,
)
from hyperspy_dosekin.numerics.batched_minimiser import minimise_batched
from hyperspy_dosekin.numerics.device import resolve_device

# Step of the numerical derivatives, as a share of the box.
_DIFFERENCE = 2e-4
# Starts, and how far they lie apart, as a share of the box: extinction makes valleys beside others.
_STARTS, _APART = 4, 0.08
_FLAT = 1e-9
# Squares below this share of the signal are a perfect fit: no step can promise anything there.
_PERFECT = 1e-11


@dataclass(frozen=True, eq=False)
class LawObjective:
    """Deviance of curves with priors, an objective of `minimise_batched` in shares of the box."""

    model: LawModel
    data: LawData

    def select(self, index: Tensor) -> LawObjective:
        """Select some of the curves."""
        return LawObjective(self.model, self.data.select(index))

    def evaluate(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Deviance, half its gradient and half its Gauss–Newton Hessian."""
        model, data, share = self.model, self.data, parameters
        count = share.shape[0]
        nodes = share[:, None].repeat(1, 2 * count + 1, 1)
        places = torch.arange(count)
        nodes[places, 1 + 2 * places] = (share + _DIFFERENCE).clamp(max=1.0)
        nodes[places, 2 + 2 * places] = (share - _DIFFERENCE).clamp(min=0.0)
        integrity = trajectories(model.law, data.dose, model.values(nodes))
        steps = (nodes[places, 1 + 2 * places] - nodes[places, 2 + 2 * places])[..., None]
        slopes = (integrity[1::2] - integrity[2::2]) / steps
        column = self._project(integrity[0])
        slopes = self._project(slopes)
        norm = (column * column).sum(-1).clamp(min=1e-30)
        amplitude = (column * data.values).sum(-1) / norm
        residual = data.values - amplitude[:, None] * column
        total = data.total
        squares = torch.maximum((residual * residual).sum(-1), FLOOR * total)
        gradient = -amplitude * (slopes * residual).sum(-1)
        slopes = slopes - column * ((slopes * column).sum(-1) / norm)[..., None]
        hessian = amplitude**2 * torch.einsum("pnd,qnd->pqn", slopes, slopes)
        if not data.variance_known:
            factor = data.freedom.clamp(min=1) / squares
            gradient, hessian = gradient * factor, hessian * factor
        precision = model.prior_precision[:, None]
        gradient = gradient + precision * (share - model.prior_mean[:, None])
        # Where a curve is flat in the parameters a step must still be defined.
        hessian[places, places] += precision + _FLAT
        return data.fit_deviance(squares) + model.prior_squares(share), gradient, hessian

    def _project(self, columns: Tensor) -> Tensor:
        """Weigh ``(…, n, n_dose)``, and take off the part that a free offset explains."""
        weight = self.data.weight
        if self.data.offset_free:
            mean = (columns * weight).sum(-1, keepdim=True) / weight.sum(-1, keepdim=True)
            columns = columns - mean
        return columns * weight.sqrt()


def best_shares(
    model: LawModel, data: LawData, grid: Tensor, on_grid: Tensor, iterations: int
) -> tuple[Tensor, Tensor]:
    """Mode of each curve in shares of the box, and whether it converged.

    Parameters
    ----------
    model, data
        What is fitted to what.
    grid, on_grid
        Nodes ``(n_parameter, n_node)`` and the trajectories there, which all curves share.
    iterations
        Steps at most.

    Returns
    -------
    ``(n_parameter, n)`` and ``(n,)``.
    """
    squares = data.squares_and_norm(on_grid)[0]
    deviance = data.fit_deviance(squares) + model.prior_squares(grid)
    starts = []
    for _ in range(_STARTS):
        start = grid[:, deviance.argmin(1)]
        starts.append(start)
        near = ((grid[:, None] - start[..., None]).abs() < _APART).all(0)
        deviance = torch.where(near, torch.inf, deviance)
    n = deviance.shape[0]
    minimum = minimise_batched(
        LawObjective(model, data.select(torch.arange(n, device=grid.device).repeat(_STARTS))),
        torch.cat(starts, dim=1),
        torch.zeros_like(model.lower),
        torch.ones_like(model.lower),
        largest_step=torch.full_like(model.lower, 0.2),
        tolerance=1e-7,
        max_iterations=iterations,
    )
    best = minimum.objective.reshape(_STARTS, n).argmin(0)
    chosen = torch.arange(n, device=grid.device) + n * best
    share = minimum.parameters[:, chosen]
    integrity = trajectories(model.law, data.dose, model.values(share))
    perfect = data.squares_and_norm(integrity[:, None])[0][:, 0] <= _PERFECT * data.total
    return share, minimum.converged[chosen] | perfect


def check_options(law: KineticLaw, config: ExactConfig) -> None:
    """Raise for options that only the estimator of the power law has."""
    for name, value in (("exponent", config.exponent), ("loss", config.loss)):
        if value is not None:
            raise ValueError(
                f"{name}={value!r} is an option of the power law, not of the kinetic law "
                f"{law.name!r}; leave it out"
                + (", or write the known exponent into a law." if name == "exponent" else ".")
            )


@dataclass(frozen=True, eq=False)
class LawFit:
    """Estimates of a law, each ``(n_curve, n_window)`` and NaN where no estimate is possible.

    Parameters
    ----------
    law
        The law.
    parameters
        The parameters of the law by name; rates are per normalised dose.
    half_integrity_dose, critical_dose
        Normalised doses at which C is ½ and 1/e; infinite where it never falls so far.
    amplitude, offset, residual_sigma, noise_sigma, converged, dead
        As for `exact.ExactFit`.
    """

    law: KineticLaw
    parameters: dict[str, np.ndarray]
    half_integrity_dose: np.ndarray
    critical_dose: np.ndarray
    amplitude: np.ndarray
    offset: np.ndarray
    residual_sigma: np.ndarray
    noise_sigma: np.ndarray
    converged: np.ndarray
    dead: np.ndarray


def fit_law(problem: DoseProblem, law: KineticLaw, config: ExactConfig | None = None) -> LawFit:
    """Fit any law with a linear readout to every curve and window.

    Parameters
    ----------
    problem
        The data.
    law
        The law, of one to three parameters.
    config
        Options of `fit_exact`; prior, offset, noise, device and max_iterations are used, and the
        calculation is in float64. Windows are fitted by themselves.

    Returns
    -------
    The posterior modes, as `fit_exact` gives them for the power law.

    Raises
    ------
    ValueError
        If the law returns NaN or lets the integrity grow, has too many parameters, or an option
        does not fit.

    Notes
    -----
    This is slow: about ten milliseconds a curve.

    Examples
    --------
    >>> import numpy as np
    >>> from hyperspy_dosekin.kinetics.laws.closed_forms import FirstOrder
    >>> dose = np.linspace(100.0, 900.0, 9)
    >>> values = 5 + 2 * np.exp(-3 * dose / 900)
    >>> fit = fit_law(DoseProblem(dose, values[None, None], ("C–O",)), FirstOrder())
    >>> round(fit.parameters["rate"].item(), 3), round(fit.offset.item(), 3)
    (3.0, 5.0)
    """
    config = config or ExactConfig()
    check_options(law, config)
    curves = law_curves(problem, law, config)
    device = resolve_device(config.device)
    check_law(law, torch.as_tensor(curves.normalised_dose))
    model = LawModel.of(law, config, device)
    grid = model.grid()
    on_grid = trajectories(law, torch.as_tensor(curves.normalised_dose), model.values(grid))
    rows = np.full((len(law.parameters) + 7, curves.dead.size), np.nan)
    for index, data in law_blocks(curves, model, device):
        share, converged = best_shares(model, data, grid, on_grid, config.max_iterations)
        values = model.values(share)
        found = [*values, *(dose_at_level(law, values, level) for level in (0.5, np.exp(-1)))]
        found += [*_readout(model, data, share, values), converged.to(values)]
        rows[:, index] = torch.stack(found).cpu().numpy()
    *parameters, half, critical, amplitude, centre, noise, left, converged = rows.reshape(
        -1, *curves.dead.shape
    )
    noise_sigma = noise * curves.unit / np.sqrt(np.maximum(curves.mean_weight, 1e-300))
    with np.errstate(invalid="ignore"):
        residual_sigma = np.where(left > 0, noise_sigma * np.sqrt(left), np.nan)
    offset = curves.centre if curves.offset_known else curves.centre + curves.unit * centre
    names = [parameter.name for parameter in law.parameters]
    return LawFit(
        law=law,
        parameters=dict(zip(names, parameters, strict=True)),
        half_integrity_dose=half,
        critical_dose=critical,
        amplitude=amplitude * curves.unit,
        offset=np.where(curves.dead, np.nan, offset),
        residual_sigma=residual_sigma,
        noise_sigma=noise_sigma,
        converged=converged == 1,
        dead=curves.dead,
    )


def _readout(model: LawModel, data: LawData, share: Tensor, values: Tensor) -> list[Tensor]:
    """Amplitude, offset, noise and (variance of the residuals)/noise², in units of the data."""
    integrity = trajectories(model.law, data.dose, values)
    weight = data.weight
    mean = torch.zeros_like(integrity[:, :1])
    if data.offset_free:
        mean = (weight * integrity).sum(1, keepdim=True) / weight.sum(1, keepdim=True)
    column = weight.sqrt() * (integrity - mean)
    amplitude = (column * data.values).sum(1) / (column * column).sum(1).clamp(min=1e-300)
    squares = (data.values - amplitude[:, None] * column).square().sum(1)
    hessian = LawObjective(model, data).evaluate(share)[2].permute(2, 0, 1)
    # tr(H_data (H_data + H_prior)^-1): the parameters that the data determine.
    tiny = 1e-9 * torch.eye(hessian.shape[1]).to(hessian)
    prior = torch.diag(model.prior_precision)
    effective = torch.linalg.solve(hessian + tiny, hessian - prior)
    effective = effective.diagonal(dim1=1, dim2=2).sum(1).clamp(0.0, hessian.shape[1])
    left = data.freedom - effective
    freedom = data.freedom.clamp(min=1)
    noise = torch.ones_like(squares) if data.variance_known else (squares / freedom).sqrt()
    share_left = (squares if data.variance_known else freedom) / left.clamp(min=0.5)
    # Less than half a frame left over cannot carry an estimate of the noise.
    share_left = torch.where(left > 0.5, share_left, 0.0)
    return [amplitude, -amplitude * mean[:, 0], noise, share_left]
