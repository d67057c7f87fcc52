# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From nodes of what is shared to each series in its own law, with its estimates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from scipy import special

from hyperspy_dosekin.kinetics.adequacy.common_mode import CommonGain
from hyperspy_dosekin.kinetics.conditions.rate_likelihood import RateScan
from hyperspy_dosekin.kinetics.conditions.shapes import shape_grid
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.exact_fit import ExactFit
from hyperspy_dosekin.kinetics.estimate.fit import fit_exact, side_by_side
from hyperspy_dosekin.kinetics.laws.prior import DEFAULT_PRIOR, Prior
from hyperspy_dosekin.kinetics.laws.rate_laws import Reversible
from hyperspy_dosekin.kinetics.laws.variants import PRE_EXPOSURE, PreExposed, RecoveryRate
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.posterior.nodes import Nodes

from .rates import CoupledRates, RateModel, coupled_rates, coupling_p_value
from .series import JointSeries, RateResult, joint_nodes
from .shape import CurveNodes, SharedShape, curve_nodes, likelihood_of

# Looks at shapes, each where rates in common have left mass, and how many of its nodes hold it.
_LOOKS, _ENOUGH, _LEAST = 4, 7, 1e-3
_NODES = {1: 33, 2: 15}
_ENDS = (0.025, 0.5, 0.975)
# Width of ln k about the number at which the other numbers of a window are wanted.
_TIGHT = 1e-4


def plain_config(config: ExactConfig) -> ExactConfig:
    """Options with the law itself in the place of one with shared numbers of its own."""
    law = config.law
    return replace(config, law=law.law) if isinstance(law, PreExposed | RecoveryRate) else config


def with_rates(
    scans: Sequence[RateScan],
    shape: SharedShape,
    curves: Sequence[CurveNodes],
    model: RateModel,
    powers: Sequence[float],
) -> tuple[SharedShape, list[Nodes], RateResult]:
    """What is known of the shape and of all windows if rates have to do with each other.

    Parameters
    ----------
    scans
        The series.
    shape, curves
        What they say by themselves.
    model
        Which rates have to do with each other.
    powers
        As for `shared_shape`.
    """
    parameters = scans[0].parameters
    free, prior = shape.free, parameters.prior_of_law
    test = coupling_p_value(curves, np.exp(shape.log_mass), parameters, model)
    for look in range(_LOOKS):
        less = likelihood_of(curves, [power - 1 for power in powers]).sum(axis=0)
        drawn = coupled_rates(curves, shape.log_weight + less, parameters, model)
        shape = replace(shape, log_likelihood=(drawn.by_shape - shape.log_weight)[None])
        held = [(share > _LEAST).sum() for _, share in shape.marginals]
        if look == _LOOKS - 1 or all(number >= _ENOUGH for number in held):
            break
        values, weight = shape_grid(free, prior, shape.ranges, _NODES[len(free)])
        names = [parameter.name for parameter in free]
        curves = [curve_nodes(scan, names, values) for scan in scans]
        shape = SharedShape(free, tuple(values), weight, np.zeros((1, weight.size)))
    every, first = [], 0
    for scan, nodes in zip(scans, curves, strict=True):
        every.append(_nodes(scan, nodes, drawn, slice(first, first + scan.n_window)))
        first += scan.n_window
    return shape, every, _found(drawn, model, test)


def _nodes(scan: RateScan, curves: CurveNodes, drawn: CoupledRates, places: slice) -> Nodes:
    """Nodes of the windows of a series."""
    log_rate = drawn.log_rate[..., places]  # (n_shape, n_draw, n_window)
    share = np.ones((len(curves.log_density), *log_rate.shape))
    if len(share) > 1:
        at, density = curves.log_rate.numpy(), curves.log_density.numpy()
        for shape, window in np.ndindex(log_rate.shape[0], log_rate.shape[2]):
            rows = [
                np.interp(log_rate[shape, :, window], at[:, shape, window], row)
                for row in density[:, :, shape, window]
            ]
            share[:, shape, :, window] = special.softmax(np.stack(rows), axis=0)
    weight = np.exp(drawn.log_weight - special.logsumexp(drawn.log_weight))
    return joint_nodes(
        scan.parameters,
        torch.as_tensor(log_rate)[None],
        curves.shapes,
        torch.as_tensor(share * weight[None, ..., None]),
        np.full(scan.n_window, special.logsumexp(drawn.log_weight)),
        ordered=False,
        n_bound=scan.n_bound,
    )


def _found(drawn: CoupledRates, model: RateModel, p_value: float) -> RateResult:
    weight = special.softmax(drawn.log_weight).reshape(-1)

    def ends(values: np.ndarray) -> tuple[float, float, float]:
        flat = values.reshape(-1)
        order = np.argsort(flat)
        low, middle, high = np.exp(np.interp(_ENDS, np.cumsum(weight[order]), flat[order]))
        return float(low), float(middle), float(high)

    common, factor = drawn.common, drawn.factor.reshape(weight.size, -1)
    mean = weight @ factor
    spread = np.sqrt(weight @ (factor - mean) ** 2)
    return RateResult(
        model.kind,
        p_value,
        {name: ends(common[..., place]) for place, name in enumerate(model.names)},
        {
            name: ends(common[..., place] - common[..., 0])
            for place, name in enumerate(model.names)
            if place
        },
        tuple(ends(drawn.factor[..., place]) for place in range(len(model.windows))),
        np.stack([mean, spread], axis=1),
    )


def in_own_law(
    freed: DoseProblem,
    problem: DoseProblem,
    config: ExactConfig,
    nodes: Nodes,
    shape: SharedShape,
    gain: CommonGain | None,
    coupled: bool,
) -> JointSeries:
    """One series in its own law, counted from the dose that it had before the first frame.

    Parameters
    ----------
    freed, problem, config
        The series, the same with errors of single doses, and its options.
    nodes
        Posterior of its windows in the law of `config`.
    gain
        As in `JointSeries`.
    coupled
        Whether rates have to do with those of other series.
    """
    law, estimate = config.law, dict(zip((p.name for p in shape.free), shape.estimate, strict=True))
    held, own = [*config.held, *estimate.items()], plain_config(config)
    if isinstance(law, PreExposed):
        before = estimate.pop(PRE_EXPOSURE) * problem.scale
        scale = problem.scale
        freed, problem = (
            replace(each, dose=np.maximum(each.dose + before, 0.0), dose_scale=scale)
            for each in (freed, problem)
        )
        held = [*config.held, *estimate.items()]
        nodes = replace(nodes, parameters=own.parameters, search=nodes.search[:-1])
    if isinstance(law, RecoveryRate):
        own = replace(config, law=Reversible())
        ratio = float(np.log(law.law.ratio))
        shares = nodes.search[1] - nodes.search[0] + ratio
        nodes = replace(nodes, parameters=own.parameters, search=(nodes.search[0], shares))
        log_rate = _log_rates(nodes, shape)
        shared = np.log(shape.estimate[0])
        by_window = [[("recovery", float(np.exp(shared - k + ratio)))] for k in log_rate]
        fit = _fit_at(problem, own, log_rate, by_window)
    elif coupled:
        log_rate = _log_rates(nodes, shape)
        fit = _fit_at(problem, own, log_rate, [held] * len(log_rate))
    else:
        fit = fit_exact(problem, replace(own, held=tuple(held)))
    return JointSeries(freed, problem, own, fit, nodes, gain)


def _log_rates(nodes: Nodes, shape: SharedShape) -> np.ndarray:
    """Mean of ln k of each window where the shape has its estimate, ``(n_window,)``."""
    weight = nodes.weight.sum(0)
    value = nodes.search[0][0].expand(weight.shape)
    # Own shapes of a curve with the nodes of its rate, (n_shape, n_own · n_node, n_window).
    as_rows = (shape.log_weight.size, -1, weight.shape[-1])
    weight, value = weight.reshape(as_rows), value.reshape(as_rows)
    mass = weight.sum(1)
    mean = ((weight * value).sum(1) / mass.clamp(min=1e-300)).numpy()
    if not shape.free:
        return mean[0]
    at = [
        (parameter.to_free(torch.as_tensor(row)).numpy(), parameter.to_free(torch.tensor(best)))
        for parameter, row, best in zip(shape.free, shape.values, shape.estimate, strict=True)
    ]
    if len(at) == 1:
        row, best = at[0]
        return np.array([np.interp(float(best), row, column) for column in mean.T])
    away = sum(((row - float(best)) / max(np.ptp(row), 1e-300)) ** 2 for row, best in at)
    return mean[int(np.argmin(away))]


def _fit_at(
    problem: DoseProblem,
    config: ExactConfig,
    log_rate: np.ndarray,
    held: Sequence[Sequence[tuple[str, float]]],
) -> ExactFit:
    """Amplitude, offset and noise of windows whose rate and shape are given."""
    prior = config.prior if isinstance(config.prior, Prior) else DEFAULT_PRIOR
    fits = []
    for place, (rate, known) in enumerate(zip(log_rate, held, strict=True)):
        offset = None if config.offset is None else np.asarray(config.offset)[:, [place]]
        tight = replace(prior, log_rate=(float(rate), _TIGHT))
        own = replace(config, prior=tight, held=tuple(known), offset=offset)
        fits.append(fit_exact(problem.windows([place]), own))
    return fits[0] if len(fits) == 1 else side_by_side(fits, [[p] for p in range(len(fits))])
