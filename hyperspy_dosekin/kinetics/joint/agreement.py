# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether curves that are fitted with a common shape have one.

Twice the difference of the highest log likelihoods with a shape of its own for each curve and with
a common one is χ² where the noise is known and shapes are known well. Where a handful of frames has
to say the noise, too, or a curve knows its shape only to one side, it is not. What it would be for
a common shape is therefore found from curves that are drawn with the common shape that was found,
their own rates, amplitudes and offsets, and noise of the size of the residuals, and that are
examined as the data are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from hyperspy_dosekin.kinetics.conditions.rate_likelihood import RateScan
from hyperspy_dosekin.kinetics.conditions.shapes import closer, marginals, shape_grid
from hyperspy_dosekin.kinetics.laws.parameter import LawParameter
from hyperspy_dosekin.kinetics.posterior.scan import ScanData

from .shape import curve_nodes, own_shapes, top_of

#: A p value below this says that the shape is not the same.
SMALLEST_P = 0.05
# Nodes over the box, those of each closer look, and how many looks.
_NODES, _CLOSER, _LOOKS = 33, 17, 3
# Nodes about the common shape for each curve, and how many of its standard deviations they span.
_ABOUT, _SPAN = 9, 4.0
# Draws of what a common shape would give, and each how many nodes of the rate are used.
_DRAWS, _EVERY = 499, 3
# Quantile that differences of different curves are compared by, and the least that it counts.
_LEVEL, _LEAST = 0.95, 0.5
# Ends of the interval of what a curve says by itself.
_ENDS = (0.025, 0.975)


@dataclass(frozen=True, eq=False)
class Agreement:
    """Tests of a common shape.

    Parameters
    ----------
    p_value
        Of all curves together: of what is largest, the difference of all or of any curve.
    by_curve
        Of each curve against all others, ``(n_curve,)``.
    alone
        The likeliest value of the parameter of each curve by itself, ``(n_curve,)``; of several
        parameters that of the first.
    ends
        Of the 95 % interval of that, all values being as likely before, ``(2, n_curve)``. What
        lies within it no test can find.
    worst
        Place of the curve that is most unlike the others.
    """

    p_value: float
    by_curve: np.ndarray
    alone: np.ndarray
    ends: np.ndarray
    worst: int

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
    shared = [parameter.name for parameter in free]
    random = np.random.default_rng(0)
    plain = _heights(scans, shared, values)
    best = int(np.argmax(plain.sum(axis=0)))
    height = np.concatenate([_drawn(scan, shared, values, best, random) for scan in scans])
    whole, by_curve, worst = judged(_differences(height))
    spacing = np.ones(len(values[0])) if nodes is None else np.gradient(nodes)
    alone, ends = np.array([values[0][int(np.argmax(row))] for row in plain]), []
    for row in plain:
        at, share = marginals(free, values, np.exp(row - row.max()) * spacing)[0]
        ends.append(np.interp(_ENDS, share.cumsum() / share.sum(), at))
    low, high = free[0].from_free(torch.as_tensor(np.transpose(ends))).numpy()
    # The likeliest value may lie at an end of the box, beyond equal tails.
    ends = np.stack([np.minimum(low, alone), np.maximum(high, alone)])
    return Agreement(whole, by_curve, alone, ends, worst)


def judged(found: np.ndarray) -> tuple[float, np.ndarray, int]:
    """How probable differences as large as those of the data are.

    Parameters
    ----------
    found
        Twice the differences of log likelihoods, of each curve against the others and of all, of
        the data first and then of draws, ``(1 + n_draw, n_curve + 1)``.

    Returns
    -------
    Probability of the largest, be it of all or of any curve; that of each curve, ``(n_curve,)``;
    and the place of the curve that is most unlike the others.
    """
    p_value = (1 + (found[1:] >= np.maximum(found[0], 1e-9)).sum(axis=0)) / len(found)
    usual = np.quantile(found[1:], _LEVEL, axis=0)
    over = found / np.maximum(usual, _LEAST)
    largest = over.max(axis=1)
    whole = (1 + (largest[1:] >= max(largest[0], 1e-9)).sum()) / len(found)
    return float(whole), p_value[:-1], int(np.argmax(over[0, :-1]))


def _differences(height: np.ndarray) -> np.ndarray:
    """Twice the differences of log likelihoods: of each curve against the others, and of all.

    Parameters
    ----------
    height
        Log likelihoods of the shapes, ``(n_curve, n_shape, n)``.

    Returns
    -------
    ndarray
        ``(n, n_curve + 1)``.
    """
    whole = height.sum(axis=0)
    own, best = height.max(axis=1), whole.max(axis=0)
    rest = np.stack([(whole - row).max(axis=0) for row in height])
    return 2 * np.concatenate([own + rest - best, (own.sum(axis=0) - best)[None]]).T


def _heights(
    scans: Sequence[RateScan], names: Sequence[str], values: Sequence[np.ndarray]
) -> np.ndarray:
    """Log likelihood of each curve of all series, ``(n_curve, n_shape)``."""
    return np.concatenate([curve_nodes(scan, names, values).by_shape for scan in scans])


def _drawn(
    scan: RateScan,
    names: Sequence[str],
    values: Sequence[np.ndarray],
    best: int,
    random: np.random.Generator,
) -> np.ndarray:
    """Log likelihoods of the shapes by the curves of a series, and by curves like them.

    Parameters
    ----------
    names, values
        Of the shared parameters.
    best
        Place of the common shape.
    random
        Of the draws.

    Returns
    -------
    ndarray
        Of the data first, then of the draws with the common shape,
        ``(n_window, n_shape, 1 + n_draw)``.
    """
    shapes, _, n_own = own_shapes(scan.parameters, names, values)
    rates, _ = scan.nodes(shapes, scan.parameters.free[0].search_box)
    rates, others = rates[::_EVERY], scan.others(shapes)
    plain = scan.parts[: len(scan.parts) - scan.n_bound]
    found = []
    for place in range(scan.n_window):
        here = [rates[..., place : place + 1], *others]
        only = torch.tensor([place])
        data = max(
            (part.select(only) for part in plain),
            key=lambda part: float(part.log_density(here)[0].max()),
        )
        deviance = data.deviance_at(here)[..., 0]
        common = slice(best * n_own, (best + 1) * n_own)
        rate, shape = np.unravel_index(int(deviance[:, common].argmin()), (len(rates), n_own))
        shape = int(shape) + common.start
        at = [here[0][rate, shape], *(each[0, shape] for each in others)]
        curves = drawn_curves(data, at, random)
        with torch.no_grad():
            rows = torch.logsumexp(-0.5 * curves.deviance_at(here), 0)
        rows = torch.logsumexp(rows.reshape(-1, n_own, rows.shape[-1]), 1)
        step = (rates[1, :, place] - rates[0, :, place]).clamp(min=1e-300).log()
        found.append((rows + step.reshape(-1, n_own).mean(1)[:, None]).numpy())
    return np.stack(found)


def drawn_curves(
    data: ScanData, at: Sequence[torch.Tensor], random: np.random.Generator, taken: float = 1.0
) -> ScanData:
    """A curve, and beside it draws of the same decay with noise like that of its residuals.

    Parameters
    ----------
    at
        Free parameters of the decay on their scale of search, ``(1,)``.
    random
        Of the noise.
    taken
        Parameters that were fitted to the curve beside its readout: what they have taken from the
        residuals. Of one that several curves share each counts a part.
    """
    fitted, left = data.fitted(at), data.sums(at).squares
    noise = torch.ones_like(left)
    if data.noise != "given":
        noise = left / (data.freedom - taken).clamp(min=1)
    if data.noise == "floor":
        noise = noise.clamp(min=1.0)
    there = (data.ones != 0).to(fitted)
    normal = torch.as_tensor(random.normal(size=(len(fitted), _DRAWS)))
    drawn = fitted + noise.sqrt() * there * normal
    curves = replace(data, values=torch.cat([data.values, drawn], dim=1))
    return curves.centred() if data.offset_free else curves


def _grid(scans: Sequence[RateScan], free: tuple[LawParameter, ...]) -> np.ndarray:
    """Nodes of one parameter: dense where any curve, or all together, have their top.

    They are dense about the common value, too, where curves that are drawn with it have theirs.
    """
    parameter = free[0]
    nodes = np.linspace(*parameter.free_box, _NODES)
    height = np.zeros((0, nodes.size))
    for look in range(_LOOKS):
        values = [parameter.from_free(torch.as_tensor(nodes)).numpy()]
        height = _heights(scans, [parameter.name], values)
        height = np.concatenate([height, height.sum(axis=0, keepdims=True)])
        new = [nodes]
        for row in height:
            mass = np.exp(row - row.max()) * np.gradient(nodes)
            mass = mass / mass.sum()
            low, high = closer(free, values, mass)[0]
            if np.count_nonzero((nodes > low) & (nodes < high)) < _CLOSER // 2:
                new.append(np.linspace(low, high, _CLOSER))
        if len(new) == 1 or look == _LOOKS - 1:
            break
        nodes = np.unique(np.concatenate(new))
    common = top_of(nodes, height[-1])[0]
    widths = np.array([top_of(nodes, row)[2] for row in height])
    about = common + np.outer(widths[np.isfinite(widths)], np.linspace(-_SPAN, _SPAN, _ABOUT))
    low, high = parameter.free_box
    return np.unique(np.concatenate([nodes, np.clip(about.ravel(), low, high)]))
