# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether curves that are fitted with a common shape have one.

Twice the difference of the highest log likelihoods with a shape of its own for each curve and with
a common one is χ² where the noise is known. Where it is not, and few frames are left over, the
likelihood of each curve has the tails of Student's t, and the difference is often far larger than
χ² says. What it would be for a common shape is therefore drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from hyperspy_dosekin.kinetics.conditions.rate_likelihood import RateScan
from hyperspy_dosekin.kinetics.conditions.shapes import closer, shape_grid
from hyperspy_dosekin.kinetics.laws.parameter import LawParameter

from .shape import curve_nodes, top_of

#: A p value below this says that the shape is not the same.
SMALLEST_P = 0.01
# Nodes over the box, those of each closer look, and how many looks.
_NODES, _CLOSER, _LOOKS = 33, 17, 3
# Draws of what a common shape would give, and steps to its likeliest value.
_DRAWS, _STEPS = 4000, 6


@dataclass(frozen=True, eq=False)
class Agreement:
    """Tests of a common shape.

    Parameters
    ----------
    p_value
        Of all curves together.
    by_curve
        Of each curve against all others, ``(n_curve,)``.
    alone
        The likeliest value of the parameter of each curve by itself, ``(n_curve,)``; of several
        parameters that of the first.
    """

    p_value: float
    by_curve: np.ndarray
    alone: np.ndarray

    @property
    def agrees(self) -> bool:
        """Whether nothing speaks against a common shape."""
        return not self.p_value < SMALLEST_P


def agreement(scans: Sequence[RateScan], names: Sequence[str]) -> Agreement | None:
    """Test a common shape; ``None`` where there is nothing to compare.

    Parameters
    ----------
    scans
        The series.
    names
        Names of the shared parameters.
    """
    parameters = scans[0].parameters
    free = tuple(parameter for parameter in parameters.free[1:] if parameter.name in names)
    n_curve = sum(scan.n_window for scan in scans)
    if not free or n_curve < 2:
        return None
    nodes = _grid(scans, free) if len(free) == 1 else None
    if nodes is None:
        values, _ = shape_grid(free, None, [p.free_box for p in free], _CLOSER)
    else:
        values = [free[0].from_free(torch.as_tensor(nodes)).numpy()]
    height = _heights(scans, free, values)
    whole = height.sum(axis=0)

    def top(curve: np.ndarray) -> float:
        return float(curve.max()) if nodes is None else top_of(nodes, curve)[1]

    own = np.array([top(row) for row in height])
    best = top(whole)
    rest = np.array([top(whole - row) for row in height])
    found = np.append(2 * (own + rest - best), 2 * (own.sum() - best))
    drawn = _drawn(_freedom(scans, free), len(free), _widths(nodes, height))
    # A difference that is rounding is none.
    p_value = (1 + np.sum(drawn >= np.maximum(found, 1e-9), axis=0)) / (1 + len(drawn))
    at = [values[0][int(np.argmax(row))] for row in height]
    return Agreement(float(p_value[-1]), p_value[:-1], np.array(at))


def _freedom(scans: Sequence[RateScan], free: tuple[LawParameter, ...]) -> np.ndarray:
    """Frames left over for the noise of each curve; infinite where the noise is known."""
    left = []
    for scan in scans:
        data = scan.parts[0]
        # The rate and what else is not shared have been integrated out.
        number = data.freedom.numpy().reshape(-1) - len(scan.parameters.free)
        left.append(np.where(data.noise == "free", np.maximum(number, 1.0), np.inf))
    return np.concatenate(
        [np.broadcast_to(row, scan.n_window) for row, scan in zip(left, scans, strict=True)]
    )


def _widths(nodes: np.ndarray | None, height: np.ndarray) -> np.ndarray:
    """Width of the likelihood of each curve at its top, up to a common factor, ``(n_curve,)``."""
    if nodes is None:
        return np.ones(len(height))
    widths = np.array([top_of(nodes, row)[2] for row in height])
    return widths if np.isfinite(widths).any() else np.ones(len(height))


def _drawn(freedom: np.ndarray, number: int, widths: np.ndarray) -> np.ndarray:
    """Draws of the differences that curves with a common shape have.

    Parameters
    ----------
    freedom
        Frames left over for the noise, ``(n_curve,)``.
    number
        Shared parameters.
    widths
        How well each curve knows them, ``(n_curve,)``.

    Returns
    -------
    ndarray
        Of each curve against all others, and of all, ``(n_draw, n_curve + 1)``.
    """
    random = np.random.default_rng(0)
    known = np.isinf(freedom)
    left = np.where(known, 1.0, freedom)
    error = random.normal(size=(_DRAWS, freedom.size, number))
    spread = np.where(known, 1.0, random.chisquare(left, (_DRAWS, freedom.size)) / left)
    error /= np.sqrt(spread)[:, :, None]
    # A curve whose noise looks small by luck also seems to know its shape well.
    slope = np.where(np.isinf(widths), 0.0, 1 / widths)[:, None] / np.sqrt(spread)[:, :, None]

    def differences(use: np.ndarray) -> np.ndarray:
        """Of some of the curves, at the value that is likeliest for them together."""
        away, weight = error, np.ones((_DRAWS, freedom.size))
        for _ in range(_STEPS):
            pull = use[:, None] * slope * weight[:, :, None]
            norm = np.maximum((pull * slope).sum(1, keepdims=True), 1e-300)
            away = error - slope * (pull * error).sum(1, keepdims=True) / norm
            square = (away**2).sum(-1)
            weight = np.where(known, 1.0, (left + number) / (left + square))
        square = (away**2).sum(-1)
        each = np.where(known, square, (left + number) * np.log1p(square / left))
        return (use * each).sum(1)

    every = np.ones(freedom.size)
    whole = differences(every)
    others = [
        whole - differences(every - np.eye(freedom.size)[place]) for place in range(freedom.size)
    ]
    return np.stack([*others, whole], axis=1)


def _heights(
    scans: Sequence[RateScan], free: tuple[LawParameter, ...], values: Sequence[np.ndarray]
) -> np.ndarray:
    """Log likelihood of each curve, ``(n_curve, n_shape)``."""
    names = [parameter.name for parameter in free]
    return np.concatenate([curve_nodes(scan, names, values).by_shape for scan in scans])


def _grid(scans: Sequence[RateScan], free: tuple[LawParameter, ...]) -> np.ndarray:
    """Nodes of one parameter that are dense where any curve, or all together, have their top."""
    parameter = free[0]
    nodes = np.linspace(*parameter.free_box, _NODES)
    for _ in range(_LOOKS):
        values = [parameter.from_free(torch.as_tensor(nodes)).numpy()]
        height = _heights(scans, free, values)
        height = np.concatenate([height, height.sum(axis=0, keepdims=True)])
        new = [nodes]
        for row in height:
            mass = np.exp(row - row.max()) * np.gradient(nodes)
            mass = mass / mass.sum()
            low, high = closer(free, values, mass)[0]
            if np.count_nonzero((nodes > low) & (nodes < high)) < _CLOSER // 2:
                new.append(np.linspace(low, high, _CLOSER))
        if len(new) == 1:
            break
        nodes = np.unique(np.concatenate(new))
    return nodes
