# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How `fit_exact` gets through very many curves: chunks first, then the stragglers together.

Most curves need five steps. Those that need more would make every chunk run on nearly empty, so
they are collected and finished in one batch, where also the second starts are tried.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.curves.preparation import PreparedCurves
from hyperspy_dosekin.kinetics.laws.closed_forms import PowerLaw
from hyperspy_dosekin.kinetics.laws.prior import EXPONENT_BOX
from hyperspy_dosekin.kinetics.model.objective import Deviance, Layout
from hyperspy_dosekin.kinetics.model.shared_error import basis_of
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


def build_deviance(
    curves: PreparedCurves,
    layout: Layout,
    part: slice,
    dtype: torch.dtype,
    device: torch.device,
    root_weight: np.ndarray | None,
    *,
    noise: str,
    bound: np.ndarray | None = None,
) -> Deviance:
    """Deviance of some curves; single windows become curves of their own where not coupled.

    `noise` is ``"given"``, ``"floor"`` or ``"free"``. With bounds ``(n_curve, n_window)``, NaN
    where there is none, the values of bound windows are not centred.
    """

    def arranged(array: np.ndarray) -> Tensor:
        block = send(array[part].reshape(-1, layout.n_window, *array.shape[2:]), device)
        block = block.movedim(0, -1)
        return (block.transpose(0, 1) if array.ndim == 3 else block).contiguous()

    root = None if root_weight is None else arranged(root_weight)
    alive = ~curves.dead[part]
    values, freedom = curves.values, curves.freedom
    if bound is not None:
        held = ~np.isnan(bound)
        raw = np.where(held, curves.centre / curves.unit, 0.0)[..., None]
        values = values + (raw if curves.root_weight is None else raw * (curves.root_weight > 0))
        freedom = freedom + held
    double = Deviance(
        layout,
        send(curves.normalised_dose, device)[:, None, None],
        arranged(values),
        not curves.offset_known,
        root,
        None,
        noise == "floor",
        bound=None if bound is None else arranged(bound),
        shared=_shared_basis(curves, layout, part, device),
    )
    # Known offsets and complete curves are free of the mean already.
    ready = root is None and bound is None and double.shared is None
    projected = double.values if ready else double.project(double.values)
    return replace(
        double,
        dose=double.dose.to(dtype),
        values=projected.to(dtype),
        root_weight=None if root is None else root.to(dtype),
        freedom=None if noise == "given" else arranged(freedom).clamp(min=1).to(dtype),
        alive=None if alive.all() else arranged(~curves.dead).to(dtype),
        bound=None if double.bound is None else double.bound.to(dtype),
        shared=None if double.shared is None else double.shared.to(dtype),
    )


def _shared_basis(
    curves: PreparedCurves, layout: Layout, part: slice, device: torch.device
) -> Tensor | None:
    if curves.shared is None:
        return None
    errors = curves.shared[part]
    block = send(errors.reshape(-1, layout.n_window, *errors.shape[2:]), device)
    return basis_of(block.permute(2, 3, 1, 0)).contiguous()


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
    """Rows of the parameters from those of each window, ``(n_free, n_window, n_curve)``."""
    parts = []
    for place, parameter in enumerate(layout.parameters.free):
        shared = parameter.name in layout.shared
        part = start[place]
        parts.append(part.median(dim=0, keepdim=True).values if shared else part)
    return torch.cat(parts)


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
        minimum = _minimise(objective, _rows(layout, start), min(_FIRST_PASS, steps))
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
    # The second starts go on together with the stragglers: a step of few costs as much as of many.
    where = torch.nonzero(unfinished)[:, 0]
    second = torch.nonzero(torch.cat([flag for _, flag in rivals]))[:, 0]
    trial = torch.cat([rows for rows, _ in rivals], dim=1)[:, second]
    found = _minimise(
        together.select(torch.cat([where, second])),
        torch.cat([start[:, where], trial], dim=1),
        steps,
    )
    number = where.numel()
    final = _better(final, _part(found, slice(number)), where)
    if alone:
        final = _better(final, _part(found, slice(number, None)), second)
        if isinstance(layout.parameters.law, PowerLaw) and layout.n_row == 2:
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
    return replace(objective, alive=objective.values.new_ones(shape))


def _violated(deviance: Deviance, rows: Tensor, mean: Tensor) -> Tensor:
    """Bounds that a fit without them breaks: 0 for b < 0, 1 for a + b < 0, else NaN.

    `mean` is what was taken off the values when they were centred, ``(n_window, n_curve)``.
    """
    integrity = deviance.integrity(rows)
    column = deviance.project(integrity)
    amplitude = (column * deviance.values).sum(0) / (column * column).sum(0).clamp(min=1e-20)
    ones = deviance.ones
    middle = integrity.mean(0)
    if ones is not None:
        whitened = deviance.whitened(integrity)
        middle = (ones * whitened).sum(0) / (ones * ones).sum(0).clamp(min=1e-20)
    offset = mean - amplitude * middle
    bound = torch.where(amplitude >= 0, 0.0, 1.0)
    below = torch.where(amplitude >= 0, offset, offset + amplitude) < 0
    return torch.where(below, bound.to(offset), torch.nan)


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
    shared = ("exponent",) if config.exponent == "shared" and n_window > 1 else ()
    coupled = n_window > 1 and bool(shared or pairs)
    parameters = config.parameters
    layout = Layout(parameters, n_window if coupled else 1, shared, pairs)
    root_weight, noise = curves.root_weight, curves.noise_model(config.noise)
    scale = np.ones((n_curve, n_window))
    if config.loss is not None:
        root_weight, scale = robust_weights(curves, parameters, config.loss, device)
        noise = "given"
    bound = np.full((n_curve, n_window), np.nan)
    allowed = config.bounded(curves)
    with torch.no_grad():
        step = max(config.chunk_size // n_window, 1) if device.type == "cpu" else n_curve
        parts = [slice(begin, begin + step) for begin in range(0, n_curve, max(step, 1))]
        if not parts:
            nothing, none = (
                np.empty((0, n_window)),
                np.empty((len(parameters.is_free), 0, n_window)),
            )
            flags = nothing.astype(bool)
            return FoundCurves(none, nothing, nothing, nothing, flags, nothing, root_weight, bound)

        def build(part: slice, bound: np.ndarray | None = None) -> Deviance:
            return build_deviance(
                curves, layout, part, dtype, device, root_weight, noise=noise, bound=bound
            )

        objectives = [build(part) for part in parts]
        minima = _minimise_all(objectives, Dictionary(objectives[0]), config.max_iterations)
        gathered: list[list[Tensor]] = [[] for _ in range(4)]
        values: list[Tensor] = []
        for number, (part, minimum) in enumerate(zip(parts, minima, strict=True)):
            deviance = objectives[number]
            if allowed is not None and allowed[part].any():
                deviance = _bounded(
                    curves, part, deviance, minimum, bound, allowed, build, config.max_iterations
                )
            search = layout.split(minimum.parameters)
            squares, effective = deviance.squares_and_freedom(minimum.parameters)
            perfect = squares <= _PERFECT[dtype] * deviance.values.square().sum(0)
            converged = minimum.converged | perfect.all(0)
            rows = squares, effective, minimum.objective, converged
            for column, row in zip(gathered, rows, strict=True):
                column.append(row.expand_as(search[0]).T.reshape(-1))
            found = parameters.values([row.double() for row in search])
            values.append(found.movedim(1, -1).reshape(len(found), -1))
    arrays = [torch.cat(part).cpu().numpy().reshape(n_curve, n_window) for part in gathered]
    squares, effective, objective = (array.astype(np.float64) for array in arrays[:3])
    freedom = np.maximum(curves.freedom + ~np.isnan(bound), 1.0)
    if noise == "free":
        scale = np.sqrt(squares / freedom)
    elif noise == "floor":
        scale = np.sqrt(np.maximum(squares / freedom, 1.0))
    whole = torch.cat(values, 1).cpu().numpy().reshape(-1, n_curve, n_window)
    return FoundCurves(whole, squares, effective, objective, arrays[3], scale, root_weight, bound)


def _bounded(
    curves: PreparedCurves,
    part: slice,
    deviance: Deviance,
    minimum: Minimum,
    bound: np.ndarray,
    allowed: np.ndarray,
    build: Callable[[slice, np.ndarray | None], Deviance],
    max_iterations: int,
) -> Deviance:
    """Fit curves again whose intensity would become negative, with the offset at its bound.

    `minimum` and `bound` are changed in place.
    """
    layout = deviance.layout
    mean = curves.centre[part] / curves.unit[part]
    mean = torch.as_tensor(mean.reshape(-1, layout.n_window).T.copy()).to(deviance.values)
    if deviance.shared is not None:
        # With shared errors the mean that was taken off is not the best level.
        n_dose = curves.values.shape[-1]
        raw = torch.as_tensor(curves.values[part].reshape(-1, layout.n_window, n_dose))
        raw, ones = deviance.whitened(raw.permute(2, 1, 0).to(deviance.values)), deviance.ones
        assert ones is not None
        mean = mean + (ones * raw).sum(0) / (ones * ones).sum(0).clamp(min=1e-20)
    broken = _violated(deviance, minimum.parameters, mean)
    may = torch.as_tensor(allowed[part].reshape(-1, layout.n_window).T.copy())
    broken = torch.where(may.to(broken.device), broken, torch.nan)
    index = torch.nonzero((~broken.isnan()).any(0))[:, 0]
    if index.numel() == 0:
        return deviance
    bound[part] = broken.T.reshape(bound[part].shape).cpu().numpy()
    held = build(part, bound)
    start = minimum.parameters[:, index]
    some = held.select(index)
    found = _minimise(some, start, max_iterations)
    if layout.n_window == 1:
        # The ridge may have carried the free minimum far away: the dictionary may know better.
        for pin in (0.0, 1.0):
            where = torch.nonzero(broken[0, index] == pin)[:, 0]
            if where.numel() == 0:
                continue
            few = replace(some.select(where), offset_free=False, bound=None)
            again = _rows(layout, Dictionary(few, pin).best(few)[0])
            trial = _minimise(some.select(where), again, max_iterations)
            found = _better(found, trial, where)
    minimum.parameters[:, index] = found.parameters
    minimum.objective[index] = found.objective
    minimum.converged[index] = found.converged
    return held
