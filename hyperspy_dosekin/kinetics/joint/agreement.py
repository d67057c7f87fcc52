# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether curves that are fitted with a common shape have one.

Twice the difference of the highest log likelihoods with a shape of its own for each curve and with
a common one is χ² with one degree of freedom for each curve but one and each shared parameter,
where they do have one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats

from hyperspy_dosekin.kinetics.conditions.rate_likelihood import RateScan
from hyperspy_dosekin.kinetics.conditions.shapes import closer, shape_grid
from hyperspy_dosekin.kinetics.laws.contract import LawParameter

from .shape import curve_nodes, top_of

#: A p value below this says that the shape is not the same.
SMALLEST_P = 0.01
# Nodes over the box, those of each closer look, and how many looks.
_NODES, _CLOSER, _LOOKS = 33, 17, 3


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
    number = len(free)
    all_of_them = max(2 * (own.sum() - best), 0.0)
    each = np.maximum(2 * (own + rest - best), 0.0)
    at = [values[0][int(np.argmax(row))] for row in height]
    return Agreement(
        float(stats.chi2.sf(all_of_them, number * (n_curve - 1))),
        stats.chi2.sf(each, number),
        np.array(at),
    )


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
