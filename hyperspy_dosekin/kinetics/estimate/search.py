# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How `fit_exact` gets through very many curves: chunks first, then the stragglers together.

Most curves need five steps. Those that need more would make every chunk run on nearly empty, so
they are collected and finished in one batch, where also the second starts are tried.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.curves.preparation import PreparedCurves
from hyperspy_dosekin.kinetics.laws.closed_forms import PowerLaw
from hyperspy_dosekin.kinetics.laws.prior import EXPONENT_BOX
from hyperspy_dosekin.kinetics.model.objective import Deviance, Layout
from hyperspy_dosekin.numerics.batched_minimiser import Minimum
from hyperspy_dosekin.numerics.device import resolve_device
from hyperspy_dosekin.numerics.row_sums import in_whole_vectors

from .absorbed import beside_offset, settle_absorbed, with_absorbed
from .bounds import held_at_bounds
from .delays import settle_delays
from .deviance import build_deviance
from .minima import better_of, minimise, rows_of
from .robust import robust_weights
from .start import Dictionary

if TYPE_CHECKING:
    from hyperspy_dosekin.kinetics.model.config import ExactConfig

# Steps of the first pass over a chunk; nine curves of ten need no more.
_FIRST_PASS = 8
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

    `parameters` are those of the law, ``(n_parameter, n_curve, n_window)``. `squares` are those of
    weighed residuals in units of `noise` where that is known or robust. `bound` is 0 where the
    offset b is held at 0, 1 where a + b is, NaN elsewhere.
    """

    parameters: np.ndarray
    squares: np.ndarray
    effective_parameters: np.ndarray
    objective: np.ndarray
    converged: np.ndarray
    noise: np.ndarray
    root_weight: np.ndarray | None
    bound: np.ndarray


def _part(minimum: Minimum, part: slice) -> Minimum:
    return Minimum(minimum.parameters[:, part], minimum.objective[part], minimum.converged[part])


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

    alive = None if objectives[0].layout.n_window == 1 else joined("alive")
    values = torch.cat([objective.values for objective in objectives], dim=-1)
    others = {name: joined(name) for name in ("root_weight", "freedom", "shared")}
    return replace(objectives[0], values=values, alive=alive, **others)


def _minimise_all(objectives: list[Deviance], dictionary: Dictionary, steps: int) -> list[Minimum]:
    """Minimum of each chunk: one short pass over all, then one long one over the stragglers."""
    minima, left, pool, starts, rivals = [], [], [], [], []
    layout = dictionary.layout
    alone = layout.n_window == 1
    for objective in objectives:
        start, rival, has_rival = dictionary.best(
            objective, rival_within=_RIVAL_WITHIN if alone else 0.0
        )
        minimum = minimise(objective, rows_of(layout, start), min(_FIRST_PASS, steps))
        unfinished = ~minimum.converged
        if alone:
            squares = objective.values.square().sum((0, 1))
            rest = minimum.objective
            if objective.freedom is not None:
                rest = (rest / objective.freedom[0]).exp()
            second = has_rival[0]
            if isinstance(layout.parameters.law, PowerLaw):
                second = second & (rest > _NOISY * squares)
        else:
            second = torch.zeros_like(unfinished)
        index = torch.nonzero(unfinished | second)[:, 0]
        minima.append(minimum)
        left.append(index)
        pool.append(objective.select(index))
        starts.append(minimum.parameters[:, index])
        rivals.append((rows_of(layout, rival)[:, index], second[index]))
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
    # The second starts go on together with the stragglers: a step of few costs as much as of many.
    where = torch.nonzero(unfinished)[:, 0]
    second = torch.nonzero(torch.cat([flag for _, flag in rivals]))[:, 0]
    trial = torch.cat([rows for rows, _ in rivals], dim=1)[:, second]
    found = minimise(
        together.select(torch.cat([where, second])),
        torch.cat([start[:, where], trial], dim=1),
        steps,
    )
    number = where.numel()
    final = better_of(final, _part(found, slice(number)), where)
    if alone:
        final = better_of(final, _part(found, slice(number, None)), second)
        if isinstance(layout.parameters.law, PowerLaw) and layout.n_row == 2:
            stalled = ~final.converged & (final.parameters[1] < 0)
            where = in_whole_vectors(torch.nonzero(stalled)[:, 0])
            some = together.select(where)
            trial = _on_kinks(some, final.parameters[:, where])
            final = better_of(final, minimise(some, trial, steps), where)
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
    return replace(objective, alive=objective.values.new_ones(shape))


def fit_curves(
    curves: PreparedCurves, config: ExactConfig, pairs: tuple[tuple[int, int], ...]
) -> FoundCurves:
    """Find the minimum of every curve.

    Parameters
    ----------
    pairs
        Hierarchy as indices of windows.
    """
    dtype, device = getattr(torch, config.dtype), resolve_device(config.device)
    n_curve, n_window, _ = curves.values.shape
    shared = ("exponent",) if config.exponent == "shared" and n_window > 1 else ()
    coupled = n_window > 1 and bool(shared or pairs)
    parameters = config.parameters
    whole = Layout(parameters, n_window if coupled else 1, shared, pairs)
    layout = whole
    if not curves.offset_known and parameters.law.beside_offset is not None:
        layout = replace(whole, parameters=beside_offset(parameters))
    root_weight, noise = curves.root_weight, curves.noise_model(config.noise)
    scale = np.ones((n_curve, n_window))
    if config.loss is not None:
        root_weight, scale = robust_weights(curves, parameters, config.loss, device)
        noise = "given"
    bound = np.full((n_curve, n_window), np.nan)
    allowed = config.bounded(curves)
    with torch.no_grad():
        step = max(config.chunk_size // n_window, 1) if device.type == "cpu" else n_curve
        pieces = torch.arange(n_curve).split(max(step, 1))
        parts = [in_whole_vectors(piece).numpy() for piece in pieces if piece.numel()]
        if not parts:
            nothing, none = (
                np.empty((0, n_window)),
                np.empty((len(parameters.is_free), 0, n_window)),
            )
            flags = nothing.astype(bool)
            return FoundCurves(none, nothing, nothing, nothing, flags, nothing, root_weight, bound)

        def build(layout: Layout, part: np.ndarray, bound: np.ndarray | None = None) -> Deviance:
            return build_deviance(
                curves, layout, part, dtype, device, root_weight, noise=noise, bound=bound
            )

        objectives = [build(layout, part) for part in parts]
        minima = _minimise_all(objectives, Dictionary(objectives[0]), config.max_iterations)
        gathered: list[list[Tensor]] = [[] for _ in range(4)]
        values: list[Tensor] = []
        for number, (part, minimum) in enumerate(zip(parts, minima, strict=True)):
            count = pieces[number].numel() * n_window
            deviance = objectives[number]
            settle_delays(deviance, minimum, config.max_iterations)
            settle_absorbed(deviance, minimum)
            squares, effective = deviance.squares_and_freedom(minimum.parameters)
            rows = with_absorbed(minimum.parameters, layout, whole)
            minimum = replace(minimum, parameters=rows)
            deviance = replace(deviance, layout=whole)
            if allowed is not None and allowed[part].any():
                deviance = held_at_bounds(
                    curves, part, deviance, minimum, bound, allowed, build, config.max_iterations
                )
                if deviance.bound is not None:
                    settle_delays(deviance, minimum, config.max_iterations)
                    squares, effective = deviance.squares_and_freedom(minimum.parameters)
            search = whole.split(minimum.parameters)
            perfect = squares <= _PERFECT[dtype] * deviance.values.square().sum(0)
            converged = minimum.converged | perfect.all(0)
            rows = squares, effective, minimum.objective, converged
            for column, row in zip(gathered, rows, strict=True):
                column.append(row.expand_as(search[0]).T.reshape(-1)[:count])
            found = parameters.values([row.double() for row in search])
            values.append(found.movedim(1, -1).reshape(len(found), -1)[:, :count])
    arrays = [torch.cat(part).cpu().numpy().reshape(n_curve, n_window) for part in gathered]
    squares, effective, objective = (array.astype(np.float64) for array in arrays[:3])
    freedom = np.maximum(curves.freedom + ~np.isnan(bound), 1.0)
    if noise == "free":
        scale = np.sqrt(squares / freedom)
    elif noise == "floor":
        scale = np.sqrt(np.maximum(squares / freedom, 1.0))
    whole = torch.cat(values, 1).cpu().numpy().reshape(-1, n_curve, n_window)
    return FoundCurves(whole, squares, effective, objective, arrays[3], scale, root_weight, bound)
