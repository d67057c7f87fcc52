# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How `fit_exact` gets through very many curves: chunks first, then the stragglers together.

Most curves need five steps. Those that need more would make every chunk run on nearly empty, so
they are collected and finished in one batch, where also the second starts are tried.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.curves.preparation import PreparedCurves
from hyperspy_dosekin.kinetics.laws.prior import EXPONENT_BOX
from hyperspy_dosekin.kinetics.model.objective import Deviance, Layout
from hyperspy_dosekin.numerics.batched_minimiser import Minimum, minimise_batched
from hyperspy_dosekin.numerics.batching import send
from hyperspy_dosekin.numerics.device import resolve_device

from .robust import robust_weights
from .start import Dictionary

if TYPE_CHECKING:
    from hyperspy_dosekin.kinetics.model.config import ExactConfig

# Steps of the first pass over a chunk; nine curves of ten need no more.
_FIRST_PASS = 8
# Convergence: promised decrease of the deviance, far below what is visible in it (1).
_TOLERANCE = {torch.float64: 1e-7, torch.float32: 1e-4}
# Squares below this share of the signal are a perfect fit: no step can promise anything there.
_PERFECT = {torch.float64: 1e-14, torch.float32: 1e-11}
# A second start is tried where the rest is more than this share of the signal …
_NOISY = 1e-3
# … and the other kind of decay was behind by less than this in deviance at the start.
_RIVAL_WITHIN = 0.5
# Small exponents that are tried with extinction on a frame, where the deviance has a kink.
_KINK_EXPONENTS = 16


@dataclass(frozen=True, eq=False)
class FoundCurves:
    """Minimum of every curve, arrays ``(n_curve, n_window)`` in the units of `PreparedCurves`.

    `squares` are those of weighed residuals in units of `noise` where that is known or robust.
    """

    log_rate: np.ndarray
    exponent: np.ndarray
    squares: np.ndarray
    effective_parameters: np.ndarray
    objective: np.ndarray
    converged: np.ndarray
    noise: np.ndarray
    root_weight: np.ndarray | None


def build_deviance(
    curves: PreparedCurves,
    layout: Layout,
    part: slice,
    dtype: torch.dtype,
    device: torch.device,
    root_weight: np.ndarray | None,
    *,
    variance_known: bool,
) -> Deviance:
    """Deviance of some curves; single windows become curves of their own where not coupled."""

    def arranged(array: np.ndarray) -> Tensor:
        block = send(array[part].reshape(-1, layout.n_window, *array.shape[2:]), device)
        block = block.movedim(0, -1)
        return (block.transpose(0, 1) if array.ndim == 3 else block).contiguous()

    root = None if root_weight is None else arranged(root_weight)
    alive = ~curves.dead[part]
    double = Deviance(
        layout,
        send(curves.normalised_dose, device)[:, None, None],
        arranged(curves.values),
        root,
        None,
    )
    # Known offsets and complete curves are free of the mean already.
    values = double.values if root is None else double.project(double.values)
    return Deviance(
        layout,
        double.dose.to(dtype),
        values.to(dtype),
        None if root is None else root.to(dtype),
        None if variance_known else arranged(curves.freedom).clamp(min=1).to(dtype),
        None if alive.all() else arranged(~curves.dead).to(dtype),
    )


def _minimise(objective: Deviance, start: Tensor, steps: int) -> Minimum:
    dtype = objective.values.dtype
    lower, upper, largest = objective.layout.box(dtype, objective.values.device)
    return minimise_batched(
        objective,
        start,
        lower,
        upper,
        largest_step=largest,
        tolerance=_TOLERANCE[dtype],
        max_iterations=steps,
    )


def _rows(layout: Layout, start: Tensor) -> Tensor:
    """Rows of the parameters from ln k and ln p of each window, ``(2, n_window, n_curve)``."""
    if layout.exponent == "free":
        return start.reshape(-1, start.shape[-1])
    if layout.exponent == "shared":
        return torch.cat([start[0], start[1].median(dim=0, keepdim=True).values])
    return start[0]


def _better(first: Minimum, second: Minimum, index: Tensor) -> Minimum:
    """`first`, replaced at `index` by `second` where that is lower or has now converged."""
    lower = second.objective < first.objective[index]
    finished = second.converged & (second.objective <= first.objective[index] + 1e-6)
    chosen = index[lower | finished]
    source = torch.nonzero(lower | finished)[:, 0]
    for old, new in zip(
        (first.parameters, first.objective, first.converged),
        (second.parameters, second.objective, second.converged),
        strict=True,
    ):
        old[..., chosen] = new[..., source]
    return first


def _on_kinks(objective: Deviance, reached: Tensor) -> Tensor:
    """Best parameters with extinction exactly on a frame, near where a curve has stalled.

    For small p the integrity ends with a corner; a frame on it makes a kink of the deviance along
    (1 − p)k = 1/φ, on which Gauss–Newton steps come to a halt. Along the kink the deviance is
    smooth, so that it can be searched.
    """
    log_rate, log_exponent = reached
    frames = objective.dose.ravel()
    end = -log_rate - torch.log1p(-log_exponent.exp().clamp(max=0.99))
    nearest = (frames.clamp(min=1e-6).log()[:, None] - end).abs().argmin(0)
    best_value = torch.full_like(log_rate, math.inf)
    best = reached.clone()
    for exponent in np.geomspace(EXPONENT_BOX[0], 0.8, _KINK_EXPONENTS):
        trial = torch.stack(
            [
                -(frames[nearest].clamp(min=1e-3) * (1 - exponent)).log(),
                torch.full_like(log_exponent, math.log(exponent)),
            ]
        )
        value = objective.evaluate(trial)[0]
        lower = value < best_value
        best_value = torch.where(lower, value, best_value)
        best = torch.where(lower, trial, best)
    return best


def _join(objectives: list[Deviance]) -> Deviance:
    """One batch out of several."""

    def joined(name: str) -> Tensor | None:
        parts = [getattr(objective, name) for objective in objectives]
        return None if parts[0] is None else torch.cat(parts, dim=-1)

    first = objectives[0]
    return Deviance(
        first.layout,
        first.dose,
        torch.cat([objective.values for objective in objectives], dim=-1),
        joined("root_weight"),
        joined("freedom"),
        None if first.layout.n_window == 1 else joined("alive"),
    )


def _minimise_all(objectives: list[Deviance], dictionary: Dictionary, steps: int) -> list[Minimum]:
    """Minimum of each chunk: one short pass over all, then one long one over the stragglers."""
    minima, left, pool, starts, rivals = [], [], [], [], []
    layout = dictionary.layout
    alone = layout.n_window == 1 and layout.exponent == "free"
    for objective in objectives:
        start, rival, has_rival = dictionary.best(
            objective, rival_within=_RIVAL_WITHIN if alone else 0.0
        )
        minimum = _minimise(objective, _rows(layout, start), min(_FIRST_PASS, steps))
        unfinished = ~minimum.converged
        if alone:
            squares = objective.values.square().sum((0, 1))
            rest = minimum.objective
            if objective.freedom is not None:
                rest = (rest / objective.freedom[0]).exp()
            second = has_rival[0] & (rest > _NOISY * squares)
        else:
            second = torch.zeros_like(unfinished)
        index = torch.nonzero(unfinished | second)[:, 0]
        minima.append(minimum)
        left.append(index)
        pool.append(objective.select(index))
        starts.append(minimum.parameters[:, index])
        rivals.append((_rows(layout, rival)[:, index], second[index]))
    if steps <= _FIRST_PASS or sum(index.numel() for index in left) == 0:
        return minima
    if any(objective.alive is not None for objective in pool):
        pool = [_with_alive(objective) for objective in pool]
    together = _join(pool)
    index = torch.cat(left)
    unfinished = torch.cat([~m.converged[i] for m, i in zip(minima, left, strict=True)])
    start = torch.cat(starts, dim=1)
    value = torch.cat([m.objective[i] for m, i in zip(minima, left, strict=True)])
    final = Minimum(start.clone(), value, ~unfinished)
    where = torch.nonzero(unfinished)[:, 0]
    final = _better(final, _minimise(together.select(where), start[:, where], steps), where)
    if alone:
        second = torch.cat([flag for _, flag in rivals])
        where = torch.nonzero(second)[:, 0]
        trial = torch.cat([rows for rows, _ in rivals], dim=1)[:, where]
        final = _better(final, _minimise(together.select(where), trial, steps), where)
        stalled = ~final.converged & (final.parameters[1] < 0)
        where = torch.nonzero(stalled)[:, 0]
        some = together.select(where)
        trial = _on_kinks(some, final.parameters[:, where])
        final = _better(final, _minimise(some, trial, steps), where)
    sizes = [i.numel() for i in left]
    for minimum, place, rows, objective_value, converged in zip(
        minima,
        left,
        final.parameters.split(sizes, dim=1),
        final.objective.split(sizes),
        final.converged.split(sizes),
        strict=True,
    ):
        minimum.parameters[:, place] = rows
        minimum.objective[place] = objective_value
        minimum.converged[place] = converged
    return minima


def _with_alive(objective: Deviance) -> Deviance:
    if objective.alive is not None:
        return objective
    shape = (objective.layout.n_window, objective.values.shape[-1])
    return Deviance(
        objective.layout,
        objective.dose,
        objective.values,
        objective.root_weight,
        objective.freedom,
        objective.values.new_ones(shape),
    )


def fit_curves(
    curves: PreparedCurves, config: ExactConfig, pairs: tuple[tuple[int, int], ...]
) -> FoundCurves:
    """Find the minimum of every curve.

    Parameters
    ----------
    curves
        Prepared data.
    config
        Options.
    pairs
        Hierarchy as indices of windows.
    """
    dtype, device = getattr(torch, config.dtype), resolve_device(config.device)
    n_curve, n_window, _ = curves.values.shape
    coupled = n_window > 1 and (config.exponent == "shared" or bool(pairs))
    exponent = "free" if config.exponent is None else config.exponent
    if exponent == "shared" and n_window == 1:
        exponent = "free"
    layout = Layout(
        n_window=n_window if coupled else 1,
        exponent=exponent if isinstance(exponent, str) else float(exponent),
        offset_free=not curves.offset_known,
        prior=config.prior,
        hierarchy=pairs,
    )
    root_weight, variance_known = curves.root_weight, curves.variance_known
    noise = np.ones((n_curve, n_window))
    if config.loss is not None:
        root_weight, noise = robust_weights(curves, layout, config.loss, device)
        variance_known = True
    with torch.no_grad():
        step = max(config.chunk_size // n_window, 1) if device.type == "cpu" else n_curve
        objectives = [
            build_deviance(
                curves,
                layout,
                slice(begin, begin + step),
                dtype,
                device,
                root_weight,
                variance_known=variance_known,
            )
            for begin in range(0, n_curve, max(step, 1))
        ]
        if not objectives:
            empty = np.empty((0, n_window))
            return FoundCurves(
                empty, empty, empty, empty, empty, empty.astype(bool), empty, root_weight
            )
        minima = _minimise_all(objectives, Dictionary(objectives[0]), config.max_iterations)
        parts: list[list[Tensor]] = [[], [], [], [], [], []]
        for deviance, minimum in zip(objectives, minima, strict=True):
            log_rate, power = layout.split(minimum.parameters)
            squares, effective = deviance.squares_and_freedom(minimum.parameters)
            perfect = squares <= _PERFECT[dtype] * deviance.values.square().sum(0)
            converged = minimum.converged | perfect.all(0)
            shared = minimum.objective.expand_as(log_rate), converged.expand_as(log_rate)
            for part, rows in zip(
                parts, (log_rate, power, squares, effective, *shared), strict=True
            ):
                part.append(rows.T.reshape(-1))
    gathered = [torch.cat(part).cpu().numpy().reshape(n_curve, n_window) for part in parts]
    numbers = [array.astype(np.float64) for array in gathered[:5]]
    if not variance_known:
        noise = np.sqrt(numbers[2] / np.maximum(curves.freedom, 1.0))
    log_rate, power, squares, effective, objective = numbers
    return FoundCurves(
        log_rate, power, squares, effective, objective, gathered[5], noise, root_weight
    )
