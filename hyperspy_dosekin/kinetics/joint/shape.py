# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What curves say together of a shape that they share.

Given the shape, curves know nothing of each other. So the posterior of the shape is its prior
times the likelihoods of all curves, each with its rate, amplitude, offset and noise integrated out,
and the posterior of a curve is that of its rate for each shape, weighed by that of the shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import special
from torch import Tensor

from hyperspy_dosekin.kinetics.conditions.rate_likelihood import RateScan
from hyperspy_dosekin.kinetics.conditions.shapes import (
    closer,
    marginals,
    quantiles_of,
    shape_grid,
)
from hyperspy_dosekin.kinetics.laws.parameter import LawParameter
from hyperspy_dosekin.kinetics.model.parameters import Parameters, known_before

# Looks at the shape, each where the one before found mass, until so many nodes of each hold it.
_LOOKS, _ENOUGH = 6, 9
# Nodes of the last look along one shared parameter, and along two.
_LAST = {1: 33, 2: 15}
# Nodes along a parameter that each curve has of its own.
_OWN = {0: 1, 1: 15, 2: 7}
_LEAST = 1e-3
# How far below the top the parabola through it reaches, and how much higher than the highest node
# the top can be, in ln units.
_HIGH, _HIGHER = 2.0, 0.5
# Nodes that are closer than this share of those around them are one.
_APART = 1e-5


@dataclass(frozen=True, eq=False)
class CurveNodes:
    """Nodes of the windows of one series; ``n_shape`` shared shapes and ``n_own`` own ones.

    Parameters
    ----------
    log_rate
        ``(n_node, n_shape·n_own, n_window)``.
    shapes
        Other free parameters of the law, each ``(n_shape·n_own,)``.
    log_density
        Likelihood times what is known of the parameters of the curve and the spacing of the nodes,
        ``(n_part, n_node, n_shape·n_own, n_window)``.
    n_own
        Own shapes for each shared one.
    """

    log_rate: Tensor
    shapes: tuple[np.ndarray, ...]
    log_density: Tensor
    n_own: int

    @property
    def by_shape(self) -> np.ndarray:
        """Log likelihood of the shared shapes, ``(n_window, n_shape)``."""
        rows = torch.logsumexp(self.log_density, (0, 1))
        rows = rows.reshape(-1, self.n_own, rows.shape[-1])
        return torch.logsumexp(rows, 1).T.numpy()


def log_rate_prior(parameters: Parameters, log_rate: Tensor) -> Tensor:
    """Log prior density of ln k, even over its box where nothing is known."""
    rate = parameters.free[0]
    known = known_before(rate, parameters.prior_of_law)
    low, high = rate.free_box
    if known is None:
        return torch.full_like(log_rate, -math.log(high - low))
    mean, width = known
    score = (log_rate - mean) / width
    return -0.5 * score * score - math.log(width * math.sqrt(2 * math.pi))


def own_shapes(
    parameters: Parameters, shared: Sequence[str], values: Sequence[np.ndarray]
) -> tuple[tuple[np.ndarray, ...], np.ndarray, int]:
    """Shapes of a series: each shared one with all those that a curve has of its own.

    Parameters
    ----------
    shared
        Names of the shared parameters.
    values
        Their values, each ``(n_shape,)``.

    Returns
    -------
    The free parameters but the rate, each ``(n_shape·n_own,)``, the log prior of the own ones,
    ``(n_own,)``, and n_own.
    """
    others = parameters.free[1:]
    own = [parameter for parameter in others if parameter.name not in shared]
    own_values, own_weight = shape_grid(own, parameters.prior_of_law, number=_OWN[len(own)])
    n_own, n_shape = own_weight.size, len(values[0]) if len(values) else 1
    by_name = {name: np.repeat(row, n_own) for name, row in zip(shared, values, strict=True)}
    by_name |= {p.name: np.tile(r, n_shape) for p, r in zip(own, own_values, strict=True)}
    return tuple(by_name[parameter.name] for parameter in others), own_weight, n_own


def curve_nodes(
    scan: RateScan,
    shared: Sequence[str],
    values: Sequence[np.ndarray],
) -> CurveNodes:
    """Nodes of the windows of a series for shapes that it shares with others.

    Parameters
    ----------
    shared
        Names of the shared parameters.
    values
        Their values, each ``(n_shape,)``.
    """
    parameters = scan.parameters
    shapes, own_weight, n_own = own_shapes(parameters, shared, values)
    n_shape = len(values[0]) if len(values) else 1
    nodes, likelihood = scan.nodes(shapes, parameters.free[0].search_box)
    density = likelihood + log_rate_prior(parameters, nodes)
    density = density + (nodes[1] - nodes[0]).clamp(min=1e-300).log()
    weight = torch.as_tensor(np.tile(own_weight, n_shape))
    return CurveNodes(nodes, shapes, density + weight[:, None], n_own)


@dataclass(frozen=True, eq=False)
class SharedShape:
    """Posterior of the shared parameters.

    Parameters
    ----------
    free
        The shared parameters.
    values
        Nodes of each, ``(n_shape,)``.
    log_weight
        Their log prior, ``(n_shape,)``.
    log_likelihood
        Of each curve, ``(n_curve, n_shape)``, as much of it as counts beside those of others.
    """

    free: tuple[LawParameter, ...]
    values: tuple[np.ndarray, ...]
    log_weight: np.ndarray
    log_likelihood: np.ndarray

    @property
    def log_mass(self) -> np.ndarray:
        """Log posterior probabilities, ``(n_shape,)``."""
        whole = self.log_weight + self.log_likelihood.sum(axis=0)
        return whole - special.logsumexp(whole)

    @property
    def marginals(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Nodes of each parameter, on its scale of estimation, and their probabilities."""
        return marginals(self.free, self.values, np.exp(self.log_mass))

    @property
    def ranges(self) -> list[tuple[float, float]]:
        """Where each parameter has its mass, for a closer look."""
        return closer(self.free, self.values, np.exp(self.log_mass))

    @property
    def estimate(self) -> tuple[float, ...]:
        """Mode of each parameter, between its nodes."""
        found = []
        for parameter, (nodes, share) in zip(self.free, self.marginals, strict=True):
            at = nodes[0]
            if nodes.size > 1:
                with np.errstate(divide="ignore"):
                    at, *_ = top_of(nodes, np.log(share))
            value = parameter.from_free(torch.tensor(at, dtype=torch.float64)).item()
            found.append(min(max(value, parameter.lower), parameter.upper))
        return tuple(found)

    def quantiles(self, probabilities: Sequence[float]) -> list[np.ndarray]:
        """Quantiles of each parameter."""
        found = []
        for parameter, (nodes, share) in zip(self.free, self.marginals, strict=True):
            at = quantiles_of(nodes, share, probabilities)
            found.append(parameter.from_free(torch.as_tensor(at)).numpy())
        return found


def top_of(nodes: np.ndarray, height: np.ndarray) -> tuple[float, float, float]:
    """Place, height and width of the top of a log likelihood, by a parabola through what is high.

    Nodes may lie as close as they like: the parabola goes through all that are not much lower than
    the highest. The width is infinite where there is no top within the nodes.
    """
    best = int(np.argmax(height))
    place, top = float(nodes[best]), float(height[best])
    low = np.flatnonzero(~(height > top - _HIGH))
    first = max([*low[low < best].tolist(), -1]) + 1
    last = min([*low[low > best].tolist(), nodes.size]) - 1
    around = slice(max(min(first, best - 1), 0), max(last, best + 1) + 1)
    near, values = nodes[around] - place, height[around]
    # Nodes that nearly coincide say nothing of a bend.
    apart = np.diff(near, prepend=-np.inf) > _APART * np.ptp(near)
    near, values = near[apart], values[apart]
    if best in (0, nodes.size - 1) or near.size < 3 or not np.all(np.isfinite(values)):
        return place, top, np.inf
    bend, slope, level = np.polyfit(near, values, 2)
    if bend >= 0:
        return place, top, np.inf
    away = float(np.clip(-0.5 * slope / bend, near[0], near[-1]))
    found = float(np.polyval([bend, slope, level], away))
    # Between nodes it is a little higher, never lower.
    return place + away, float(np.clip(found, top, top + _HIGHER)), float(np.sqrt(-0.5 / bend))


def likelihood_of(curves: Sequence[CurveNodes], powers: Sequence[float | np.ndarray]) -> np.ndarray:
    """Log likelihoods of the shapes, each to the power of its series, ``(n_curve, n_shape)``."""
    rows = [power * each.by_shape for each, power in zip(curves, powers, strict=True)]
    return np.concatenate(rows)


def shared_shape(
    scans: Sequence[RateScan],
    names: Sequence[str],
    powers: Sequence[float | np.ndarray],
    curves: Callable[[Sequence[np.ndarray]], list[CurveNodes]] | None = None,
) -> tuple[SharedShape, list[CurveNodes]]:
    """Find the posterior of the shape that several series share.

    Parameters
    ----------
    scans
        The series, of the same law.
    names
        Names of the shared parameters, none of which is the rate.
    powers
        Powers of the likelihoods of each series, see `power_of_windows`, or of each window of it,
        ``(n_window, 1)``.
    curves
        What gives the nodes of each series for some shapes; `curve_nodes` by default.
    """
    parameters = scans[0].parameters
    free = [parameter for parameter in parameters.free[1:] if parameter.name in names]
    shared = [parameter.name for parameter in free]
    prior = parameters.prior_of_law

    def look(
        ranges: Sequence[tuple[float, float]] | None, number: int | None
    ) -> tuple[SharedShape, list[CurveNodes]]:
        values, weight = shape_grid(free, prior, ranges, number)
        if curves is None:
            nodes = [curve_nodes(scan, shared, values) for scan in scans]
        else:
            nodes = curves(values)
        likelihood = likelihood_of(nodes, powers)
        return SharedShape(tuple(free), tuple(values), weight, likelihood), nodes

    if not free:
        return look(None, None)
    found, _ = look(None, None)
    for _ in range(_LOOKS):
        shares = [share for _, share in found.marginals]
        if all((each > _LEAST).sum() >= min(_ENOUGH, each.size // 2) for each in shares):
            break
        found, _ = look(found.ranges, None)
    return look(found.ranges, _LAST[len(free)])
