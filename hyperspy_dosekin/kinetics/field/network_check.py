# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trajectories of the networks of a map, and how far they are from the exact field."""

from __future__ import annotations

import numpy as np
import torch

from hyperspy_dosekin.kinetics.network.network_fit import continued, crossing_of

from .curves import SharedCurves
from .fields import Mode, log_posterior
from .network import NetworkCurves, law_residual, trajectory
from .sites import likelihood_of
from .training import FieldTask

# Doses between zero and the largest one at which trajectories are compared and crossings sought.
_GRID = 201
# Doses at which the law is examined.
_RESIDUALS = 51
# Pixels whose trajectories are computed at once.
_PIECE = 4096


def _pieces(number: int) -> list[slice]:
    return [slice(begin, begin + _PIECE) for begin in range(0, number, _PIECE)]


def member_integrity(
    curves: NetworkCurves,
    free: torch.Tensor,
    rate: np.ndarray,
    exponent: np.ndarray,
    dose: np.ndarray,
) -> np.ndarray:
    """Integrity of one member at doses in units of the dose scale, ``(n, n_dose)``.

    Within the measured range the network answers, beyond it the law goes on from there.

    Parameters
    ----------
    curves
        The pixels with the trajectories of the member.
    free
        Kinetic parameters on their scale of estimation, ``(d, n)``.
    rate, exponent
        The same on their own scale, ``(n,)``.
    dose
        The doses, ``(n_dose,)``.
    """
    reach = float(curves.dose[-1])
    inner = torch.as_tensor(np.append(np.minimum(dose, reach), reach))
    found = []
    with torch.no_grad():
        for part in _pieces(free.shape[1]):
            found.append(curves.integrity(free[:, part], inner).numpy().T)
    inside = np.concatenate(found) if found else np.empty((0, inner.numel()))
    beyond = continued(inside[:, -1:], reach * rate[:, None], exponent[:, None], dose / reach)
    return np.where(dose <= reach, inside[:, :-1], beyond)


def member_crossing(
    curves: NetworkCurves, free: torch.Tensor, level: float, rate: np.ndarray, exponent: np.ndarray
) -> np.ndarray:
    """Dose at which integrity falls to a level, in units of the dose scale, ``(n,)``."""
    reach, grid = float(curves.dose[-1]), np.linspace(0.0, 1.0, _GRID)
    inside = member_integrity(curves, free, rate, exponent, grid * reach)
    return reach * crossing_of(grid, inside, level, reach * rate, exponent)


def squared_residual(
    curves: NetworkCurves, free: torch.Tensor, normalised_dose: np.ndarray
) -> np.ndarray:
    """Square of dC/dφ + k C^p of one member, ``(n, n_dose)``, φ the dose over the largest one."""
    assert curves.network is not None
    assert curves.shared is not None
    reach, number = float(curves.dose[-1]), len(normalised_dose)
    dose, found = torch.as_tensor(normalised_dose * reach), []
    for part in _pieces(len(free)):
        points = free[part].repeat_interleave(number, 0)[None]
        at = dose.repeat(len(free[part]))[None]
        with torch.no_grad():
            value, slope = trajectory(curves.network, curves, curves.shared, at, points, 0)
            residual = law_residual(curves, points, value, slope, reach)
        found.append(residual.square().reshape(-1, number).numpy())
    return np.concatenate(found)


def judge(
    task: FieldTask,
    trained: list[NetworkCurves],
    modes: list[Mode],
    exact: Mode,
) -> dict[str, float]:
    """How far the networks are from the most probable fields under the law itself."""
    curves, shared = task.curves, task.shared
    reach, grid = float(curves.dose[-1]), np.linspace(0.0, 1.0, _GRID)
    frames = (curves.weight > 0).sum(0).to(shared.sigma)
    # The likelihood without what the noise takes from it is never negative.
    noise = float((frames * shared.sigma.log()).sum())

    def misfit(of: SharedCurves, mode: Mode) -> float:
        near = likelihood_of(of, shared, mode.field)
        roots = task.bonds.roots(mode.lengths, mode.weight)
        return -log_posterior(near, roots, mode.field) - noise

    best = misfit(curves, exact)
    loss, squares, mean = [], [], np.zeros((curves.number, _GRID))
    # Between the doses of the grid, as no step of the training has them.
    between = (np.arange(_RESIDUALS) + 0.5) / _RESIDUALS
    for each, mode in zip(trained, modes, strict=True):
        free = task.free(torch.as_tensor(mode.field))
        squares.append(float(squared_residual(each, free, between).mean()))
        law = 0.5 * task.config.loss_weights["ode"] * squares[-1] * float(frames.sum())
        loss.append(misfit(each, mode) + law)
        rate, exponent = curves.parameters.values(curves.search(free.T))
        numbers = (rate.numpy(), exponent.expand_as(rate).numpy())
        mean += member_integrity(each, free.T, *numbers, grid * reach) / len(trained)
    free = task.free(torch.as_tensor(exact.field)).T
    with torch.no_grad():
        expected = curves.integrity(free, torch.as_tensor(grid * reach)).numpy().T
    return {
        "loss_ratio": float(np.mean(loss) / max(best, 1e-12)),
        "residual_rms": float(np.sqrt(np.mean(squares))),
        "max_deviation": float(np.abs(mean - expected).max(initial=0.0)),
    }
