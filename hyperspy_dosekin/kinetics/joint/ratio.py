# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ratio of offset and amplitude, b/a, that windows of one name have in several series.

A thicker place or a larger current multiplies all of a window. So series of one specimen may have
other amplitudes and offsets, and still the same share that no dose removes. It is a parameter of
the law then (`WithOffset`), one for each name. Given the shape, names know nothing of each other:
the ratio is integrated out for each, on nodes about its own peak for each shape, because both lie
on a narrow ridge.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from scipy import special

from hyperspy_dosekin.kinetics.conditions.rate_likelihood import RateScan
from hyperspy_dosekin.kinetics.conditions.shapes import FOLLOWING, between, followed, ratio_ends
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.laws.with_offset import ANGLES
from hyperspy_dosekin.kinetics.model.config import ExactConfig

from .ratio_agreement import ratio_p_value, with_offset
from .shape import CurveNodes, SharedShape, log_rate_prior


@dataclass(frozen=True, eq=False)
class RatioResult:
    """What was found of b/a.

    Parameters
    ----------
    ratios
        By name of the window: ends and median of b/a, ``(0.025, 0.5, 0.975)`` quantiles; infinite
        ends where not even the sign of a is known.
    p_values
        By name of those that two series have: probability of ratios as unlike as found in any of
        them if all were the same.
    """

    ratios: dict[str, tuple[float, float, float]]
    p_values: dict[str, float]


@dataclass(eq=False)
class CommonRatio:
    """Curves by name, each a window of one series, and where their ratio has its mass.

    Parameters
    ----------
    scans
        Of single windows with the offset in the law, by series.
    windows
        Their names.
    powers
        Of the likelihoods of each series, see `power_of_windows`.
    rows
        The shapes of the last look, each ``(n_shape,)``.
    angles, log_mass
        By name: nodes of θ and log likelihood with prior there, ``(n_shape, n_node)``.
    """

    scans: list[list[RateScan]]
    windows: Sequence[Sequence[str]]
    powers: Sequence[float]
    rows: Sequence[np.ndarray] = ()
    angles: dict[str, np.ndarray] = field(default_factory=dict)
    log_mass: dict[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        moved: Sequence[tuple[DoseProblem, ExactConfig]],
        windows: Sequence[Sequence[str]],
        powers: Sequence[float],
    ) -> CommonRatio:
        """Prepare all series, given by problem and options."""
        scans = [
            [RateScan.of(problem.windows([w]), with_offset(config)) for w in range(len(names))]
            for (problem, config), names in zip(moved, windows, strict=True)
        ]
        return cls(scans, windows, powers)

    @property
    def names(self) -> list[str]:
        """Names of all windows."""
        return list(dict.fromkeys(name for each in self.windows for name in each))

    def members(self, name: str) -> list[tuple[int, int]]:
        """Series and place of the windows of a name."""
        return [(s, each.index(name)) for s, each in enumerate(self.windows) if name in each]

    @property
    def shares(self) -> list[np.ndarray]:
        """Share that each curve has in what its name says of the shape, ``(n_window, 1)`` each."""
        return [np.array([[1 / len(self.members(name))] for name in each]) for each in self.windows]

    def curves(self, values: Sequence[np.ndarray]) -> list[CurveNodes]:
        """Nodes of the windows of each series for shapes that all series share.

        The likelihood of each curve is that of all curves of its name.
        """
        found: dict[tuple[int, int], CurveNodes] = {}
        old = self.rows if self.angles else ()
        for name in self.names:
            found |= self._of_name(name, values, old)
        self.rows = values
        return [
            _beside([found[s, w] for w in range(len(each))]) for s, each in enumerate(self.windows)
        ]

    def _of_name(
        self, name: str, values: Sequence[np.ndarray], old: Sequence[np.ndarray]
    ) -> dict[tuple[int, int], CurveNodes]:
        members = self.members(name)
        width = math.log(ANGLES[1] - ANGLES[0])
        nodes: dict[tuple[int, int], tuple[torch.Tensor, torch.Tensor]] = {}
        rows: dict[tuple[int, int], np.ndarray] = {}

        def together(angles: np.ndarray) -> np.ndarray:
            shapes = [*(np.repeat(row, FOLLOWING) for row in values), angles.ravel()]
            for s, w in members:
                scan = self.scans[s][w]
                at, likelihood = scan.nodes(shapes, scan.parameters.free[0].search_box)
                density = likelihood + log_rate_prior(scan.parameters, at)
                density = density + (at[1] - at[0]).clamp(min=1e-300).log()
                nodes[s, w] = at, density
                rows[s, w] = torch.logsumexp(density, (0, 1))[:, 0].numpy()
            whole = np.sum([self.powers[s] * rows[s, w] for s, w in members], axis=0)
            return whole.reshape(angles.shape) - width

        low, high = between(old, self.angles.get(name, np.empty((0, 0))), values, ANGLES)
        angles, whole = followed(together, low, high)
        whole = whole + np.log(angles[:, 1] - angles[:, 0])[:, None]
        self.angles[name], self.log_mass[name] = angles, whole
        shapes = tuple(np.repeat(row, FOLLOWING) for row in values)
        return {
            key: CurveNodes(
                at,
                shapes,
                density + torch.as_tensor(whole.ravel() - rows[key])[:, None],
                FOLLOWING,
            )
            for key, (at, density) in nodes.items()
        }

    def result(
        self, shape: SharedShape, moved: Sequence[tuple[DoseProblem, ExactConfig]]
    ) -> RatioResult:
        """What was found, with tests.

        Parameters
        ----------
        shape
            What all series say of the shape.
        moved
            As for `of`.
        """
        ratios, p_values = {}, {}
        several = [name for name in self.names if len(self.members(name)) > 1]
        estimate = tuple(zip((p.name for p in shape.free), shape.estimate, strict=True))
        for name in self.names:
            log_mass = self.log_mass[name]
            of_shape = shape.log_mass - special.logsumexp(log_mass, axis=1)
            share = special.softmax(log_mass + of_shape[:, None])
            ratios[name] = ratio_ends(self.angles[name].ravel(), share.ravel())
            if name in several:
                problems = [moved[s][0].windows([w]) for s, w in self.members(name)]
                configs = [moved[s][1] for s, _ in self.members(name)]
                p_value = ratio_p_value(problems, configs, estimate)
                p_values[name] = min(len(several) * p_value, 1.0)
        return RatioResult(ratios, p_values)


def _beside(curves: Sequence[CurveNodes]) -> CurveNodes:
    """The windows of a series beside each other."""
    first = curves[0]
    return replace(
        first,
        log_rate=torch.cat([each.log_rate for each in curves], -1),
        log_density=torch.cat([each.log_density for each in curves], -1),
    )
