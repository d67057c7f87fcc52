# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network C(x, y, φ) of a map, with the rate law as residual and k(x, y), p(x, y) as fields.

The network sees the Fourier features of the dose and, beside them, the kinetic fields at the pixel:
C(x, y, φ) = exp(−k φ softplus(N(φ, ln k(x, y), p(x, y)))), so that C = 1 at φ = 0 for any weights,
and an interface of the fields is one of the trajectories.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn.functional import softplus

from hyperspy_dosekin.kinetics.network.architecture import (
    DenseRecord,
    Features,
    Parameters,
    unbounded_output,
)
from hyperspy_dosekin.kinetics.network.losses import SMALLEST_INTEGRITY

from .curves import SharedCurves
from .readout import Shared


@dataclass(frozen=True, eq=False)
class NetworkCurves(SharedCurves):
    """Curves whose trajectories are those of a network instead of the law.

    Parameters
    ----------
    network
        Parameters of one member, ``(1, …)`` each.
    shared
        What the pixels share.
    """

    network: Parameters | None = None
    shared: Shared | None = None

    @classmethod
    def of_member(
        cls, curves: SharedCurves, shared: Shared, network: Parameters, member: int
    ) -> NetworkCurves:
        """The curves with the trajectories of one member."""
        own = {each.name: getattr(curves, each.name) for each in fields(SharedCurves)}
        one = {name: value[member : member + 1] for name, value in network.items()}
        return cls(**own, network=one, shared=shared)

    def integrity(self, free: Tensor, dose: Tensor | None = None) -> Tensor:
        """C at the doses, ``(n_dose, …)``, for parameters ``(n_parameter, …)``."""
        return self._at(self._points(free, dose), free, dose)

    def with_slopes(self, free: Tensor) -> tuple[Tensor, list[Tensor]]:
        """C and its derivatives by the parameters on their scale of estimation."""
        # Every point has parameters of its own here, so that one pass gives the slopes of all.
        points = self._points(free, None).detach().requires_grad_()
        with torch.enable_grad():
            value = self._at(points, free, None)
            (slopes,) = torch.autograd.grad(value.sum(), points)
        return value.detach(), [row.reshape(value.shape) for row in slopes[0].T]

    def _points(self, free: Tensor, dose: Tensor | None) -> Tensor:
        """Parameters of all doses and pixels, ``(1, n, d)``."""
        number = len(self.dose if dose is None else dose)
        return free.reshape(len(free), -1).T.repeat(number, 1)[None]

    def _at(self, points: Tensor, free: Tensor, dose: Tensor | None) -> Tensor:
        assert self.network is not None
        assert self.shared is not None
        dose = self.dose if dose is None else dose
        at = dose.repeat_interleave(points.shape[1] // len(dose))[None]
        value, _ = trajectory(self.network, self, self.shared, at, points, at.shape[1])
        return value.reshape(len(dose), *free.shape[1:])


def rate_and_exponent(curves: SharedCurves, free: Tensor) -> tuple[Tensor, Tensor]:
    """K and p, of the shape ``(…)``, from parameters ``(n_parameter, …)``."""
    rate, exponent = curves.parameters.values(curves.search(free))
    return rate, exponent


def trajectory(
    network: Parameters,
    curves: SharedCurves,
    shared: Shared,
    dose: Tensor,
    free: Tensor,
    first: int,
    tape: list[DenseRecord] | None = None,
) -> tuple[Tensor, Tensor]:
    """C ``(n_member, n)``, and its derivative by normalised dose from a point on.

    Parameters
    ----------
    network
        Parameters of some members.
    dose
        Doses of the points in the unit of `curves`, ``(n_member, n)``.
    free
        Kinetic parameters at the points, ``(n_member, n, n_parameter)``.
    first
        Points before this one need no derivative.
    tape
        As for `unbounded_output`.
    """
    late = slice(first, None)
    reach = curves.dose[-1].to(dose)
    rate, _ = rate_and_exponent(curves, free.movedim(-1, 0))
    unit = dose / reach
    score = torch.linalg.solve_triangular(
        shared.factor.to(free).T, free - shared.mean.to(free), upper=True, left=False
    )
    angular = 2 * math.pi * network["frequencies"]
    phase = unit[..., None] * angular
    sine, cosine = torch.sin(phase), torch.cos(phase)
    tangent = torch.cat(
        [-sine[:, late] * angular, cosine[:, late] * angular, torch.zeros_like(score[:, late])], -1
    )
    seen = Features(unit[..., None], torch.cat([cosine, sine, score], -1), tangent, first)
    output, slope = (each[..., 0] for each in unbounded_output(network, seen, tape))
    exponent = softplus(output)
    value = torch.exp(-rate * dose * exponent)
    moved = torch.sigmoid(output[:, late]) * slope / reach
    by_dose = exponent[:, late] + dose[:, late] * moved
    return value, -value[:, late] * rate[:, late] * by_dose


def law_residual(
    curves: SharedCurves, free: Tensor, value: Tensor, slope: Tensor, reach: float
) -> Tensor:
    """dC/dφ + k Cᵖ with the dose φ over the largest one, ``(n_member, n)``."""
    rate, exponent = rate_and_exponent(curves, free.movedim(-1, 0))
    return reach * (slope + rate * value.clamp(min=SMALLEST_INTEGRITY) ** exponent)
